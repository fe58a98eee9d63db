//! Commands on hashes, as in Redis 7.2, with the deadlines of fields of Redis 7.4 and 8.0.

mod change;
mod counter;
mod deadline;
mod exchange;
mod random;
mod read;
pub(crate) mod told;

use crate::types::hash::HashTree;
use crate::types::{Open, View};
use crate::{Reader, Spec};
use quorate_resp::Args;

/// The files of the family.
pub(super) const FILES: &[&[Spec]] =
    &[change::ROWS, counter::ROWS, deadline::ROWS, exchange::ROWS, random::ROWS, read::ROWS];

/// A hash open for change.
type Hash = Open<HashTree>;

/// Fields of the hash that a command names; 0 if there is none.
fn fields(cx: &Reader<'_>, args: Args<'_>) -> usize {
    cx.view::<HashTree>(args.at(1)).ok().flatten().map_or(0, View::<HashTree>::len)
}
