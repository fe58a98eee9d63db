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
use crate::settings::{Scope, Settings, all};
use crate::shared::{Outside, Shared, Stop};
use crate::signals::{INTERRUPT, Signals, Wish};
use crate::{bind, cron, listen, logging, secret};
use quorate_consensus::{Failed, LastSnapshot, Node, Options};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Set by `quorate dev` for its children: stop when the parent is gone.
pub(crate) const DIE_WITH_PARENT: &str = "QUORATE_DIE_WITH_PARENT";
/// How long the end may wait for a new leader.
const HAND_OVER_TIME: Duration = Duration::from_secs(5);
/// How long the end may wait for sessions to finish.
const FINISH_TIME: Duration = Duration::from_secs(3);

/// Runs a node until it is told to stop.
pub(crate) fn run(settings: Settings) -> Result<(), String> {
    let log = logging::start(&settings)?;
    limit_process(&settings);
    let descriptors = claim_descriptors(&settings)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|why| format!("the runtime cannot start: {why}"))?;
    let outside = Outside { log: log.clone(), descriptors };
    let outcome = runtime.block_on(serve(settings, outside));
    // Blocking helpers (name look-ups) must not hold the end of the process up.
    runtime.shutdown_timeout(Duration::from_millis(200));
    log.flush();
    outcome
}

