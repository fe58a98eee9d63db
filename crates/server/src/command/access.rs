//! How commands treat their keys, as COMMAND tells it, from their rows ([`Meta::access`]).
//!
//! [`Meta::access`]: quorate_engine::Meta::access

use crate::registry::Entry;
use quorate_resp::Args;

const READ: &[&str] = &["RO access"];
const WRITE: &[&str] = &["RW update"];

/// The texts of a command's key specifications; the last stands for all that follow.
pub(super) fn access(entry: &Entry) -> &'static [&'static str] {
    match entry.meta.access {
        [] if entry.is_write() == Some(true) => WRITE,
        [] => READ,
        texts => texts,
    }
}

/// How one command treats its key number `number`: with options it may be less than the
/// specification says.
pub(super) fn access_of(entry: &Entry, args: Args<'_>, number: usize) -> &'static str {
    if let Some(access_by) = entry.meta.access_by {
        return access_by(args);
    }
    let texts = access(entry);
    let first = texts.first().filter(|_| number == 0);
    first.or(texts.last()).copied().unwrap_or_default()
}
