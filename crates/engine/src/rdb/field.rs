//! Names of the AUX fields of the state: what a snapshot says and RDB has no place for.
//!
//! All begin alike, so that they cannot be taken for the caller's. The side state names its own
//! (`side`). `docs/formats.md` describes all of them.

/// Of every field below.
pub(crate) const PREFIX: &str = "quorate.";
/// Version of these fields. A file that has it is one of ours and is read strictly.
pub(crate) const FORMAT: &str = "quorate.format";
pub(crate) const HASH_KEY: &str = "quorate.hash-key";
pub(crate) const TIME: &str = "quorate.time-ms";
pub(crate) const INDEX: &str = "quorate.index";
pub(crate) const DIGEST: &str = "quorate.digest";
/// Per database: floors of absent and of present keys' revisions.
pub(crate) const FLOORS: &str = "quorate.floors";
/// Deletion buckets: distance to the one before, revision. May occur many times.
pub(crate) const GONE: &str = "quorate.gone";
/// Of the hash just before it: fields skipped since the last with a deadline, the deadline. May
/// occur many times.
pub(crate) const FIELDS: &str = "quorate.fields";
/// For each key since the last: age (applied index less revision) times two, plus one if its
/// string is `raw` where its length and digits would not say so, if a collection is large, or
/// if a stream's consumers follow: for each of them in order when it was last active, plus one
/// (never: 0).
pub(crate) const KEYS: &str = "quorate.keys";
/// What a stream remembers of its producers. Behind the stream, before the field with its age,
/// and perhaps many times.
pub(crate) const PRODUCERS: &str = "quorate.producers";

/// The format that this build writes and reads.
pub(crate) const VERSION: u64 = 1;
/// Most keys, or buckets, that one AUX field speaks of.
pub(crate) const ITEMS_MAX: usize = 4096;
