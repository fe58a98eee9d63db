//! The other backend: an engine in this process, without Raft, for tests of the client surface.
//!
//! Every run is sealed and applied at once, so that what a client sees differs from a cluster only
//! in time. Tests can also have it answer as a cluster in trouble would.

use crate::backend::{Backend, Waits};
use crate::pubsub::Hub;
use crate::tracking::Tracking;
use crate::watched::Watched;
use bytes::BytesMut;
use quorate_consensus::{
    Answer, Backup, Feed, HandOverError, MemberStatus, Message, NoSnapshot, ReadError, Role, Shown,
    Status,
};
use quorate_engine::{
    Applied, Db, Keyspace, Registration, Run, RunKind, SealLimits, Served, Stamp, Waiter, Waiting,
    apply, rehearse, seal_beside,
};
use quorate_resp::Reply;
use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{RwLock, RwLockReadGuard, oneshot};

/// What the backend answers instead of working.
#[derive(Debug, Default)]
pub(crate) struct Trouble {
    /// The next run's answer.
    pub(crate) answer: Option<Answer>,
    /// Whether runs are never answered.
    pub(crate) stuck: bool,
    /// How many wait for that.
    pub(crate) waiting: usize,
    /// The answer of every read.
    pub(crate) read: Option<ReadError>,
    /// Whether the state is being loaded.
    pub(crate) loading: bool,
    /// By how much the leader's clock is ahead of cluster time: nothing was written for so long.
    pub(crate) idle_ms: u64,
}

/// An engine behind a lock.
#[derive(Clone)]
pub(crate) struct TestBackend {
    keyspace: Arc<RwLock<Keyspace>>,
    hub: Arc<Hub>,
    watched: Arc<Watched>,
    tracking: Arc<Tracking>,
    pub(crate) trouble: Arc<Mutex<Trouble>>,
    desk: Arc<Mutex<Desk>>,
}

/// Who waits.
#[derive(Debug, Default)]
struct Desk {
    waiting: Waiting,
    last: u64,
    told: BTreeMap<u64, (Run, oneshot::Sender<Answer>)>,
}

impl Desk {
    fn tell(&mut self, id: u64, answer: Answer) {
        if let Some((_, told)) = self.told.remove(&id) {
            let _ = told.send(answer);
        }
    }

    fn serve(&mut self, id: u64, reply: &Reply<'_>, index: u64) {
        let Some((run, _)) = self.told.get(&id) else { return };
        let mut out = BytesMut::new();
        reply.encode(run.proto, &mut out);
        self.tell(id, Answer::Replies(out.freeze(), Shown::up_to(index)));
    }
}

/// A session that waits.
pub(crate) struct TestWaits {
    backend: TestBackend,
    waiter: Waiter,
    run: Option<Run>,
    told: oneshot::Receiver<Answer>,
}

impl Waits for TestWaits {
    async fn answer(&mut self) -> Answer {
        if let Some(run) = self.run.take() {
            let answer = self.backend.work(std::slice::from_ref(&run)).await;
            if let Answer::Replies(reply, _) = &answer
                && !reply.is_empty()
            {
                return answer;
            }
        }
        (&mut self.told).await.unwrap_or(Answer::Uncertain)
    }

    async fn give_up(mut self) -> Option<Answer> {
        self.backend.desk().waiting.remove(self.waiter);
        self.told.try_recv().ok()
    }
}

impl Drop for TestWaits {
    fn drop(&mut self) {
        self.backend.desk().waiting.remove(self.waiter);
    }
}

/// A view.
pub(crate) struct Guard<'a>(RwLockReadGuard<'a, Keyspace>);

impl Deref for Guard<'_> {
    type Target = Keyspace;
    fn deref(&self) -> &Keyspace {
        &self.0
    }
}

