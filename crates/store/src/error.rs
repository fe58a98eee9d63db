//! Why the store cannot go on: one small list, so that whoever calls can tell what to do.
//!
//! A full disk is no end, everything else is: what is locked, foreign or damaged is refused at the
//! start with a text that says what to do, and after a failed sync the process must stop.

/// Why the store cannot go on.
#[derive(Debug)]
pub enum StoreError {
    /// Another process holds the directory's lock.
    Locked(String),
    /// The directory was written by something else or by an unknown version; says what to do.
    Foreign(String),
    /// Bytes that were acknowledged as durable are damaged; the replica must not vote. Says where
    /// and what to do.
    Corrupt(String),
    /// The disk is full. Nothing was hurt.
    Full,
    /// The operating system refused. After a failed sync the log is poisoned: the process must
    /// stop.
    Io(std::io::Error),
}

impl std::fmt::Display for StoreError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Locked(text) | Self::Foreign(text) | Self::Corrupt(text) => f.write_str(text),
            Self::Full => f.write_str("no space left on the disk"),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for StoreError {}

impl From<std::io::Error> for StoreError {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::StorageFull { Self::Full } else { Self::Io(error) }
    }
}