/// As many descriptors as `maxclients` asks for; `maxclients` is lowered to what there are.
fn claim_descriptors(settings: &Settings) -> Result<Descriptors, String> {
    let wanted = settings.tuned().maxclients;
    let others = peers(settings).len().saturating_sub(1);
    let descriptors = Descriptors::claim(wanted, others);
    let (limit, reserve) = (descriptors.limit(), descriptors.reserve());
    let most = descriptors.clients_max();
    if most == 0 {
        return Err(format!(
            "the limit of open files ('ulimit -n' is {limit}) is too low for a node: it must be \
             above {reserve}"
        ));
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

async fn serve(settings: Settings, outside: Outside) -> Result<(), String> {
    let mut signals = Signals::catch()?;
    let port: u16 = settings.get("port").parse().unwrap_or(6379);
    let backlog = settings.get("tcp-backlog").parse().unwrap_or(511);
    let listeners =
        bind::bind(&settings.get("bind"), port, backlog).map_err(|why| why.to_string())?;
    let options = options(&settings)?;
    tracing::info!(dir = %options.dir.display(), peers = ?options.peers, "starting");
    let (rebind, rebinds) = mpsc::channel(1);
    let shared = Arc::new(Shared::new(settings, crate::command::registry(), rebind, outside));
    let node = Node::start(options, audience(&shared.pubsub)).map_err(|why| why.to_string())?;
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
        match tokio::time::timeout(HAND_OVER_TIME, node.hand_over(None)).await {
            Ok(Ok(())) => {}
            Ok(Err(why)) => tracing::info!(why, "leadership was not handed over"),
            Err(_) => tracing::warn!("nobody took leadership over in time"),
        }
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

/// Every node of the cluster, by its peer port.
fn peers(settings: &Settings) -> Vec<String> {
    let peers = settings.get("peers");
    peers.split([',', ' ']).filter(|peer| !peer.is_empty()).map(str::to_owned).collect()
}

/// What the replica is told, from the settings.
fn options(settings: &Settings) -> Result<Options, String> {
    let number = |name: &str| settings.get(name).parse::<u64>().unwrap_or(0);
    let port = number("port");
    let peer_port = match number("peer-port") {
        0 => port + 10_000,
        given => given,
    };
    let peer_port = u16::try_from(peer_port)
        .map_err(|_| format!("peer port {peer_port} is too large: give --peer-port"))?;
    let peers = peers(settings);
    let peer_address = peer_address(settings, &peers, peer_port)?;
    let peer_bind = peer_bind(settings, &peers, peer_port)?;
    let host = match settings.get("announce-host") {
        given if !given.is_empty() => given,
        _ => peer_address.rsplit_once(':').map_or("127.0.0.1", |(host, _)| host).to_owned(),
    };
    let peer_secret = secret::given(settings)?;
    may_listen(peer_bind, peer_secret.is_some())?;
    let [heartbeat, election_min, election_max] = time_outs(settings, number);
    Ok(Options {
        dir: settings.get("dir").into(),
        peer_bind,
        peer_address,
        resp_address: format!("{host}:{port}"),
        peers,
        peer_secret,
        heartbeat,
        election_min,
        election_max,
        write_timeout: Duration::from_millis(number("cluster-write-timeout")),
        snapshot_log_bytes: number("auto-snapshot-log-bytes"),
        snapshot_age: Duration::from_secs(number("auto-snapshot-seconds")),
        reserve_bytes: number("disk-reserve-bytes"),
        segment_bytes: number("segment-bytes"),
        fsync: settings.get("unsafe-no-fsync") != "yes",
    })
}

/// Heartbeat, least and most silence before an election: as given, or as suits the links.
fn time_outs(settings: &Settings, number: impl Fn(&str) -> u64) -> [Duration; 3] {
    let by_link = match settings.get("cluster-link").as_str() {
        "wan" => [("heartbeat-ms", 300), ("election-min-ms", 1500), ("election-max-ms", 2500)],
        _ => [("heartbeat-ms", 75), ("election-min-ms", 250), ("election-max-ms", 400)],
    };
    by_link.map(|(name, default)| match number(name) {
        0 => Duration::from_millis(default),
        given => Duration::from_millis(given),
    })
}

/// Which entry of the peer list this node is: given, or the one with this node's peer port and a
/// host of this machine.
fn peer_address(settings: &Settings, peers: &[String], port: u16) -> Result<String, String> {
    let given = settings.get("peer-address");
    if !given.is_empty() {
        if !peers.is_empty() && !peers.contains(&given) {
            return Err(format!("peer-address {given} is not among peers {peers:?}"));
        }
        return Ok(given);
    }
    if peers.is_empty() {
        return Ok(format!("127.0.0.1:{port}"));
    }
    let suffix = format!(":{port}");
    let mine: Vec<&String> = peers.iter().filter(|peer| peer.ends_with(&suffix)).collect();
    let host_name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let named = mine.iter().find(|peer| {
        let host = peer.rsplit_once(':').map_or("", |(host, _)| host);
        host == host_name.trim() || host.split('.').next() == Some(host_name.trim())
    });
    match (named, mine.as_slice()) {
        (Some(peer), _) => Ok((*peer).clone()),
        (None, [one]) => Ok((*one).clone()),
        (None, []) => Err(format!("no entry of peers {peers:?} has this node's peer port {port}")),
        (None, _) => Err(format!(
            "several entries of peers {peers:?} have peer port {port}: say which is this node with \
             --peer-address"
        )),
    }
}

/// Where peers are listened to: on loopback when all of them are there, else everywhere.
fn peer_bind(settings: &Settings, peers: &[String], port: u16) -> Result<SocketAddr, String> {
    let given = settings.get("peer-bind");
    let local = |peer: &String| {
        let host = peer.rsplit_once(':').map_or(peer.as_str(), |(host, _)| host);
        let host = host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost"
            || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    };
    let name = match given.as_str() {
        "" if peers.iter().all(local) => "127.0.0.1",
        "" => "*",
        given => given,
    };
    bind::address(name, port).map_err(|why| format!("peer-bind {name}: {why}"))
}

/// Whoever reaches the peer port is believed unless there is a secret, so without one only this
/// machine may reach it.
fn may_listen(peer_bind: SocketAddr, has_secret: bool) -> Result<(), String> {
    if has_secret || peer_bind.ip().is_loopback() {
        return Ok(());
    }
    Err(format!(
        "the peer port would listen on {peer_bind} without a secret, and whoever reaches it could \
         write, vote and elect: give every node the same --peer-secret-file (quorate secret --file \
         PATH makes one) or QUORATE_PEER_SECRET; or, for a cluster on one machine, --peer-bind \
         127.0.0.1"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a node with these settings starts, as far as the peer port goes.
    fn check(pairs: &[(&str, &str)], expected: Result<&str, &str>) {
        let pairs: Vec<_> =
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let settings = Settings::from_pairs(&pairs, None).map_err(|why| why.to_string());
        let bound = settings.and_then(|settings| options(&settings));
        let bound = bound.map(|options| options.peer_bind.ip().to_string());
        match (bound, expected) {
            (Ok(address), Ok(expected)) => assert_eq!(address, expected, "{pairs:?}"),
            (Err(why), Err(part)) => assert!(why.contains(part), "{pairs:?}: {why}"),
            (other, _) => assert!(other.is_err() == expected.is_err(), "{pairs:?}: {other:?}"),
        }
    }

    #[test]
    fn peers_beyond_this_machine_need_a_secret() {
        const REFUSED: Result<&str, &str> = Err("without a secret");
        let far = ("peers", "10.1.2.3:16379,10.1.2.4:16379,127.0.0.1:16379");
        let mine = ("peer-address", "127.0.0.1:16379");
        let near = ("peers", "127.0.0.1:16379,127.0.0.1:16380,[::1]:16381");
        let secret = ("peer-secret", "open sesame");
        check(&[], Ok("127.0.0.1"));
        check(&[near, mine], Ok("127.0.0.1"));
        check(&[far, mine], REFUSED);
        check(&[far, mine, secret], Ok("0.0.0.0"));
        check(&[("peer-bind", "0.0.0.0")], REFUSED);
        check(&[near, mine, ("peer-bind", "10.1.2.3")], REFUSED);
        check(&[("peer-bind", "10.1.2.3"), secret], Ok("10.1.2.3"));
        check(&[far, mine, ("peer-bind", "127.0.0.1")], Ok("127.0.0.1"));
        check(&[far, mine, ("peer-secret", "")], REFUSED);
        check(&[("peer-secret-file", "/nowhere/at/all")], Err("peer-secret-file"));
    }
}
