//! What all replicas know of each member besides the membership: which of its starts was the last,
//! and which node ids are gone for good.
//!
//! A node id and its directory stand for promises. A directory that was copied, or put back from an
//! older copy, shows the id without them; what gives it away is the start it counts. So each start
//! is a replicated fact: the leader hears of it with a follower's answers, logs it, and from then
//! on nobody listens to an earlier start of that node, or to another process that counts the same
//! one. An id that a membership change removed never comes back. These facts are state: they follow
//! from the log alone, and stand in snapshots.

use crate::proto as pb;
use crate::raft::types::Membership;
use bytes::Bytes;
use prost::Message;
use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;

/// Removed ids that are remembered. Beyond it the one that has been gone for longest is forgotten.
const REMOVED_MAX: usize = 1024;
/// See the module.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Members(BTreeMap<u64, pb::MemberFact>);

/// A start of a node, as a message shows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Start {
    /// Starts of its directory.
    pub(crate) incarnation: u64,
    /// Random; 0 from a build that draws none.
    pub(crate) nonce: u64,
}

/// Why a start of a node is not listened to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outdated {
    /// The node left the cluster at this entry.
    Removed { node: u64, at: u64 },
    /// The cluster knows a later start than the one that is shown, or another one of the same
    /// number (`twice`).
    Start { node: u64, shown: u64, known: u64, twice: bool },
}

impl fmt::Display for Outdated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Removed { node, at } => write!(
                f,
                "REMOVED: node {node} left the cluster at entry {at}; its id never comes back. \
                 Move its data directory aside: it then joins as a new node"
            ),
            Self::Start { node, shown, known, twice } => write!(
                f,
                "node {node} shows start {shown}, and the cluster knows {} start {known}: its \
                 data directory is an older copy, or is used twice. Stop it; if its own directory \
                 is lost, move this one aside and let it join again as a new node",
                if *twice { "another" } else { "of" }
            ),
        }
    }
}

impl Error for Outdated {}

impl Members {
    /// What is known of a node.
    pub(crate) fn start_of(&self, node: u64) -> Start {
        let fact = self.0.get(&node);
        fact.map_or_else(Start::default, |fact| Start {
            incarnation: fact.incarnation,
            nonce: fact.start,
        })
    }

    /// Says why a node that shows this start is not listened to.
    pub(crate) fn judge(&self, node: u64, shown: Start) -> Result<(), Outdated> {
        let Some(fact) = self.0.get(&node) else { return Ok(()) };
        if fact.removed_at != 0 {
            return Err(Outdated::Removed { node, at: fact.removed_at });
        }
        let known = self.start_of(node);
        let twice = shown.incarnation == known.incarnation
            && shown.nonce != known.nonce
            && shown.nonce != 0
            && known.nonce != 0;
        if shown.incarnation < known.incarnation || twice {
            let (shown, known) = (shown.incarnation, known.incarnation);
            return Err(Outdated::Start { node, shown, known, twice });
        }
        Ok(())
    }

    /// Whether a start is worth an entry.
    pub(crate) fn is_news(&self, node: u64, shown: Start) -> bool {
        shown.incarnation > self.start_of(node).incarnation
            && self.0.get(&node).is_none_or(|fact| fact.removed_at == 0)
    }

