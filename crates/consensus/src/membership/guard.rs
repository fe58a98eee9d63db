//! Who may speak to this replica: the check every envelope passes.
//!
//! Two clusters whose compose files were copied, two nodes whose disks or addresses were swapped, a
//! directory restored from an old copy: all of them look like peers at first. They are refused
//! before Raft sees a word, and the first refusal of each kind is logged with what is wrong.

use crate::api::GROUP;
use crate::membership::members::{Members, Outdated, Start};
use crate::proto as pb;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Version of `proto/peer.proto` as spoken. Raised when an old build could misread a new one.
pub(crate) const WIRE_VERSION: u32 = 1;

/// Peers whose last refusal is remembered. More than any cluster has; a bound against forged ids.
const SEEN_MAX: usize = 1024;

/// What an envelope must show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Needs {
    /// Our cluster and our node id.
    Member,
    /// No other cluster and no other node id than ours: the sender may not know them yet.
    Stranger,
}

/// Why a message is not looked at. `name` is this replica's, as is `node`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// It has no envelope.
    NoEnvelope,
    /// It speaks this version of the contract.
    WireVersion { theirs: u32, name: String },
    /// It is for this Raft group.
    Group { theirs: u32, name: String },
    /// It shows this node id as the sender's.
    Sender { theirs: u64, name: String },
    /// It is for this node.
    Receiver { theirs: u64, name: String, node: u64 },
    /// Its cluster id is none.
    ClusterId(NoClusterId),
    /// It belongs to another cluster.
    Cluster { theirs: u128, ours: u128, name: String },
    /// It names no cluster.
    NoCluster,
    /// This replica belongs to none.
    NotYet { name: String },
    /// Its sender is not the newest start of its node.
    Outdated(Outdated),
    /// This process is not the newest start of its own node, which has another start of the same
    /// number (`twice`) or this later one.
    Own { node: u64, name: String, start: u64, known: u64, twice: bool },
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoEnvelope => f.write_str("a message without an envelope"),
            Self::WireVersion { theirs, name } => write!(
                f,
                "it speaks wire version {theirs}, {name} speaks {WIRE_VERSION}: run the same \
                 release"
            ),
            Self::Group { theirs, name } => write!(f, "{name} has no Raft group {theirs}"),
            Self::Sender { theirs, name } => write!(
                f,
                "it shows node id {theirs}, which is {name}'s own or none: an address leads back \
                 to its sender, or a data directory was copied"
            ),
            Self::Receiver { theirs, name, node } => write!(
                f,
                "it looks for node {theirs}, but {name} is node {node}: its disk was replaced, or \
                 addresses were swapped"
            ),
            Self::ClusterId(why) => why.fmt(f),
            Self::Cluster { theirs, ours, name } => {
                write!(f, "it belongs to cluster {theirs:032x}, {name} to {ours:032x}")
            }
            Self::NoCluster => f.write_str("it names no cluster"),
            Self::NotYet { name } => write!(f, "{name} belongs to no cluster yet"),
            Self::Outdated(why) => why.fmt(f),
            Self::Own { node, name, start, known, twice } => write!(
                f,
                "this is start {start} of node {node} ({name}), and the cluster knows of {} \
                 {known}: its data directory is an older copy, or is used twice. Stop it; if the \
                 node's own directory is lost, move this one aside and let it join again as a new \
                 node",
                if *twice { "another start" } else { "start" }
            ),
        }
    }
}

impl Error for Unfit {}

/// A cluster id that is not of 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoClusterId;

impl fmt::Display for NoClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a cluster id has 16 bytes")
    }
}

impl Error for NoClusterId {}

