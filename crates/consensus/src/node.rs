//! What the server sees of a replica: it opens the directory, finds or founds the cluster in the
//! background, and hands everything else on. Clients can be asked to wait from the first moment;
//! until the state is loaded there is an empty one to be shown.

use crate::api::{
    Answer, Failed, GROUP, LastSnapshot, Loading, MAX_LEVEL, NotApplied, Options, ReadError, Status,
};
use crate::bus::audience::Audience;
use crate::bus::message::Message;
use crate::env::Env;
use crate::env::real::{RealEnv, random};
use crate::failure::Failure;
use crate::leadership::hand_over::HandOverError;
use crate::lock::lock;
use crate::membership::guard::Guard;
use crate::membership::members::Start;
use crate::membership::peers::PeersError;
use crate::membership::{Bootstrap, Ground, Local};
use crate::peer::grpc::{GrpcTransport, connections_max, serve};
use crate::proto as pb;
use crate::replica::Replica;
use crate::replica::assembly::{Storage, Who};
use crate::replica::error::StartError;
use crate::snapshot::backup::Backup;
use crate::snapshot::error::NoSnapshot;
use crate::snapshot::feed::Feed;
use crate::snapshot::load::Progress;
use crate::write::blocked::Blocked;
use crate::write::scripts::{Kill, RunningScript};
use futures::future::BoxFuture;
use quorate_engine::{Db, Keyspace, Run};
use quorate_store::{
    Disk, DiskFile, Facts, Identity, Log, LogOptions, OsDisk, Snapshots, StoreError,
};
use std::ops::Deref;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Notify, RwLock, oneshot};

/// Shared access to the applied state. Never hold it across an `await`.
#[derive(Debug)]
pub struct KeyspaceGuard<'a>(tokio::sync::RwLockReadGuard<'a, Keyspace>);

impl Deref for KeyspaceGuard<'_> {
    type Target = Keyspace;
    fn deref(&self) -> &Keyspace {
        &self.0
    }
}

/// A session that waits. Dropped, it waits no longer, and what comes for it nevertheless is given
/// back.
pub struct Waits(Option<Blocked<RealEnv>>);

impl std::fmt::Debug for Waits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Waits").finish_non_exhaustive()
    }
}

impl Waits {
    /// What it is answered, whichever leader serves it: with what there is for it, or with an
    /// error. May be dropped and asked again.
    pub async fn answer(&mut self) -> Answer {
        match &mut self.0 {
            Some(blocked) => blocked.answer().await,
            None => Answer::NotApplied(NotApplied::Loading),
        }
    }

    /// It waits no longer: what came before that, if anything did. The leader has the last word; if
    /// it says nothing for two seconds, nothing came.
    pub async fn give_up(self) -> Option<Answer> {
        self.0?.give_up().await
    }
}

/// A running replica. Clones share it.
#[derive(Clone)]
pub struct Node {
    inner: Arc<Inner>,
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node").field("node", &self.inner.identity().node).finish_non_exhaustive()
    }
}

struct Inner {
    /// Set once the directory is open.
    identity: OnceLock<Identity>,
    progress: Arc<Progress>,
    /// Set once the cluster is known and the state loaded.
    replica: OnceLock<Replica<RealEnv>>,
    /// What is shown before.
    empty: RwLock<Keyspace>,
    failure: Arc<Failure>,
    audience: Audience,
    stop: Notify,
    tasks: Mutex<Vec<tokio::task::JoinHandle<()>>>,
}

impl Inner {
    fn identity(&self) -> Identity {
        self.identity.get().copied().unwrap_or_default()
    }
}

/// What bootstrap finds beneath it.
struct HostGround {
    host: RealEnv,
    options: Options,
    me: pb::Member,
    guard: Arc<Guard>,
    facts: Facts,
    log: Log<OsDisk>,
    identity: Mutex<Identity>,
    storage: Mutex<Option<Storage<RealEnv>>>,
    audience: Audience,
}

impl Ground for HostGround {
    type Replica = Replica<RealEnv>;
    type Transport = GrpcTransport;

