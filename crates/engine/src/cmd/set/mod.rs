//! Commands on sets, as in Redis 7.2.

mod change;
mod combine;
mod random;
mod read;

use crate::types::set::SetTree;
use crate::types::{Open, View};
use crate::{Reader, Spec};
use quorate_resp::Args;

/// The files of the family.
pub(super) const FILES: &[&[Spec]] = &[change::ROWS, combine::ROWS, random::ROWS, read::ROWS];

/// A set open for change.
type Set = Open<SetTree>;

/// Members of the set that a command names first; 0 if there is none.
fn members(cx: &Reader<'_>, args: Args<'_>) -> usize {
    len(cx, args.at(1))
}

/// Members of a set; 0 if there is none.
fn len(cx: &Reader<'_>, key: &[u8]) -> usize {
    cx.view::<SetTree>(key).ok().flatten().map_or(0, View::<SetTree>::len)
}
