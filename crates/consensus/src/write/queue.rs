//! What waits to be proposed or forwarded, and who waits for it.
//!
//! Sessions push under a short lock; the proposer takes everything at once. Items are ordered by
//! the moment they were handed over, and keep that place when they come back (definitely not
//! appended), so that the runs of one session are never exchanged. Everything is bounded: beyond
//! [`BYTES_MAX`] a run is refused.

use crate::api::{Answer, NotApplied, Shown};
use crate::proto as pb;
use quorate_engine::{Plan, Registration, Run, RunKind, Waiter};
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, mpsc, oneshot};

/// Most bytes of commands that wait.
const BYTES_MAX: usize = 256 << 20;
/// Bytes counted for an item besides its commands.
const ITEM_BYTES: usize = 128;

/// What is to be done.
#[derive(Clone, Debug)]
pub(crate) enum Work {
    /// Commands of a session.
    Run(Run),
    /// Due keys are to be removed and cluster time is to advance.
    Tick,
    /// A cut is to be logged.
    Cut,
    /// A member's fact is to be logged.
    Fact(pb::MemberFact),
    /// A session waits no longer. The answer: the index of what served it, or 0.
    GiveUp(Waiter),
    /// The script that runs is to end, or the function. The answer: what became of it, as an
    /// index.
    KillScript(bool),
}

impl Work {
    /// Whether it is an entry of its own.
    pub(crate) fn stands_alone(&self) -> bool {
        matches!(self, Self::Cut | Self::Fact(_))
    }

    /// The registration of a session that waits, if it is one.
    pub(crate) fn waits(&self) -> Option<Registration> {
        match self {
            Self::Run(Run { kind: RunKind::Wait(registration), .. }) => Some(*registration),
            _ => None,
        }
    }
}

/// Who hears the answer.
#[derive(Debug)]
pub(crate) enum Slot {
    /// A session of this process.
    Local(oneshot::Sender<Answer>),
    /// A cut or a tick: the index of its entry.
    Index(oneshot::Sender<Result<u64, NotApplied>>),
    /// A run forwarded by a follower, by its id.
    Remote(Remote),
}

/// The way back to a follower's forward stream.
#[derive(Clone, Debug)]
pub(crate) struct Remote {
    /// Id of the run on its stream.
    pub(crate) id: u64,
    /// The stream's answers.
    pub(crate) answers: mpsc::UnboundedSender<pb::ForwardAnswer>,
    /// Set when the stream broke or a newer one replaced it: what is not sealed yet is dropped.
    pub(crate) fenced: Arc<AtomicBool>,
}

/// How it ended.
#[derive(Clone, Debug)]
pub(crate) enum End {
    /// Applied: in which entry, and as which of its commands; replies of the run.
    Applied(Shown, bytes::Bytes),
    /// Definitely not appended.
    NotApplied(NotApplied),
    /// Unknown.
    Uncertain,
}

impl Slot {
    /// Tells whoever waits; nobody may be waiting any more.
    pub(crate) fn answer(self, end: End) {
        match self {
            Self::Local(to) => {
                let _ = to.send(match end {
                    End::Applied(shown, replies) => Answer::Replies(replies, shown),
                    End::NotApplied(why) => Answer::NotApplied(why),
                    End::Uncertain => Answer::Uncertain,
                });
            }
            Self::Index(to) => {
                let _ = to.send(match end {
                    End::Applied(shown, _) => Ok(shown.index),
                    End::NotApplied(why) => Err(why),
                    End::Uncertain => Err(NotApplied::NoLeader),
                });
            }
            Self::Remote(Remote { id, answers, .. }) => {
                use pb::forward_answer::Result as Pb;
                let (result, shown) = match end {
                    End::Applied(shown, replies) => (Pb::Replies(replies), shown),
                    // Whatever the reason, the follower may hold and re-route it: nothing was
                    // appended.
                    End::NotApplied(_) => {
                        (Pb::NotLeader(pb::NotLeader { leader: 0 }), Shown::default())
                    }
                    End::Uncertain => (Pb::Uncertain(true), Shown::default()),
                };
                let Shown { index, commands: (first, count) } = shown;
                let result = Some(result);
                let _ = answers.send(pb::ForwardAnswer { id, result, index, first, count });
            }
        }
    }

    /// Tells a follower that its session waits here, since this time. A session of this process
    /// needs not be told.
    pub(crate) fn parked(&self, since_ms: u64) {
        if let Self::Remote(Remote { id, answers, .. }) = self {
            let result = Some(pb::forward_answer::Result::Parked(since_ms));
            let answer = pb::ForwardAnswer { id: *id, result, ..Default::default() };
            let _ = answers.send(answer);
        }
    }

    /// Whether it came from a stream that no longer counts.
    pub(crate) fn is_fenced(&self) -> bool {
        matches!(self, Self::Remote(remote) if remote.fenced.load(Ordering::Acquire))
    }