/// Checks envelopes, and makes them, for one replica: there is one guard in a process.
#[derive(Debug)]
pub(crate) struct Guard {
    node: u64,
    name: String,
    /// This start.
    start: Start,
    /// Facts of the applied state. Written by apply alone.
    members: Mutex<Members>,
    /// The starts that members answered with last.
    answered: Mutex<BTreeMap<u64, Start>>,
    /// What peers were refused for last, so that the same refusal is not logged again and again.
    refused: Mutex<BTreeMap<u64, Unfit>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Guard {
    pub(crate) fn new(node: u64, name: String, start: Start) -> Self {
        Self {
            node,
            name,
            start,
            members: Mutex::default(),
            answered: Mutex::default(),
            refused: Mutex::default(),
        }
    }

    /// Which start this is.
    pub(crate) fn start(&self) -> Start {
        self.start
    }

    /// The facts of the applied state.
    pub(crate) fn members(&self) -> MutexGuard<'_, Members> {
        lock(&self.members)
    }

    /// The envelope of a message to a peer.
    pub(crate) fn envelope(&self, cluster: Option<u128>, to: u64, max_level: u64) -> pb::Envelope {
        let known = self.members().start_of(to);
        pb::Envelope {
            cluster: cluster_bytes(cluster),
            from: self.node,
            to,
            incarnation: self.start.incarnation,
            wire_version: WIRE_VERSION,
            group: GROUP,
            max_level,
            start: self.start.nonce,
            to_incarnation: known.incarnation,
            to_start: known.nonce,
        }
    }

    /// Whether the message under this envelope may be looked at. `cluster` is ours.
    pub(crate) fn check(
        &self,
        cluster: Option<u128>,
        envelope: Option<&pb::Envelope>,
        needs: Needs,
    ) -> Result<(), Unfit> {
        let Some(envelope) = envelope else { return Err(Unfit::NoEnvelope) };
        let shown = Start { incarnation: envelope.incarnation, nonce: envelope.start };
        let result = self
            .fits(cluster, envelope, needs)
            .and_then(|()| self.judge(envelope.from, shown))
            .and_then(|()| self.is_current(envelope));
        self.note(envelope.from, &result);
        result
    }

    /// Notes with which start a member has answered; says why its answer does not count.
    pub(crate) fn answered(&self, node: u64, shown: Start) -> Result<(), Unfit> {
        let result = self.judge(node, shown);
        self.note(node, &result);
        result?;
        lock(&self.answered).insert(node, shown);
        Ok(())
    }

    fn judge(&self, node: u64, shown: Start) -> Result<(), Unfit> {
        self.members().judge(node, shown).map_err(Unfit::Outdated)
    }

    /// What a peer was refused for last, unless it has been listened to since.
    #[cfg(test)]
    pub(crate) fn last_refusal(&self, node: u64) -> Option<Unfit> {
        lock(&self.refused).get(&node).cloned()
    }

    /// A start of a member, or of this replica, that is not a fact yet.
    pub(crate) fn news(&self, is_member: &dyn Fn(u64) -> bool) -> Option<(u64, Start)> {
        let mut answered = lock(&self.answered);
        answered.retain(|node, _| is_member(*node));
        let members = self.members();
        let all = answered.iter().map(|(node, start)| (*node, *start));
        all.chain([(self.node, self.start)]).find(|(node, start)| members.is_news(*node, *start))
    }

    /// Whether this very process is an older copy, or one of two: a peer knows of a later start.
    fn is_current(&self, envelope: &pb::Envelope) -> Result<(), Unfit> {
        let Start { incarnation, nonce } = self.start;
        let known = Start { incarnation: envelope.to_incarnation, nonce: envelope.to_start };
        let twice = known.incarnation == incarnation && known.nonce != nonce && known.nonce != 0;
        if known.incarnation > incarnation || (twice && nonce != 0) {
            let (node, name) = (self.node, self.name.clone());
            let (start, known) = (incarnation, known.incarnation);
            return Err(Unfit::Own { node, name, start, known, twice });
        }
        Ok(())
    }

    /// Logs the first refusal of each kind.
    fn note(&self, from: u64, result: &Result<(), Unfit>) {
        let mut refused = lock(&self.refused);
        match result {
            Ok(()) => drop(refused.remove(&from)),
            Err(why) if refused.get(&from) != Some(why) => {
                tracing::warn!(from, "refused a peer: {why}");
                if refused.contains_key(&from) || refused.len() < SEEN_MAX {
                    refused.insert(from, why.clone());
                }
            }
            Err(_) => {}
        }
    }

