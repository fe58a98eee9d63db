//! The files of a log, byte by byte: records, segments, the manifest.
//!
//! What stands here knows layouts and checksums. What records mean, in which order they are written
//! and what is done with what was found is the log's (`log`).

pub(crate) mod durable;
pub(crate) mod filler;
pub(crate) mod foot;
pub(crate) mod manifest;
pub(crate) mod numbers;
pub(crate) mod record;
pub(crate) mod segment;