    /// Whether a follower forwarded it: it is never forwarded again.
    pub(crate) fn is_remote(&self) -> bool {
        matches!(self, Self::Remote(_))
    }
}

/// One piece of work and who waits for it.
#[derive(Debug)]
pub(crate) struct Item {
    /// Place in the order of arrival.
    pub(crate) place: u64,
    /// Monotonic time of arrival.
    pub(crate) since: Duration,
    /// What.
    pub(crate) work: Work,
    /// For whom.
    pub(crate) slot: Slot,
}

impl Item {
    /// Bytes it is counted for.
    pub(crate) fn bytes(&self) -> usize {
        match &self.work {
            Work::Run(run) => run.bytes() + ITEM_BYTES,
            Work::Tick | Work::Cut | Work::Fact(_) | Work::GiveUp(_) | Work::KillScript(_) => {
                ITEM_BYTES
            }
        }
    }

    fn count(&self) -> usize {
        match &self.work {
            Work::Run(run) => run.count as usize,
            Work::Tick | Work::Cut | Work::Fact(_) | Work::GiveUp(_) | Work::KillScript(_) => 0,
        }
    }
}

/// The queue.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    state: Mutex<State>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct State {
    items: VecDeque<Item>,
    bytes: usize,
    next_place: u64,
    closed: bool,
}

impl Queue {
    /// Adds work at the end.
    pub(crate) fn push(&self, work: Work, slot: Slot, since: Duration) {
        let refused = {
            let mut state = self.lock();
            let place = state.next_place;
            let item = Item { place, since, work, slot };
            if state.closed {
                Some((item.slot, NotApplied::Stopping))
            } else if state.bytes + item.bytes() > BYTES_MAX {
                Some((item.slot, NotApplied::Overloaded))
            } else {
                state.next_place += 1;
                state.bytes += item.bytes();
                state.items.push_back(item);
                None
            }
        };
        match refused {
            Some((slot, why)) => slot.answer(End::NotApplied(why)),
            None => self.wake.notify_one(),
        }
    }

    /// Queues work of this replica's own; the index of its entry can be looked at later.
    pub(crate) fn ask(
        &self,
        work: Work,
        now: Duration,
    ) -> oneshot::Receiver<Result<u64, NotApplied>> {
        let (slot, done) = oneshot::channel();
        self.push(work, Slot::Index(slot), now);
        done
    }

    /// Puts work back where it was.
    pub(crate) fn put_back(&self, item: Item) {
        let mut state = self.lock();
        if state.closed {
            drop(state);
            return item.slot.answer(End::NotApplied(NotApplied::Stopping));
        }
        state.bytes += item.bytes();
        let at = state.items.partition_point(|other| other.place < item.place);
        state.items.insert(at, item);
        drop(state);
        self.wake.notify_one();
    }

    /// Takes what fits into one batch: at least one item, then up to so many bytes and commands. A
    /// cut stands alone. What was fenced off is dropped.
    pub(crate) fn take(&self, bytes_max: usize, commands_max: usize) -> Vec<Item> {
        let mut state = self.lock();
        let mut taken: Vec<Item> = Vec::new();
        let (mut bytes, mut commands) = (0, 0);
        while let Some(next) = state.items.front() {
            if !taken.is_empty() {
                let alone = next.work.stands_alone()
                    || taken.first().is_some_and(|item| item.work.stands_alone());
                let full =
                    bytes + next.bytes() > bytes_max || commands + next.count() > commands_max;
                if alone || full {
                    break;
                }
            }
            let Some(item) = state.items.pop_front() else { break };
            state.bytes -= item.bytes();
            if item.slot.is_fenced() {
                continue;
            }
            bytes += item.bytes();
            commands += item.count();
            taken.push(item);
        }
        taken
    }

    /// Takes every item for which `which` says so.
    pub(crate) fn take_if(&self, which: impl Fn(&Item) -> bool) -> Vec<Item> {
        let mut state = self.lock();
        let (taken, kept): (Vec<_>, Vec<_>) = state.items.drain(..).partition(which);
        state.items = kept.into();
        state.bytes -= taken.iter().map(Item::bytes).sum::<usize>();
        taken
    }

    /// How many items wait.
    pub(crate) fn len(&self) -> usize {
        self.lock().items.len()
    }

    /// Refuses everything from now on and gives back what waits.
    pub(crate) fn close(&self) -> Vec<Item> {
        self.lock().closed = true;
        self.wake.notify_one();
        self.take_if(|_| true)
    }

