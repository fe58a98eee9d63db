//! The leader's side of joining: a replica comes in, a lost one of the same name goes.
//!
//! A membership changes in two entries, and whoever drives the change (the leader, or the asking
//! replica, whose call it is) may die between them. What is left then works but needs both
//! majorities, so a replica counts as let in only when the change is finished, and asking again
//! finishes it.

use crate::api::{JoinRefusal, Joined, RaftFailure, Seat};
use crate::env::Env;
use crate::group::Group;
use crate::proto as pb;
use crate::raft::metrics::{metrics, silence};
use crate::raft::{Raft, convert};
use openraft::ChangeMembers;
use std::collections::BTreeSet;
use std::error::Error;
use std::time::Duration;

/// How long a new replica may take to catch up before it is asked again.
const CATCH_UP_MAX: Duration = Duration::from_mins(1);

/// A member that was silent for less is not replaced, whatever the time-outs are.
const SILENT_MIN: Duration = Duration::from_secs(2);

/// The membership as the leader's log has it, seen by one who wants in.
struct Table {
    /// Every member, with its node.
    members: Vec<pb::Member>,
    /// One voter set, or two while it changes.
    configs: Vec<BTreeSet<u64>>,
}

impl Table {
    /// The voters when the change under way, if any, is over.
    fn voters(&self) -> BTreeSet<u64> {
        self.configs.last().cloned().unwrap_or_default()
    }

    fn is_settled(&self) -> bool {
        self.configs.len() == 1
    }

    /// Members of this name under another node id. They have lost their disk.
    fn namesakes<'a>(&'a self, who: &'a pb::Member) -> impl Iterator<Item = u64> + 'a {
        let same = |member: &&pb::Member| member.name == who.name && member.node != who.node;
        self.members.iter().filter(same).map(|member| member.node)
    }
}

/// Lets replicas in.
pub(crate) struct Admission<E: Env> {
    group: Group<E>,
    raft: Raft<E>,
}

impl<E: Env> Admission<E> {
    pub(crate) fn new(group: Group<E>, raft: Raft<E>) -> Self {
        Self { group, raft }
    }

    fn table(&self) -> Table {
        let metrics = metrics(&self.raft);
        let membership = metrics.membership_config.membership();
        let members = membership.nodes().map(|(node, peer)| convert::member(*node, peer));
        Table { members: members.collect(), configs: membership.get_joint_config().clone() }
    }

    /// The members; one votes if it does so before and after a change under way.
    pub(crate) fn settled_seats(&self) -> Vec<Seat> {
        let Table { members, configs } = self.table();
        let votes = |node: u64| configs.iter().all(|voters| voters.contains(&node));
        members.into_iter().map(|member| Seat { voter: votes(member.node), member }).collect()
    }

    /// On the leader: lets a replica in, first as a learner, as a voter when it has caught up. With
    /// `replace_same_name` a silent voter of the same name goes at the same moment. Repeatable.
    pub(crate) async fn join(&self, who: pb::Member, replace_same_name: bool) -> Joined {
        if !self.group.leadership.leads() {
            return Joined::NotLeader(self.group.leadership.leader());
        }
        let table = self.table();
        if table.is_settled() && table.voters().contains(&who.node) {
            return Joined::Voter;
        }
        for node in table.namesakes(&who).collect::<Vec<_>>() {
            if !replace_same_name {
                return Joined::Refused(JoinRefusal::Member(who.name));
            }
            if node == self.group.process.me.node {
                return Joined::Refused(JoinRefusal::Leader(who.name));
            }
            if !self.is_silent(node).await {
                return Joined::Refused(JoinRefusal::Answers { node, name: who.name });
            }
        }
        match self.admit(who).await {
            Ok(()) => Joined::Voter,
            Err(why) if self.group.leadership.leads() => Joined::Refused(why),
            Err(_) => Joined::NotLeader(self.group.leadership.leader()),
        }
    }

    /// Whether a member has been silent for so long that it may be replaced. A leader that never
    /// heard of it has only just begun, or never will: it listens for as long.
    async fn is_silent(&self, node: u64) -> bool {
        let limit = SILENT_MIN.max(self.group.options.election_max * 4);
        if silence::<E>(&metrics(&self.raft), node).is_none() {
            E::sleep(limit).await;
        }
        silence::<E>(&metrics(&self.raft), node).is_none_or(|age| age >= limit)
    }

    async fn admit(&self, who: pb::Member) -> Result<(), JoinRefusal> {
        let (node, peer) = convert::peer(who.clone());
        let learn = self.raft.add_learner(node, peer, true);
        let learned = E::within(CATCH_UP_MAX, learn).await;
        learned.ok_or(JoinRefusal::Behind)?.map_err(raft)?;
        let table = self.table();
        let mut voters = table.voters();
        voters.insert(node);
        let gone: BTreeSet<u64> = table.namesakes(&who).collect();
        voters.retain(|voter| !gone.contains(voter));
        let change = ChangeMembers::ReplaceAllVoters(voters);
        let changed = self.raft.change_membership(change, false).await;
        changed.map_err(raft)?;
        // Former namesakes that had not even come to vote.
        let table = self.table();
        let left: BTreeSet<u64> = table.namesakes(&who).collect();
        if !left.is_empty() {
            let removed = self.raft.change_membership(ChangeMembers::RemoveNodes(left), false);
            removed.await.map_err(raft)?;
        }
        Ok(())
    }
}

fn raft(error: impl Error + Send + Sync + 'static) -> JoinRefusal {
    JoinRefusal::Raft(RaftFailure::new(error))
}
