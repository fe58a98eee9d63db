//! A session of this process that waits: it registers with whichever leader there is, until it is
//! served, or gives up.
//!
//! A registration ends with its leader, with the stream to it, and when something goes wrong on the
//! way. Then a read barrier comes first: whatever an earlier leader served is applied here behind
//! it, or never will be. So the next registration asks for nothing that came already. There being
//! no leader is no reason to stop.

use crate::api::{Answer, NotApplied, ReadError, Shown};
use crate::env::Env;
use crate::group::Group;
use crate::process::Process;
use crate::write::Writes;
use crate::write::queue::{Slot, Work};
use futures::future::{Either, select};
use quorate_engine::{Registration, Run, RunKind, Waiter};
use std::pin::pin;
use std::time::Duration;
use tokio::sync::oneshot;

/// How long a session that gives up waits to hear whether it was served.
const GIVE_UP_MAX: Duration = Duration::from_secs(2);
/// Pause before something is tried again.
const RETRY: Duration = Duration::from_millis(10);
/// The same after the cluster has refused to write.
const REFUSED: Duration = Duration::from_secs(1);

/// What a session that waits hears first.
enum First {
    Served(Answer),
    Told(Answer),
}

/// See the module. Dropped, it gives up, and what comes nevertheless is given back.
pub(crate) struct Blocked<E: Env> {
    group: Group<E>,
    waiter: Waiter,
    run: Run,
    served: oneshot::Receiver<Answer>,
    is_over: bool,
}

impl<E: Env> Blocked<E> {
    /// A session begins to wait with this run, which is one command that waits.
    pub(crate) fn begin(group: &Group<E>, run: Run) -> Self {
        let (id, served) = group.writes.waiters.begin(run.clone());
        let (node, incarnation) = (group.process.me.node, group.process.guard.start().incarnation);
        let waiter = Waiter { node, incarnation, id };
        Self { group: group.clone(), waiter, run, served, is_over: false }
    }

    /// What it is answered: with what served it, or with an error. Dropped before, it may be asked
    /// again.
    pub(crate) async fn answer(&mut self) -> Answer {
        loop {
            // In this order: what is applied by then has served it by then.
            let applied = self.group.keyspace.applied.index();
            if let Ok(answer) = self.served.try_recv() {
                return self.over(answer);
            }
            let since_ms = self.group.writes.waiters.since_ms(self.waiter.id);
            let (waiter, again) = (self.waiter, since_ms > 0);
            let registration = Registration { waiter, since_ms, applied, again };
            let run = Run { kind: RunKind::Wait(registration), ..self.run.clone() };
            let asked = ask(&self.group, Work::Run(run));
            let told = match self.first(asked).await {
                First::Told(Answer::Replies(reply, shown)) if reply.is_empty() => {
                    self.served_at(shown.index).await
                }
                First::Told(Answer::Uncertain | Answer::NotApplied(NotApplied::NoLeader)) => None,
                First::Served(answer) | First::Told(answer) => Some(answer),
            };
            let told = match told {
                Some(told) => Some(told),
                None => self.barrier().await,
            };
            if let Some(answer) = told {
                return self.over(answer);
            }
        }
    }

    /// Its time is over, or somebody wants it to wait no longer: what came before that is known, if
    /// anything did. The leader has the last word, for a while.
    pub(crate) async fn give_up(mut self) -> Option<Answer> {
        let answer = E::within(GIVE_UP_MAX, self.leave()).await.flatten()?;
        Some(self.over(answer))
    }

    fn over(&mut self, answer: Answer) -> Answer {
        self.is_over = true;
        self.group.writes.waiters.end(self.waiter.id);
        answer
    }

    /// Leaves the leader's desk. `None`: nothing has served it, and nothing will.
    async fn leave(&mut self) -> Option<Answer> {
        loop {
            let asked = ask(&self.group, Work::GiveUp(self.waiter));
            let told = match self.first(asked).await {
                First::Served(answer) => Some(answer),
                First::Told(Answer::Replies(_, Shown { index: 0, .. })) => {
                    self.is_over = true;
                    self.group.writes.waiters.end(self.waiter.id);
                    return self.served.try_recv().ok();
                }
                First::Told(Answer::Replies(_, shown)) => self.served_at(shown.index).await,
                First::Told(_) => self.barrier().await,
            };
            if told.is_some() {
                return told;
            }
        }
    }

