//! Replicated settings that the engine keeps in another form than clients see.
//!
//! `proto-max-bulk-len` is the greatest argument, and in Redis also the greatest string. An entry
//! and a peer's frame take arguments of 64 MiB, but strings that grow in place (bitmaps above all)
//! may have the 512 MiB that Redis allows: the engine's setting, of which clients see as much as is
//! enforced for what they send.

/// Greatest argument.
pub(super) const BULK_BYTES_MAX: i64 = 64 << 20;
/// Greatest string, where nothing smaller is set: the engine's default.
const STRING_BYTES_MAX: i64 = 512 << 20;

/// What clients see of the engine's value.
pub(crate) fn shown(name: &str, value: String) -> String {
    match value.parse::<i64>() {
        Ok(bytes) if name == "proto-max-bulk-len" => bytes.min(BULK_BYTES_MAX).to_string(),
        _ => value,
    }
}

/// What the engine keeps for a value that clients gave.
pub(crate) fn kept(name: &str, value: &str) -> String {
    let all = name == "proto-max-bulk-len" && value.parse() == Ok(BULK_BYTES_MAX);
    if all { STRING_BYTES_MAX.to_string() } else { value.to_owned() }
}
