//! Three simulated hosts: starting, killing, restarting and judging their replicas.

use super::Faults;
use super::check::{Checks, Wrong, counter};
use super::env::SimEnv;
use super::net::{Net, Random, SimTransport};
use super::queue;
use super::rt::{Process, SimRt};
use crate::api::{Failed, GROUP, Joined, ReplicaOptions, Role};
use crate::bus::audience::{Audience, Listener};
use crate::bus::message::Message;
use crate::membership::guard::Guard;
use crate::membership::members::Start;
use crate::proto as pb;
use crate::raft::config::raft_config;
use crate::replica::Replica;
use crate::replica::assembly::{Storage, Who};
use openraft::AsyncRuntime;
use quorate_engine::{Db, Effect, Effects, Reader, SnapshotFacts};
use quorate_store::{FakeDisk, Identity, Log, LogOptions, Snapshots, StoreError};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;

/// Replicas.
pub(crate) const HOSTS: usize = 3;
/// How often states are compared.
const LOOK: Duration = Duration::from_millis(20);
/// Within this after everything healed, every replica must serve again.
const HEAL_MAX: Duration = Duration::from_secs(20);

/// The hosts and what connects them; clones share it.
#[derive(Clone)]
pub(crate) struct Cluster {
    pub(crate) net: Net,
    pub(crate) checks: Arc<Checks>,
    pub(crate) faults: Faults,
    id: u128,
    hosts: Arc<Mutex<Vec<Host>>>,
}

struct Host {
    member: pb::Member,
    disk: FakeDisk,
    random: Arc<Mutex<Random>>,
    wall_skew_ms: i64,
    /// What `facts/` would hold.
    facts: Option<Identity>,
    running: Option<Running>,
    heard: Arc<Heard>,
}

/// What a replica told its server, in order, and when.
#[derive(Debug, Default)]
pub(crate) struct Heard(Mutex<Vec<(Duration, Told)>>);

/// One thing of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Event(Effect),
    Message(Message),
    /// A key changed.
    Changed(Box<[u8]>),
    KeepsUp(bool),
    Replaced,
}

impl Heard {
    #[cfg(test)]
    pub(crate) fn all(&self) -> Vec<Told> {
        self.timed().into_iter().map(|(_, told)| told).collect()
    }

    #[cfg(test)]
    pub(crate) fn timed(&self) -> Vec<(Duration, Told)> {
        crate::lock::lock(&self.0).clone()
    }

    fn note(&self, told: impl Iterator<Item = Told>) {
        let now = super::env::now();
        crate::lock::lock(&self.0).extend(told.map(|told| (now, told)));
    }
}

impl Listener for Heard {
    fn carry_out(&self, effects: Effects) {
        self.note(effects.list.into_iter().map(Told::Event));
        self.note(effects.changed.keys.into_iter().map(|(_, key)| Told::Changed(key)));
    }

    fn deliver(&self, message: &Message) {
        self.note([Told::Message(message.clone())].into_iter());
    }

    fn keeps_up(&self, keeps_up: bool) {
        self.note([Told::KeepsUp(keeps_up)].into_iter());
    }

    fn replaced(&self) {
        self.note([Told::Replaced].into_iter());
    }
}

/// A replica that runs.
#[derive(Clone)]
pub(crate) struct Running {
    pub(crate) name: String,
    pub(crate) node: u64,
    pub(crate) process: Process,
    pub(crate) replica: Replica<SimEnv>,
}

impl Cluster {
    /// Surroundings and directory of a lone replica.
    #[cfg(test)]
    pub(crate) fn lone(seed: u64) -> Option<(SimEnv, FakeDisk, (Who, ReplicaOptions))> {
        let checks = Arc::new(Checks::new(false));
        Self::new(seed, Faults::default(), checks).surroundings(0, Start::default())
    }

    /// A cluster that is founded and serves, with nothing broken.
    #[cfg(test)]
    pub(crate) async fn founded(seed: u64) -> Self {
        let cluster = Self::new(seed, Faults::default(), Arc::new(Checks::default()));
        cluster.found().await.expect("it is founded");
        cluster.heal().await.expect("all serve");
        cluster
    }

