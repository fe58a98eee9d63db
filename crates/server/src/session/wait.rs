//! Commands that wait until there is something for them.
//!
//! The session itself waits, with an eye on its socket: a client that hangs up waits no longer, at
//! once. What it sends meanwhile waits for its turn. Its time is counted here, whichever node
//! leads; but when that is over, the leader has the last word on whether something came before.

use super::Session;
use crate::backend::{Backend, Waits as _};
use crate::clients::{PUSH, UNBLOCK, UNBLOCK_ERROR};
use crate::command::Mode;
use crate::refusal::{UNCERTAIN, no_read, not_applied};
use crate::registry::Entry;
use crate::watched::Watch;
use bytes::BytesMut;
use quorate_consensus::{Answer, Shown};
use quorate_engine::{
    Keyspace, LEVEL_TRANSACTIONS, ReadFn, Reader, Run, RunKind, Wait, xread_from,
};
use quorate_resp::{Limits, Parser, Reply, write_command};
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;
use std::time::{Duration, Instant};
use tokio::time::sleep_until;

/// A member is of a version without commands that wait, or there was no leader to find out.
const TOO_OLD: &str = "CLUSTERDOWN commands that wait begin when every node of the cluster runs a \
     version that has them: nothing was applied";

/// What CLIENT UNBLOCK … ERROR has a client be told, as in Redis.
const UNBLOCKED: &str = "UNBLOCKED client unblocked via CLIENT UNBLOCK";

/// How waiting ended.
pub(super) enum Ended<T> {
    /// It came to this.
    Told(T),
    /// Its time is over.
    Over,
    /// Somebody wants it to wait no longer; whether it is to be told that as an error.
    Unblocked(bool),
    /// The client is gone.
    Gone,
}

/// What a read comes to that may wait.
enum Look {
    /// This is its reply.
    Found(BytesMut),
    Refused(Reply<'static>),
    /// There is nothing yet: it waits, so many milliseconds, and then reads with these words.
    Nothing(Watch, u64, Vec<Vec<u8>>),
}

impl<B: Backend> Session<B> {
    /// Serves the command at the front of the intake, which waits.
    pub(super) async fn serve_wait(&mut self, entry: &'static Entry, wait: Wait) {
        if self.shared.pause().is_some() && !self.wait_for_resume().await {
            return;
        }
        let node = self.node.clone();
        let allowed = match (wait.timeout_ms)(self.intake.args()) {
            Ok(timeout_ms) => match self.attend(node.allows(LEVEL_TRANSACTIONS)).await {
                None => return,
                Some(true) => Ok(timeout_ms),
                Some(false) => Err(Reply::error(TOO_OLD)),
            },
            Err(refusal) => Err(refusal),
        };
        self.monitor(entry, self.intake.args());
        let run = Run {
            db: self.client.db,
            proto: self.client.proto,
            commands: self.intake.canonical().to_vec().into(),
            count: 1,
            kind: RunKind::Commands,
        };
        self.intake.consume();
        self.rest();
        self.client.peer.command.store(entry.id, Relaxed);
        match allowed {
            Ok(timeout_ms) => self.wait_for(entry, run, timeout_ms).await,
            Err(refusal) => self.conclude(entry, &refusal),
        }
    }

    /// Gives back what a session needs that does something.
    fn rest(&mut self) {
        self.intake.compact();
        self.intake.shrink(true);
    }

    async fn wait_for(&mut self, entry: &'static Entry, run: Run, timeout_ms: u64) {
        self.show_sizes(run.commands.len());
        let started = Instant::now();
        let mut waits = self.node.wait(run);
        let deadline = deadline(started, timeout_ms);
        let over = match self.block(waits.answer(), deadline).await {
            Ended::Told(answer) => return self.tell(entry, answer, started),
            Ended::Gone => return,
            // Whatever the command, as in Redis.
            Ended::Over | Ended::Unblocked(false) => Reply::NullArray,
            Ended::Unblocked(true) => Reply::error(UNBLOCKED),
        };
        match self.attend(waits.give_up()).await {
            None => {}
            Some(Some(answer)) => self.tell(entry, answer, started),
            Some(None) => self.conclude(entry, &over),
        }
    }

    /// Serves the read at the front of the intake, which waits if it finds nothing and is to.
    pub(super) async fn serve_await(&mut self, entry: &'static Entry, read: ReadFn) {
        let paused = self.shared.pause().is_some_and(|pause| pause.all);
        if paused && !self.wait_for_resume().await {
            return;
        }
        let (node, started) = (self.node.clone(), Instant::now());
        let found = {
            let view = match self.client.mode {
                Mode::Exact => self.attend(node.read()).await,
                Mode::Stale => Some(Ok(node.peek().await)),
            };
            self.monitor(entry, self.intake.args());
            self.client.peer.command.store(entry.id, Relaxed);
            match view {
                None => return,
                Some(Ok(keyspace)) => self.look(&keyspace, entry, read),
                Some(Err(why)) => Look::Refused(Reply::error(no_read(&why))),
            }
        };
        if let Look::Found(_) = found {
            self.note(entry, started.elapsed().as_nanos() as u64, self.intake.args());
        }
        self.intake.consume();
        match found {
            Look::Found(reply) => self.take_replies(&reply, &[], 0),
            Look::Refused(refusal) => self.conclude(entry, &refusal),
            Look::Nothing(watch, timeout_ms, words) => {
                let deadline = deadline(started, timeout_ms);
                self.wait_to_read(entry, (read, &words), (watch, deadline)).await;
            }
        }
    }

