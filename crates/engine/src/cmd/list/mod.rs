//! Commands on lists, as in Redis 7.2.
//!
//! Positions are counted from 0, negative ones from the end. Nothing here knows how a list lies.

mod between;
mod change;
mod ends;
mod read;
mod wait;

use crate::types::list::ListTree;
use crate::{Reader, Spec};
use quorate_resp::Args;

/// The files of the family.
pub(super) const FILES: &[&[Spec]] =
    &[between::ROWS, change::ROWS, ends::ROWS, read::ROWS, wait::ROWS];

/// Position `at` of `len`, negative ones from the end; `None` if it is before the first.
fn position(at: i64, len: usize) -> Option<usize> {
    if at >= 0 {
        return Some(usize::try_from(at).unwrap_or(usize::MAX));
    }
    len.checked_sub(usize::try_from(at.unsigned_abs()).ok()?)
}

/// Positions from `first` to `last`, both included, as `start..end` within `len`; `None` if nothing
/// lies between.
fn range(first: i64, last: i64, len: usize) -> Option<(usize, usize)> {
    let start = position(first, len).unwrap_or(0);
    let end = position(last, len)?.saturating_add(1).min(len);
    (start < end).then_some((start, end))
}

/// An element that is passed takes some 5 ns.
fn walk_cost_ns(cx: &Reader<'_>, args: Args<'_>) -> u64 {
    cx.view::<ListTree>(args.at(1)).ok().flatten().map_or(0, |list| 5 * list.len() as u64)
}
