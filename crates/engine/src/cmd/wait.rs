//! What commands that wait have in common: how long they wait, and which key serves them.
//!
//! They only look ([`ServeFn`](crate::ServeFn)): the command that they name is logged and run in
//! their place. Who waits, and in which order, nobody here knows.

use crate::number::Extended;
use crate::types::value::Large;
use crate::{Cause, Reader, Serving};
use alloc::vec::Vec;
use quorate_resp::Reply;

/// Nobody waits longer. Redis refuses what, counted from now, has no place in 64 bits; so that the
/// clock does not matter here, any time of this century is taken for now.
const TIMEOUT_MS_MAX: i64 = i64::MAX - (1 << 42);

/// How long a command waits that says so in seconds: whole milliseconds, rounded up.
pub(super) fn timeout_ms(seconds: &[u8]) -> Result<u64, Reply<'static>> {
    let seconds = Extended::parse(seconds)
        .ok_or(Reply::error("ERR timeout is not a float or out of range"))?;
    match seconds.thousandfold_up() {
        ..0 => Err(Reply::error("ERR timeout is negative")),
        ms if ms > TIMEOUT_MS_MAX => Err(Reply::error("ERR timeout is out of range")),
        ms => Ok(ms.unsigned_abs()),
    }
}

/// Serves a command that takes something from the first of its keys that has anything of a type.
/// `words` is what serves it then, and whether its reply is told flat.
pub(super) fn from_first<'k, T: Large>(
    cx: &Reader<'_>,
    keys: impl Iterator<Item = &'k [u8]>,
    cause: Cause<'_>,
    words: impl FnOnce(&'k [u8]) -> (Vec<Vec<u8>>, bool),
) -> Serving {
    for key in keys.filter(|key| cause.concerns(key)) {
        match cx.view::<T>(key) {
            Ok(Some(_)) => {
                let (words, flat) = words(key);
                return Serving::By { words, flat };
            }
            Err(wrong) if cause.is_new() => return Serving::Refused(wrong.into()),
            Ok(None) | Err(_) => {}
        }
    }
    Serving::Nothing(Reply::NullArray)
}

/// The words of a command.
pub(super) fn words(words: &[&[u8]]) -> Vec<Vec<u8>> {
    words.iter().map(|word| word.to_vec()).collect()
}
