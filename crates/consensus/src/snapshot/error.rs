//! Why there is no snapshot of a cut.
//!
//! This is what whoever asked for one is told, and what the next cut may do better: a failure costs
//! the snapshot and nothing else.

use crate::api::NotApplied;
use quorate_store::StoreError;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// Why there is no snapshot.
#[derive(Clone, Debug)]
pub enum NoSnapshot {
    /// The state is not loaded yet.
    Loading,
    /// No cut was logged.
    NoCut(NotApplied),
    /// The cut came while the snapshot of an earlier one was being made.
    Already,
    /// The state that was being written was replaced by another one.
    Replaced,
    /// Nothing is known of the cut any more.
    Unknown,
    /// Not one was ever made.
    Never,
    /// The process is stopping.
    Stopping,
    /// The disk refused. Shared: whoever asks later is told the same.
    Store(Arc<StoreError>),
}

impl fmt::Display for NoSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Loading => "the state is not loaded yet",
            Self::NoCut(why) => return write!(f, "no cut was logged: {why:?}"),
            Self::Already => "a snapshot is being made already",
            Self::Replaced => "another state was installed meanwhile",
            Self::Unknown => "there is none of this cut",
            Self::Never => "there is no snapshot",
            Self::Stopping => "stopping",
            Self::Store(why) => return why.fmt(f),
        })
    }
}

impl Error for NoSnapshot {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            // It is told in the cause's own words.
            Self::Store(why) => why.source(),
            Self::Loading
            | Self::NoCut(_)
            | Self::Already
            | Self::Replaced
            | Self::Unknown
            | Self::Never
            | Self::Stopping => None,
        }
    }
}

impl From<StoreError> for NoSnapshot {
    fn from(why: StoreError) -> Self {
        Self::Store(Arc::new(why))
    }
}