    fn transport(&self) -> &GrpcTransport {
        crate::env::Env::transport(&self.host)
    }

    fn keep_cluster(&self, cluster: u128) -> Result<(), StoreError> {
        let mut identity = lock(&self.identity);
        let known = Identity { cluster: Some(cluster), ..*identity };
        // The log's record wins over `facts/`, so it comes first.
        self.log.set_identity(known)?;
        self.facts.set_identity(known)?;
        *identity = known;
        Ok(())
    }

    fn open(&self, cluster: u128) -> BoxFuture<'_, Result<Replica<RealEnv>, StartError>> {
        let storage = lock(&self.storage).take();
        let options = self.options.replica.clone();
        let who = Who { cluster, me: self.me.clone(), guard: self.guard.clone() };
        let (host, audience) = (self.host.clone(), self.audience.clone());
        Box::pin(async move {
            let storage = storage.ok_or(StartError::Again)?;
            Replica::start(host, (who, options), storage, audience).await
        })
    }

    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(time))
    }

    fn random(&self) -> u64 {
        random()
    }
}

/// What there is to read at a start, about: segments twice (to be scanned, to be replayed), the
/// newest snapshot once.
fn weight(disk: &OsDisk) -> u64 {
    let bytes = |name: &String| {
        let file = disk.open(&format!("appendonlydir/{name}"));
        file.and_then(|file| file.len()).unwrap_or(0)
    };
    let names = disk.list("appendonlydir").unwrap_or_default();
    let of = |end: &'static str| names.iter().filter(move |name| name.ends_with(end)).map(bytes);
    of(".incr.aof").sum::<u64>() * 2 + of(".base.rdb").max().unwrap_or(0)
}

/// The opened directory and who it says this replica is.
fn open(
    options: &Options,
    progress: Arc<Progress>,
) -> Result<(Storage<RealEnv>, Facts, Identity), StartError> {
    let failed = |why: StoreError| StartError::Directory(options.dir.clone(), why);
    let disk = OsDisk::new(options.dir.clone()).map_err(|error| failed(StoreError::Io(error)))?;
    let log_options = LogOptions {
        segment_bytes: options.segment_bytes,
        cache_bytes: 64 << 20,
        reserve_bytes: options.reserve_bytes,
        fsync: options.fsync,
        group: GROUP,
    };
    progress.total.store(weight(&disk), Ordering::Relaxed);
    let opened = Log::open_watched(disk.clone(), log_options, &mut |bytes| progress.add(bytes));
    let (log, recovered) = opened.map_err(failed)?;
    if recovered.torn_bytes > 0 {
        tracing::warn!(bytes = recovered.torn_bytes, "the log's torn tail was cut");
    }
    let snapshots = Snapshots::open(disk).map_err(failed)?;
    let (facts, kept) = Facts::open(&options.dir).map_err(failed)?;
    let agreed = Identity::agree(&recovered, kept, &mut random);
    let identity = agreed.map_err(failed)?;
    // The log first: facts that know of a later start show that it is an older copy.
    log.set_identity(identity).map_err(failed)?;
    facts.set_identity(identity).map_err(failed)?;
    let storage = Storage { log, recovered, snapshots, progress };
    Ok((storage, facts, identity))
}

impl Node {
    /// Opens the data directory, replays the log, starts the peer port, finds or founds the
    /// cluster, all in the background: clients can be answered from now on. What goes wrong there
    /// is told by [`Node::failed`]. `audience` is told what happens here. Needs a runtime.
    pub fn start(options: Options, audience: Audience) -> Result<Self, PeersError> {
        // Refused at once, whatever the disk holds.
        local(&options, Identity::default())?;
        let inner = Arc::new(Inner {
            identity: OnceLock::new(),
            progress: Arc::default(),
            replica: OnceLock::new(),
            empty: RwLock::new(Keyspace::new([0; 2])),
            failure: Arc::default(),
            audience: audience.clone(),
            stop: Notify::new(),
            tasks: Mutex::default(),
        });
        let opening = inner.clone();
        let opening = tokio::spawn(async move {
            if let Err(why) = bring_up(&opening, options, audience).await {
                opening.failure.set(why.to_string());
            }
        });
        lock(&inner.tasks).push(opening);
        Ok(Self { inner })
    }

