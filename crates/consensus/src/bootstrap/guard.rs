//! Who may speak to this replica: the check every envelope passes.
//!
//! Two clusters whose compose files were copied, two nodes whose disks or addresses were swapped, a
//! directory restored from an old copy: all of them look like peers at first. They are refused
//! before Raft sees a word, and the first refusal of each kind is logged with what is wrong.

use crate::proto as pb;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Version of `proto/peer.proto` as spoken. Raised when an old build could misread a new one.
pub(crate) const WIRE_VERSION: u32 = 1;

/// Peers whose incarnation is remembered. More than any cluster has; a bound against forged ids.
const SEEN_MAX: usize = 1024;

/// What an envelope must show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Needs {
    /// Our cluster and our node id.
    Member,
    /// No other cluster and no other node id than ours: the sender may not know them yet.
    Stranger,
}

/// Checks envelopes for one replica.
#[derive(Debug)]
pub(crate) struct Guard {
    node: u64,
    name: String,
    seen: Mutex<BTreeMap<u64, Seen>>,
}

/// What is remembered of a peer.
#[derive(Debug, Default)]
struct Seen {
    /// The greatest incarnation it showed.
    incarnation: u64,
    /// What it was refused for last, so that the same refusal is not logged again and again.
    refused: Option<String>,
}

impl Guard {
    pub(crate) fn new(node: u64, name: String) -> Self {
        Self { node, name, seen: Mutex::new(BTreeMap::new()) }
    }

    /// Whether the message under this envelope may be looked at. `cluster` is ours.
    pub(crate) fn check(
        &self,
        cluster: Option<u128>,
        envelope: Option<&pb::Envelope>,
        needs: Needs,
    ) -> Result<(), String> {
        let Some(envelope) = envelope else {
            return Err("a message without an envelope".to_owned());
        };
        let result = self.fits(cluster, envelope, needs);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if !seen.contains_key(&envelope.from) && seen.len() >= SEEN_MAX {
            return result;
        }
        let peer = seen.entry(envelope.from).or_default();
        let result = result.and_then(|()| peer.advance(envelope));
        match &result {
            Ok(()) => peer.refused = None,
            Err(text) if peer.refused.as_ref() != Some(text) => {
                tracing::warn!(from = envelope.from, "refused a peer: {text}");
                peer.refused = Some(text.clone());
            }
            Err(_) => {}
        }
        result
    }

    fn fits(
        &self,
        cluster: Option<u128>,
        envelope: &pb::Envelope,
        needs: Needs,
    ) -> Result<(), String> {
        let Self { node, name, .. } = self;
        if envelope.wire_version != WIRE_VERSION {
            return Err(format!(
                "it speaks wire version {}, {name} speaks {WIRE_VERSION}: run the same release",
                envelope.wire_version
            ));
        }
        if envelope.group != 0 {
            return Err(format!("{name} has no Raft group {}", envelope.group));
        }
        if envelope.from == 0 || envelope.from == *node {
            return Err(format!(
                "it shows node id {}, which is {name}'s own or none: an address leads back to \
                 its sender, or a data directory was copied",
                envelope.from
            ));
        }
        let stranger = needs == Needs::Stranger;
        if envelope.to != *node && !(stranger && envelope.to == 0) {
            return Err(format!(
                "it looks for node {}, but {name} is node {node}: its disk was replaced, or \
                addresses were swapped",
                envelope.to
            ));
        }
        match (parse_cluster(&envelope.cluster)?, cluster) {
            (Some(theirs), Some(ours)) if theirs != ours => {
                Err(format!("it belongs to cluster {theirs:032x}, {name} to {ours:032x}"))
            }
            (Some(_), Some(_)) => Ok(()),
            _ if stranger => Ok(()),
            (None, _) => Err("it names no cluster".to_owned()),
            (_, None) => Err(format!("{name} belongs to no cluster yet")),
        }
    }
}

impl Seen {
    /// A start raises the incarnation, so a lower one means that the disk went back in time.
    fn advance(&mut self, envelope: &pb::Envelope) -> Result<(), String> {
        if envelope.incarnation < self.incarnation {
            return Err(format!(
                "node {} shows incarnation {} after {}: its data directory is an old copy, or \
                is in use twice",
                envelope.from, envelope.incarnation, self.incarnation
            ));
        }
        self.incarnation = envelope.incarnation;
        Ok(())
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
pub(crate) fn parse_cluster(bytes: &[u8]) -> Result<Option<u128>, String> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let bytes: [u8; 16] = bytes.try_into().map_err(|_| "a cluster id has 16 bytes".to_owned())?;
    Ok(Some(u128::from_be_bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use super::{Guard, Needs, WIRE_VERSION, cluster_bytes, draw_cluster, founder_of};
    use crate::proto::Envelope;

    const OURS: u128 = 77;

    fn good() -> Envelope {
        Envelope {
            cluster: cluster_bytes(Some(OURS)),
            from: 2,
            to: 1,
            incarnation: 5,
            wire_version: WIRE_VERSION,
            group: 0,
            max_level: 0,
        }
    }

    #[test]
    fn every_field_is_checked() {
        let guard = Guard::new(1, "a:1".to_owned());
        let check = |envelope: Envelope, needs, expect: &str| {
            let text = guard.check(Some(OURS), Some(&envelope), needs).err().unwrap_or_default();
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

    #[test]
    fn an_old_incarnation_is_refused_for_good() {
        let guard = Guard::new(1, "a:1".to_owned());
        let check = |incarnation| {
            let envelope = Envelope { incarnation, ..good() };
            guard.check(Some(OURS), Some(&envelope), Needs::Member).is_ok()
        };
        assert_eq!([5, 5, 6, 5, 6].map(check), [true, true, true, false, true]);
    }

    #[test]
    fn a_refused_message_does_not_raise_the_incarnation() {
        let guard = Guard::new(1, "a:1".to_owned());
        let forged = Envelope { incarnation: u64::MAX, to: 9, ..good() };
        assert!(guard.check(Some(OURS), Some(&forged), Needs::Member).is_err());
        assert!(guard.check(Some(OURS), Some(&good()), Needs::Member).is_ok());
    }

    #[test]
    fn a_cluster_id_names_its_founder() {
        let id = draw_cluster(0xfeed_0000_0000_0001, 0xffff_ffff_ffff_ffff);
        assert_eq!(founder_of(id), 0xfeed_0000_0000_0001);
    }
}
