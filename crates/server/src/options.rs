//! What the replica is told, read from the settings.
//!
//! Which entry of the peer list is this node, where its peer port listens and whether it may there:
//! what can be wrong with them together is found here, before anything is opened.

use crate::command::in_script;
use crate::settings::Settings;
use crate::{bind, secret};
use quorate_consensus::{Options, ReplicaOptions, Scripts};
use quorate_script::Threads;
use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

/// Why the settings do not make a node.
#[derive(Debug)]
pub(crate) enum OptionsError {
    /// There is no such port for peers.
    PeerPort(u64),
    /// This address of the node is not among these peers.
    NotListed(String, Vec<String>),
    /// None of these peers has the node's peer port.
    NoEntry(Vec<String>, u16),
    /// More than one of them has.
    Several(Vec<String>, u16),
    /// The name that the peer port is to listen on has no address.
    PeerBind(String, io::Error),
    /// There is no secret to be had.
    Secret(secret::SecretError),
    /// The peer port would listen where others reach it, without a secret.
    NoSecret(SocketAddr),
}

impl fmt::Display for OptionsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PeerPort(port) => write!(f, "peer port {port} is too large: give --peer-port"),
            Self::NotListed(given, peers) => {
                write!(f, "peer-address {given} is not among peers {peers:?}")
            }
            Self::NoEntry(peers, port) => {
                write!(f, "no entry of peers {peers:?} has this node's peer port {port}")
            }
            Self::Several(peers, port) => write!(
                f,
                "several entries of peers {peers:?} have peer port {port}: say which is this node \
                 with --peer-address"
            ),
            Self::PeerBind(name, why) => write!(f, "peer-bind {name}: {why}"),
            Self::Secret(why) => why.fmt(f),
            Self::NoSecret(bind) => write!(
                f,
                "the peer port would listen on {bind} without a secret, and whoever reaches it \
                 could write, vote and elect: give every node the same --peer-secret-file \
                 (quorate secret --file PATH makes one) or QUORATE_PEER_SECRET; or, for a cluster \
                 on one machine, --peer-bind 127.0.0.1"
            ),
        }
    }
}

impl Error for OptionsError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::PeerBind(_, why) => Some(why),
            // It is told in the cause's own words.
            Self::Secret(why) => why.source(),
            Self::PeerPort(_)
            | Self::NotListed(..)
            | Self::NoEntry(..)
            | Self::Several(..)
            | Self::NoSecret(_) => None,
        }
    }
}

/// Every node of the cluster, by its peer port.
pub(crate) fn peers(settings: &Settings) -> Vec<String> {
    let peers = settings.get("peers");
    peers.split([',', ' ']).filter(|peer| !peer.is_empty()).map(str::to_owned).collect()
}

/// What the replica is told, from the settings.
pub(crate) fn options(settings: &Settings) -> Result<Options, OptionsError> {
    let number = |name: &str| settings.get(name).parse::<u64>().unwrap_or(0);
    let port = number("port");
    let peer_port = match number("peer-port") {
        0 => port + 10_000,
        given => given,
    };
    let peer_port = u16::try_from(peer_port).map_err(|_| OptionsError::PeerPort(peer_port))?;
    let peers = peers(settings);
    let peer_address = peer_address(settings, &peers, peer_port)?;
    let peer_bind = peer_bind(settings, &peers, peer_port)?;
    let host = match settings.get("announce-host") {
        given if !given.is_empty() => given,
        _ => peer_address.rsplit_once(':').map_or("127.0.0.1", |(host, _)| host).to_owned(),
    };
    let peer_secret = secret::given(settings).map_err(OptionsError::Secret)?;
    may_listen(peer_bind, peer_secret.is_some())?;
    let [heartbeat, election_min, election_max] = time_outs(settings, number);
    Ok(Options {
        dir: settings.get("dir").into(),
        peer_bind,
        peer_address,
        resp_address: format!("{host}:{port}"),
        peers,
        peer_secret,
        replica: ReplicaOptions {
            heartbeat,
            election_min,
            election_max,
            write_timeout: Duration::from_millis(number("cluster-write-timeout")),
            snapshot_log_bytes: number("auto-snapshot-log-bytes"),
            snapshot_age: Duration::from_secs(number("auto-snapshot-seconds")),
            scripts: Scripts {
                language: Some(Arc::new(Threads)),
                server: in_script,
                ..Scripts::default()
            },
        },
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
fn peer_address(settings: &Settings, peers: &[String], port: u16) -> Result<String, OptionsError> {
    let given = settings.get("peer-address");
    if !given.is_empty() {
        if !peers.is_empty() && !peers.contains(&given) {
            return Err(OptionsError::NotListed(given, peers.to_vec()));
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
        (None, []) => Err(OptionsError::NoEntry(peers.to_vec(), port)),
        (None, _) => Err(OptionsError::Several(peers.to_vec(), port)),
    }
}

/// Where peers are listened to: on loopback when all of them are there, else everywhere.
fn peer_bind(settings: &Settings, peers: &[String], port: u16) -> Result<SocketAddr, OptionsError> {
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
    bind::address(name, port).map_err(|why| OptionsError::PeerBind(name.to_owned(), why))
}

/// Whoever reaches the peer port is believed unless there is a secret, so without one only this
/// machine may reach it.
fn may_listen(peer_bind: SocketAddr, has_secret: bool) -> Result<(), OptionsError> {
    if has_secret || peer_bind.ip().is_loopback() {
        return Ok(());
    }
    Err(OptionsError::NoSecret(peer_bind))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a node with these settings starts, as far as the peer port goes.
    fn check(pairs: &[(&str, &str)], expected: Result<&str, &str>) {
        let pairs: Vec<_> =
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let settings = Settings::from_pairs(&pairs, None).map_err(|why| why.to_string());
        let bound = settings.and_then(|settings| options(&settings).map_err(|why| why.to_string()));
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