    fn replica(&self) -> Option<&Replica<RealEnv>> {
        self.inner.replica.get()
    }

    /// Hands over a run with at least one write. Runs of one caller keep their order.
    pub fn submit(&self, run: Run) -> oneshot::Receiver<Answer> {
        if let Some(replica) = self.replica() {
            return replica.submit(run);
        }
        let (told, answer) = oneshot::channel();
        let loading = self.loading().is_some();
        let why = if loading { NotApplied::Loading } else { NotApplied::NoLeader };
        let _ = told.send(Answer::NotApplied(why));
        answer
    }

    /// A session begins to wait with this run, which is one command that waits.
    pub fn wait(&self, run: Run) -> Waits {
        Waits(self.replica().map(|replica| Blocked::begin(&replica.group, run)))
    }

    /// Ends the script, or the function, that runs at the leader. A leader that cannot be asked
    /// runs none.
    pub async fn kill_script(&self, function: bool) -> Kill {
        match self.replica() {
            Some(replica) => replica.kill_script(function).await,
            None => Kill::Idle,
        }
    }

    /// How long the script has run that runs here, as the leader, if one does.
    pub fn script_age(&self) -> Option<Duration> {
        let group = &self.replica()?.group;
        group.writes.script.age(|| group.process.env.elapsed())
    }

    /// The script that runs here, as the leader, if one does.
    pub fn script(&self) -> Option<RunningScript> {
        let group = &self.replica()?.group;
        group.writes.script.shown(group.process.env.elapsed())
    }

    /// Whether the log may hold what a feature level brings, or may soon: waits as long as for a
    /// leader. A cluster of one version reaches its level once its leader has heard of all members.
    pub async fn allows(&self, level: u32) -> bool {
        let Some(replica) = self.replica() else { return false };
        let live = &replica.group.keyspace;
        let reached = async {
            loop {
                let applied = live.applied.index();
                if live.seen.level.load(Ordering::Relaxed) >= level {
                    return;
                }
                live.applied.reached(applied + 1).await;
            }
        };
        <RealEnv as Env>::within(replica.group.options.write_timeout, reached).await.is_some()
    }

    /// Whether the data set is larger than `maxmemory`, as far as is applied here.
    pub fn is_over_memory(&self) -> bool {
        let live = |replica: &Replica<RealEnv>| Arc::clone(&replica.group.keyspace);
        self.replica().map(live).is_some_and(|live| live.seen.over_memory.load(Ordering::Relaxed))
    }

    /// Sends a client's message to whoever listens, on every node; how many those are, as far as is
    /// known. Never refused: who cannot be reached misses it. Messages of one caller keep their
    /// order.
    pub async fn publish(&self, message: Message) -> u64 {
        if let Some(replica) = self.replica() {
            return replica.publish(message).await;
        }
        let Audience { listener, interest, .. } = &self.inner.audience;
        listener.deliver(&message);
        interest.receivers(&message)
    }

    /// Resolves when what is published on other nodes comes to those who listen here, as far as
    /// those nodes can be reached.
    pub async fn announced(&self) {
        if let Some(replica) = self.replica() {
            replica.announced().await;
        }
    }

    /// Resolves when an entry is applied here, or after a second.
    pub async fn applied(&self, index: u64) {
        if let Some(replica) = self.replica() {
            replica.applied(index).await;
        }
    }

