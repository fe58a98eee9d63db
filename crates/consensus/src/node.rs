//! What the server sees of a replica.

use crate::backup::Backup;
use crate::bootstrap::guard::Guard;
use crate::bootstrap::{Bootstrap, Ground, Local};
use crate::core::{Core, Settings, Storage};
use crate::following::Feed;
use crate::grpc::{GrpcTransport, connections_max, serve};
use crate::host::{Host, random};
use crate::load::Progress;
use crate::members::Start;
use crate::proto as pb;
use crate::saving::{LastSnapshot, SavingStatus};
use crate::shared::{Failure, MAX_LEVEL, lock};
use bytes::Bytes;
use futures::future::BoxFuture;
use quorate_engine::{Db, Effects, Keyspace, Refusal, Run};
use quorate_store::{Disk, DiskFile, Facts, Identity, Log, LogOptions, OsDisk, Snapshots};
use std::net::SocketAddr;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Notify, RwLock, mpsc, oneshot};

/// How a replica is started.
#[derive(Clone, Debug)]
pub struct Options {
    /// Data directory.
    pub dir: PathBuf,
    /// Where peers reach this process.
    pub peer_bind: SocketAddr,
    /// The entry of `peers` that is this replica, `host:port`; its stable name.
    pub peer_address: String,
    /// Where clients reach this replica, told to peers (`raft_leader`, redirects).
    pub resp_address: String,
    /// The static peer list, the same on every replica; one entry or empty: a cluster of one.
    pub peers: Vec<String>,
    /// Shared secret of the peer port (HMAC-free bearer, compared in constant time), if set.
    pub peer_secret: Option<String>,
    /// Heartbeat interval (default 75 ms).
    pub heartbeat: Duration,
    /// Election time-out, least (default 250 ms).
    pub election_min: Duration,
    /// Election time-out, most (default 400 ms).
    pub election_max: Duration,
    /// How long a write that was definitely not appended is held and re-routed (default 2 s).
    pub write_timeout: Duration,
    /// Log bytes after which a snapshot is taken (default 512 MiB; an eighth of the disk at most),
    /// or as many as the newest snapshot has, if that is more.
    pub snapshot_log_bytes: u64,
    /// Age of the newest snapshot at which one is taken if anything changed (default a day; zero:
    /// never).
    pub snapshot_age: Duration,
    /// Bytes of one log segment, at most (default 64 MiB; a sixty-fourth of the disk at most).
    pub segment_bytes: u64,
    /// Free bytes on the disk below which writes are refused (default 256 MiB; an eighth of the
    /// disk at most); two segments at least.
    pub reserve_bytes: u64,
    /// False only with `--unsafe-no-fsync`.
    pub fsync: bool,
}

/// What became of a run.
#[derive(Debug)]
pub enum Answer {
    /// Applied (or refused command by command): the replies of all its commands, encoded, in order.
    Replies(Bytes),
    /// Definitely not appended; nothing happened.
    NotApplied(NotApplied),
    /// Appended or on its way to the leader, and then the leadership, the time or this process ran
    /// out: it may or may not be applied.
    Uncertain,
}

/// Why a run was definitely not applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotApplied {
    /// No leader was found within the write time-out.
    NoLeader,
    /// The state is not loaded yet.
    Loading,
    /// Refused by the leader before it was logged.
    Refused(Refusal),
    /// Too many bytes wait already.
    Overloaded,
    /// The process is stopping.
    Stopping,
}

/// Why a linearizable read cannot be answered now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadError {
    /// No quorum confirmed a read index in time.
    NoQuorum,
    /// The state is not loaded yet.
    Loading,
    /// The process is stopping.
    Stopping,
}

/// Why a replica does not start; the text says what to do.
#[derive(Debug)]
pub struct StartError(pub String);

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StartError {}

/// Why a replica cannot go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// What happened, and what to do.
    pub why: String,
    /// It holds something else than the other replicas: its directory is to be set aside
    /// ([`set_aside`](quorate_store::set_aside)) before it starts again, as a new node.
    pub diverged: bool,
}

impl From<String> for Failed {
    fn from(why: String) -> Self {
        Self { why, diverged: false }
    }
}

/// A replica's office.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Role {
    /// Leader.
    Leader,
    /// Candidate.
    Candidate,
    /// Follower.
    #[default]
    Follower,
    /// Learner: replicates, has no vote yet.
    Learner,
}

/// One member as this replica sees it.
#[derive(Clone, Debug, Default)]
pub struct MemberStatus {
    /// Node id.
    pub node: u64,
    /// RESP address.
    pub resp_address: String,
    /// Peer address.
    pub peer_address: String,
    /// Whether it votes.
    pub voter: bool,
    /// On the leader: last index known to be on its disk.
    pub matched: Option<u64>,
    /// On the leader: whether it answered within the last election time-out.
    pub live: bool,
}