    /// Applies a fact entry. Of two that name the same start, or an older one, the first counts.
    pub(crate) fn apply(&mut self, payload: &[u8]) -> Result<(), &'static str> {
        let fact = pb::MemberFact::decode(payload).map_err(|_| "a member's fact is malformed")?;
        let start = Start { incarnation: fact.incarnation, nonce: fact.start };
        if self.is_news(fact.node, start) {
            self.0.insert(fact.node, pb::MemberFact { removed_at: 0, ..fact });
        }
        Ok(())
    }

    /// Applies a membership: who was a member before and is none any more is gone for good.
    pub(crate) fn see(&mut self, before: &Membership, after: &Membership, index: u64) {
        for (node, _) in before.nodes().filter(|(node, _)| after.get_node(node).is_none()) {
            let fact = self.0.entry(*node).or_default();
            (fact.node, fact.removed_at) = (*node, index);
        }
        let removed = |fact: &&pb::MemberFact| fact.removed_at != 0;
        while self.0.values().filter(removed).count() > REMOVED_MAX {
            let oldest = self.0.values().filter(removed).min_by_key(|fact| fact.removed_at);
            let Some(node) = oldest.map(|fact| fact.node) else { return };
            self.0.remove(&node);
        }
    }

    pub(crate) fn to_bytes(&self) -> Bytes {
        pb::MemberFacts { facts: self.0.values().copied().collect() }.encode_to_vec().into()
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let message = pb::MemberFacts::decode(bytes).ok()?;
        Some(Self(message.facts.into_iter().map(|fact| (fact.node, fact)).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raft::types::Peer;
    use std::collections::BTreeSet;

    fn fact(node: u64, incarnation: u64, start: u64) -> Vec<u8> {
        pb::MemberFact { node, incarnation, start, removed_at: 0 }.encode_to_vec()
    }

    fn membership(nodes: &[u64]) -> Membership {
        let voters: BTreeSet<u64> = nodes.iter().copied().collect();
        let peers: BTreeMap<u64, Peer> = nodes.iter().map(|n| (*n, Peer::default())).collect();
        Membership::new(vec![voters], peers).expect("voters are nodes")
    }

    #[test]
    fn an_older_start_and_a_second_one_are_not_listened_to() {
        let mut members = Members::default();
        let at = |incarnation, nonce| Start { incarnation, nonce };
        assert!(members.judge(7, at(1, 5)).is_ok() && members.is_news(7, at(1, 5)));
        members.apply(&fact(7, 3, 30)).expect("it is well formed");
        members.apply(&fact(7, 3, 31)).expect("it is well formed");
        members.apply(&fact(7, 2, 20)).expect("it is well formed");
        assert_eq!(members.start_of(7), at(3, 30), "the first counts");
        let heard = [at(2, 20), at(3, 31), at(3, 30), at(3, 0), at(4, 40)];
        let expected = [false, false, true, true, true];
        assert_eq!(heard.map(|start| members.judge(7, start).is_ok()), expected);
        let why = members.judge(7, at(3, 31)).expect_err("it runs twice").to_string();
        assert!(why.contains("used twice") && why.contains("move this one aside"), "{why}");
        assert!(members.is_news(7, at(4, 40)) && !members.is_news(7, at(3, 30)));
        assert!(members.apply(b"\xff").is_err());
    }

    #[test]
    fn a_removed_id_is_gone_for_good_and_all_of_it_is_in_a_snapshot() {
        let mut members = Members::default();
        members.apply(&fact(2, 9, 90)).expect("it is well formed");
        members.see(&membership(&[1, 2, 3]), &membership(&[1, 3, 4]), 77);
        let shown = Start { incarnation: 10, nonce: 1 };
        let why = members.judge(2, shown).expect_err("removed").to_string();
        assert!(why.starts_with("REMOVED") && why.contains("entry 77"), "{why}");
        members.apply(&fact(2, 11, 1)).expect("it is well formed");
        assert!(members.judge(2, shown).is_err() && !members.is_news(2, shown));
        assert!(members.judge(4, shown).is_ok());
        assert_eq!(Members::from_bytes(&members.to_bytes()), Some(members));
        assert_eq!(Members::from_bytes(b"\xff"), None);
    }

    #[test]
    fn not_every_id_that_was_ever_removed_is_remembered() {
        let mut members = Members::default();
        let ids = 2..REMOVED_MAX as u64 + 10;
        for id in ids.clone() {
            members.see(&membership(&[1, id]), &membership(&[1]), id);
        }
        let removed = ids.filter(|id| members.judge(*id, Start::default()).is_err());
        assert_eq!(removed.collect::<Vec<_>>().first(), Some(&10));
    }
}