    /// A linearizable view: what it shows includes every write that was acknowledged before this
    /// call.
    pub async fn read(&self) -> Result<KeyspaceGuard<'_>, ReadError> {
        match self.replica() {
            Some(replica) => replica.read().await.map(KeyspaceGuard),
            None => Err(ReadError::Loading),
        }
    }

    /// Whatever is applied here now (stale reads, INFO).
    pub async fn peek(&self) -> KeyspaceGuard<'_> {
        KeyspaceGuard(match self.replica() {
            Some(replica) => replica.peek().await,
            None => self.inner.empty.read().await,
        })
    }

    /// Flips a bit of a value of this replica alone, past everything that notices a change: for
    /// tests of what compares replicas. False: the key is not there or has no spare bytes.
    pub async fn flip_bit(&self, db: Db, key: &[u8], bit: u64) -> bool {
        match self.replica() {
            Some(replica) => replica.flip_bit(db, key, bit).await,
            None => false,
        }
    }

    /// The leader's clock as known here, Unix milliseconds; 0 when nothing was heard of one.
    /// Remaining times are counted from it, since cluster time stands still while nothing is
    /// written.
    pub fn clock_ms(&self) -> u64 {
        self.replica().map_or(0, Replica::clock_ms)
    }

    /// Figures.
    pub fn status(&self) -> Status {
        if let Some(replica) = self.replica() {
            let loaded_keys = self.inner.progress.keys.load(Ordering::Relaxed);
            return Status { loaded_keys, ..replica.status() };
        }
        let Identity { cluster, node, incarnation } = self.inner.identity();
        let cluster = cluster.map_or(String::new(), |cluster| format!("{cluster:032x}"));
        Status { cluster, node, incarnation, loading: self.loading(), ..Status::default() }
    }

    /// Whether the state is being loaded: there is nothing to be shown yet.
    pub fn is_loading(&self) -> bool {
        self.replica().is_none() && self.loading().is_some()
    }

    /// How far loading has come, while it goes on.
    fn loading(&self) -> Option<Loading> {
        let progress = &self.inner.progress;
        let read = |it: &std::sync::atomic::AtomicU64| it.load(Ordering::Relaxed);
        let since_s = read(&progress.since_s);
        let over = progress.over.load(Ordering::Relaxed);
        let total = read(&progress.total);
        (since_s != 0 && !over).then(|| Loading {
            since_s,
            total,
            done: read(&progress.done).min(total),
        })
    }

    /// A fresh snapshot to be sent to whoever asked for one.
    pub async fn backup(&self) -> Result<Backup, NoSnapshot> {
        match self.replica() {
            Some(replica) => replica.backup().await,
            None => Err(NoSnapshot::Loading),
        }
    }

    /// A fresh snapshot for a replica from outside, and what is applied behind it, of which no more
    /// than so many bytes wait.
    pub async fn follow(&self, bytes_max: u64) -> Result<(Backup, Feed), NoSnapshot> {
        match self.replica() {
            Some(replica) => replica.follow(bytes_max).await,
            None => Err(NoSnapshot::Loading),
        }
    }

    /// Whether this replica has its state and serves (`quorate ping`): within two election
    /// time-outs it has heard the leader, or a quorum has answered it as the leader.
    pub fn is_ready(&self) -> bool {
        self.replica().is_some_and(Replica::is_ready)
    }

    /// Has the leader log a cut and waits for this replica's snapshot of it. The error says why
    /// not.
    pub async fn snapshot(&self) -> Result<u64, NoSnapshot> {
        match self.replica() {
            Some(replica) => replica.snapshot().await,
            None => Err(NoSnapshot::Loading),
        }
    }

    /// Hands leadership to the voter whose client or peer address is `to` (`None`: to whichever is
    /// most up to date), if this replica leads and such a voter answers.
    pub async fn hand_over(&self, to: Option<&str>) -> Result<(), HandOverError> {
        match self.replica() {
            Some(replica) => replica.hand_over(to).await,
            None => Err(HandOverError::NotLeading),
        }
    }

    /// Answers what is pending, makes a last snapshot if there is a use for it, syncs the log,
    /// stops. It hands nothing over: that is [`Node::hand_over`], before, where there is time.
    pub async fn shutdown(&self, last: LastSnapshot) {
        if let Some(replica) = self.replica() {
            replica.shutdown(last).await;
        }
        self.inner.stop.notify_waiters();
        let tasks = std::mem::take(&mut *lock(&self.inner.tasks));
        for task in tasks {
            task.abort();
        }
    }

    /// Resolves with the reason when this process must stop (failed sync, corrupt log, divergence).
    pub async fn failed(&self) -> Failed {
        self.inner.failure.wait().await
    }
}

