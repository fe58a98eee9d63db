//! Snapshots: what Raft must know of one, how one is written, and how it is read back.
//!
//! A snapshot is made at a cut, an entry that all replicas apply at the same point; `take` has it
//! written, and Raft may purge the log behind it. Raft's facts travel in the snapshot's own fields,
//! so that a file alone is enough to start from.

use crate::membership::members::Members;
use crate::raft::convert;
use crate::raft::types::{LogId, SnapshotMeta, log_id};
use quorate_engine::{Keyspace, SnapshotFacts, SnapshotReader};
use quorate_store::Disk;
use quorate_store::{Sink, StoreError};
use std::fmt::Write;

/// Bytes read from a file at once.
const READ_BYTES: usize = 256 << 10;

const CLUSTER: &str = "quorate-cluster";
const LAST: &str = "quorate-last-log-id";
const MEMBERSHIP: &str = "quorate-membership";
const MEMBERSHIP_AT: &str = "quorate-membership-log-id";
/// Not in snapshots of builds that knew of no such facts.
const MEMBERS: &str = "quorate-member-facts";

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
    pub(crate) fn from_fields(facts: &SnapshotFacts) -> Result<Self, String> {
        let field = |name: &str| {
            let found = facts.fields.iter().find(|(field, _)| field == name);
            found.map(|(_, value)| value.as_str()).ok_or(format!("the snapshot has no {name}"))
        };
        let malformed = |name: &str| format!("the snapshot's {name} is malformed");
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
) -> Result<(Keyspace, Facts), String> {
    let text = |error: StoreError| error.to_string();
    let mut reader = SnapshotReader::new([0, 0]);
    let (mut at, mut crc) = (0, 0);
    while at < file.bytes() {
        let piece = file.read(at, READ_BYTES).map_err(text)?;
        at += piece.len() as u64;
        crc = crc32c::crc32c_append(crc, &piece);
        reader.feed(&piece).map_err(|error| format!("snapshot: {error}"))?;
        copy(&piece).map_err(text)?;
    }
    if crc != file.crc() {
        return Err("the snapshot's file is damaged".to_owned());
    }
    let (keyspace, fields) = reader.finish().map_err(|error| format!("snapshot: {error}"))?;
    let facts = accept(&fields, cluster)?;
    Ok((keyspace, facts))
}

/// What a snapshot's fields say, if it belongs to this cluster.
pub(crate) fn accept(fields: &SnapshotFacts, cluster: u128) -> Result<Facts, String> {
    let facts = Facts::from_fields(fields)?;
    if facts.cluster != cluster {
        return Err("the snapshot belongs to another cluster".to_owned());
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
