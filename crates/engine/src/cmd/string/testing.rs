//! A bench for handlers: commands in, replies out as text, on two bare keyspaces.
//!
//! The first keyspace gets each command as it came, the second in the form in which it is logged;
//! reply and digest must agree after every command, so every test here also tests the rewriting.

use crate::spec::{Handler, LogForm, Sealing};
use crate::{Effect, Effects, Keyspace, Reader, Spec, Stamp, Writer};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use quorate_resp::{Args, Reply, Span};

/// Where the bench's clock stands at the start, Unix milliseconds.
pub(in crate::cmd) const START_MS: u64 = 1_700_000_000_000;

/// Two keyspaces that must stay the same.
pub(in crate::cmd) struct Bench {
    direct: Keyspace,
    logged: Keyspace,
    index: u64,
    /// The clock.
    pub(in crate::cmd) now_ms: u64,
    /// Keyspace events since the last look, as `class:event:key`.
    events: Vec<String>,
    /// The last command as it was logged, if that was not as it came.
    rewritten: Option<Vec<Vec<u8>>>,
}

impl Bench {
    pub(in crate::cmd) fn new() -> Self {
        let keyspace = || {
            let mut keyspace = Keyspace::new([1, 2]);
            assert_eq!(keyspace.set_setting("notify-keyspace-events", "KEA"), Ok(()));
            assert_eq!(keyspace.set_setting("proto-max-bulk-len", "1048576"), Ok(()));
            keyspace
        };
        Self {
            direct: keyspace(),
            logged: keyspace(),
            index: 0,
            now_ms: START_MS,
            events: Vec::new(),
            rewritten: None,
        }
    }

    /// Runs a command and prints the reply on one line, much as redis-cli does. Words are parted by
    /// blanks; within one, `\xNN` is a byte, `\s` a blank, and `""` stands for the empty word.
    pub(in crate::cmd) fn run(&mut self, line: &str) -> String {
        let words: Vec<Vec<u8>> = line.split_whitespace().map(unescape).collect();
        self.run_words(&words)
    }

    pub(in crate::cmd) fn run_words(&mut self, words: &[Vec<u8>]) -> String {
        self.index += 1;
        let stamp = Stamp { now_ms: self.now_ms, seed: self.index };
        let mut effects = Effects::default();
        let mut ignored = Effects::default();
        self.rewritten = with_args(words, |args| match self.form(args, stamp) {
            LogForm::Rewritten(words) => Some(words),
            LogForm::Replaced(at, by) => {
                let mut words = words.to_vec();
                words[at] = by;
                Some(words)
            }
            _ => None,
        });
        let reply = run_on(&mut self.direct, stamp, self.index, words, &mut effects);
        let form = self.rewritten.as_deref().unwrap_or(words);
        let other = run_on(&mut self.logged, stamp, self.index, form, &mut ignored);
        assert_eq!(reply, other, "the logged form answers something else");
        assert_eq!(
            self.direct.digest(),
            self.logged.digest(),
            "the logged form does something else"
        );
        assert_eq!(effects.list, ignored.list, "the logged form tells something else");
        self.events.extend(effects.list.iter().map(|effect| {
            let Effect::Notify { class, event, key, .. } = effect else { panic!("a message") };
            format!("{}:{event}:{}", char::from(*class), String::from_utf8_lossy(key))
        }));
        reply
    }

    /// The last command as it was logged.
    pub(in crate::cmd) fn logged(&self) -> String {
        let words = self.rewritten.as_ref().map(|words| words.join(&b' '));
        words.map_or("as it came".into(), |words| String::from_utf8_lossy(&words).into_owned())
    }

    /// Runs commands and compares the replies.
    pub(in crate::cmd) fn check(&mut self, transcript: &[(&str, &str)]) {
        for (line, expected) in transcript {
            assert_eq!(&self.run(line), expected, "{line}");
        }
    }

    /// Events since the last call.
    pub(in crate::cmd) fn events(&mut self) -> String {
        core::mem::take(&mut self.events).join(" ")
    }

    /// The deadline of a key that is there and has one.
    pub(in crate::cmd) fn deadline_ms(&self, key: &str) -> Option<u64> {
        self.reader().deadline_ms(key.as_bytes()).flatten()
    }

