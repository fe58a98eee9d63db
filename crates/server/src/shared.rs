//! What all sessions of a process share, besides the replica itself.
//!
//! Made once in `serve` and handed down; there are no globals.

use crate::clients::Clients;
use crate::descriptors::Descriptors;
use crate::followers::Followers;
use crate::logging::Log;
use crate::pubsub::Hub;
use crate::registry::{Entry, Registry};
use crate::settings::{Scope, Settings, Tuned, shown};
use crate::slowlog::Slowlog;
use crate::stats::Stats;
use crate::tracking::Tracking;
use crate::watched::Watched;
use quorate_consensus::{LastSnapshot, Wanted};
use quorate_engine::Settings as ClusterSettings;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::watch;

/// How the process is to stop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Not at all.
    #[default]
    No,
    /// Hand over, finish, close.
    Orderly(LastSnapshot),
    /// As fast as is safe: no hand-over.
    Now(LastSnapshot),
}

/// A pause that `CLIENT PAUSE` asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pause {
    /// When it ends by itself.
    pub(crate) until: Instant,
    /// Whether reads wait too.
    pub(crate) all: bool,
}

/// What the process has of the system.
#[derive(Debug, Default)]
pub(crate) struct Outside {
    pub(crate) log: Log,
    pub(crate) descriptors: Descriptors,
}

/// The shared part of a server.
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) outside: Outside,
    /// Rises with every change of settings, so that sessions know when to look again.
    pub(crate) generation: AtomicU64,
    pub(crate) registry: &'static Registry,
    pub(crate) stats: Stats,
    pub(crate) clients: Clients,
    pub(crate) slowlog: Slowlog,
    pub(crate) memory: crate::memory::Remembered,
    pub(crate) started: Instant,
    /// 40 hexadecimal digits that differ with every start.
    pub(crate) run_id: String,
    /// Whether a pause may be in force; the details are behind the lock.
    paused: AtomicBool,
    pause: Mutex<Option<Pause>>,
    pub(crate) resumed: tokio::sync::Notify,
    cluster: Mutex<Arc<ClusterSettings>>,
    /// Whether it is told that a read found no key (class `m` of events).
    pub(crate) tells_misses: AtomicBool,
    pub(crate) stop: watch::Sender<Stop>,
    /// New port for clients, wished by `CONFIG SET port`; the answer says whether it could be
    /// bound.
    pub(crate) rebind: tokio::sync::mpsc::Sender<Rebind>,
    /// The port in force.
    pub(crate) port: AtomicU64,
    /// Whether a snapshot asked for by a client is being made.
    pub(crate) saving: AtomicBool,
    /// Unix seconds when a snapshot that a client asked for failed; 0: never.
    pub(crate) save_failed_at: AtomicU64,
    /// Runs that were answered here, and how many of them what is applied here surely shows.
    pub(crate) writes_answered: AtomicU64,
    pub(crate) writes_seen: AtomicU64,
    /// Unix seconds of the start.
    pub(crate) started_unix_s: u64,
    /// Whether a snapshot is on its way to a backup client.
    pub(crate) sending_snapshot: AtomicBool,
    /// Replicas of Redis that follow this node.
    pub(crate) followers: Followers,
    /// Who listens to which channel.
    pub(crate) pubsub: Arc<Hub>,
    /// Who waits to read which key.
    pub(crate) watched: Arc<Watched>,
    /// Who keeps copies of which keys.
    pub(crate) tracking: Arc<Tracking>,
}

/// A wish to listen elsewhere.
pub(crate) type Rebind = (u16, tokio::sync::oneshot::Sender<Result<(), crate::bind::BindError>>);

