//! One entry, applied: the one way in which an entry changes the state.
//!
//! A start and the offline tools fold the log behind the newest snapshot into a state that they
//! own; the state machine folds what is committed into the state that is served, behind its locks.
//! Both come here, so what a restart makes of the log is what was made of it before.

use crate::membership::members::Members;
use crate::raft::types::{Data, DataKind, Entry, LogId, StoredMembership};
use bytes::Bytes;
use openraft::EntryPayload;
use quorate_engine::{Applied, Keyspace, Outcome, Plan, Stamp};
use quorate_store::{Disk, Log, StoreError};
use std::error::Error;
use std::fmt;

/// The parts of the state that an entry can change, wherever they are kept.
pub(crate) trait Parts {
    /// The keys.
    fn keyspace(&mut self) -> &mut Keyspace;

    /// Gives the last membership, and what is known of each member, to be changed together.
    fn change_members(
        &mut self,
        change: impl FnOnce(&mut StoredMembership, &mut Members) -> Result<(), &'static str>,
    ) -> Result<(), &'static str>;
}

/// Who listens while an entry is applied.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Listening<'a> {
    /// How the replies are made, on the replica that sealed the entry.
    pub(crate) plan: Option<&'a Plan>,
    /// Replicas from outside are told what changes.
    pub(crate) tells: bool,
}

/// What applying an entry gave.
#[derive(Debug, Default)]
pub(crate) struct Folded {
    pub(crate) outcome: Outcome,
    /// See [`Listening::tells`].
    pub(crate) told: Option<Bytes>,
}

/// An entry cannot be applied: where it stands, and what is wrong with it.
#[derive(Clone, Debug)]
pub(crate) struct ApplyError {
    id: LogId,
    what: &'static str,
}

impl fmt::Display for ApplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "entry {} cannot be applied: {}", self.id, self.what)
    }
}

impl Error for ApplyError {}

/// Notes in the log, before an entry is applied, that stock Redis replays it differently.
pub(crate) fn mark<D: Disk>(log: &Log<D>, entry: &Entry) -> Result<(), StoreError> {
    match &entry.payload {
        EntryPayload::Normal(data) if data.kind == DataKind::Commands && data.is_inexact() => {
            log.mark_inexact(entry.log_id.index)
        }
        _ => Ok(()),
    }
}

/// Applies an entry. After an error this replica must not go on: what was committed cannot be
/// applied.
pub(crate) fn apply_entry(
    state: &mut impl Parts,
    entry: &Entry,
    listening: Listening<'_>,
) -> Result<Folded, ApplyError> {
    let id = entry.log_id;
    let applied = match &entry.payload {
        EntryPayload::Normal(data) => match data.kind {
            DataKind::Commands => apply_commands(state.keyspace(), id.index, data, listening),
            DataKind::Fact => state
                .change_members(|_, members| members.apply(&data.payload))
                .map(|()| Folded::default()),
            DataKind::Cut => Ok(Folded::default()),
        },
        EntryPayload::Membership(membership) => state
            .change_members(|last, members| {
                members.see(last.membership(), membership, id.index);
                *last = StoredMembership::new(Some(id), membership.clone());
                Ok(())
            })
            .map(|()| Folded::default()),
        EntryPayload::Blank => Ok(Folded::default()),
    };
    applied.map_err(|what| ApplyError { id, what })
}

fn apply_commands(
    keyspace: &mut Keyspace,
    index: u64,
    data: &Data,
    Listening { plan, tells }: Listening<'_>,
) -> Result<Folded, &'static str> {
    let at = Applied { index, stamp: Stamp { now_ms: data.now_ms, seed: data.seed } };
    if !tells {
        let outcome = quorate_engine::apply(keyspace, at, &data.payload, plan)?;
        return Ok(Folded { outcome, told: None });
    }
    let (outcome, told) = quorate_engine::apply_told(keyspace, at, &data.payload, plan)?;
    Ok(Folded { outcome, told: Some(told) })
}