/// How far loading the state at a start has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Loading {
    /// Unix seconds at which it began.
    pub since_s: u64,
    /// Bytes to be read, about.
    pub total: u64,
    /// Bytes read.
    pub done: u64,
}

/// Figures for INFO, ROLE, WAIT and metrics.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// Cluster id, 32 hexadecimal digits; empty before bootstrap.
    pub cluster: String,
    /// Node id.
    pub node: u64,
    /// Incarnation.
    pub incarnation: u64,
    /// Office.
    pub role: Role,
    /// Term.
    pub term: u64,
    /// RESP address of the leader, if it was heard lately.
    pub leader: Option<String>,
    /// Whether this replica leads and a quorum answered lately, or follows a leader heard of
    /// lately.
    pub healthy: bool,
    /// Last entry in the log.
    pub last_log_index: u64,
    /// Last committed.
    pub commit_index: u64,
    /// Last applied.
    pub applied_index: u64,
    /// Last snapshot.
    pub snapshot_index: u64,
    /// Last purged.
    pub purged_index: u64,
    /// Members.
    pub members: Vec<MemberStatus>,
    /// Digest of the applied state.
    pub state_digest: u64,
    /// On the leader: the last entry after which all replicas that answered held the same.
    pub agreed_index: u64,
    /// On the leader: replicas hold different states and no majority agrees, so that writes are
    /// refused.
    pub divided: bool,
    /// Cluster time of the applied state, Unix milliseconds.
    pub cluster_time_ms: u64,
    /// Entries proposed here, and commands in them.
    pub proposed: (u64, u64),
    /// Rounds of the read gate, and reads they released.
    pub read_rounds: (u64, u64),
    /// Greatest lateness of a heartbeat sent by this leader, milliseconds.
    pub heartbeat_late_ms_max: u64,
    /// Log bytes on disk.
    pub log_bytes: u64,
    /// What the log's files take of the disk, what is not written yet included.
    pub log_disk_bytes: u64,
    /// `fdatasync` calls, median and 99th percentile in microseconds.
    pub fsync: (u64, u64, u64),
    /// Whether writes are refused because the disk is full.
    pub disk_full: bool,
    /// The snapshot that is being taken, and the last one.
    pub saving: SavingStatus,
    /// How far loading has come, while it goes on.
    pub loading: Option<Loading>,
    /// Keys in the snapshot that was loaded at the start.
    pub loaded_keys: u64,
    /// Keys removed because their deadline was past, while this process runs.
    pub expired_keys: u64,
    /// Bytes of memory that the log's newest entries take.
    pub log_cached_bytes: u64,
}

/// Shared access to the applied state. Never hold it across an `await`.
#[derive(Debug)]
pub struct KeyspaceGuard<'a>(tokio::sync::RwLockReadGuard<'a, Keyspace>);

impl Deref for KeyspaceGuard<'_> {
    type Target = Keyspace;
    fn deref(&self) -> &Keyspace {
        &self.0
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
    core: OnceLock<Core<Host>>,
    /// What is shown before.
    empty: RwLock<Keyspace>,
    failure: Arc<Failure>,
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
    host: Host,
    options: Options,
    me: pb::Member,
    guard: Arc<Guard>,
    facts: Facts,
    log: Log<OsDisk>,
    identity: Mutex<Identity>,
    storage: Mutex<Option<Storage<Host>>>,
    effects: mpsc::UnboundedSender<Effects>,
}

impl Ground for HostGround {
    type Replica = Core<Host>;
    type Transport = GrpcTransport;

    fn transport(&self) -> &GrpcTransport {
        crate::env::Env::transport(&self.host)
    }

    fn keep_cluster(&self, cluster: u128) -> Result<(), String> {
        let mut identity = lock(&self.identity);
        let known = Identity { cluster: Some(cluster), ..*identity };
        // The log's record wins over `facts/`, so it comes first.
        self.log.set_identity(known).map_err(|error| error.to_string())?;
        self.facts.set_identity(known).map_err(|error| error.to_string())?;
        *identity = known;
        Ok(())
    }

