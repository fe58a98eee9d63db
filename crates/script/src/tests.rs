//! Scripts on an interpreter with a small host: what they answer, and what they cannot do.

mod attacks;
mod basics;
mod functions;
mod libs;
mod oracle;
mod strings;

use crate::Luau;
use quorate_engine::{Budget, Call, Host, Interpreter, LogLevel, Program, Stopped};
use quorate_resp::Reply;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// A host with a few commands, that stops a script after a while.
pub(crate) struct Small {
    keys: BTreeMap<Vec<u8>, Vec<u8>>,
    until: Instant,
    stopped: Stopped,
    logged: Vec<(LogLevel, Vec<u8>)>,
}

impl Small {
    pub(crate) fn new() -> Self {
        Small {
            keys: BTreeMap::new(),
            until: Instant::now() + Duration::from_millis(300),
            stopped: Stopped::Time,
            logged: Vec::new(),
        }
    }
}

impl Host for Small {
    fn call(&mut self, words: &[Vec<u8>]) -> Reply<'static> {
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        match words.as_slice() {
            [b"GET" | b"get", key] => match self.keys.get(*key) {
                Some(value) => Reply::owned(value.clone()),
                None => Reply::Null,
            },
            [b"SET" | b"set", key, value] => {
                self.keys.insert(key.to_vec(), value.to_vec());
                Reply::OK
            }
            [b"ECHO", word] => Reply::owned(word.to_vec()),
            [b"WRONG"] => Reply::WRONG_TYPE,
            [b"INT"] => Reply::Int(7),
            [b"NIL"] => Reply::NullArray,
            [b"DOUBLE"] => Reply::Double(1.5),
            [b"BOOL"] => Reply::Bool(true),
            [b"BIG"] => Reply::BigNumber("123".to_owned()),
            [b"TEXT"] => Reply::Verbatim(*b"txt", Cow::Borrowed(b"hello")),
            [b"SETOF"] => Reply::Set(vec![Reply::bulk(b"a")]),
            [b"MAP"] => Reply::Map(vec![(Reply::bulk(b"a"), Reply::Int(1))]),
            [b"PAIRS"] => Reply::Pairs(vec![(Reply::bulk(b"a"), Reply::Double(2.0))]),
            [b"LIST"] => Reply::Array(vec![Reply::Int(1), Reply::Null, Reply::bulk(b"x")]),
            _ => Reply::error("ERR Unknown Redis command called from script"),
        }
    }

    fn may_call(&mut self, words: &[Vec<u8>]) -> Result<bool, String> {
        match words.first().map(Vec::as_slice) {
            Some(b"get") => Ok(true),
            Some(b"set") => Ok(false),
            _ => Err("unknown".to_owned()),
        }
    }

    fn log(&mut self, level: LogLevel, message: &[u8]) {
        self.logged.push((level, message.to_vec()));
    }

    fn stop(&mut self) -> Option<Stopped> {
        (Instant::now() >= self.until).then_some(self.stopped)
    }
}

pub(crate) const BUDGET: Budget = Budget { heap_bytes: 64 << 20, reply_bytes: 16 << 20 };

/// Runs a script.
pub(crate) fn eval_on(
    luau: &mut Luau,
    host: &mut dyn Host,
    body: &str,
    words: (&[&[u8]], &[&[u8]]),
) -> Result<Reply<'static>, Stopped> {
    use sha1::{Digest, Sha1};
    let sha: Vec<String> =
        Sha1::digest(body.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    let sha = sha.concat();
    let program = Program::Script { sha: &sha, body: body.as_bytes() };
    let (keys, args) = words;
    luau.call(&Call { program, keys, args, seed: 1, budget: BUDGET }, host)
}

/// Runs a script on a new interpreter.
pub(crate) fn eval(body: &str) -> Result<Reply<'static>, Stopped> {
    eval_on(&mut Luau::new(), &mut Small::new(), body, (&[], &[]))
}

/// A reply on one line.
pub(crate) fn line(reply: &Reply<'_>) -> String {
    let list = |items: &[Reply<'_>]| items.iter().map(line).collect::<Vec<_>>().join(" ");
    let pairs = |pairs: &[(Reply<'_>, Reply<'_>)]| {
        let pairs = pairs.iter().map(|(key, value)| format!("{}={}", line(key), line(value)));
        pairs.collect::<Vec<_>>().join(" ")
    };
    match reply {
        Reply::Simple(text) => format!("+{text}"),
        Reply::Error(text) => {
            let text = String::from_utf8_lossy(text.as_bytes());
            format!("-{}", text.replace(['\r', '\n'], " "))
        }
        Reply::Int(number) => format!("{number}"),
        Reply::Bulk(bytes) => format!("'{}'", bytes.escape_ascii()),
        Reply::Array(items) => format!("[{}]", list(items)),
        Reply::Map(items) => format!("map({})", pairs(items)),
        Reply::Set(items) => format!("set({})", list(items)),
        Reply::Null => "nil".to_owned(),
        other => format!("{other:?}"),
    }
}

/// Expects a script to answer this.
pub(crate) fn check(body: &str, expect: &str) {
    let reply = eval(body);
    let text = reply.as_ref().map_or_else(|stopped| format!("{stopped:?}"), line);
    let fits = match expect.strip_suffix('*') {
        Some(start) => text.starts_with(start),
        None => text == expect,
    };
    assert!(fits, "{body}\n  gave   {text}\n  not    {expect}");
}
