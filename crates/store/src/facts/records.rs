//! A fact as bytes: version, checksum, and JSON that serde makes of a record.
//!
//! A record is a struct of its own and not the type that the program works with, so that nobody
//! changes the format by renaming a field elsewhere. A new field is optional; anything else is a
//! new version. What does not check out, or cannot be understood, counts as not there: the log
//! knows better. Values of version 1 were binary; they are still read, and written no more.

use crate::{Identity, LogId, SnapshotFile, StoreError};
use serde::{Deserialize, Serialize};

/// The version that is written.
const VERSION: u8 = 2;
/// What was written before there was JSON; its checksum does not cover the version.
const BINARY: u8 = 1;
/// Hexadecimal digits of a cluster's name.
const CLUSTER_DIGITS: usize = 32;

/// See [`Identity`].
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct IdentityRecord {
    /// 32 hexadecimal digits; absent until it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cluster: Option<String>,
    node: u64,
    incarnation: u64,
}

impl From<Identity> for IdentityRecord {
    fn from(identity: Identity) -> Self {
        let Identity { cluster, node, incarnation } = identity;
        Self { cluster: cluster.map(|cluster| format!("{cluster:032x}")), node, incarnation }
    }
}

impl IdentityRecord {
    /// `None` unless the cluster's name is one.
    fn identity(self) -> Option<Identity> {
        let is_digit = |byte: u8| byte.is_ascii_hexdigit();
        let cluster = match self.cluster {
            None => None,
            Some(text) if text.len() == CLUSTER_DIGITS && text.bytes().all(is_digit) => {
                Some(u128::from_str_radix(&text, 16).ok()?)
            }
            Some(_) => return None,
        };
        Some(Identity { cluster, node: self.node, incarnation: self.incarnation })
    }
}

/// See [`SnapshotFile`].
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SnapshotRecord {
    term: u64,
    index: u64,
    bytes: u64,
    path: String,
}

impl From<&SnapshotFile> for SnapshotRecord {
    fn from(file: &SnapshotFile) -> Self {
        let SnapshotFile { last: LogId { term, index }, bytes, path } = file.clone();
        Self { term, index, bytes, path }
    }
}

impl From<SnapshotRecord> for SnapshotFile {
    fn from(record: SnapshotRecord) -> Self {
        let SnapshotRecord { term, index, bytes, path } = record;
        Self { last: LogId { term, index }, path, bytes }
    }
}

/// A record as a value: version, CRC32C of version and JSON, JSON.
pub(super) fn encode(record: &impl Serialize) -> Result<Vec<u8>, StoreError> {
    let json = serde_json::to_vec(record).map_err(|error| StoreError::Io(error.into()))?;
    let mut value = vec![VERSION];
    value.extend_from_slice(&sum(&json).to_le_bytes());
    value.extend_from_slice(&json);
    Ok(value)
}

fn sum(json: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&[VERSION]), json)
}

/// The identity, if the value holds one.
pub(super) fn decode_identity(value: &[u8]) -> Option<Identity> {
    match open(value)? {
        (BINARY, rest) => binary_identity(rest),
        (_, json) => serde_json::from_slice::<IdentityRecord>(json).ok()?.identity(),
    }
}

/// The snapshots, if the value holds a catalogue.
pub(super) fn decode_snapshots(value: &[u8]) -> Option<Vec<SnapshotFile>> {
    match open(value)? {
        (BINARY, rest) => text_snapshots(rest),
        (_, json) => {
            let records: Vec<SnapshotRecord> = serde_json::from_slice(json).ok()?;
            Some(records.into_iter().map(SnapshotFile::from).collect())
        }
    }
}

/// Version and rest of a value that is as it was written.
fn open(value: &[u8]) -> Option<(u8, &[u8])> {
    let (version, rest) = value.split_first()?;
    let (written, rest) = rest.split_first_chunk::<4>()?;
    let expected = match *version {
        BINARY => crc32c::crc32c(rest),
        VERSION => sum(rest),
        _ => return None,
    };
    (u32::from_le_bytes(*written) == expected).then_some((*version, rest))
}

/// Version 1: whether the cluster is known (1), cluster (16 bytes), node (8), incarnation (8).
fn binary_identity(rest: &[u8]) -> Option<Identity> {
    let (known, rest) = rest.split_first()?;
    let (cluster, rest) = rest.split_first_chunk::<16>()?;
    let (node, rest) = rest.split_first_chunk::<8>()?;
    let (incarnation, rest) = rest.split_first_chunk::<8>()?;
    let cluster = (*known == 1).then(|| u128::from_le_bytes(*cluster));
    let (node, incarnation) = (u64::from_le_bytes(*node), u64::from_le_bytes(*incarnation));
    rest.is_empty().then_some(Identity { cluster, node, incarnation })
}

