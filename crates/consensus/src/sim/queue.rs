//! Clients that wait for a queue: what is pushed comes to one of them, or stays.
//!
//! An element may be lost only where a replica died that held it for a client: between the commit
//! and the socket.

use super::check::Checks;
use super::clients::command;
use super::cluster::Running;
use super::rt::SimRt;
use crate::api::Answer;
use crate::write::blocked::Blocked;
use openraft::AsyncRuntime;
use quorate_engine::{Db, Keyspace, Reader, read};
use quorate_resp::{Limits, Parser, Proto};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::sync::oneshot;

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
    let run = command(0, &["LRANGE", QUEUE, "0", "-1"]);
    let _ = parser.parse(&run.commands, &Limits::stored());
    let reader = Reader::at(keyspace, Db(0));
    read(&reader, parser.args(&run.commands), Proto::Resp2, &mut out);
    let text = String::from_utf8_lossy(&out).into_owned();
    text.lines().filter(|line| line.starts_with('c')).map(str::to_owned).collect()
}

/// A client connects to a replica, waits for an element, and hangs up or gives up after a while.
pub(crate) async fn pop(
    checks: &Checks,
    running: &Running,
    (who, limit, hangs_up): (&str, Duration, bool),
) {
    let (tell, told) = oneshot::channel();
    let group = running.replica.group.clone();
    // In the replica's process: a session dies with it.
    running.process.enter(|| {
        drop(SimRt::spawn(async move {
            let mut blocked = Blocked::begin(&group, command(0, &["BLPOP", QUEUE, "0"]));
            let answer = match SimRt::timeout(limit, blocked.answer()).await {
                Ok(answer) => Some(answer),
                Err(_) if hangs_up => None,
                Err(_) => blocked.give_up().await,
            };
            let _ = tell.send(answer);
        }));
    });
    match told.await {
        Ok(Some(Answer::Replies(reply, _))) => {
            let text = String::from_utf8_lossy(&reply);
            match text.lines().nth(4) {
                Some(element) if text.starts_with("*2\r\n") => checks.popped(element, who),
                _ if text.starts_with("-MISCONF") => {}
                _ => checks.fail(format!("{who}: BLPOP was answered {text:?}")),
            }
        }
        Ok(Some(Answer::Uncertain)) => checks.died_with(1),
        Ok(Some(Answer::NotApplied(_)) | None) | Err(_) => {}
    }
}
