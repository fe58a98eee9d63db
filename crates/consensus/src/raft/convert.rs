//! Between openraft's types, the store's and the wire's: one place where each field is moved, and
//! where what comes from a peer is checked before openraft sees it. openraft trusts its callers and
//! would panic over entries with a hole.

use crate::proto as pb;
use crate::raft::types::{
    Data, DataKind, Entry, LogId, Membership, Peer, StoredMembership, Types, Vote, log_id,
};
use bytes::Bytes;
use openraft::entry::RaftEntry;
use openraft::raft::{AppendEntriesRequest, StreamAppendError, VoteRequest};
use openraft::{AsyncRuntime, EntryPayload};
use prost::Message;
use quorate_store as store;
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt;

/// What the other side sent makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) &'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Error for Malformed {}

pub(crate) fn log_id_to_pb(id: LogId) -> pb::LogId {
    pb::LogId { term: id.leader_id.term, index: id.index }
}

pub(crate) fn log_id_from_pb(id: pb::LogId) -> LogId {
    log_id(id.term, id.index)
}

pub(crate) fn log_id_to_store(id: LogId) -> store::LogId {
    store::LogId { term: id.leader_id.term, index: id.index }
}

pub(crate) fn log_id_from_store(id: store::LogId) -> LogId {
    log_id(id.term, id.index)
}

pub(crate) fn vote_to_pb(vote: &Vote) -> pb::Vote {
    pb::Vote {
        term: vote.leader_id.term,
        voted_for: vote.leader_id.voted_for,
        committed: vote.committed,
    }
}

pub(crate) fn vote_from_pb(vote: Option<pb::Vote>) -> Result<Vote, Malformed> {
    let vote = vote.ok_or(Malformed("no vote"))?;
    let mut to = openraft::Vote::new(vote.term, vote.voted_for);
    to.committed = vote.committed;
    Ok(to)
}

pub(crate) fn vote_to_store(vote: &Vote) -> store::Vote {
    store::Vote {
        term: vote.leader_id.term,
        voted_for: vote.leader_id.voted_for,
        committed: vote.committed,
    }
}

pub(crate) fn vote_from_store(vote: store::Vote) -> Vote {
    let mut to = openraft::Vote::new(vote.term, vote.voted_for);
    to.committed = vote.committed;
    to
}

pub(crate) fn member(node: u64, peer: &Peer) -> pb::Member {
    pb::Member {
        node,
        peer_address: peer.peer_address.clone(),
        resp_address: peer.resp_address.clone(),
        name: peer.name.clone(),
    }
}

pub(crate) fn peer(member: pb::Member) -> (u64, Peer) {
    let peer = Peer {
        peer_address: member.peer_address,
        resp_address: member.resp_address,
        name: member.name,
    };
    (member.node, peer)
}

pub(crate) fn membership_to_bytes(membership: &Membership) -> Bytes {
    let voters = |set: &BTreeSet<u64>| pb::VoterSet { voters: set.iter().copied().collect() };
    let message = pb::Membership {
        configs: membership.get_joint_config().iter().map(voters).collect(),
        nodes: membership.nodes().map(|(id, node)| member(*id, node)).collect(),
    };
    message.encode_to_vec().into()
}

pub(crate) fn membership_from_bytes(bytes: &[u8]) -> Result<Membership, Malformed> {
    let message = pb::Membership::decode(bytes).map_err(|_| Malformed("membership"))?;
    if message.configs.is_empty() && message.nodes.is_empty() {
        return Ok(Membership::default());
    }
    let configs = message.configs.into_iter().map(|set| set.voters.into_iter().collect()).collect();
    let nodes: BTreeMap<u64, Peer> = message.nodes.into_iter().map(peer).collect();
    Membership::new(configs, nodes).map_err(|_| Malformed("membership"))
}

