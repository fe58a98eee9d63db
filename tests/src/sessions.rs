//! Transcripts of several clients at once, for what one client does to another.
//!
//! ```text
//! # Each client is a letter, and comes when it is first named.
//! a> SUBSCRIBE news
//! 1) "subscribe"
//! 2) "news"
//! 3) (integer) 1
//! b> PUBLISH news hello
//! (integer) 1
//! a< what comes to it without being asked for
//! 1) "message"
//! 2) "news"
//! 3) "hello"
//! c! BLPOP queue 0
//! @ +100
//! c= 3
//! ```
//!
//! Each command is sent and its first answer is waited for; further answers are what a line with
//! `<` waits for. Behind `!` stands a command that waits for others: what is waited for is that the
//! server says so. Behind `@` time passes, in milliseconds; behind `=` a client chooses its
//! protocol; `a-` hangs up. The word `$b` is the id of client b's connection. As with
//! [`script`](crate::script), a run gives the transcript anew and `UPDATE=1` writes it.

use crate::client::{Client, text};
use crate::script::{difference, show};
use crate::wait::{pause, until};
use bytes::BytesMut;
use quorate_resp::{Value, split_line, write_command};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

/// Runs the transcript in a file; the error shows where it differs. `connect` makes a client.
pub fn check(path: &Path, connect: &mut dyn FnMut() -> Client) -> Result<(), String> {
    let at = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let expected = std::fs::read_to_string(path).map_err(|error| at(&error))?;
    let found = run(&expected, connect).map_err(|error| at(&error))?;
    if found == expected {
        return Ok(());
    }
    if std::env::var_os("UPDATE").is_some_and(|value| value == "1") {
        return std::fs::write(path, found).map_err(|error| at(&error));
    }
    Err(at(&difference(&expected, &found)))
}

/// The clients, and the ids of their connections.
struct Clients<'c> {
    connect: &'c mut dyn FnMut() -> Client,
    known: BTreeMap<char, (Client, String)>,
}

impl Clients<'_> {
    fn get(&mut self, name: char) -> std::io::Result<&mut (Client, String)> {
        match self.known.entry(name) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(place) => {
                let mut client = (self.connect)();
                let id = match client.call(&["CLIENT", "ID"])? {
                    Value::Int(id) => id.to_string(),
                    other => return Err(std::io::Error::other(format!("{other:?}"))),
                };
                Ok(place.insert((client, id)))
            }
        }
    }

    /// A client goes.
    fn hang_up(&mut self, name: char) {
        self.known.remove(&name);
    }

    /// Sends a command and waits until another client sees that this one waits.
    fn block(&mut self, name: char, args: &[Vec<u8>]) -> std::io::Result<()> {
        let mut other = (self.connect)();
        let (client, id) = self.get(name)?;
        let mut bytes = BytesMut::new();
        write_command(&mut bytes, args.iter().map(Vec::as_slice));
        client.send_bytes(&bytes)?;
        let what = format!("waiting for {}", String::from_utf8_lossy(&args.join(&b' ')));
        until(&what, || {
            let line = text(&other.call(&["CLIENT", "LIST", "ID", id]).ok()?)?;
            let flags = line.split(' ').find_map(|word| word.strip_prefix("flags="))?;
            flags.contains('b').then_some(())
        });
        Ok(())
    }

    /// The words with the ids that they stand for.
    fn with_ids(&mut self, mut words: Vec<Vec<u8>>) -> std::io::Result<Vec<Vec<u8>>> {
        for word in &mut words {
            if let [b'$', name @ b'a'..=b'z'] = word[..] {
                *word = self.get(char::from(name))?.1.clone().into_bytes();
            }
        }
        Ok(words)
    }
}

fn run(script: &str, connect: &mut dyn FnMut() -> Client) -> Result<String, String> {
    let mut clients = Clients { connect, known: BTreeMap::new() };
    let mut out = String::new();
    for (number, line) in script.lines().enumerate() {
        let fail = |what: &dyn std::fmt::Display| format!("line {}: {what}", number + 1);
        if let Some(ms) = line.strip_prefix("@ +") {
            pause(Duration::from_millis(ms.parse().map_err(|why| fail(&why))?));
            let _ = writeln!(out, "{line}");
            continue;
        }
        let Some((name, does, rest)) = parts(line) else {
            if line.is_empty() || line.starts_with('#') {
                let _ = writeln!(out, "{line}");
            }
            continue;
        };
        let args = split_line(rest.as_bytes()).ok_or_else(|| fail(&"unbalanced quotes"))?;
        let args = clients.with_ids(args).map_err(|error| fail(&error))?;
        if does == '-' || does == '!' {
            if does == '-' {
                clients.hang_up(name);
            } else {
                clients.block(name, &args).map_err(|error| fail(&error))?;
            }
            let _ = writeln!(out, "{line}");
            continue;
        }
        let (client, _) = clients.get(name).map_err(|error| fail(&error))?;
        let answer = match does {
            '>' => client.call_bytes(&args),
            '=' => client.call(&["HELLO", rest]),
            _ => client.receive(),
        };
        let answer = answer.map_err(|error| fail(&error))?;
        // What HELLO answers differs from server to server.
        let shown = if does == '=' { String::new() } else { show(&answer) };
        let _ = write!(out, "{line}\n{shown}");
    }
    Ok(out)
}

/// Whose line it is, what it does, and the command.
fn parts(line: &str) -> Option<(char, char, &str)> {
    let mut letters = line.chars();
    let (name, does) = (letters.next()?, letters.next()?);
    let is_one = name.is_ascii_lowercase() && matches!(does, '>' | '<' | '=' | '!' | '-');
    is_one.then(|| (name, does, letters.as_str().trim()))
}
