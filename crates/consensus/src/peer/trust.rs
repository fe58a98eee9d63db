//! What a peer may have this replica do: the checks that come before openraft sees a message.
//!
//! The envelope was checked by the guard. Here it is asked whether the sender is a member, whether
//! a term rises by a believable step, and whether what the leader sends contradicts what this
//! replica has applied. openraft trusts all three: it takes every index at or below the committed
//! one for matching, so two logs that differ there would never be noticed.

use crate::env::{Check, Env};
use crate::group::Group;
use crate::live::Live;
use crate::lock::lock;
use crate::peer::transport::{PeerId, Refused, Request, Response};
use crate::process::Process;
use crate::proto as pb;
use crate::raft::Raft;
use crate::raft::log::RaftLog;
use futures::future::join_all;
use openraft::async_runtime::WatchReceiver;
use quorate_store::LogId;
use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A term rises by at most so much at once: more elections than a cluster has in days. A forged or
/// damaged one near the end of all numbers would leave no term to elect a leader in.
const TERM_STEP_MAX: u64 = 1 << 20;
/// How long members may take to say whether they know a node.
const VOUCH_MAX: Duration = Duration::from_secs(1);
/// A node that no member knows is not asked about again for so long.
const STRANGE_FOR: Duration = Duration::from_secs(1);
/// Nodes that are remembered as strange.
const STRANGERS_MAX: usize = 64;

fn id(id: &pb::LogId) -> LogId {
    LogId { term: id.term, index: id.index }
}

/// The greatest entry that the sender of an append shows to have.
fn shown(request: &pb::AppendRequest) -> Option<LogId> {
    let entry = request.entries.last().map(|entry| LogId { term: entry.term, index: entry.index });
    let ids = [request.prev, request.committed, request.last];
    ids.iter().flatten().map(id).chain(entry).max()
}

/// Why a sender is not trusted.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Distrust {
    /// This node is no member, as far as anybody knows who answers.
    Stranger(u64),
    /// The term rises by more than it ever does.
    Term { theirs: u64, known: u64 },
    /// What is applied here is not what the sender has.
    Contradiction(Contradiction),
}

/// How the log of the leader of `term` contradicts what is applied here.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Contradiction {
    /// It ends before an entry that was committed before the term began.
    Ends { term: u64, applied: LogId, last: u64 },
    /// It has this entry, which is of another term here.
    Entry { term: u64, theirs: LogId, ours: u64 },
}

impl fmt::Display for Distrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stranger(node) => write!(f, "node {node} is no member of this cluster"),
            Self::Term { theirs, known } => {
                write!(f, "term {theirs} is more than {TERM_STEP_MAX} beyond {known}")
            }
            Self::Contradiction(what) => what.fmt(f),
        }
    }
}

impl fmt::Display for Contradiction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ends { term, applied, last } => write!(
                f,
                "entry {} of term {} is applied here, and the log of the leader of term {term} \
                 ends at entry {last}",
                applied.index, applied.term
            ),
            Self::Entry { term, theirs, ours } => write!(
                f,
                "entry {} is applied here with term {ours}, and the leader of term {term} has it \
                 with term {}",
                theirs.index, theirs.term
            ),
        }
    }
}

impl Error for Distrust {}

/// What a peer may have this replica do.
pub(crate) struct Trust<E: Env> {
    process: Arc<Process<E>>,
    live: Arc<Live>,
    log: Arc<RaftLog<E>>,
    raft: Raft<E>,
    /// Nodes that no member knows.
    strangers: Mutex<BTreeMap<u64, Strange>>,
}

/// What was found out about a node that no member knows.
#[derive(Clone, Copy, Debug)]
struct Strange {
    since: Duration,
    /// No member answered: a log that is ahead of ours would count.
    unanswered: bool,
}

impl<E: Env> Trust<E> {
    pub(crate) fn new(group: &Group<E>, raft: Raft<E>) -> Self {
        let Group { process, keyspace: live, log, .. } = group.clone();
        Self { process, live, log, raft, strangers: Mutex::default() }
    }

    /// Whether a sender may be listened to; gives it.
    pub(crate) async fn check(&self, envelope: Option<&pb::Envelope>) -> Result<u64, Refused> {
        let from = self.process.check(envelope)?;
        self.trust(from, None).await?;
        Ok(from)
    }

    /// The same for one that shows how far its log or its snapshot goes, and its vote.
    pub(crate) async fn check_sender(
        &self,
        envelope: Option<&pb::Envelope>,
        last: Option<pb::LogId>,
        vote: Option<&pb::Vote>,
    ) -> Result<(), Refused> {
        let from = self.process.check(envelope)?;
        let ahead = last.map(|id| LogId { term: id.term, index: id.index });
        self.trust(from, ahead).await?;
        Ok(self.check_term(vote)?)
    }

    /// Whether a node is a member as far as this replica's log knows.
    pub(crate) fn is_member(&self, node: u64) -> bool {
        if lock(&self.live.membership).membership().get_node(&node).is_some() {
            return true;
        }
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        metrics.membership_config.membership().get_node(&node).is_some()
    }

    fn others(&self) -> Vec<PeerId> {
        let mut others = self.live.members();
        others.retain(|peer| peer.node != self.process.me.node);
        others
    }