/// What a stored membership says, with the log id it stands at.
pub(crate) fn stored_membership(
    id: Option<LogId>,
    bytes: &[u8],
) -> Result<StoredMembership, Malformed> {
    Ok(openraft::StoredMembership::new(id, membership_from_bytes(bytes)?))
}

/// Kind, stamp, seed and payload of an entry: what store and wire have in common.
struct Parts {
    kind: store::EntryKind,
    now_ms: u64,
    seed: u64,
    payload: Bytes,
}

fn into_parts(payload: EntryPayload<Data, u64, Peer>) -> Parts {
    match payload {
        EntryPayload::Blank => {
            Parts { kind: store::EntryKind::Blank, now_ms: 0, seed: 0, payload: Bytes::new() }
        }
        EntryPayload::Membership(membership) => Parts {
            kind: store::EntryKind::Membership,
            now_ms: 0,
            seed: 0,
            payload: membership_to_bytes(&membership),
        },
        EntryPayload::Normal(data) => Parts {
            kind: match data.kind {
                DataKind::Commands => store::EntryKind::Commands,
                DataKind::Cut => store::EntryKind::Cut,
                DataKind::Fact => store::EntryKind::Fact,
            },
            now_ms: data.now_ms,
            seed: data.seed,
            payload: data.payload,
        },
    }
}

fn from_parts(parts: Parts) -> Result<EntryPayload<Data, u64, Peer>, Malformed> {
    let Parts { kind, now_ms, seed, payload } = parts;
    let data = |kind| EntryPayload::Normal(Data { kind, now_ms, seed, payload: payload.clone() });
    Ok(match kind {
        store::EntryKind::Blank => EntryPayload::Blank,
        store::EntryKind::Membership => EntryPayload::Membership(membership_from_bytes(&payload)?),
        store::EntryKind::Commands => data(DataKind::Commands),
        store::EntryKind::Cut => data(DataKind::Cut),
        store::EntryKind::Fact => data(DataKind::Fact),
    })
}

pub(crate) fn entry_to_store(entry: Entry) -> store::Entry {
    let id = log_id_to_store(entry.log_id);
    let Parts { kind, now_ms, seed, payload } = into_parts(entry.payload);
    store::Entry { id, kind, now_ms, seed, payload }
}

pub(crate) fn entry_from_store(entry: store::Entry) -> Result<Entry, Malformed> {
    let store::Entry { id, kind, now_ms, seed, payload } = entry;
    let payload = from_parts(Parts { kind, now_ms, seed, payload })?;
    Ok(openraft::Entry::new(log_id_from_store(id), payload))
}

fn entry_to_pb(entry: Entry) -> pb::Entry {
    let Parts { kind, now_ms, seed, payload } = into_parts(entry.payload);
    let kind = match kind {
        store::EntryKind::Blank => pb::EntryKind::Blank,
        store::EntryKind::Commands => pb::EntryKind::Commands,
        store::EntryKind::Membership => pb::EntryKind::Membership,
        store::EntryKind::Cut => pb::EntryKind::Cut,
        store::EntryKind::Fact => pb::EntryKind::Fact,
    };
    pb::Entry {
        term: entry.log_id.leader_id.term,
        index: entry.log_id.index,
        kind: kind.into(),
        now_ms,
        seed,
        payload,
        pieced: 0,
    }
}

fn entry_from_pb(entry: pb::Entry) -> Result<Entry, Malformed> {
    let kind = match pb::EntryKind::try_from(entry.kind) {
        Ok(pb::EntryKind::Blank) => store::EntryKind::Blank,
        Ok(pb::EntryKind::Commands) => store::EntryKind::Commands,
        Ok(pb::EntryKind::Membership) => store::EntryKind::Membership,
        Ok(pb::EntryKind::Cut) => store::EntryKind::Cut,
        Ok(pb::EntryKind::Fact) => store::EntryKind::Fact,
        Err(_) => return Err(Malformed("entry of an unknown kind")),
    };
    let pb::Entry { term, index, now_ms, seed, payload, .. } = entry;
    let payload = from_parts(Parts { kind, now_ms, seed, payload })?;
    Ok(openraft::Entry::new(log_id(term, index), payload))
}