/// Version 1: a line for each, `<term>.<index> <bytes> <path>`.
fn text_snapshots(rest: &[u8]) -> Option<Vec<SnapshotFile>> {
    let line = |line: &str| {
        let (last, rest) = line.split_once(' ')?;
        let (bytes, path) = rest.split_once(' ')?;
        let (term, index) = last.split_once('.')?;
        let last = LogId { term: term.parse().ok()?, index: index.parse().ok()? };
        Some(SnapshotFile { last, path: path.to_owned(), bytes: bytes.parse().ok()? })
    };
    std::str::from_utf8(rest).ok()?.lines().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: Identity =
        Identity { cluster: Some(0x0123 << 64 | 7), node: u64::MAX, incarnation: 5 };

    /// [`KNOWN`] as version 1 has it.
    const OLD: &[u8] =
        b"\x01\x06)s\xc0\x01\x07\0\0\0\0\0\0\0#\x01\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff\
          \xff\xff\x05\0\0\0\0\0\0\0";

    fn snapshots() -> Vec<SnapshotFile> {
        let file = |index, path: &str| SnapshotFile {
            last: LogId { term: 3, index },
            path: path.to_owned(),
            bytes: 100 + index,
        };
        vec![file(20, "appendonlydir/quorate.aof.2.base.rdb"), file(10, "a b")]
    }

    fn identity_value(identity: Identity) -> Vec<u8> {
        encode(&IdentityRecord::from(identity)).unwrap()
    }

    #[test]
    fn records_read_back_and_the_bytes_are_as_documented() {
        let unnamed = Identity { cluster: None, ..KNOWN };
        for identity in [KNOWN, unnamed, Identity::default()] {
            assert_eq!(decode_identity(&identity_value(identity)), Some(identity));
        }
        let rest = r#""node":18446744073709551615,"incarnation":5}"#;
        let text = format!(r#"{{"cluster":"00000000000001230000000000000007",{rest}"#);
        assert_eq!(identity_value(KNOWN)[5..], *text.as_bytes());
        assert_eq!(identity_value(unnamed)[5..], *format!("{{{rest}").as_bytes());
        let records: Vec<SnapshotRecord> = snapshots().iter().map(SnapshotRecord::from).collect();
        let value = encode(&records).unwrap();
        assert_eq!(decode_snapshots(&value), Some(snapshots()));
        assert!(
            value[5..].starts_with(br#"[{"term":3,"index":20,"bytes":120,"path":"appendonlydir/"#)
        );
        assert_eq!(decode_identity(&value), None, "something else than an identity");
    }

    /// As versions before this one wrote them, byte by byte.
    #[test]
    fn values_of_version_1_are_still_read() {
        assert_eq!(decode_identity(OLD), Some(KNOWN));
        let unnamed =
            b"\x01\x04\x8fo\x9a\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\
          \xff\x05\0\0\0\0\0\0\0";
        assert_eq!(decode_identity(unnamed), Some(Identity { cluster: None, ..KNOWN }));
        let text =
            b"\x01\xf1\xf0\x1d\x9f3.20 120 appendonlydir/quorate.aof.2.base.rdb\n3.10 110 a b\
          \n";
        assert_eq!(decode_snapshots(text), Some(snapshots()));
        assert_eq!(decode_snapshots(b"\x01\0\0\0\0"), Some(Vec::new()));
    }

    #[test]
    fn what_is_damaged_is_not_there() {
        for value in [identity_value(KNOWN), OLD.to_vec()] {
            for bit in 0..value.len() * 8 {
                let mut bad = value.clone();
                bad[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(decode_identity(&bad), None, "bit {bit} of {value:?}");
            }
            for length in 0..value.len() {
                assert_eq!(decode_identity(&value[..length]), None, "{length} bytes of {value:?}");
            }
            // One version's bytes do not pass for the other's.
            let mut bad = value.clone();
            bad[0] = BINARY + VERSION - bad[0];
            assert_eq!(decode_identity(&bad), None, "{bad:?}");
        }
        let with_name = |name: &str| {
            let cluster = Some(name.to_owned());
            encode(&IdentityRecord { cluster, node: 1, incarnation: 1 }).unwrap()
        };
        assert!(decode_identity(&with_name(&"0".repeat(32))).is_some());
        assert_eq!(decode_identity(&with_name(&"0".repeat(31))), None);
        assert_eq!(decode_identity(&with_name(&format!("+{}", "0".repeat(31)))), None);
    }
}
