//! A queue that clients wait for, as they see it: what is pushed comes to one of them, or stays.
//!
//! An element may be lost only where a replica died that held it for a client: between the commit
//! and the socket.

use quorate_engine::{Db, Keyspace, Reader, read};
use quorate_resp::{Limits, Parser, Proto, write_command};
use std::collections::BTreeSet;

/// The key.
pub(crate) const QUEUE: &str = "queue";

/// What is known of it.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Pushes that were acknowledged.
    pushed: BTreeSet<String>,
    popped: BTreeSet<String>,
    /// How many replicas that died held at most.
    held: usize,
}

impl Seen {
    pub(crate) fn pushed(&mut self, element: &str) {
        self.pushed.insert(element.to_owned());
    }

    /// A client got it; false: it is not the first.
    pub(crate) fn popped(&mut self, element: &str) -> bool {
        self.popped.insert(element.to_owned())
    }

    pub(crate) fn died_with(&mut self, held: usize) {
        self.held += held;
    }

    /// What is wrong, if the queue holds this in the end.
    pub(crate) fn judge(&self, left: &BTreeSet<String>) -> Result<(), String> {
        if let Some(twice) = left.intersection(&self.popped).next() {
            return Err(format!("{twice} was popped and is still in the queue"));
        }
        let lost: Vec<&String> =
            self.pushed.difference(&self.popped).filter(|it| !left.contains(*it)).collect();
        if lost.len() > self.held {
            return Err(format!("{lost:?} are lost, and only {} could be", self.held));
        }
        Ok(())
    }
}

/// What the queue holds.
pub(crate) fn left(keyspace: &Keyspace) -> BTreeSet<String> {
    let (mut parser, mut out) = (Parser::default(), bytes::BytesMut::new());
    let mut command = bytes::BytesMut::new();
    write_command(&mut command, [&b"LRANGE"[..], QUEUE.as_bytes(), b"0", b"-1"].into_iter());
    let _ = parser.parse(&command, &Limits::stored());
    let reader = Reader::at(keyspace, Db(0));
    read(&reader, parser.args(&command), Proto::Resp2, &mut out);
    let text = String::from_utf8_lossy(&out).into_owned();
    text.lines().filter(|line| line.starts_with('c')).map(str::to_owned).collect()
}