    fn fits(
        &self,
        cluster: Option<u128>,
        envelope: &pb::Envelope,
        needs: Needs,
    ) -> Result<(), Unfit> {
        let (node, name) = (self.node, || self.name.clone());
        if envelope.wire_version != WIRE_VERSION {
            return Err(Unfit::WireVersion { theirs: envelope.wire_version, name: name() });
        }
        if envelope.group != 0 {
            return Err(Unfit::Group { theirs: envelope.group, name: name() });
        }
        if envelope.from == 0 || envelope.from == node {
            return Err(Unfit::Sender { theirs: envelope.from, name: name() });
        }
        let stranger = needs == Needs::Stranger;
        if envelope.to != node && !(stranger && envelope.to == 0) {
            return Err(Unfit::Receiver { theirs: envelope.to, name: name(), node });
        }
        let theirs = parse_cluster(&envelope.cluster).map_err(Unfit::ClusterId)?;
        match (theirs, cluster) {
            (Some(theirs), Some(ours)) if theirs != ours => {
                Err(Unfit::Cluster { theirs, ours, name: name() })
            }
            (Some(_), Some(_)) => Ok(()),
            _ if stranger => Ok(()),
            (None, _) => Err(Unfit::NoCluster),
            (_, None) => Err(Unfit::NotYet { name: name() }),
        }
    }
}

/// A new cluster id. Its upper half is the founder's node id: so nobody else can ever take the
/// founding over, even with a disk that knows the id.
pub(crate) fn draw_cluster(founder: u64, random: u64) -> u128 {
    (u128::from(founder) << 64) | u128::from(random)
}

/// Who drew this cluster id.
pub(crate) fn founder_of(cluster: u128) -> u64 {
    (cluster >> 64) as u64
}

/// A cluster id as it stands in messages.
pub(crate) fn cluster_bytes(cluster: Option<u128>) -> Bytes {
    cluster.map_or_else(Bytes::new, |id| Bytes::copy_from_slice(&id.to_be_bytes()))
}

