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

/// The rows of the family.
pub(super) const ROWS: &[Spec] = &[
    change::HDEL,
    read::HEXISTS,
    deadline::HEXPIRE,
    deadline::HEXPIREAT,
    deadline::HEXPIRETIME,
    read::HGET,
    read::HGETALL,
    exchange::HGETDEL,
    exchange::HGETEX,
    counter::HINCRBY,
    counter::HINCRBYFLOAT,
    read::HKEYS,
    read::HLEN,
    read::HMGET,
    change::HMSET,
    deadline::HPERSIST,
    deadline::HPEXPIRE,
    deadline::HPEXPIREAT,
    deadline::HPEXPIRETIME,
    deadline::HPTTL,
    random::HRANDFIELD,
    read::HSCAN,
    change::HSET,
    exchange::HSETEX,
    change::HSETNX,
    read::HSTRLEN,
    deadline::HTTL,
    read::HVALS,
];

/// A hash open for change.
type Hash = Open<HashTree>;

/// Fields of the hash that a command names; 0 if there is none.
fn fields(cx: &Reader<'_>, args: Args<'_>) -> usize {
    cx.view::<HashTree>(args.at(1)).ok().flatten().map_or(0, View::<HashTree>::len)
}