    /// What comes first: what serves it, or what the leader says.
    async fn first(&mut self, asked: oneshot::Receiver<Answer>) -> First {
        match select(&mut self.served, asked).await {
            Either::Left((Ok(answer), _)) => First::Served(answer),
            Either::Right((Ok(answer), _)) => First::Told(answer),
            Either::Left((Err(_), _)) | Either::Right((Err(_), _)) => {
                First::Told(Answer::Uncertain)
            }
        }
    }

    /// The leader says that the entry with this index has served it. `None`: it says so of none.
    async fn served_at(&mut self, index: u64) -> Option<Answer> {
        if index == 0 {
            return None;
        }
        self.group.keyspace.applied.reached(index).await;
        // If it is not here, a snapshot came in place of the entry.
        Some(self.served.try_recv().unwrap_or(Answer::Uncertain))
    }

    /// Waits until everything that was served before now is applied here.
    async fn barrier(&mut self) -> Option<Answer> {
        if self.group.process.env.skips(crate::env::Check::WaitBarrier) {
            E::sleep(RETRY).await;
            return self.served.try_recv().ok();
        }
        loop {
            let barrier = self.group.reads.barrier();
            match select(&mut self.served, pin!(barrier)).await {
                Either::Left((answer, _)) => return answer.ok(),
                Either::Right((Ok(_), _)) => return self.served.try_recv().ok(),
                Either::Right((Err(ReadError::Stopping), _)) => {
                    return Some(Answer::NotApplied(NotApplied::Stopping));
                }
                Either::Right((Err(_), _)) => E::sleep(RETRY).await,
            }
        }
    }
}

impl<E: Env> Drop for Blocked<E> {
    fn drop(&mut self) {
        if self.is_over || self.group.is_closed() {
            return;
        }
        let (group, waiter) = (self.group.clone(), self.waiter);
        group.writes.waiters.abandon(waiter.id);
        E::spawn(async move { leave_behind(&group, waiter).await });
    }
}

/// Leaves the leader's desk for a session that is gone.
async fn leave_behind<E: Env>(group: &Group<E>, waiter: Waiter) {
    while !group.is_closed() {
        if let Ok(Answer::Replies(_, shown)) = ask(group, Work::GiveUp(waiter)).await {
            group.keyspace.applied.reached(shown.index).await;
            return group.writes.waiters.end(waiter.id);
        }
        E::sleep(RETRY).await;
    }
}

/// Gives back what came for a session that is gone, however long it takes. Where nobody can say
/// whether that was applied it is left: nothing may come twice.
pub(crate) async fn give_back<E: Env>(writes: &Writes, process: &Process<E>, run: Run) {
    let returning = writes.waiters.begin_return();
    while !writes.queue.is_closed() {
        match ask_of(writes, process, Work::Run(run.clone())).await {
            Ok(Answer::Replies(reply, _))
                if reply.starts_with(b"-MISCONF") || reply.starts_with(b"-OOM") =>
            {
                E::sleep(REFUSED).await;
            }
            Ok(Answer::Replies(reply, _)) => {
                if let Some(b'-') = reply.first() {
                    tracing::warn!(reply = %String::from_utf8_lossy(&reply),
                        "what came for a client that is gone cannot be given back");
                }
                return returning.end();
            }
            Ok(Answer::NotApplied(_)) => E::sleep(RETRY).await,
            Ok(Answer::Uncertain) | Err(_) => {
                tracing::warn!("it is not known whether what came for a gone client is given back");
                return;
            }
        }
    }
}

/// Asks the leader. An answer that is lost may be any.
pub(crate) fn ask<E: Env>(group: &Group<E>, work: Work) -> oneshot::Receiver<Answer> {
    ask_of(&group.writes, &group.process, work)
}

fn ask_of<E: Env>(writes: &Writes, process: &Process<E>, work: Work) -> oneshot::Receiver<Answer> {
    let (slot, answer) = oneshot::channel();
    writes.queue.push(work, Slot::Local(slot), process.env.elapsed());
    answer
}