    /// Refuses whoever is no member. A replica that was away may not know a newer member: then the
    /// members it knows are asked. Only if none of them answers, a log that is ahead of ours
    /// counts: the node is then needed to go on at all.
    async fn trust(&self, from: u64, ahead: Option<LogId>) -> Result<(), Distrust> {
        if self.is_member(from) {
            return Ok(());
        }
        let others = self.others();
        // Without a membership this replica is new, and takes whoever has let it in.
        if others.is_empty() {
            return Ok(());
        }
        let now = self.process.env.elapsed();
        let stranger = Distrust::Stranger(from);
        let (_, last) = self.log.entries.bounds();
        let is_ahead = ahead > last;
        // What was found for a message that shows no log does not hold for one that does: else
        // messages of the one kind would keep the other from ever being looked at.
        let holds =
            |found: &Strange| found.since + STRANGE_FOR > now && !(found.unanswered && is_ahead);
        if lock(&self.strangers).get(&from).is_some_and(holds) {
            return Err(stranger);
        }
        let asked = join_all(others.iter().map(|member| self.ask_about(member, from))).await;
        let answers: Vec<bool> = asked.into_iter().flatten().collect();
        let none_answers = answers.is_empty();
        if answers.contains(&true) || (none_answers && is_ahead) {
            tracing::info!(from, none_answers, "a node that is not in our membership is trusted");
            return Ok(());
        }
        let mut strangers = lock(&self.strangers);
        strangers.retain(|_, found| found.since + STRANGE_FOR > now);
        if strangers.len() < STRANGERS_MAX {
            strangers.insert(from, Strange { since: now, unanswered: none_answers });
        }
        tracing::warn!(from, "refused a node that is no member");
        Err(stranger)
    }

    async fn ask_about(&self, member: &PeerId, node: u64) -> Option<bool> {
        let envelope = Some(self.process.envelope(member.node));
        let request = Request::Vouch(pb::VouchRequest { envelope, node });
        match self.process.env.call(member, request, VOUCH_MAX).await {
            Ok(Response::Vouch(answer)) => Some(answer.member),
            _ => None,
        }
    }

    /// Answers whether a node is a member.
    pub(crate) fn serve_vouch(&self, request: &pb::VouchRequest) -> Result<Response, Refused> {
        self.process.check(request.envelope.as_ref())?;
        Ok(Response::Vouch(pb::VouchResponse { member: self.is_member(request.node) }))
    }

    /// Refuses a term that cannot be.
    pub(crate) fn check_term(&self, vote: Option<&pb::Vote>) -> Result<(), Distrust> {
        let Some(known) = self.log.entries.vote() else { return Ok(()) };
        let term = vote.map_or(0, |vote| vote.term);
        if term <= known.term.saturating_add(TERM_STEP_MAX) {
            return Ok(());
        }
        tracing::warn!(term, known = known.term, "refused a term that is far beyond ours");
        Err(Distrust::Term { theirs: term, known: known.term })
    }

    /// A heartbeat, or the first append of a stream: whether its sender may send it.
    pub(crate) async fn check_leader(&self, request: &pb::AppendRequest) -> Result<(), Refused> {
        let from = self.process.check(request.envelope.as_ref())?;
        self.trust(from, shown(request)).await?;
        Ok(self.check_append(request)?)
    }

    /// Any append: whether it may be given to Raft. One that contradicts what is applied here ends
    /// this replica: nobody can say which of the two is right but the majority, and the leader has
    /// it behind it.
    pub(crate) fn check_append(&self, request: &pb::AppendRequest) -> Result<(), Distrust> {
        let term = request.vote.map_or(0, |vote| vote.term);
        match self.log.entries.vote().map(|known| known.term) {
            // A leader of the past; Raft tells it so.
            Some(known) if term < known => return Ok(()),
            Some(known) if term > known => self.check_term(request.vote.as_ref())?,
            _ => {}
        }
        match self.contradiction(term, request) {
            Some(what) if !self.process.env.skips(Check::Contradiction) => {
                self.process.failure.diverge(what.to_string());
                Err(Distrust::Contradiction(what))
            }
            _ => Ok(()),
        }
    }

    fn contradiction(&self, term: u64, request: &pb::AppendRequest) -> Option<Contradiction> {
        let applied = self.live.applied.id();
        // A leader's log holds everything that was committed before its term.
        let last = request.last.filter(|last| last.term == term);
        if let Some(last) = last.filter(|last| applied.term < term && last.index <= applied.index) {
            return Some(Contradiction::Ends { term, applied, last: last.index });
        }
        let entries = request.entries.iter();
        let entries = entries.map(|entry| LogId { term: entry.term, index: entry.index });
        request.prev.iter().map(id).chain(entries).find_map(|theirs| {
            let ours = self.applied_term(theirs.index, applied)?;
            (ours != theirs.term).then_some(Contradiction::Entry { term, theirs, ours })
        })
    }

    /// Term of an entry that is applied; `None` where that is not known any more.
    fn applied_term(&self, index: u64, applied: LogId) -> Option<u64> {
        if index >= applied.index {
            // Where nothing is written, heartbeats name the last entry.
            return (index == applied.index).then_some(applied.term);
        }
        if let Some(purged) = self.log.entries.bounds().0.filter(|purged| purged.index >= index) {
            return (purged.index == index).then_some(purged.term);
        }
        let read = self.log.entries.read(index, index + 1, 1).ok()?;
        read.first().map(|entry| entry.id.term)
    }
}
