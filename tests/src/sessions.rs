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
//! ```
//!
//! Each command is sent and its first answer is waited for; further answers are what a line with
//! `<` waits for. Behind `!` stands a command that waits for others: what is waited for is that the
//! server says so. Behind `@` time passes, in milliseconds. `a-` hangs up. As with [`script`](crate::script), a run
//! gives the transcript anew and `UPDATE=1` writes it.

use crate::client::{Client, text};
use crate::script::{difference, show};
use crate::wait::{pause, until};
use bytes::BytesMut;
use quorate_resp::{Value, split_line, write_command};
use std::collections::BTreeMap;
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

fn run(script: &str, connect: &mut dyn FnMut() -> Client) -> Result<String, String> {
    let mut clients: BTreeMap<char, Client> = BTreeMap::new();
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
        let client = clients.entry(name).or_insert_with(&mut *connect);
        let answer = match does {
            '>' => client.call_bytes(&args),
            '<' => client.receive(),
            '-' => {
                clients.remove(&name);
                let _ = writeln!(out, "{line}");
                continue;
            }
            _ => {
                block(client, &args, &mut connect()).map_err(|error| fail(&error))?;
                let _ = writeln!(out, "{line}");
                continue;
            }
        };
        let answer = answer.map_err(|error| fail(&error))?;
        let _ = write!(out, "{line}\n{}", show(&answer));
    }
    Ok(out)
}

/// Sends a command and waits until another client sees that this one waits.
fn block(client: &mut Client, args: &[Vec<u8>], other: &mut Client) -> std::io::Result<()> {
    let Value::Int(id) = client.call(&["CLIENT", "ID"])? else {
        return Err(std::io::Error::other("CLIENT ID is no number"));
    };
    let id = id.to_string();
    let mut bytes = BytesMut::new();
    write_command(&mut bytes, args.iter().map(Vec::as_slice));
    client.send_bytes(&bytes)?;
    let what = format!("waiting for {}", String::from_utf8_lossy(&args.join(&b' ')));
    until(&what, || {
        let line = text(&other.call(&["CLIENT", "LIST", "ID", &id]).ok()?)?;
        let flags = line.split(' ').find_map(|word| word.strip_prefix("flags="))?;
        flags.contains('b').then_some(())
    });
    Ok(())
}

/// Whose line it is, whether it sends or waits, and the command.
fn parts(line: &str) -> Option<(char, char, &str)> {
    let mut letters = line.chars();
    let (name, does) = (letters.next()?, letters.next()?);
    let is_one = name.is_ascii_lowercase() && matches!(does, '>' | '<' | '!' | '-');
    is_one.then(|| (name, does, letters.as_str().trim()))
}