    /// Runs the read at the front of the intake. If it is to wait, it waits from this state on.
    fn look(&mut self, keyspace: &Keyspace, entry: &'static Entry, read: ReadFn) -> Look {
        self.client.tracker.read(entry, self.intake.args());
        let (reader, args) = (Reader::at(keyspace, self.client.db), self.intake.args());
        if let Some((timeout_ms, words)) = xread_from(&reader, args) {
            let keys = entry.meta.keys.positions(args).filter_map(|at| args.get(at));
            let watch = self.shared.watched.watch(reader.db, keys);
            return Look::Nothing(watch, timeout_ms, words);
        }
        let reply = read(&reader, args).unwrap_or_else(|error| error);
        if let Reply::Error(line) = &reply {
            self.shared.stats.failed(entry.id, line.as_bytes());
        }
        let mut out = BytesMut::new();
        reply.encode(self.client.proto, &mut out);
        Look::Found(out)
    }

    /// Reads again whenever a key has changed, until there is something.
    async fn wait_to_read(
        &mut self,
        entry: &'static Entry,
        (read, words): (ReadFn, &[Vec<u8>]),
        (watch, deadline): (Watch, Option<Instant>),
    ) {
        self.rest();
        let mut command = BytesMut::new();
        write_command(&mut command, words.iter().map(Vec::as_slice));
        self.show_sizes(command.len());
        let (node, db, mut parser) = (self.node.clone(), self.client.db, Parser::default());
        // It was written here.
        let _ = parser.parse(&command, &Limits::stored());
        let over = loop {
            match self.block(watch.woken(), deadline).await {
                Ended::Told(()) => {}
                Ended::Gone => return,
                Ended::Over | Ended::Unblocked(false) => break Reply::NullArray,
                Ended::Unblocked(true) => break Reply::error(UNBLOCKED),
            }
            let mut out = BytesMut::new();
            {
                let keyspace = node.peek().await;
                let reader = Reader::at(&keyspace, db);
                self.client.tracker.read(entry, parser.args(&command));
                match read(&reader, parser.args(&command)) {
                    // An error: a key is of another type just now.
                    Ok(Reply::NullArray) | Err(_) => {}
                    Ok(reply) => reply.encode(self.client.proto, &mut out),
                }
            }
            if !out.is_empty() {
                return self.take_replies(&out, &[entry.id], 0);
            }
        };
        self.conclude(entry, &over);
    }

    fn tell(&mut self, entry: &'static Entry, answer: Answer, started: Instant) {
        match answer {
            Answer::Replies(reply, Shown { index, .. }) => {
                self.client.written = self.client.written.max(index);
                self.shared.writes_answered.fetch_add(1, Relaxed);
                self.take_replies(&reply, &[entry.id], started.elapsed().as_nanos() as u64);
            }
            Answer::NotApplied(why) => self.refuse_run(&[entry.id], |_| not_applied(&why)),
            Answer::Uncertain => {
                self.shared.stats.uncertain(1);
                self.refuse_run(&[entry.id], |_| UNCERTAIN);
            }
        }
    }

    /// Answers a command that came to nothing, or to an error.
    pub(super) fn conclude(&mut self, entry: &'static Entry, reply: &Reply<'static>) {
        self.shared.stats.ran(entry.id, 0, self.client.tuned.latency_tracking);
        if let Reply::Error(line) = reply {
            self.shared.stats.failed(entry.id, line.as_bytes());
        }
        self.emit(reply);
    }

    /// Waits for something that may be long in coming, with an eye on the socket: what the client
    /// sends meanwhile is kept, and that it is gone is noticed.
    pub(super) async fn block<T>(
        &mut self,
        work: impl Future<Output = T>,
        deadline: Option<Instant>,
    ) -> Ended<T> {
        let mut work = pin!(work);
        let mut time = pin!(async move {
            match deadline {
                Some(deadline) => sleep_until(deadline.into()).await,
                None => std::future::pending().await,
            }
        });
        let mut waits = false;
        let ended = std::future::poll_fn(|cx| {
            if let Poll::Ready(done) = work.as_mut().poll(cx) {
                return Poll::Ready(Ended::Told(done));
            }
            if !std::mem::replace(&mut waits, true) {
                // Shown when it has asked: whoever sees it comes behind it.
                self.client.peer.blocked.store(true, Relaxed);
            }
            let signals = self.client.peer.take_signals();
            let pushed = signals & PUSH != 0 || self.has_pushes();
            if signals != 0 && !self.heed(signals) || pushed && !self.poll_send(cx) {
                self.killed = true;
                return Poll::Ready(Ended::Gone);
            }
            if signals & (UNBLOCK | UNBLOCK_ERROR) != 0 {
                return Poll::Ready(Ended::Unblocked(signals & UNBLOCK_ERROR != 0));
            }
            loop {
                match self.poll_receive(cx) {
                    Poll::Ready(true) => {}
                    Poll::Ready(false) => {
                        self.killed = true;
                        return Poll::Ready(Ended::Gone);
                    }
                    Poll::Pending => break,
                }
            }
            time.as_mut().poll(cx).map(|()| Ended::Over)
        })
        .await;
        self.client.peer.blocked.store(false, Relaxed);
        ended
    }
}

/// When so many milliseconds are over; `None`: never.
pub(super) fn deadline(from: Instant, timeout_ms: u64) -> Option<Instant> {
    from.checked_add(Duration::from_millis(timeout_ms)).filter(|_| timeout_ms > 0)
}