    fn open(&self, cluster: u128) -> BoxFuture<'_, Result<Core<Host>, String>> {
        let storage = lock(&self.storage).take();
        let options = &self.options;
        let settings = Settings {
            cluster,
            me: self.me.clone(),
            guard: self.guard.clone(),
            heartbeat: options.heartbeat,
            election_min: options.election_min,
            election_max: options.election_max,
            write_timeout: options.write_timeout,
            snapshot_log_bytes: options.snapshot_log_bytes,
            snapshot_age: options.snapshot_age,
        };
        let (host, effects) = (self.host.clone(), self.effects.clone());
        Box::pin(async move {
            let storage = storage.ok_or("the replica was started before")?;
            Core::start(host, settings, storage, effects).await.map_err(|error| error.0)
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
) -> Result<(Storage<Host>, Facts, Identity), StartError> {
    let failed =
        |error: &dyn std::fmt::Display| StartError(format!("{}: {error}", options.dir.display()));
    let disk = OsDisk::new(options.dir.clone()).map_err(|error| failed(&error))?;
    let log_options = LogOptions {
        segment_bytes: options.segment_bytes,
        cache_bytes: 64 << 20,
        reserve_bytes: options.reserve_bytes,
        fsync: options.fsync,
        group: 0,
    };
    progress.total.store(weight(&disk), Ordering::Relaxed);
    let opened = Log::open_watched(disk.clone(), log_options, &mut |bytes| progress.add(bytes));
    let (log, recovered) = opened.map_err(|error| failed(&error))?;
    if recovered.torn_bytes > 0 {
        tracing::warn!(bytes = recovered.torn_bytes, "the log's torn tail was cut");
    }
    let snapshots = Snapshots::open(disk).map_err(|error| failed(&error))?;
    let (facts, kept) = Facts::open(&options.dir).map_err(|error| failed(&error))?;
    let agreed = Identity::agree(&recovered, kept, &mut random);
    let identity = agreed.map_err(|error| failed(&error))?;
    // The log first: facts that know of a later start show that it is an older copy.
    log.set_identity(identity).map_err(|error| failed(&error))?;
    facts.set_identity(identity).map_err(|error| failed(&error))?;
    let storage = Storage { log, recovered, snapshots, progress };
    Ok((storage, facts, identity))
}

impl Node {
    /// Opens the data directory, replays the log, starts the peer port, finds or founds the
    /// cluster, all in the background: clients can be answered from now on. What goes wrong there
    /// is told by [`Node::failed`]. `effects` receives what apply asks the server to carry out.
    /// Needs a runtime.
    pub fn start(
        options: Options,
        effects: mpsc::UnboundedSender<Effects>,
    ) -> Result<Self, StartError> {
        // Refused at once, whatever the disk holds.
        local(&options, Identity::default())?;
        let inner = Arc::new(Inner {
            identity: OnceLock::new(),
            progress: Arc::default(),
            core: OnceLock::new(),
            empty: RwLock::new(Keyspace::new([0; 2])),
            failure: Arc::default(),
            stop: Notify::new(),
            tasks: Mutex::default(),
        });
        let opening = inner.clone();
        let opening = tokio::spawn(async move {
            if let Err(StartError(why)) = bring_up(&opening, options, effects).await {
                opening.failure.set(why);
            }
        });
        lock(&inner.tasks).push(opening);
        Ok(Self { inner })
    }

    fn core(&self) -> Option<&Core<Host>> {
        self.inner.core.get()
    }

    /// Hands over a run with at least one write. Runs of one caller keep their order.
    pub fn submit(&self, run: Run) -> oneshot::Receiver<Answer> {
        if let Some(core) = self.core() {
            return core.submit(run);
        }
        let (told, answer) = oneshot::channel();
        let loading = self.loading().is_some();
        let why = if loading { NotApplied::Loading } else { NotApplied::NoLeader };
        let _ = told.send(Answer::NotApplied(why));
        answer
    }

    /// A linearizable view: what it shows includes every write that was acknowledged before this
    /// call.
    pub async fn read(&self) -> Result<KeyspaceGuard<'_>, ReadError> {
        match self.core() {
            Some(core) => core.read().await.map(KeyspaceGuard),
            None => Err(ReadError::Loading),
        }
    }

    /// Whatever is applied here now (stale reads, INFO).
    pub async fn peek(&self) -> KeyspaceGuard<'_> {
        KeyspaceGuard(match self.core() {
            Some(core) => core.peek().await,
            None => self.inner.empty.read().await,
        })
    }

    /// Flips a bit of a value of this replica alone, past everything that notices a change: for
    /// tests of what compares replicas. False: the key is not there or has no spare bytes.
    pub async fn flip_bit(&self, db: Db, key: &[u8], bit: u64) -> bool {
        match self.core() {
            Some(core) => core.flip_bit(db, key, bit).await,
            None => false,
        }
    }

    /// The leader's clock as known here, Unix milliseconds; 0 when nothing was heard of one.
    /// Remaining times are counted from it, since cluster time stands still while nothing is
    /// written.
    pub fn clock_ms(&self) -> u64 {
        self.core().map_or(0, Core::clock_ms)
    }

