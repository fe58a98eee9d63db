//! Why bytes are not a snapshot, in words for whoever brought the file.
//!
//! A fault names what is wrong and, where there is one, the key; the error adds how far the reader
//! had come.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// Why bytes are not a snapshot that this version can take, and where that showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotError {
    /// What is wrong.
    pub fault: SnapshotFault,
    /// How many bytes had been read.
    pub at: u64,
    /// How many keys had been read.
    pub keys: u64,
}

/// What is wrong with a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SnapshotFault {
    /// The file is cut or a field is malformed.
    Malformed(&'static str),
    /// The value of this key is malformed.
    Key(Vec<u8>, &'static str),
    /// A database that does not exist here.
    Database(u64),
    /// A version, type or opcode that is not known; says which, and who wrote the file.
    Unknown(String),
    /// Data of modules that belong to no value; says which.
    Unsupported(String),
    /// CRC64 does not match.
    Checksum,
    /// The value of this key is of a type that this version does not store; says which.
    Value(Vec<u8>, String),
    /// The file holds a library of functions; says which. Dropping it would change what the data
    /// set can do.
    Functions(String),
}

impl SnapshotFault {
    /// Whether the file can be taken without this: see [`Foreign`](crate::Foreign).
    pub fn can_be_skipped(&self) -> bool {
        match self {
            Self::Functions(_) | Self::Unsupported(_) => true,
            Self::Value(_, holds) => holds.contains("of the module type"),
            _ => false,
        }
    }
}

impl fmt::Display for SnapshotFault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(what) => out.write_str(what),
            Self::Key(key, what) => write!(out, "the key \"{}\": {what}", shown(key)),
            Self::Database(db) => {
                write!(out, "database {db} does not exist here: there are 0 to 15")
            }
            Self::Unknown(what) => out.write_str(what),
            Self::Unsupported(what) => {
                write!(out, "the file holds {what}, and modules are not supported")
            }
            Self::Checksum => out.write_str("the checksum does not match: the file is damaged"),
            Self::Value(key, holds) => write!(out, "the key \"{}\" holds {holds}", shown(key)),
            Self::Functions(what) => write!(
                out,
                "the file holds {what}, which cannot be kept \
                 (FUNCTION FLUSH, or FUNCTION DELETE, before saving leaves it out)"
            ),
        }
    }
}

impl fmt::Display for SnapshotError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.keys == 1 { "" } else { "s" };
        write!(out, "{} (at byte {}, after {} key{plural})", self.fault, self.at, self.keys)
    }
}

impl core::error::Error for SnapshotError {}

/// A name as a message shows it: its beginning, escaped.
pub(crate) fn shown(name: &[u8]) -> impl fmt::Display + '_ {
    const SHOWN_BYTES_MAX: usize = 128;
    name.get(..SHOWN_BYTES_MAX).unwrap_or(name).escape_ascii()
}
