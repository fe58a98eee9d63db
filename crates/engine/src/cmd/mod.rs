//! All data commands. A family is one folder or file, and one line here; it lists its files, and
//! each of these has its rows.
//!
//! [`lookup`] finds a row by name, [`resolve`] by a whole command (subcommands are rows of their
//! own, `OBJECT|ENCODING`), and [`check`] also says in Redis's words what is wrong with a command
//! that has no row or too few arguments. The index over the rows is built by the compiler.

mod bitmap;
mod collection;
mod docs;
mod generic;
mod geo;
mod hash;
mod hyperloglog;
mod internal;
mod list;
pub(crate) mod script;
mod set;
mod stream;
mod string;
mod unknown;
mod wait;
mod zset;

pub(crate) use collection::tell_if_gone;
pub use docs::docs_markdown;
pub use stream::xread_from;
pub use unknown::{unknown_command, unknown_subcommand, wrong_arity};

use crate::{Flags, Spec};
use quorate_resp::{Args, Reply};

/// How to tell commands that Redis 7.0 does not know, or would not do alike.
pub(crate) mod told {
    pub(crate) use super::hash::told as hash;
    pub(crate) use super::stream::told as stream;
}

/// Every family: its files, and their rows.
const FAMILIES: &[&[&[Spec]]] = &[
    bitmap::FILES,
    generic::FILES,
    hash::FILES,
    hyperloglog::FILES,
    geo::FILES,
    list::FILES,
    script::FILES,
    set::FILES,
    stream::FILES,
    string::FILES,
    zset::FILES,
    &[internal::ROWS],
];

/// Every row.
pub fn all() -> &'static [Spec] {
    &TABLE
}

/// Finds a row by its name in any case; a subcommand's is `PARENT|SUB`.
pub fn lookup(name: &[u8]) -> Option<&'static Spec> {
    probe(hash(HASH_START, name), |wanted| wanted.eq_ignore_ascii_case(name))
}

/// Finds the row of a whole command: that of its name, or that of its subcommand.
pub fn resolve(args: Args<'_>) -> Option<&'static Spec> {
    let name = args.get(0)?;
    if let Some(spec) = lookup(name) {
        // A subcommand's row is not a command's name: `OBJECT|HELP` as one word is unknown.
        return (!spec.meta.is_sub()).then_some(spec);
    }
    let sub = args.get(1)?;
    probe(hash(hash(hash(HASH_START, name), b"|"), sub), |wanted| {
        wanted.split_at_checked(name.len()).is_some_and(|(parent, rest)| {
            parent.eq_ignore_ascii_case(name)
                && rest
                    .split_first()
                    .is_some_and(|(&bar, rest)| bar == b'|' && rest.eq_ignore_ascii_case(sub))
        })
    })
}

/// The same; tried first is the row that came before, which pipelines repeat.
pub(crate) fn resolve_like(last: Option<&'static Spec>, args: Args<'_>) -> Option<&'static Spec> {
    last.filter(|spec| spec.meta.is_plainly(args)).or_else(|| resolve(args))
}

/// Finds the row of a client's command and checks its arity; the error is the reply.
pub fn check(args: Args<'_>) -> Result<&'static Spec, Reply<'static>> {
    match resolve(args) {
        Some(spec) if spec.meta.flags.has(Flags::INTERNAL) => Err(unknown_command(args)),
        Some(spec) if spec.meta.arity.fits(args.len()) => Ok(spec),
        Some(spec) => Err(wrong_arity(spec.meta.name)),
        None => Err(unknown(args)),
    }
}

/// Why no row was found.
#[cold]
pub(crate) fn unknown(args: Args<'_>) -> Reply<'static> {
    let parent = all().iter().find_map(|spec| {
        let (parent, _) = spec.meta.name.split_once('|')?;
        parent.as_bytes().eq_ignore_ascii_case(args.at(0)).then_some(parent)
    });
    match parent {
        None => unknown_command(args),
        Some(parent) if args.len() < 2 => wrong_arity(parent),
        Some(parent) => unknown_subcommand(parent, args.at(1)),
    }
}

/// How many rows there are.
#[allow(clippy::indexing_slicing, reason = "runs in the compiler, where a wrong index is an error")]
const COUNT: usize = {
    let mut count = 0;
    let mut family = 0;
    while family < FAMILIES.len() {
        let mut file = 0;
        while file < FAMILIES[family].len() {
            count += FAMILIES[family][file].len();
            file += 1;
        }
        family += 1;
    }
    count
};

/// All rows, numbered; built by the compiler.
static TABLE: [Spec; COUNT] = table();

#[allow(
    clippy::indexing_slicing,
    clippy::large_stack_arrays,
    reason = "runs in the compiler, which needs no stack, and where a wrong index is an error"
)]
const fn table() -> [Spec; COUNT] {
    let mut table = [internal::ROWS[0]; COUNT];
    let mut number = 0;
    let mut family = 0;
    while family < FAMILIES.len() {
        let mut file = 0;
        while file < FAMILIES[family].len() {
            let mut row = 0;
            while row < FAMILIES[family][file].len() {
                table[number] = FAMILIES[family][file][row];
                table[number].meta.number = number as u16;
                number += 1;
                row += 1;
            }
            file += 1;
        }
        family += 1;
    }
    table
}

/// Slots of the index: a power of two, many times the rows, so that a name is found at the first
/// look.
const SLOTS: usize = 2048;

/// Rows by hash, open addressing; built by the compiler.
static INDEX: [Option<&'static Spec>; SLOTS] = index();

#[allow(clippy::indexing_slicing, reason = "runs in the compiler, where a wrong index is an error")]
const fn index() -> [Option<&'static Spec>; SLOTS] {
    let mut index: [Option<&'static Spec>; SLOTS] = [None; SLOTS];
    let mut row = 0;
    while row < COUNT {
        let mut slot = hash(HASH_START, TABLE[row].meta.name.as_bytes()) as usize % SLOTS;
        while index[slot].is_some() {
            slot = (slot + 1) % SLOTS;
        }
        index[slot] = Some(&TABLE[row]);
        row += 1;
    }
    index
}

const HASH_START: u32 = 0x811c_9dc5;

/// FNV-1a over letters of either case. Not keyed: the rows are ours, and a probe is as short as its
/// cluster.
#[allow(
    clippy::indexing_slicing,
    reason = "bounded by the loop; iterators do not run in the compiler"
)]
const fn hash(start: u32, name: &[u8]) -> u32 {
    let mut hash = start;
    let mut at = 0;
    while at < name.len() && at < NAME_BYTES_HASHED {
        hash = (hash ^ (name[at] & 0xDF) as u32).wrapping_mul(0x0100_0193);
        at += 1;
    }
    hash
}

/// No command's name is longer; a client's may be, and costs no more.
const NAME_BYTES_HASHED: usize = 32;

fn probe(hash: u32, is: impl Fn(&[u8]) -> bool) -> Option<&'static Spec> {
    let mut slot = hash as usize % SLOTS;
    while let Some(spec) = INDEX.get(slot).copied().flatten() {
        if is(spec.meta.name.as_bytes()) {
            return Some(spec);
        }
        slot = (slot + 1) % SLOTS;
    }
    None
}

#[cfg(test)]
mod tests;
