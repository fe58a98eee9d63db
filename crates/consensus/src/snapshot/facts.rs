//! Snapshots: what Raft must know of one, how one is written, and how it is read back.
//!
//! A snapshot is made at a cut, an entry that all replicas apply at the same point; `take` has it
//! written, and Raft may purge the log behind it. Raft's facts travel in the snapshot's own fields,
//! so that a file alone is enough to start from.

use crate::membership::members::Members;
use crate::raft::convert;
use crate::raft::types::{LogId, SnapshotMeta, log_id};
use quorate_engine::{Keyspace, SnapshotError, SnapshotFacts, SnapshotReader};
use quorate_store::Disk;
use quorate_store::{Sink, StoreError};
use std::error::Error;
use std::fmt::{self, Write};

/// Bytes read from a file at once.
const READ_BYTES: usize = 256 << 10;

const CLUSTER: &str = "quorate-cluster";
const LAST: &str = "quorate-last-log-id";
const MEMBERSHIP: &str = "quorate-membership";
const MEMBERSHIP_AT: &str = "quorate-membership-log-id";
/// Not in snapshots of builds that knew of no such facts.
const MEMBERS: &str = "quorate-member-facts";

/// Why a snapshot's file is not taken for a state of this cluster.
#[derive(Debug)]
pub(crate) enum Unreadable {
    /// The disk refuses, or whoever copies what is read.
    Store(StoreError),
    /// It is no snapshot that this version can take.
    Decode(SnapshotError),
    /// Its bytes are not those that were written.
    Damaged,
    /// A field of Raft's is not there.
    Missing(&'static str),
    /// A field of Raft's makes no sense.
    Malformed(&'static str),
    /// It belongs to another cluster.
    Foreign,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(why) => why.fmt(f),
            Self::Decode(why) => write!(f, "snapshot: {why}"),
            Self::Damaged => f.write_str("the snapshot's file is damaged"),
            Self::Missing(field) => write!(f, "the snapshot has no {field}"),
            Self::Malformed(field) => write!(f, "the snapshot's {field} is malformed"),
            Self::Foreign => f.write_str("the snapshot belongs to another cluster"),
        }
    }
}

impl Error for Unreadable {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Store(why) => why.source(),
            Self::Decode(why) => Some(why),
            Self::Damaged | Self::Missing(_) | Self::Malformed(_) | Self::Foreign => None,
        }
    }
}

impl From<StoreError> for Unreadable {
    fn from(why: StoreError) -> Self {
        Self::Store(why)
    }
}

impl From<SnapshotError> for Unreadable {
    fn from(why: SnapshotError) -> Self {
        Self::Decode(why)
    }
}

/// What a snapshot's fields say about Raft.
pub(crate) struct Facts {
    pub(crate) cluster: u128,
    pub(crate) meta: SnapshotMeta,
    pub(crate) members: Members,
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |c: u8| char::from(c).to_digit(16).map(|d| d as u8);
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| match pair {
            [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
            _ => None,
        })
        .collect()
}

fn id_text(id: Option<LogId>) -> String {
    id.map_or(String::new(), |id| format!("{}.{}", id.leader_id.term, id.index))
}

fn id_from_text(text: &str) -> Result<Option<LogId>, convert::Malformed> {
    if text.is_empty() {
        return Ok(None);
    }
    let number = |text: &str| text.parse().map_err(|_| convert::Malformed("log id"));
    let (term, index) = text.split_once('.').ok_or(convert::Malformed("log id"))?;
    Ok(Some(log_id(number(term)?, number(index)?)))
}

impl Facts {
    /// As fields of a snapshot file.
    pub(crate) fn to_fields(&self) -> SnapshotFacts {
        let field = |name: &str, value: String| (name.to_owned(), value);
        let membership = convert::membership_to_bytes(self.meta.last_membership.membership());
        SnapshotFacts {
            fields: vec![
                field(CLUSTER, format!("{:032x}", self.cluster)),
                field(LAST, id_text(self.meta.last_log_id)),
                field(MEMBERSHIP_AT, id_text(*self.meta.last_membership.log_id())),
                field(MEMBERSHIP, hex(&membership)),
                field(MEMBERS, hex(&self.members.to_bytes())),
            ],
        }
    }

    /// From the fields of a snapshot file; the error names what is missing or malformed.
    pub(crate) fn from_fields(facts: &SnapshotFacts) -> Result<Self, Unreadable> {
        let field = |name: &'static str| {
            let found = facts.fields.iter().find(|(field, _)| field == name);
            found.map(|(_, value)| value.as_str()).ok_or(Unreadable::Missing(name))
        };
        let malformed = Unreadable::Malformed;
        let cluster = u128::from_str_radix(field(CLUSTER)?, 16).map_err(|_| malformed(CLUSTER))?;
        let last_log_id = id_from_text(field(LAST)?).map_err(|_| malformed(LAST))?;
        let at = id_from_text(field(MEMBERSHIP_AT)?).map_err(|_| malformed(MEMBERSHIP_AT))?;
        let bytes = unhex(field(MEMBERSHIP)?).ok_or_else(|| malformed(MEMBERSHIP))?;
        let last_membership =
            convert::stored_membership(at, &bytes).map_err(|_| malformed(MEMBERSHIP))?;
        let meta = SnapshotMeta { last_log_id, last_membership };
        let members = match field(MEMBERS) {
            Ok(text) => unhex(text)
                .and_then(|bytes| Members::from_bytes(&bytes))
                .ok_or_else(|| malformed(MEMBERS))?,
            Err(_) => Members::default(),
        };
        Ok(Self { cluster, meta, members })
    }
}

/// Reads a snapshot file piece by piece, checks that it is whole and belongs to this cluster. Each
/// piece goes to `copy`, too.
pub(crate) fn load<D: Disk>(
    file: &quorate_store::SnapshotReader<D>,
    cluster: u128,
    copy: Sink<'_>,
) -> Result<(Keyspace, Facts), Unreadable> {
    let mut reader = SnapshotReader::new([0, 0]);
    let (mut at, mut crc) = (0, 0);
    while at < file.bytes() {
        let piece = file.read(at, READ_BYTES)?;
        at += piece.len() as u64;
        crc = crc32c::crc32c_append(crc, &piece);
        reader.feed(&piece)?;
        copy(&piece)?;
    }
    if crc != file.crc() {
        return Err(Unreadable::Damaged);
    }
    let (keyspace, fields) = reader.finish()?;
    let facts = accept(&fields, cluster)?;
    Ok((keyspace, facts))
}

/// What a snapshot's fields say, if it belongs to this cluster.
pub(crate) fn accept(fields: &SnapshotFacts, cluster: u128) -> Result<Facts, Unreadable> {
    let facts = Facts::from_fields(fields)?;
    if facts.cluster != cluster {
        return Err(Unreadable::Foreign);
    }
    Ok(facts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_goes_both_ways() {
        assert_eq!(unhex(&hex(&[0, 1, 0xab, 0xff])), Some(vec![0, 1, 0xab, 0xff]));
        assert_eq!(unhex("abc"), None);
        assert_eq!(unhex("zz"), None);
        assert_eq!(unhex(""), Some(vec![]));
    }
}