impl TestBackend {
    /// An empty engine, whose clients listen at this hub, wait for keys, and keep copies of them.
    pub(crate) fn new(hub: &Arc<Hub>, watched: &Arc<Watched>, tracking: &Arc<Tracking>) -> Self {
        let keyspace = Arc::new(RwLock::new(Keyspace::new([1, 2])));
        tracking.keeps_up(true);
        Self {
            keyspace,
            hub: Arc::clone(hub),
            watched: Arc::clone(watched),
            tracking: Arc::clone(tracking),
            trouble: Arc::default(),
            desk: Arc::default(),
        }
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_ms() -> u64 {
        crate::shared::unix_micros() / 1000
    }

    /// Seals and applies `runs`; with none it is a tick.
    async fn work(&self, runs: &[Run]) -> Answer {
        let mut keyspace = self.keyspace.write().await;
        let stamp = Stamp { now_ms: Self::now_ms().max(keyspace.now_ms()), seed: 7 };
        let limits = SealLimits { expire_max: 100, ..SealLimits::default() };
        let mut desk = self.desk();
        let desk = &mut *desk;
        let mut sealed = seal_beside(&desk.waiting, &keyspace, runs, &stamp, &limits);
        if sealed.taken < runs.len() {
            sealed = rehearse(&mut keyspace, &mut desk.waiting, runs, &stamp, &limits).0;
        }
        for (waiter, reply) in std::mem::take(&mut sealed.relayed) {
            desk.tell(waiter.id, Answer::Replies(reply, Shown::default()));
        }
        let replies = if sealed.payload.is_empty() {
            sealed.plan.answer(&keyspace, stamp.seed)
        } else {
            let at = Applied { index: keyspace.applied_index() + 1, stamp };
            keyspace.note_changes(self.tracking.wanted().any());
            apply(&mut keyspace, at, &sealed.payload, Some(&sealed.plan)).map(|it| {
                self.hub.tell(&it.effects.list);
                self.watched.changed(&it.effects.changed);
                self.tracking.changed(&it.effects.changed);
                for Served { waiter, reply } in it.served {
                    desk.serve(waiter.id, &reply, at.index);
                }
                it.replies
            })
        };
        match replies {
            Ok(replies) => {
                let replies = replies.into_iter().next().unwrap_or_default();
                let commands = sealed.plan.places().first().copied().unwrap_or_default();
                let shown = Shown { index: keyspace.applied_index(), commands };
                Answer::Replies(replies, shown)
            }
            Err(why) => panic!("the test backend cannot apply what it sealed: {why}"),
        }
    }
}

impl Backend for TestBackend {
    type Guard<'a> = Guard<'a>;
    type Waits = TestWaits;

    fn wait(&self, run: Run) -> TestWaits {
        let (tell, told) = oneshot::channel();
        let mut desk = self.desk();
        desk.last += 1;
        let waiter = Waiter { node: 1, incarnation: 1, id: desk.last };
        desk.told.insert(waiter.id, (run.clone(), tell));
        let registration =
            Registration { waiter, since_ms: Self::now_ms(), applied: 0, again: false };
        let run = Some(Run { kind: RunKind::Wait(registration), ..run });
        TestWaits { backend: self.clone(), waiter, run, told }
    }

    async fn submit(&self, run: Run) -> Answer {
        let (stuck, answer) = {
            let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
            trouble.waiting += usize::from(trouble.stuck);
            (trouble.stuck, trouble.answer.take())
        };
        match answer {
            _ if stuck => std::future::pending().await,
            Some(answer) => answer,
            None => self.work(std::slice::from_ref(&run)).await,
        }
    }

    async fn allows(&self, _: u32) -> bool {
        true
    }

    fn is_over_memory(&self) -> bool {
        false
    }

    async fn kill_script(&self, _: bool) -> quorate_consensus::Kill {
        quorate_consensus::Kill::Idle
    }

    fn script(&self) -> Option<quorate_consensus::RunningScript> {
        None
    }

    fn script_age(&self) -> Option<std::time::Duration> {
        None
    }

    async fn publish(&self, message: Message) -> u64 {
        self.hub.deliver(&message);
        self.hub.interest().receivers(&message)
    }

    async fn announced(&self) {}

    async fn applied(&self, _: u64) {}

    async fn read(&self) -> Result<Guard<'_>, ReadError> {
        let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner).read.clone();
        if let Some(why) = trouble {
            return Err(why);
        }
        let due = self.keyspace.read().await.next_deadline_ms();
        if due.is_some_and(|due| due <= Self::now_ms()) {
            self.work(&[]).await;
        }
        Ok(Guard(self.keyspace.read().await))
    }

    async fn peek(&self) -> Guard<'_> {
        Guard(self.keyspace.read().await)
    }

    async fn flip_bit(&self, db: Db, key: &[u8], bit: u64) -> bool {
        self.keyspace.write().await.flip_bit(db, key, bit)
    }

    fn clock_ms(&self) -> u64 {
        let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        Self::now_ms() + trouble.idle_ms
    }

    fn status(&self) -> Status {
        let member = |node, live| MemberStatus {
            node,
            resp_address: format!("127.0.0.1:{}", 7000 + node),
            voter: true,
            matched: Some(10),
            live,
            ..MemberStatus::default()
        };
        Status {
            cluster: "0123456789abcdef0123456789abcdef".to_owned(),
            node: 1,
            role: Role::Leader,
            term: 3,
            leader: Some("127.0.0.1:7001".to_owned()),
            healthy: true,
            last_log_index: 10,
            commit_index: 10,
            applied_index: 10,
            members: vec![member(1, true), member(2, true), member(3, false)],
            ..Status::default()
        }
    }

    fn is_ready(&self) -> bool {
        true
    }

    fn is_loading(&self) -> bool {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).loading
    }

    async fn snapshot(&self) -> Result<u64, NoSnapshot> {
        Ok(10)
    }

    async fn backup(&self) -> Result<Backup, NoSnapshot> {
        Err(NoSnapshot::Never)
    }

    async fn follow(&self, _: u64) -> Result<(Backup, Feed), NoSnapshot> {
        Err(NoSnapshot::Never)
    }

    async fn hand_over(&self, _: Option<&str>) -> Result<(), HandOverError> {
        Ok(())
    }
}