    /// Whether a command would be armoured in the log.
    pub(in crate::cmd) fn is_hidden(&self, line: &str) -> bool {
        let words: Vec<Vec<u8>> = line.split_whitespace().map(unescape).collect();
        let stamp = Stamp { now_ms: self.now_ms, seed: 0 };
        with_args(&words, |args| matches!(self.form(args, stamp), LogForm::Hidden))
    }

    fn form(&self, args: Args<'_>, stamp: Stamp) -> LogForm {
        let mut sealing = Sealing::new(self.reader(), stamp);
        row(args).logged.form.map_or(LogForm::Plain, |form| form(&mut sealing, args))
    }

    fn reader(&self) -> Reader<'_> {
        Reader::at(&self.direct, crate::Db(0))
    }

    /// The cost estimate of a command.
    pub(in crate::cmd) fn cost_ns(&self, line: &str) -> u64 {
        let words: Vec<Vec<u8>> = line.split_whitespace().map(unescape).collect();
        with_args(&words, |args| row(args).cost_ns.map_or(0, |cost| cost(&self.reader(), args)))
    }
}

fn run_on(
    keyspace: &mut Keyspace,
    stamp: Stamp,
    index: u64,
    words: &[Vec<u8>],
    effects: &mut Effects,
) -> String {
    keyspace.begin_entry(index, stamp.now_ms);
    with_args(words, |args| match row(args).run.of(args) {
        Handler::Read(read) => {
            let reader = Reader { seed: stamp.seed, ..Reader::at(keyspace, crate::Db(0)) };
            show(&read(&reader, args).unwrap_or_else(|error| error))
        }
        Handler::Write(write) => {
            let mut cx = Writer::new(keyspace, crate::Db(0), stamp, index, effects);
            show(&write(&mut cx, args).unwrap_or_else(|error| error))
        }
        Handler::Either { .. }
        | Handler::Wait(_)
        | Handler::WaitsIf { .. }
        | Handler::Script { .. } => {
            panic!("neither a read nor a write")
        }
    })
}

fn row(args: Args<'_>) -> &'static Spec {
    match super::super::resolve(args) {
        Some(row) => row,
        None => panic!("no row for {:?}", args.at(0)),
    }
}

fn with_args<T>(words: &[Vec<u8>], run: impl FnOnce(Args<'_>) -> T) -> T {
    let mut buffer = Vec::new();
    let mut spans = Vec::new();
    for word in words {
        let start = buffer.len() as u32;
        buffer.extend_from_slice(word);
        spans.push(Span { start, end: buffer.len() as u32 });
    }
    run(Args::new(&buffer, &spans))
}

fn unescape(word: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = if word == "\"\"" { "" } else { word };
    while let Some(first) = rest.chars().next() {
        if let Some(hex) = rest.strip_prefix("\\x").and_then(|hex| hex.get(..2)) {
            bytes.push(u8::from_str_radix(hex, 16).unwrap_or(b'?'));
            rest = rest.get(4..).unwrap_or("");
        } else if let Some(behind) = rest.strip_prefix("\\s") {
            bytes.push(b' ');
            rest = behind;
        } else {
            bytes.extend(first.encode_utf8(&mut [0; 4]).bytes());
            rest = rest.get(first.len_utf8()..).unwrap_or("");
        }
    }
    bytes
}

fn show(reply: &Reply<'_>) -> String {
    match reply {
        Reply::Simple(text) => String::from(&**text),
        Reply::Error(text) => format!("-{text}"),
        Reply::Int(value) => format!("{value}"),
        Reply::Bulk(bytes) => format!("\"{}\"", bytes.escape_ascii()),
        Reply::Decimal(number) => format!("\"{number}\""),
        Reply::Chunks(pieces) => format!("\"{}\"", pieces.concat().escape_ascii()),
        Reply::Null => String::from("nil"),
        Reply::Array(items) => {
            format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(" "))
        }
        Reply::Set(items) => {
            let mut items: Vec<String> = items.iter().map(show).collect();
            items.sort();
            format!("~[{}]", items.join(" "))
        }
        Reply::Map(pairs) | Reply::Pairs(pairs) => {
            let pair =
                |(key, value): &(Reply<'_>, Reply<'_>)| format!("{}: {}", show(key), show(value));
            format!("{{{}}}", pairs.iter().map(pair).collect::<Vec<_>>().join(" "))
        }
        other => format!("{other:?}"),
    }
}
