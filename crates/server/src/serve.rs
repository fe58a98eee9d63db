//! `quorate server`: one node from its start to its end.
//!
//! The order of the start: log, limits, client port (so that a taken port is told before anything
//! else happens), replica, sessions. The order of the end: no new clients, leadership handed over,
//! what was begun is answered, the replica closes.

use crate::clients::{FINISH, KILL};
use crate::command::set_in_cluster;
use crate::console::complain;
use crate::descriptors::Descriptors;
use crate::effects::audience;
use crate::options::{OptionsError, options, peers};
use crate::settings::{Scope, Settings, all};
use crate::shared::{Outside, Shared, Stop};
use crate::signals::{INTERRUPT, Signals, SignalsError, Wish};
use crate::{bind, cron, listen, logging};
use quorate_consensus::{Failed, HandOverError, LastSnapshot, Node, PeersError};
use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};
use tokio::sync::mpsc;

/// Set by `quorate dev` for its children: stop when the parent is gone.
pub(crate) const DIE_WITH_PARENT: &str = "QUORATE_DIE_WITH_PARENT";
/// How long the end may wait for a new leader.
const HAND_OVER_TIME: Duration = Duration::from_secs(5);
/// How long the end may wait for sessions to finish.
const FINISH_TIME: Duration = Duration::from_secs(3);

/// Why a node does not come as far as serving. What happens later ends the process on the spot.
#[derive(Debug)]
pub(crate) enum ServeError {
    /// There is no log.
    Log(logging::LogError),
    /// There are too few descriptors: so many, and so many are kept.
    Descriptors { limit: usize, reserve: usize },
    /// There is no runtime.
    Runtime(io::Error),
    /// Signals would not be heard.
    Signals(SignalsError),
    /// There is no port for clients.
    Bind(bind::BindError),
    /// The settings do not make a node.
    Options(OptionsError),
    /// The list of peers is not sound.
    Peers(PeersError),
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Log(why) => why.fmt(f),
            Self::Descriptors { limit, reserve } => write!(
                f,
                "the limit of open files ('ulimit -n' is {limit}) is too low for a node: it must \
                 be above {reserve}"
            ),
            Self::Runtime(why) => write!(f, "the runtime cannot start: {why}"),
            Self::Signals(why) => why.fmt(f),
            Self::Bind(why) => why.fmt(f),
            Self::Options(why) => why.fmt(f),
            Self::Peers(why) => why.fmt(f),
        }
    }
}

impl Error for ServeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Runtime(why) => Some(why),
            // These are told in the cause's own words.
            Self::Log(why) => why.source(),
            Self::Signals(why) => why.source(),
            Self::Bind(why) => why.source(),
            Self::Options(why) => why.source(),
            Self::Peers(why) => why.source(),
            Self::Descriptors { .. } => None,
        }
    }
}

/// Runs a node until it is told to stop.
pub(crate) fn run(settings: Settings) -> Result<(), ServeError> {
    let log = logging::start(&settings).map_err(ServeError::Log)?;
    limit_process(&settings);
    let descriptors = claim_descriptors(&settings)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(ServeError::Runtime)?;
    let outside = Outside { log: log.clone(), descriptors };
    let outcome = runtime.block_on(serve(settings, outside));
    // Blocking helpers (name look-ups) must not hold the end of the process up.
    runtime.shutdown_timeout(Duration::from_millis(200));
    log.flush();
    outcome
}

/// As many descriptors as `maxclients` asks for; `maxclients` is lowered to what there are.
fn claim_descriptors(settings: &Settings) -> Result<Descriptors, ServeError> {
    let wanted = settings.tuned().maxclients;
    let others = peers(settings).len().saturating_sub(1);
    let descriptors = Descriptors::claim(wanted, others);
    let (limit, reserve) = (descriptors.limit(), descriptors.reserve());
    let most = descriptors.clients_max();
    if most == 0 {
        return Err(ServeError::Descriptors { limit, reserve });
    }
    if most < wanted {
        tracing::warn!(
            "maxclients {wanted} is lowered to {most}: the limit of open files ('ulimit -n') is \
             {limit}, and {reserve} are kept for the log, snapshots and peers"
        );
        settings.lower_maxclients(most);
    }
    Ok(descriptors)
}

/// No core dumps (they would hold the data), and no huge pages where they do more harm than good.
///
/// The allocator asks for huge pages, and the kernel fills holes in them again that the allocator
/// has given back. Five million keys of 16 and 16 bytes, growth of resident memory: 106 bytes a key
/// with huge pages, 97 without; a snapshot of two million keys added 32 MB and adds 5.
/// (`MIMALLOC_ALLOW_THP=0` shows the same.) Two million keys set and read cost 3 % more CPU.
fn limit_process(settings: &Settings) {
    use rustix::process::{Resource, Rlimit, Signal, setrlimit};
    if settings.get("disable-thp") == "yes"
        && let Err(why) = rustix::thread::disable_transparent_huge_pages(true)
    {
        tracing::debug!(%why, "transparent huge pages stay as they are");
    }
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    let _ = setrlimit(Resource::Core, none);
    if std::env::var_os(DIE_WITH_PARENT).is_some() {
        let _ = rustix::process::set_parent_process_death_signal(Some(Signal::TERM));
    }
}

