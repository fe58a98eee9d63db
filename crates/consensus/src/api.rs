//! The words that this crate shares with the server, and its parts with each other: what a replica
//! is told, what it answers, what it shows, and the limits that more than one part goes by. Plain
//! data; nothing here does anything.

use crate::proto as pb;
use bytes::Bytes;
use quorate_engine::{Language, Refusal};
use quorate_resp::Reply;
use std::error::Error;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Greatest feature level this build supports.
pub(crate) const MAX_LEVEL: u64 = quorate_engine::LEVEL_MAX as u64;

/// Most bytes of commands in one entry. A larger single run is an entry of its own.
pub(crate) const BATCH_BYTES_MAX: usize = 1 << 20;
/// Most commands in one entry.
pub(crate) const BATCH_COMMANDS_MAX: usize = 8192;
/// How long the outcome of a proposal is waited for, besides the time its commands take.
pub(crate) const PROPOSAL_MAX: Duration = Duration::from_secs(5);
/// How long opening a stream may take: a connection, and one round trip with nothing to carry.
pub(crate) const OPEN_MAX: Duration = Duration::from_secs(3);
/// The one group that there is, in messages and in the log.
pub(crate) const GROUP: u32 = 0;

/// How a node is started.
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
    /// The knobs of the replica itself.
    pub replica: ReplicaOptions,
    /// Bytes of one log segment, at most (default 64 MiB; a sixty-fourth of the disk at most).
    pub segment_bytes: u64,
    /// Free bytes on the disk below which writes are refused (default 256 MiB; an eighth of the
    /// disk at most); two segments at least.
    pub reserve_bytes: u64,
    /// False only with `--unsafe-no-fsync`.
    pub fsync: bool,
}

/// The knobs of a replica. They are handed on whole, so that one more is a field here and whatever
/// goes by it.
#[derive(Clone, Debug)]
pub struct ReplicaOptions {
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
    /// What scripts run with.
    pub scripts: Scripts,
}

/// What scripts run with, and what each call may use.
#[derive(Clone)]
pub struct Scripts {
    /// The language. Without one there are no scripts.
    pub language: Option<Arc<dyn Language>>,
    /// Bytes of heap (default 64 MiB).
    pub heap_bytes: usize,
    /// Bytes of the reply (default 64 MiB).
    pub reply_bytes: usize,
    /// Bytes that it may log (default 32 MiB).
    pub payload_bytes: usize,
    /// How long it may run (default 10 s).
    pub time: Duration,
    /// Carries out what scripts may call of the server's own commands; `None`: it is none of them.
    pub server: fn(&[Vec<u8>]) -> Option<Reply<'static>>,
}

impl Default for Scripts {
    fn default() -> Self {
        Self {
            language: None,
            heap_bytes: 64 << 20,
            reply_bytes: 64 << 20,
            payload_bytes: 32 << 20,
            time: Duration::from_secs(10),
            server: |_| None,
        }
    }
}

impl fmt::Debug for Scripts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scripts").field("time", &self.time).finish_non_exhaustive()
    }
}

impl Default for ReplicaOptions {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_millis(75),
            election_min: Duration::from_millis(250),
            election_max: Duration::from_millis(400),
            write_timeout: Duration::from_secs(2),
            snapshot_log_bytes: 512 << 20,
            snapshot_age: Duration::from_hours(24),
            scripts: Scripts::default(),
        }
    }
}

/// What the replies of a run show of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// The last entry.
    pub index: u64,
    /// Of the commands in it that clients sent, the run's own: the number of the first, and how
    /// many. None if the run changed nothing, or the leader is of a version that does not say.
    pub commands: (u32, u32),
}

impl Shown {
    /// Up to this entry, in which nothing is the run's own.
    pub const fn up_to(index: u64) -> Self {
        Self { index, commands: (0, 0) }
    }

    /// Whether this command of this entry is the run's own.
    pub fn is_own(&self, index: u64, command: u32) -> bool {
        let (first, count) = self.commands;
        index == self.index && command.checked_sub(first).is_some_and(|at| at < count)
    }
}

/// What became of a run.
#[derive(Debug)]
pub enum Answer {
    /// Applied (or refused command by command): the replies of all its commands, encoded, in order,
    /// and what they show.
    Replies(Bytes, Shown),
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

/// What Raft says instead of doing what it was asked; its text is Raft's own.
#[derive(Clone, Debug)]
pub struct RaftFailure(Arc<dyn Error + Send + Sync>);

impl RaftFailure {
    pub(crate) fn new(error: impl Error + Send + Sync + 'static) -> Self {
        Self(Arc::new(error))
    }
}

impl fmt::Display for RaftFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for RaftFailure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

/// Why a replica cannot go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// What happened, and what to do.
    pub why: String,
    /// It holds something else than the other replicas: its directory is to be set aside
    /// ([`set_aside`](quorate_store::set_aside)) before it starts again, as a new node.
    pub diverged: bool,
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
    /// On the leader: clients of all nodes that wait until there is something for them.
    pub waiting_clients: usize,
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

/// A member and whether it votes.
#[derive(Clone, Debug)]
pub(crate) struct Seat {
    /// Who.
    pub(crate) member: pb::Member,
    /// Whether it votes.
    pub(crate) voter: bool,
}

/// What became of a request to join.
#[derive(Clone, Debug)]
pub(crate) enum Joined {
    /// It is a voter now (or was already).
    Voter,
    /// This replica does not lead; the leader, if known.
    NotLeader(Option<u64>),
    /// Refused, or not now.
    Refused(JoinRefusal),
}

/// Why a replica is not let in, or not now.
#[derive(Clone, Debug)]
pub(crate) enum JoinRefusal {
    /// A replica of this name is a member, and is not to be replaced.
    Member(String),
    /// The leader itself has this name.
    Leader(String),
    /// The member of this name answers.
    Answers { node: u64, name: String },
    /// It is a learner, and behind.
    Behind,
    /// The membership did not change.
    Raft(RaftFailure),
}

impl fmt::Display for JoinRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Member(name) => write!(f, "{name} is a member already"),
            Self::Leader(name) => write!(f, "{name} is the leader's own name"),
            Self::Answers { node, name } => write!(f, "node {node}, the former {name}, answers"),
            Self::Behind => f.write_str("it has not caught up yet; ask again"),
            Self::Raft(why) => why.fmt(f),
        }
    }
}

/// Whether a node that stops makes a snapshot of its own, so that stock Redis opens its directory
/// and shows exactly its state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LastSnapshot {
    /// No.
    Never,
    /// If there is something in the log that Redis would replay differently.
    #[default]
    IfInexact,
    /// Yes.
    Always,
}

/// Snapshots as `INFO` shows them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SavingStatus {
    /// The one that is being taken: for how long, keys written, all its keys.
    pub running: Option<(Duration, u64, u64)>,
    /// Whether the last one failed.
    pub failed: bool,
    /// Taken by this process.
    pub saves: u64,
    /// How many failed since the last one.
    pub failures: u64,
    /// How long the last one took, in this process.
    pub took: Option<Duration>,
    /// When the newest was taken, Unix seconds; 0: never.
    pub newest_at: u64,
    /// Changes since then.
    pub changes: u64,
}