    /// Whether it was closed.
    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Wakes the proposer: something it may act on has changed.
    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Resolves after the next [`Queue::wake`] or push.
    pub(crate) async fn changed(&self) {
        self.wake.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether what was asked for has an outcome by now, or nothing was.
pub(crate) fn is_over<T>(pending: &mut Option<oneshot::Receiver<T>>) -> bool {
    match pending {
        None => true,
        Some(done) => !matches!(done.try_recv(), Err(oneshot::error::TryRecvError::Empty)),
    }
}

/// Answers the items of a batch that was applied at this index: each run with its replies, and with
/// its place in the entry, if there is one.
pub(crate) fn answer(
    items: Vec<Item>,
    index: u64,
    replies: Vec<bytes::Bytes>,
    places: &[(u32, u32)],
) {
    let (mut replies, mut places) = (replies.into_iter(), places.iter());
    for item in items {
        let (reply, commands) = match item.work {
            Work::Run(_) => (replies.next(), places.next().copied()),
            Work::Tick | Work::Cut | Work::Fact(_) | Work::GiveUp(_) | Work::KillScript(_) => {
                (None, None)
            }
        };
        let shown = Shown { index, commands: commands.unwrap_or_default() };
        item.slot.answer(End::Applied(shown, reply.unwrap_or_default()));
    }
}

/// A batch that was proposed and is not applied yet.
#[derive(Debug)]
pub(crate) struct Batch {
    /// How to answer.
    pub(crate) plan: Plan,
    /// What it was made of; runs in the order of the plan.
    pub(crate) items: Vec<Item>,
}

/// Proposed batches by (term, seed), which together name an entry wherever it ends up in the log.
/// Apply takes a batch out to answer it; the proposer takes it out when it will not be applied, or
/// when nobody can say.
#[derive(Debug, Default)]
pub(crate) struct Proposed(Mutex<BTreeMap<(u64, u64), Batch>>);

impl Proposed {
    pub(crate) fn insert(&self, term: u64, seed: u64, batch: Batch) {
        self.lock().insert((term, seed), batch);
    }

    pub(crate) fn take(&self, term: u64, seed: u64) -> Option<Batch> {
        self.lock().remove(&(term, seed))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    pub(crate) fn take_all(&self) -> Vec<Batch> {
        std::mem::take(&mut *self.lock()).into_values().collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(u64, u64), Batch>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use quorate_engine::{Db, RunKind};

    fn push(queue: &Queue, name: &'static str, work: impl Fn(Run) -> Work) {
        let run = Run {
            db: Db(0),
            proto: quorate_resp::Proto::Resp2,
            commands: Bytes::from_static(name.as_bytes()),
            count: 1,
            kind: RunKind::Commands,
        };
        queue.push(work(run), Slot::Local(oneshot::channel().0), Duration::ZERO);
    }

    fn names(items: &[Item]) -> Vec<String> {
        items
            .iter()
            .map(|item| match &item.work {
                Work::Run(run) => String::from_utf8_lossy(&run.commands).into_owned(),
                other => format!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn what_comes_back_keeps_its_place() {
        let queue = Queue::default();
        for name in ["a", "b", "c"] {
            push(&queue, name, Work::Run);
        }
        let mut taken = queue.take(1 << 20, 2);
        assert_eq!(names(&taken), ["a", "b"]);
        push(&queue, "d", Work::Run);
        queue.put_back(taken.remove(0));
        queue.put_back(taken.remove(0));
        assert_eq!(names(&queue.take(1 << 20, 100)), ["a", "b", "c", "d"]);
    }

    #[test]
    fn a_cut_stands_alone_and_bytes_bound_a_batch() {
        let queue = Queue::default();
        push(&queue, "a", Work::Run);
        push(&queue, "cut", |_| Work::Cut);
        push(&queue, "b", Work::Run);
        push(&queue, "c", Work::Run);
        assert_eq!(names(&queue.take(1 << 20, 100)), ["a"]);
        assert_eq!(names(&queue.take(1 << 20, 100)), ["Cut"]);
        assert_eq!(names(&queue.take(ITEM_BYTES, 100)), ["b"]);
        assert_eq!(names(&queue.take(ITEM_BYTES, 100)), ["c"]);
        assert!(queue.take(1, 1).is_empty());
    }

    #[test]
    fn a_fenced_run_is_dropped_and_a_closed_queue_refuses() {
        let queue = Queue::default();
        let (answers, mut got) = mpsc::unbounded_channel();
        let fenced = Arc::new(AtomicBool::new(false));
        let remote = Remote { id: 7, answers, fenced: fenced.clone() };
        queue.push(Work::Tick, Slot::Remote(remote.clone()), Duration::ZERO);
        fenced.store(true, Ordering::Release);
        assert!(queue.take(1 << 20, 100).is_empty());
        assert!(queue.close().is_empty());
        queue.push(Work::Tick, Slot::Remote(remote), Duration::ZERO);
        let answer = got.try_recv().map(|answer| (answer.id, answer.result.is_some()));
        assert_eq!(answer, Ok((7, true)));
    }
}
