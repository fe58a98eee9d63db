//! How commands treat their keys, in Redis's words: `RO`, `RW`, `OW` (the old value does not
//! matter) or `RM`, and what is done with the data.
//!
//! A command has one such text for each of its key specifications, in their order. What is not
//! listed is a read that gives data away, or a write that changes what is there.

use crate::registry::{Entry, Target};
use quorate_resp::Args;

const READ: &[&str] = &["RO access"];
const WRITE: &[&str] = &["RW update"];

/// What differs from [`READ`] and [`WRITE`].
const ACCESS: &[(&[&str], &str)] = &[
    (&["OW insert"], "msetnx setnx"),
    (&["OW update"], "mset msetex psetex restore setex"),
    (
        &["OW update", "RO access"],
        "bitop geosearchstore sdiffstore sunionstore zdiffstore zinterstore zrangestore \
         zunionstore",
    ),
    (&["RM delete"], "del delex delifeq unlink"),
    (
        &["RO"],
        "exists hexists hlen hstrlen llen memory|usage object|encoding object|freq \
         object|idletime object|refcount scard sismember strlen touch type xlen zcard",
    ),
    (&["RO access"], "xreadgroup"),
    (&["RO access", "OW update"], "copy"),
    (&["RO access", "OW update", "OW update"], "georadius georadiusbymember"),
    (&["RO access", "RO access"], "sort_ro"),
    (&["RO access", "RO access", "OW update"], "sort"),
    (&["RW access"], "pfcount pfdebug"),
    (&["RW access delete"], "getdel hgetdel lmpop lpop rpop spop zmpop zpopmax zpopmin"),
    (&["RW access delete", "OW insert"], "renamenx"),
    (&["RW access delete", "OW update"], "rename"),
    (&["RW access delete", "RW insert"], "lmove rpoplpush smove"),
    (&["RW access insert", "RO access"], "pfmerge"),
    (
        &["RW access update"],
        "decr decrby getex getset hgetex hincrby hincrbyfloat incr incrby incrbyfloat increx \
         move setbit zincrby",
    ),
    (&["RW access update variable_flags"], "bitfield set"),
    (
        &["RW delete"],
        "hdel lrem ltrim srem xackdel xautoclaim xdel xdelex xgroup|delconsumer xgroup|destroy \
         xtrim zrem zremrangebylex zremrangebyrank zremrangebyscore",
    ),
    (
        &["RW insert"],
        "append hsetnx linsert lpush lpushx pfadd rpush rpushx sadd xgroup|create \
         xgroup|createconsumer",
    ),
    (&["RW update", "RO access"], "sinterstore"),
];

/// The texts of a command's key specifications; the last stands for all that follow.
pub(super) fn access(entry: &Entry) -> &'static [&'static str] {
    let listed = ACCESS.iter().find(|(_, names)| names.split(' ').any(|name| name == entry.name));
    match (listed, entry.target) {
        (Some((texts, _)), _) => texts,
        (None, Target::Write) => WRITE,
        (None, _) => READ,
    }
}

/// How one command treats its key number `number`: with options it may be less than the
/// specification says.
pub(super) fn access_of(entry: &Entry, args: Args<'_>, number: usize) -> &'static str {
    let has = |from: usize, word: &str| args.from(from).iter().any(|arg| super::is(arg, word));
    match entry.name.as_str() {
        "set" if has(3, "GET") => "RW access update",
        "set" => "OW update",
        "bitfield" if has(2, "SET") || has(2, "INCRBY") => "RW access update",
        "bitfield" => "RO access",
        _ => {
            let texts = access(entry);
            let first = texts.first().filter(|_| number == 0);
            first.or(texts.last()).copied().unwrap_or_default()
        }
    }
}