/// A cluster id from a message; empty is none.
pub(crate) fn parse_cluster(bytes: &[u8]) -> Result<Option<u128>, NoClusterId> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let bytes: [u8; 16] = bytes.try_into().map_err(|_| NoClusterId)?;
    Ok(Some(u128::from_be_bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use super::{Guard, Needs, WIRE_VERSION, cluster_bytes, draw_cluster, founder_of};
    use crate::api::GROUP;
    use crate::membership::members::Start;
    use crate::proto::{Envelope, MemberFact};

    const OURS: u128 = 77;
    const START: Start = Start { incarnation: 3, nonce: 30 };

    fn guard() -> Guard {
        Guard::new(1, "a:1".to_owned(), START)
    }

    fn good() -> Envelope {
        Envelope {
            cluster: cluster_bytes(Some(OURS)),
            from: 2,
            to: 1,
            incarnation: 5,
            wire_version: WIRE_VERSION,
            group: GROUP,
            max_level: 0,
            start: 50,
            to_incarnation: 0,
            to_start: 0,
        }
    }

    #[test]
    fn every_field_is_checked() {
        let guard = guard();
        let check = |envelope: Envelope, needs, expect: &str| {
            let unfit = guard.check(Some(OURS), Some(&envelope), needs).err();
            let text = unfit.map_or(String::new(), |why| why.to_string());
            assert!(text.contains(expect) && text.is_empty() == expect.is_empty(), "{text:?}");
        };
        check(good(), Needs::Member, "");
        check(Envelope { wire_version: 9, ..good() }, Needs::Stranger, "wire version 9");
        check(Envelope { group: 3, ..good() }, Needs::Stranger, "no Raft group 3");
        check(Envelope { from: 1, ..good() }, Needs::Stranger, "its sender");
        check(Envelope { from: 0, ..good() }, Needs::Stranger, "its sender");
        check(Envelope { to: 3, ..good() }, Needs::Stranger, "looks for node 3");
        check(Envelope { to: 0, ..good() }, Needs::Stranger, "");
        check(Envelope { to: 0, ..good() }, Needs::Member, "looks for node 0");
        let other = cluster_bytes(Some(78));
        check(Envelope { cluster: other, ..good() }, Needs::Stranger, "belongs to cluster");
        let none = cluster_bytes(None);
        check(Envelope { cluster: none.clone(), ..good() }, Needs::Stranger, "");
        check(Envelope { cluster: none, ..good() }, Needs::Member, "names no cluster");
        let short = bytes::Bytes::from_static(b"short");
        check(Envelope { cluster: short, ..good() }, Needs::Stranger, "16 bytes");
        assert!(guard.check(Some(OURS), None, Needs::Stranger).is_err());
        assert!(guard.check(None, Some(&good()), Needs::Member).is_err(), "no cluster yet");
        assert!(guard.check(None, Some(&good()), Needs::Stranger).is_ok());
    }

    fn known(node: u64, incarnation: u64, start: u64) -> Vec<u8> {
        let fact = MemberFact { node, incarnation, start, removed_at: 0 };
        prost::Message::encode_to_vec(&fact)
    }

    #[test]
    fn an_old_start_is_refused_for_good() {
        let guard = guard();
        let check = |(incarnation, start)| {
            let envelope = Envelope { incarnation, start, ..good() };
            guard.check(Some(OURS), Some(&envelope), Needs::Member).is_ok()
        };
        guard.members().apply(&known(2, 5, 50)).expect("it is well formed");
        assert_eq!([(5, 50), (6, 60), (5, 50)].map(check), [true, true, true]);
        guard.members().apply(&known(2, 6, 60)).expect("it is well formed");
        assert_eq!([(5, 50), (6, 60), (6, 61), (7, 1)].map(check), [false, true, false, true]);
        let answers = |incarnation, nonce| guard.answered(2, Start { incarnation, nonce }).is_ok();
        assert!(!answers(5, 50) && !answers(6, 61) && answers(6, 60));
        assert_eq!(guard.news(&|_| true), Some((1, START)), "this start is not a fact yet");
        assert!(answers(7, 70));
        assert_eq!(guard.news(&|_| true), Some((2, Start { incarnation: 7, nonce: 70 })));
        assert_eq!(guard.news(&|node| node == 1), Some((1, START)), "of members alone");
    }

    #[test]
    fn a_forged_start_keeps_nobody_out() {
        let guard = guard();
        let check = |envelope: &Envelope| guard.check(Some(OURS), Some(envelope), Needs::Member);
        check(&Envelope { incarnation: u64::MAX, start: 9, ..good() }).expect("it may be so");
        check(&good()).expect("only facts count");
    }

    #[test]
    fn an_older_copy_learns_that_it_is_one() {
        let guard = guard();
        let check = |to_incarnation, to_start| {
            let envelope = Envelope { to_incarnation, to_start, ..good() };
            guard.check(Some(OURS), Some(&envelope), Needs::Member)
        };
        assert!(check(0, 0).is_ok() && check(3, 30).is_ok() && check(2, 7).is_ok());
        for why in [check(4, 40), check(3, 31)] {
            let why = why.expect_err("it is not the newest").to_string();
            assert!(why.contains("move this one aside"), "{why}");
        }
        let made = guard.envelope(Some(OURS), 2, 1);
        assert_eq!((made.incarnation, made.start, made.to_incarnation), (3, 30, 0));
        guard.members().apply(&known(2, 8, 80)).expect("it is well formed");
        let made = guard.envelope(Some(OURS), 2, 1);
        assert_eq!((made.to_incarnation, made.to_start), (8, 80));
    }

    #[test]
    fn a_cluster_id_names_its_founder() {
        let id = draw_cluster(0xfeed_0000_0000_0001, 0xffff_ffff_ffff_ffff);
        assert_eq!(founder_of(id), 0xfeed_0000_0000_0001);
    }
}
