//! Commands that wait until there is something for them.
//!
//! The session itself waits, with an eye on its socket: a client that hangs up waits no longer, at
//! once. What it sends meanwhile waits for its turn. Its time is counted here, whichever node leads;
//! but when that is over, the leader has the last word on whether something came before.

use super::Session;
use crate::backend::{Backend, Waits as _};
use crate::clients::{PUSH, UNBLOCK, UNBLOCK_ERROR};
use crate::refusal::{UNCERTAIN, not_applied};
use crate::registry::Entry;
use quorate_consensus::Answer;
use quorate_engine::{LEVEL_TRANSACTIONS, Run, RunKind, Wait};
use quorate_resp::Reply;
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
        self.intake.compact();
        self.client.peer.command.store(entry.id, Relaxed);
        match allowed {
            Ok(timeout_ms) => self.wait_for(entry, (wait, run), timeout_ms).await,
            Err(refusal) => self.conclude(entry, &refusal),
        }
    }

    async fn wait_for(&mut self, entry: &'static Entry, (wait, run): (Wait, Run), timeout_ms: u64) {
        self.show_sizes(run.commands.len());
        let started = Instant::now();
        let mut waits = self.node.wait(run);
        let deadline = deadline(started, timeout_ms);
        let over = match self.block(waits.answer(), deadline).await {
            Ended::Told(answer) => return self.tell(entry, answer, started),
            Ended::Gone => return,
            Ended::Over => (wait.nothing)(),
            Ended::Unblocked(true) => Reply::error(UNBLOCKED),
            Ended::Unblocked(false) => (wait.nothing)(),
        };
        match self.attend(waits.give_up()).await {
            None => {}
            Some(Some(answer)) => self.tell(entry, answer, started),
            Some(None) => self.conclude(entry, &over),
        }
    }

    fn tell(&mut self, entry: &'static Entry, answer: Answer, started: Instant) {
        match answer {
            Answer::Replies(reply, index) => {
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
        self.client.peer.blocked.store(true, Relaxed);
        let ended = std::future::poll_fn(|cx| {
            if let Poll::Ready(done) = work.as_mut().poll(cx) {
                return Poll::Ready(Ended::Told(done));
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