impl Shared {
    /// Everything at its beginning.
    pub(crate) fn new(
        settings: Settings,
        registry: &'static Registry,
        rebind: tokio::sync::mpsc::Sender<Rebind>,
        outside: Outside,
    ) -> Self {
        let started_unix_s = unix_micros() / 1_000_000;
        let port = settings.get("port").parse().unwrap_or(0);
        let clients = Clients::default();
        clients.set_bytes_max(settings.tuned().clients_bytes_max);
        let pubsub = Arc::new(Hub::default());
        let tracking = Tracking::new(Arc::new(Wanted::new(&pubsub.told())));
        tracking.set_keys_max(settings.tuned().tracking_keys_max);
        Self {
            settings,
            outside,
            generation: AtomicU64::new(1),
            registry,
            stats: Stats::new(registry.len()),
            clients,
            slowlog: Slowlog::default(),
            memory: crate::memory::Remembered::default(),
            started: Instant::now(),
            run_id: run_id(),
            paused: AtomicBool::new(false),
            pause: Mutex::new(None),
            resumed: tokio::sync::Notify::new(),
            cluster: Mutex::default(),
            tells_misses: AtomicBool::new(false),
            stop: watch::Sender::new(Stop::No),
            rebind,
            port: AtomicU64::new(port),
            saving: AtomicBool::new(false),
            save_failed_at: AtomicU64::new(0),
            writes_answered: AtomicU64::new(0),
            writes_seen: AtomicU64::new(0),
            started_unix_s,
            sending_snapshot: AtomicBool::new(false),
            followers: Followers::default(),
            pubsub,
            watched: Arc::new(Watched::new(Arc::clone(tracking.wanted()))),
            tracking: Arc::new(tracking),
        }
    }

    /// The settings in force, as numbers.
    pub(crate) fn tuned(&self) -> Arc<Tuned> {
        self.settings.tuned()
    }

    /// Tells sessions to look at the settings again.
    pub(crate) fn settings_changed(&self) {
        self.clients.set_bytes_max(self.tuned().clients_bytes_max);
        self.tracking.set_keys_max(self.tuned().tracking_keys_max);
        self.generation.fetch_add(1, Relaxed);
    }

    /// The replicated settings as last seen here.
    pub(crate) fn cluster(&self) -> Arc<ClusterSettings> {
        Arc::clone(&self.cluster.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes over the replicated settings, if they changed.
    pub(crate) fn see_cluster(&self, seen: &ClusterSettings) {
        let mut cluster = self.cluster.lock().unwrap_or_else(PoisonError::into_inner);
        if **cluster != *seen {
            *cluster = Arc::new(seen.clone());
            self.tells_misses.store(seen.notify.contains('m'), Relaxed);
            drop(cluster);
            self.settings_changed();
        }
    }

    /// The value of a setting whoever keeps it, in canonical form.
    pub(crate) fn value(&self, row: &crate::settings::Setting) -> String {
        let replicated = match row.scope {
            Scope::Cluster => self.cluster().get(row.name).map(|value| shown(row.name, value)),
            _ => None,
        };
        replicated.unwrap_or_else(|| self.settings.get(row.name))
    }

    /// Unix seconds of the newest snapshot, which was made at `newest_at`; like Redis, of the start
    /// while there is none (0).
    pub(crate) fn last_save(&self, newest_at: u64) -> u64 {
        if newest_at == 0 { self.started_unix_s } else { newest_at }
    }

    /// Sets or ends a pause.
    pub(crate) fn set_pause(&self, pause: Option<Pause>) {
        *self.pause.lock().unwrap_or_else(PoisonError::into_inner) = pause;
        self.paused.store(pause.is_some(), Relaxed);
        if pause.is_none() {
            self.resumed.notify_waiters();
        }
    }

    /// The pause in force, if any. One load when there is none.
    pub(crate) fn pause(&self) -> Option<Pause> {
        if !self.paused.load(Relaxed) {
            return None;
        }
        let pause = *self.pause.lock().unwrap_or_else(PoisonError::into_inner);
        if pause.is_some_and(|pause| pause.until > Instant::now()) {
            return pause;
        }
        self.set_pause(None);
        None
    }

    /// The entry with this id, for names in listings.
    pub(crate) fn command_name(&self, id: u16) -> &str {
        self.registry.get(id).map_or("", |entry: &Entry| entry.name.as_str())
    }

    /// Asks the process to stop.
    pub(crate) fn request_stop(&self, stop: Stop) {
        self.stop.send_replace(stop);
    }
}

/// Wall-clock time in microseconds: shown to clients and operators, never an input of the
/// replicated state.
#[allow(clippy::disallowed_methods, reason = "TIME, SLOWLOG and INFO show this machine's clock")]
pub(crate) fn unix_micros() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_micros() as u64
}

fn run_id() -> String {
    use sha2::Digest as _;
    use std::fmt::Write as _;
    let seed = format!("{}-{}", std::process::id(), unix_micros());
    let digest = sha2::Sha256::digest(seed.as_bytes());
    digest.iter().take(20).fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