    /// Figures.
    pub fn status(&self) -> Status {
        if let Some(core) = self.core() {
            let loaded_keys = self.inner.progress.keys.load(Ordering::Relaxed);
            return Status { loaded_keys, ..core.status() };
        }
        let Identity { cluster, node, incarnation } = self.inner.identity();
        let cluster = cluster.map_or(String::new(), |cluster| format!("{cluster:032x}"));
        Status { cluster, node, incarnation, loading: self.loading(), ..Status::default() }
    }

    /// Whether the state is being loaded: there is nothing to be shown yet.
    pub fn is_loading(&self) -> bool {
        self.core().is_none() && self.loading().is_some()
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
    pub async fn backup(&self) -> Result<Backup, String> {
        match self.core() {
            Some(core) => core.backup().await,
            None => Err("the state is not loaded yet".to_owned()),
        }
    }

    /// A fresh snapshot for a replica from outside, and what is applied behind it, of which no more
    /// than so many bytes wait.
    pub async fn follow(&self, bytes_max: u64) -> Result<(Backup, Feed), String> {
        match self.core() {
            Some(core) => core.follow(bytes_max).await,
            None => Err("the state is not loaded yet".to_owned()),
        }
    }

    /// Whether this replica has its state and serves (`quorate ping`): within two election
    /// time-outs it has heard the leader, or a quorum has answered it as the leader.
    pub fn is_ready(&self) -> bool {
        self.core().is_some_and(Core::is_ready)
    }

    /// Has the leader log a cut and waits for this replica's snapshot of it. The error says why
    /// not.
    pub async fn snapshot(&self) -> Result<u64, String> {
        match self.core() {
            Some(core) => core.snapshot().await,
            None => Err("the state is not loaded yet".to_owned()),
        }
    }

    /// Hands leadership to the voter whose client or peer address is `to` (`None`: to whichever is
    /// most up to date), if this replica leads and such a voter answers.
    pub async fn hand_over(&self, to: Option<&str>) -> Result<(), String> {
        match self.core() {
            Some(core) => core.hand_over(to).await,
            None => Err("this replica does not lead".to_owned()),
        }
    }

    /// Hands over, answers what is pending, makes a last snapshot if there is a use for it, syncs
    /// the log, stops.
    pub async fn shutdown(&self, last: LastSnapshot) {
        if let Some(core) = self.core() {
            core.shutdown(last).await;
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

fn local(options: &Options, identity: Identity) -> Result<Local, StartError> {
    let me = member(options, identity);
    let start = Start { incarnation: identity.incarnation, nonce: random().max(1) };
    Local::new(me, start, MAX_LEVEL, &options.peers).map_err(StartError)
}

/// With sizes that suit the disk of its directory.
fn suited(options: Options) -> Result<Options, StartError> {
    let total = OsDisk::new(options.dir.clone()).and_then(|disk| disk.total_bytes());
    let total = total.map_err(|error| StartError(format!("{}: {error}", options.dir.display())))?;
    Ok(options.suited_to(total.unwrap_or(u64::MAX)))
}

/// Opens the directory, which takes as long as the log is, and starts everything above it.
async fn bring_up(
    inner: &Arc<Inner>,
    options: Options,
    effects: mpsc::UnboundedSender<Effects>,
) -> Result<(), StartError> {
    let secret = options.peer_secret.clone();
    let host = Host::new(GrpcTransport::new(secret.as_deref()));
    let progress = inner.progress.clone();
    progress.since_s.store(crate::env::Env::wall_ms(&host) / 1000, Ordering::Relaxed);
    let options = suited(options)?;
    let opening = options.clone();
    let opened = tokio::task::spawn_blocking(move || open(&opening, progress)).await;
    let (storage, facts, identity) = opened.map_err(|error| StartError(error.to_string()))??;
    // It goes on once the cluster is known; until then nothing is being loaded.
    inner.progress.since_s.store(0, Ordering::Relaxed);
    let _ = inner.identity.set(identity);
    let bound = TcpListener::bind(options.peer_bind).await;
    let listener = bound.map_err(|error| {
        StartError(format!("the peer port {} cannot be opened: {error}", options.peer_bind))
    })?;
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
        effects,
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

/// Takes the core over as soon as bootstrap has started it, and tells when it fails.
async fn follow(inner: Arc<Inner>, bootstrap: Arc<Bootstrap<HostGround>>) {
    let mut replica = bootstrap.replica();
    let core = match replica.wait_for(Option::is_some).await {
        Ok(core) => core.clone(),
        Err(_) => return,
    };
    let Some(core) = core else { return };
    let _ = inner.core.set(core.clone());
    inner.failure.note(core.failed().await);
}

async fn find_cluster(inner: Arc<Inner>, bootstrap: Arc<Bootstrap<HostGround>>) {
    if let Err(reason) = bootstrap.run().await {
        inner.failure.set(reason);
    }
}