async fn serve(settings: Settings, outside: Outside) -> Result<(), ServeError> {
    let mut signals = Signals::catch().map_err(ServeError::Signals)?;
    let port: u16 = settings.get("port").parse().unwrap_or(6379);
    let backlog = settings.get("tcp-backlog").parse().unwrap_or(511);
    let listeners = bind::bind(&settings.get("bind"), port, backlog).map_err(ServeError::Bind)?;
    let options = options(&settings).map_err(ServeError::Options)?;
    tracing::info!(dir = %options.dir.display(), peers = ?options.peers, "starting");
    let (rebind, rebinds) = mpsc::channel(1);
    let shared = Arc::new(Shared::new(settings, crate::command::registry(), rebind, outside));
    let node = Node::start(options, audience(&shared.pubsub, &shared.watched, &shared.tracking))
        .map_err(ServeError::Peers)?;
    shared.see_cluster(node.peek().await.settings());
    tokio::spawn(cron::run(node.clone(), Arc::clone(&shared)));
    tokio::spawn(found_settings(node.clone(), Arc::clone(&shared)));
    let accepting =
        tokio::spawn(listen::accept_all(node.clone(), Arc::clone(&shared), listeners, rebinds));
    tracing::info!(port, "ready for clients");
    let stop = wait_for_end(&node, &shared, &mut signals).await;
    shared.request_stop(stop);
    tokio::select! {
        () = async {
            let _ = accepting.await;
            end(&node, &shared, stop).await;
        } => Ok(()),
        () = insisted(&shared, &mut signals) => {
            tracing::warn!("interrupted again: ending at once");
            shared.outside.log.flush();
            std::process::exit(1)
        }
    }
}

/// Waits for a second interrupt. Nothing is lost by it: what was acknowledged is on disks.
async fn insisted(shared: &Shared, signals: &mut Signals) {
    loop {
        match signals.next().await {
            INTERRUPT => return,
            Wish::Reopen => shared.outside.log.reopen(),
            Wish::Stop(_) => {}
        }
    }
}

/// Waits for a signal, SHUTDOWN, or a failure of the replica.
async fn wait_for_end(node: &Node, shared: &Shared, signals: &mut Signals) -> Stop {
    let mut stop = shared.stop.subscribe();
    loop {
        tokio::select! {
            Failed { why, diverged } = node.failed() => fail(shared, &why, diverged),
            wish = signals.next() => match wish {
                Wish::Reopen => shared.outside.log.reopen(),
                Wish::Stop(signal) => {
                    tracing::info!(signal, "told to stop");
                    return Stop::Orderly(LastSnapshot::default());
                }
            },
            asked = stop.wait_for(|stop| *stop != Stop::No) => {
                return asked.map_or(Stop::Orderly(LastSnapshot::default()), |stop| *stop);
            }
        }
    }
}

/// The end of a node that must not go on.
fn fail(shared: &Shared, why: &str, diverged: bool) -> ! {
    tracing::error!(why, "this node must stop");
    shared.outside.log.flush();
    complain(&format!("this node must stop: {why}"));
    if diverged {
        let why = crate::anew::begin(Path::new(&shared.settings.get("dir")), &shared.outside.log);
        complain(&why);
    }
    // At once: what would be dropped on the way out writes to the disk again, and sled panics where
    // that fails.
    std::process::exit(1)
}

async fn end(node: &Node, shared: &Shared, stop: Stop) {
    tracing::info!("stopping");
    if matches!(stop, Stop::Orderly(_)) {
        hand_over(node).await;
    }
    for peer in shared.clients.all() {
        peer.signal(FINISH);
    }
    let finished = async {
        while shared.clients.count() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    if tokio::time::timeout(FINISH_TIME, finished).await.is_err() {
        tracing::warn!(clients = shared.clients.count(), "closing clients that did not finish");
        shared.clients.all().iter().for_each(|peer| peer.signal(KILL));
    }
    let last = match stop {
        Stop::Orderly(last) | Stop::Now(last) => last,
        Stop::No => LastSnapshot::Never,
    };
    node.shutdown(last).await;
    tracing::info!("stopped");
}

/// Hands leadership over: the one place where a stop does. Whoever does not take it in time may be
/// behind, so it is tried again for as long as there is time.
async fn hand_over(node: &Node) {
    let handed = async {
        loop {
            match node.hand_over(None).await {
                Err(HandOverError::TooLate) => {}
                handed => return handed,
            }
        }
    };
    match tokio::time::timeout(HAND_OVER_TIME, handed).await {
        Ok(Ok(())) => {}
        Ok(Err(why)) => tracing::info!(%why, "leadership was not handed over"),
        Err(_) => tracing::warn!("nobody took leadership over in time"),
    }
}

/// A file or flag gives a replicated setting only while the cluster still has its default: the
/// leader proposes it once.
async fn found_settings(node: Node, shared: Arc<Shared>) {
    let given: Vec<_> = all()
        .filter(|row| row.scope == Scope::Cluster && shared.settings.is_given(row.name))
        .collect();
    if given.is_empty() {
        return;
    }
    let mut ready = tokio::time::interval(Duration::from_millis(50));
    while !node.is_ready() {
        ready.tick().await;
    }
    let Ok(unset) = node.read().await.map(|keyspace| {
        shared.see_cluster(keyspace.settings());
        let default = quorate_engine::Settings::default();
        let now = keyspace.settings();
        given
            .into_iter()
            .filter(|row| now.get(row.name) == default.get(row.name))
            .collect::<Vec<_>>()
    }) else {
        return;
    };
    for row in unset {
        let value = shared.settings.get(row.name);
        if shared.value(row) != value
            && let Err(why) = set_in_cluster(&node, row.name, &value).await
        {
            tracing::warn!(setting = row.name, ?why, "the cluster did not take the setting");
        }
    }
}