/// This replica as its peers know it.
fn member(options: &Options, identity: Identity) -> pb::Member {
    pb::Member {
        node: identity.node,
        peer_address: options.peer_address.clone(),
        resp_address: options.resp_address.clone(),
        name: options.peer_address.clone(),
    }
}

fn local(options: &Options, identity: Identity) -> Result<Local, PeersError> {
    let me = member(options, identity);
    let start = Start { incarnation: identity.incarnation, nonce: random().max(1) };
    Local::new(me, start, MAX_LEVEL, &options.peers)
}

/// With sizes that suit the disk of its directory.
fn suited(options: Options) -> Result<Options, StartError> {
    let total = OsDisk::new(options.dir.clone()).and_then(|disk| disk.total_bytes());
    let total = total.map_err(|why| StartError::Directory(options.dir.clone(), why.into()))?;
    Ok(options.suited_to(total.unwrap_or(u64::MAX)))
}

/// Opens the directory, which takes as long as the log is, and starts everything above it.
async fn bring_up(
    inner: &Arc<Inner>,
    options: Options,
    audience: Audience,
) -> Result<(), StartError> {
    let secret = options.peer_secret.clone();
    let host = RealEnv::new(GrpcTransport::new(secret.as_deref()));
    let progress = inner.progress.clone();
    progress.since_s.store(crate::env::Env::wall_ms(&host) / 1000, Ordering::Relaxed);
    let options = suited(options)?;
    let opening = options.clone();
    let opened = tokio::task::spawn_blocking(move || open(&opening, progress)).await;
    let (storage, facts, identity) = opened.map_err(StartError::Opening)??;
    // It goes on once the cluster is known; until then nothing is being loaded.
    inner.progress.since_s.store(0, Ordering::Relaxed);
    let _ = inner.identity.set(identity);
    let bound = TcpListener::bind(options.peer_bind).await;
    let listener = bound.map_err(|why| StartError::PeerPort(options.peer_bind, why))?;
    let most = connections_max(options.peers.len().saturating_sub(1));
    let local = local(&options, identity)?;
    let ground = HostGround {
        host,
        me: member(&options, identity),
        guard: local.guard(),
        options,
        facts,
        log: storage.log.clone(),
        identity: Mutex::new(identity),
        storage: Mutex::new(Some(storage)),
        audience,
    };
    let bootstrap = Bootstrap::new(local, identity.cluster, ground);
    lock(&inner.tasks).extend([
        tokio::spawn(listen(inner.clone(), (listener, most), bootstrap.clone(), secret)),
        tokio::spawn(follow(inner.clone(), bootstrap.clone())),
        tokio::spawn(find_cluster(inner.clone(), bootstrap)),
    ]);
    Ok(())
}

/// Serves the peer port, with so many connections at most.
async fn listen(
    inner: Arc<Inner>,
    listener: (TcpListener, usize),
    bootstrap: Arc<Bootstrap<HostGround>>,
    secret: Option<String>,
) {
    let stopper = inner.clone();
    let stop = async move { stopper.stop.notified().await };
    if let Err(error) = serve(listener, bootstrap, secret.as_deref(), stop).await {
        inner.failure.set(format!("the peer port has failed: {error}"));
    }
}

/// Takes the replica over as soon as bootstrap has started it, and tells when it fails.
async fn follow(inner: Arc<Inner>, bootstrap: Arc<Bootstrap<HostGround>>) {
    let mut replica = bootstrap.replica();
    let replica = match replica.wait_for(Option::is_some).await {
        Ok(replica) => replica.clone(),
        Err(_) => return,
    };
    let Some(replica) = replica else { return };
    let _ = inner.replica.set(replica.clone());
    inner.failure.note(replica.failed().await);
}

async fn find_cluster(inner: Arc<Inner>, bootstrap: Arc<Bootstrap<HostGround>>) {
    if let Err(why) = bootstrap.run().await {
        inner.failure.set(why.to_string());
    }
}