    pub(crate) fn new(seed: u64, faults: Faults, checks: Arc<Checks>) -> Self {
        let mut random = Random::new(seed);
        let host = |index: usize| Host {
            member: pb::Member {
                node: random.next() | 1,
                peer_address: format!("n{index}"),
                resp_address: format!("r{index}"),
                name: format!("n{index}"),
            },
            disk: FakeDisk::new(random.next() | 1),
            random: Arc::new(Mutex::new(Random::new(random.next()))),
            wall_skew_ms: i64::try_from(random.below(20_000)).unwrap_or(0) - 10_000,
            facts: None,
            running: None,
            heard: Arc::default(),
        };
        let hosts: Vec<Host> = (0..HOSTS).map(host).collect();
        let id = u128::from(random.next()) << 64 | u128::from(random.next());
        let net = Net::new(random.next());
        Self { net, checks, faults, id, hosts: Arc::new(Mutex::new(hosts)) }
    }

    /// What a host's replica told, over all its starts.
    #[cfg(test)]
    pub(crate) fn heard(&self, at: usize) -> Arc<Heard> {
        self.lock().get(at).map(|host| host.heard.clone()).unwrap_or_default()
    }

    fn audience(&self, at: usize) -> Audience {
        let heard = self.lock().get(at).map(|host| host.heard.clone()).unwrap_or_default();
        Audience::new(heard, &Arc::default())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Host>> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The replica on a host, if it runs.
    pub(crate) fn running(&self, at: usize) -> Option<Running> {
        self.lock().get(at).and_then(|host| host.running.clone())
    }

    pub(crate) fn name(at: usize) -> String {
        format!("n{at}")
    }

    pub(crate) fn disk(&self, at: usize) -> Option<FakeDisk> {
        self.lock().get(at).map(|host| host.disk.clone())
    }

    /// The host whose replica leads the newest term, as far as its replica knows.
    pub(crate) fn leader(&self) -> Option<usize> {
        let leading = |at: usize| {
            let status = self.running(at)?.replica.status();
            (status.role == Role::Leader).then_some((status.term, at))
        };
        (0..HOSTS).filter_map(leading).max().map(|(_, at)| at)
    }

    /// What the next replica on a host starts with; `None` where one runs.
    fn surroundings(
        &self,
        at: usize,
        start: Start,
    ) -> Option<(SimEnv, FakeDisk, (Who, ReplicaOptions))> {
        let mut hosts = self.lock();
        let host = hosts.get_mut(at).filter(|host| host.running.is_none())?;
        let env = SimEnv {
            transport: SimTransport { net: self.net.clone(), address: Self::name(at) },
            random: host.random.clone(),
            wall_skew_ms: host.wall_skew_ms,
            faults: self.faults,
        };
        let (node, name) = (host.member.node, host.member.name.clone());
        let guard = Arc::new(Guard::new(node, name, start));
        let who = Who { cluster: self.id, me: host.member.clone(), guard };
        let options = ReplicaOptions {
            snapshot_log_bytes: 48 << 10,
            snapshot_age: Duration::ZERO,
            ..ReplicaOptions::default()
        };
        Some((env, host.disk.clone(), (who, options)))
    }

    /// Opens a host's directory, as every start does.
    pub(crate) fn open(disk: FakeDisk) -> Result<Storage<SimEnv>, StoreError> {
        open(disk)
    }

    /// Starts the replica of a host.
    pub(crate) async fn start(&self, at: usize) -> Result<(), Wrong> {
        let process = Process::default();
        if self.running(at).is_some() {
            return Ok(());
        }
        let Some(disk) = self.disk(at) else { return Ok(()) };
        let refused = |why| Wrong::NotOpened(at, why);
        let storage = Self::open(disk).map_err(refused)?;
        let start = self.identify(at, &storage).map_err(refused)?;
        let Some((env, _, told)) = self.surroundings(at, start) else { return Ok(()) };
        self.check_vote(at, &storage)?;
        let mut config = raft_config(self.id, &told.1).map_err(|error| error.to_string())?;
        if self.faults.leader_restore {
            config.enable_leader_restore = Some(true);
        }
        let audience = self.audience(at);
        let (done, started) = oneshot::channel();
        let has_log = storage.recovered.last.is_some();
        process.enter(|| {
            drop(SimRt::spawn(async move {
                let replica = Replica::start_with(env, told, storage, audience, config).await;
                // At once: bootstrap asks no later.
                let forgot =
                    replica.as_ref().is_ok_and(|replica| has_log && !replica.is_initialized());
                let _ = done.send((replica, forgot));
            }));
        });
        let started = started.await.map_err(|_| format!("n{at} died while it started"));
        let (replica, forgot) = started?;
        let replica = replica.map_err(|why| Wrong::NotStarted(at, why))?;
        if forgot {
            return Err(
                format!("n{at} has a log and starts as if it belonged to no cluster").into()
            );
        }
        let name = Self::name(at);
        self.checks.note(&format!("{name} started"));
        self.net.attach(&name, Arc::new(replica.clone()), process.clone());
        if let Some(host) = self.lock().get_mut(at) {
            let node = host.member.node;
            host.running = Some(Running { name, node, process, replica });
        }
        Ok(())
    }

    /// Who starts on a host, by what its log and its facts say; notes the start in both.
    fn identify(&self, at: usize, storage: &Storage<SimEnv>) -> Result<Start, StoreError> {
        let mut hosts = self.lock();
        let Some(host) = hosts.get_mut(at) else { return Ok(Start::default()) };
        let node = host.member.node;
        let agreed = Identity::agree(&storage.recovered, host.facts, &mut || node);
        let identity = match (agreed, host.facts) {
            (Err(_), Some(facts)) if self.faults.trust_facts => facts,
            (agreed, _) => agreed?,
        };
        let identity = Identity { cluster: Some(self.id), node, ..identity };
        storage.log.set_identity(identity)?;
        host.facts = Some(identity);
        let drawn = host.random.lock().unwrap_or_else(PoisonError::into_inner).next();
        let nonce = if self.faults.skip_start { 0 } else { drawn | 1 };
        Ok(Start { incarnation: identity.incarnation, nonce })
    }

    /// The vote a host has given word of must have outlived whatever happened since.
    fn check_vote(&self, at: usize, storage: &Storage<SimEnv>) -> Result<(), Wrong> {
        let Some(given) = self.net.vote_of(&Self::name(at)) else { return Ok(()) };
        let kept = storage.recovered.vote.map_or((0, 0), |vote| (vote.term, vote.voted_for));
        if kept.0 > given.0 || kept == given {
            return Ok(());
        }
        Err(format!(
            "n{at} had voted in term {} and came back with a vote of term {}",
            given.0, kept.0
        )
        .into())
    }

    /// Ends a replica at once. With a power cut, its disk forgets what was not synced.
    pub(crate) fn kill(&self, at: usize, power_cut: bool) {
        let Some(running) = self.lock().get_mut(at).and_then(|host| host.running.take()) else {
            return;
        };
        self.checks.note(&format!(
            "{} killed{}",
            running.name,
            if power_cut { ", power cut" } else { "" }
        ));
        self.checks.crashed();
        let writes = &running.replica.group.writes;
        self.checks.died_with(writes.waiters.len() + writes.queue.len());
        self.net.detach(&running.name);
        running.process.kill();
        if let Some(disk) = self.disk(at) {
            if power_cut { disk.crash() } else { disk.kill() }
        }
        if (0..HOSTS).all(|other| self.running(other).is_none()) {
            self.checks.cold_start();
        }
    }

    /// Ends a replica and gives its host an empty disk: what starts there is another node of the
    /// same name.
    pub(crate) fn wipe(&self, at: usize) -> Option<pb::Member> {
        self.kill(at, true);
        self.net.forget_vote(&Self::name(at));
        let mut hosts = self.lock();
        let host = hosts.get_mut(at)?;
        // Never one that was there before.
        host.member.node = host.member.node.wrapping_add(1 << 32);
        host.disk = FakeDisk::new(host.member.node);
        host.facts = None;
        Some(host.member.clone())
    }

    /// The node id of the replica on a host.
    pub(crate) fn node_of(&self, at: usize) -> u64 {
        self.lock().get(at).map_or(0, |host| host.member.node)
    }

    /// Gives a host another disk: an older copy of its own, with the facts of that time.
    #[cfg(test)]
    pub(crate) fn put_back(&self, at: usize, disk: FakeDisk) {
        // It may have voted since, and nobody can know.
        self.net.forget_vote(&Self::name(at));
        if let Some(host) = self.lock().get_mut(at) {
            host.disk = disk;
            host.facts = None;
        }
    }

    /// Starts a new node on a host whose directory was set aside.
    pub(crate) async fn replace(&self, at: usize) -> Result<(), Wrong> {
        if self.wipe(at).is_some() {
            self.start(at).await?;
        }
        Ok(())
    }

    /// An envelope of this cluster, as anybody could write it.
    pub(crate) fn envelope(&self, from: u64, to: u64) -> pb::Envelope {
        Guard::new(from, String::new(), Start::default()).envelope(Some(self.id), to, 1)
    }

    /// Asks whoever leads until the replica on a host is let in.
    pub(crate) async fn let_in(&self, at: usize) {
        let who = match self.lock().get(at) {
            Some(host) => host.member.clone(),
            None => return,
        };
        while self.node_of(at) == who.node {
            if let Some(running) = self.leader().and_then(|at| self.running(at)) {
                let join = running.replica.join(who.clone(), true);
                // A leader that dies never answers.
                let joined = SimRt::timeout(Duration::from_secs(10), join).await;
                if matches!(joined, Ok(Joined::Voter)) {
                    self.checks.note(&format!("{} is let in", who.name));
                    return;
                }
            }
            SimRt::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Starts all and founds the cluster; from then on states are compared all the time.
    pub(crate) async fn found(&self) -> Result<(), Wrong> {
        for at in 0..HOSTS {
            self.start(at).await?;
        }
        let members = self.lock().iter().map(|host| host.member.clone()).collect();
        let first = self.running(0).ok_or("the first host does not run")?;
        let founded = first.replica.initialize(members).await;
        founded.map_err(|error| error.to_string())?;
        let this = self.clone();
        drop(SimRt::spawn(async move {
            loop {
                this.look();
                if let Err(why) = this.replace_diverged().await {
                    this.checks.fail(why.to_string());
                }
                SimRt::sleep(LOOK).await;
            }
        }));
        Ok(())
    }

    /// What holds something else than the others has stopped: a new node starts in its place.
    async fn replace_diverged(&self) -> Result<(), Wrong> {
        for at in 0..HOSTS {
            let failed =
                self.running(at).and_then(|it| it.replica.group.process.failure.get().cloned());
            if let Some(Failed { why, diverged: true }) = failed {
                self.checks.note(&format!("n{at} sets its directory aside: {why}"));
                self.replace(at).await?;
                let this = self.clone();
                drop(SimRt::spawn(async move { this.let_in(at).await }));
            }
        }
        Ok(())
    }

    /// Compares what the replicas show.
    fn look(&self) {
        for at in 0..HOSTS {
            let Some(running) = self.running(at) else { continue };
            let status = running.replica.status();
            if status.role == Role::Leader {
                self.checks.leads(status.term, &running.name);
            }
            if let Some(keyspace) = running.replica.group.keyspace.try_read() {
                let (index, digest) = (keyspace.applied_index(), keyspace.digest());
                self.checks.state(index, digest, &running.name);
            }
        }
    }

    /// Ends all trouble and waits until every replica serves.
    pub(crate) async fn heal(&self) -> Result<(), Wrong> {
        self.checks.note("everything heals");
        self.net.heal();
        self.net.set_rough(false);
        for at in 0..HOSTS {
            if let Some(running) = self.running(at)
                && let Some(failed) = running.replica.group.process.failure.get()
                && !failed.diverged
            {
                self.kill(at, false);
            }
            self.start(at).await?;
        }
        for at in 0..HOSTS {
            let serving = async {
                while let Some(running) = self.running(at) {
                    if running.replica.read().await.is_ok() {
                        return;
                    }
                    SimRt::sleep(LOOK).await;
                }
            };
            let healed = SimRt::timeout(HEAL_MAX, serving).await;
            healed.map_err(|_| format!("n{at} does not serve {HEAL_MAX:?} after healing"))?;
        }
        Ok(())
    }

    /// Everything acknowledged must be on every replica, and their logs must be the same.
    pub(crate) async fn judge(&self) -> Result<(), Wrong> {
        let mut contents = BTreeMap::new();
        for at in 0..HOSTS {
            let running = self.running(at).ok_or_else(|| format!("n{at} does not run"))?;
            let keyspace = running.replica.read().await;
            let keyspace = keyspace.map_err(|error| format!("n{at} does not read: {error:?}"))?;
            let reader = Reader { keyspace: &keyspace, db: Db(0), seed: 0, clock_ms: 0 };
            for key in self.checks.acknowledged() {
                if !reader.exists(key.as_bytes()) {
                    return Err(format!("{key} was acknowledged and is not on n{at}").into());
                }
            }
            // The digest tells what was done, this what there is.
            let mut sum = 0;
            let facts = SnapshotFacts::default();
            keyspace.write_snapshot(&facts, &mut |bytes| sum = crc32c::crc32c_append(sum, bytes));
            let known = contents.entry(keyspace.applied_index()).or_insert(sum);
            if *known != sum {
                return Err(format!("n{at} holds something else than another replica").into());
            }
            let counted = counter(&keyspace);
            if counted < self.checks.floor() {
                return Err(format!("n{at} counts {counted}, but more was seen").into());
            }
        }
        self.look();
        self.compare_logs()?;
        self.judge_queue().await?;
        self.checks.verdict()
    }

    /// What is pushed is popped or left, once what came for clients that are gone is given back.
    async fn judge_queue(&self) -> Result<(), Wrong> {
        let running = self.running(0).ok_or("the first host does not run")?;
        for at in 0..HOSTS {
            let writes = self.running(at).map(|running| running.replica.group.writes);
            self.checks.died_with(writes.map_or(0, |writes| writes.waiters.returning()));
        }
        let mut found = Ok(());
        for _ in 0..100 {
            let keyspace = running.replica.read().await;
            let keyspace = keyspace.map_err(|error| format!("n0 does not read: {error:?}"))?;
            found = self.checks.judge_queue(&queue::left(&keyspace));
            if found.is_ok() {
                break;
            }
            drop(keyspace);
            SimRt::sleep(LOOK * 5).await;
        }
        Ok(found?)
    }

    fn compare_logs(&self) -> Result<(), Wrong> {
        let logs: Vec<_> = (0..HOSTS)
            .filter_map(|at| self.running(at))
            .map(|running| {
                (running.replica.status().applied_index, running.replica.group.log.entries.clone())
            })
            .collect();
        let end = logs.iter().map(|(applied, _)| *applied).min().unwrap_or(0) + 1;
        let purged = logs.iter().filter_map(|(_, log)| log.bounds().0).map(|id| id.index + 1).max();
        let first = purged.unwrap_or(0);
        let mut entries = Vec::new();
        for (at, (_, log)) in logs.iter().enumerate() {
            let read = log.read(first, end, usize::MAX);
            entries.push(read.map_err(|error| format!("n{at} cannot read its log: {error}"))?);
        }
        if entries.windows(2).all(|pair| pair.first() == pair.last()) {
            return Ok(());
        }
        Err(format!("the logs differ between entries {first} and {end}").into())
    }
}

fn open(disk: FakeDisk) -> Result<Storage<SimEnv>, quorate_store::StoreError> {
    let options = LogOptions {
        segment_bytes: 8 << 10,
        cache_bytes: 32 << 10,
        reserve_bytes: 64 << 10,
        fsync: true,
        group: GROUP,
    };
    let (log, recovered) = Log::open(disk.clone(), options)?;
    let snapshots = Snapshots::open(disk)?;
    Ok(Storage { log, recovered, snapshots, progress: Arc::default() })
}
