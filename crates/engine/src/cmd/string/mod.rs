//! Commands on strings, as in Redis 7.2, and newer ones that compare before they write.
//!
//! Each file holds rows with their functions, one concern a file; the list below is what `cmd`
//! takes. Values are looked at where they lie and never copied, but for old values that a write
//! replies with.

mod compare;
mod counter;
mod expiry;
mod get;
mod increx;
mod lcs;
mod msetex;
mod range;
mod set;
#[cfg(test)]
pub(in crate::cmd) mod testing;
mod xxh3;

use crate::{Flags, Spec, StrRef};
use quorate_resp::Reply;

/// The files of the family.
pub(super) const FILES: &[&[Spec]] = &[
    compare::ROWS,
    counter::ROWS,
    get::ROWS,
    increx::ROWS,
    lcs::ROWS,
    msetex::ROWS,
    range::ROWS,
    set::ROWS,
];

/// Grows memory in constant time.
const FAST_GROWTH: Flags = Flags::FAST.and(Flags::DENYOOM);

/// The pieces of bytes `start..end` of a value, without copying.
pub(super) fn clip(value: StrRef<'_>, start: usize, end: usize) -> impl Iterator<Item = &[u8]> {
    let mut at = 0usize;
    value.pieces().filter_map(move |piece| {
        let from = start.saturating_sub(at).min(piece.len());
        let to = end.saturating_sub(at).min(piece.len());
        at = at.saturating_add(piece.len());
        piece.get(from..to).filter(|clipped| !clipped.is_empty())
    })
}

/// The value as a reply that outlives the keyspace's next change; absent is null.
fn owned(value: Option<StrRef<'_>>) -> Reply<'static> {
    value.map_or(Reply::Null, |value| Reply::owned(value.bytes().into_owned()))
}

#[cfg(test)]
mod tests;