/// Without envelope: the caller puts it on the first message of a stream and on every heartbeat.
pub(crate) fn append_to_pb<R: AsyncRuntime>(
    request: AppendEntriesRequest<Types<R>>,
    clock_ms: u64,
) -> pb::AppendRequest {
    pb::AppendRequest {
        envelope: None,
        vote: Some(vote_to_pb(&request.vote)),
        prev: request.prev_log_id.map(log_id_to_pb),
        committed: request.leader_commit.map(log_id_to_pb),
        entries: request.entries.into_iter().map(entry_to_pb).collect(),
        clock_ms,
        ..Default::default()
    }
}

/// Entries must follow `prev` and each other, or openraft would panic.
pub(crate) fn append_from_pb<R: AsyncRuntime>(
    request: pb::AppendRequest,
) -> Result<AppendEntriesRequest<Types<R>>, Malformed> {
    let mut next = request.prev.map_or(0, |prev| prev.index.saturating_add(1));
    let mut entries = Vec::with_capacity(request.entries.len());
    for entry in request.entries {
        if entry.index != next {
            return Err(Malformed("entries with a hole"));
        }
        next = next.saturating_add(1);
        entries.push(entry_from_pb(entry)?);
    }
    Ok(AppendEntriesRequest {
        vote: vote_from_pb(request.vote)?,
        prev_log_id: request.prev.map(log_id_from_pb),
        leader_commit: request.committed.map(log_id_from_pb),
        entries,
    })
}

/// What the receiver of an append says.
pub(crate) type AppendResult<R> = Result<Option<LogId>, StreamAppendError<Types<R>>>;

pub(crate) fn append_result_to_pb<R: AsyncRuntime>(result: &AppendResult<R>) -> pb::AppendResponse {
    use pb::append_response::Result as Pb;
    let result = match result {
        Ok(Some(id)) => Pb::Accepted(log_id_to_pb(*id)),
        Ok(None) => Pb::AcceptedNone(true),
        Err(StreamAppendError::Conflict(id)) => Pb::Conflict(log_id_to_pb(*id)),
        Err(StreamAppendError::HigherVote(vote)) => Pb::HigherVote(vote_to_pb(vote)),
    };
    pb::AppendResponse { result: Some(result), ..Default::default() }
}

pub(crate) fn append_result_from_pb<R: AsyncRuntime>(
    response: pb::AppendResponse,
) -> Result<AppendResult<R>, Malformed> {
    use pb::append_response::Result as Pb;
    Ok(match response.result.ok_or(Malformed("empty answer"))? {
        Pb::Accepted(id) => Ok(Some(log_id_from_pb(id))),
        Pb::AcceptedNone(_) => Ok(None),
        Pb::Conflict(id) => Err(StreamAppendError::Conflict(log_id_from_pb(id))),
        Pb::HigherVote(vote) => Err(StreamAppendError::HigherVote(vote_from_pb(Some(vote))?)),
    })
}

pub(crate) fn vote_request_to_pb<R: AsyncRuntime>(
    request: &VoteRequest<Types<R>>,
    pre_vote: bool,
    envelope: pb::Envelope,
) -> pb::VoteRequest {
    pb::VoteRequest {
        envelope: Some(envelope),
        vote: Some(vote_to_pb(&request.vote)),
        last: request.last_log_id.map(log_id_to_pb),
        leadership_transfer: request.leadership_transfer,
        pre_vote,
    }
}

pub(crate) fn vote_request_from_pb<R: AsyncRuntime>(
    request: &pb::VoteRequest,
) -> Result<VoteRequest<Types<R>>, Malformed> {
    let mut to = VoteRequest::new(vote_from_pb(request.vote)?, request.last.map(log_id_from_pb));
    to.leadership_transfer = request.leadership_transfer;
    Ok(to)
}
