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
//! @ +100
//! c= 3
//! ```
//!
//! Each command is sent and its first answer is waited for; further answers are what a line with
//! `<` waits for; behind `@` time passes, in milliseconds; behind `=` a client chooses its
//! protocol. The word `$b` is the id of client b's connection. As with [`script`](crate::script), a
//! run gives the transcript anew and `UPDATE=1` writes it.

use crate::client::Client;
use crate::script::{difference, show};
use crate::wait::pause;
use quorate_resp::{Value, split_line};
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
    let is_one = name.is_ascii_lowercase() && matches!(does, '>' | '<' | '=');
    is_one.then(|| (name, does, letters.as_str().trim()))
}
