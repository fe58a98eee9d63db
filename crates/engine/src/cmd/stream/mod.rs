//! Commands on streams, as in Redis 7.2, and what Redis 8.2 and 8.6 added to them.
//!
//! Time is the entry's stamp: ids made for `*`, times of delivery and of consumers. Reads count
//! idle times from the clock that their session was given.

mod add;
mod claim;
mod group;
mod info;
mod pending;
mod producers;
mod range;
mod read;
mod refs;
#[cfg(test)]
mod tests;
pub(crate) mod told;

pub use read::xread_from;

use crate::types::stream::{Entry, Id};
use crate::{LogForm, Reader, Sealing, Spec, Writer};
use alloc::vec::Vec;
use quorate_resp::{Args, Reply, up_to_zero};

/// The files of the family.
pub(super) const FILES: &[&[Spec]] = &[
    add::ROWS,
    claim::ROWS,
    group::ROWS,
    info::ROWS,
    pending::ROWS,
    producers::ROWS,
    range::ROWS,
    read::ROWS,
    refs::ROWS,
];

/// As it came; Redis gives the same data, but for times that it takes from its own clock.
fn inexact(cx: &mut Sealing<'_>, _: Args<'_>) -> LogForm {
    cx.inexact = true;
    LogForm::Plain
}

const INVALID_ID: &str = "ERR Invalid stream ID specified as stream command argument";

type Result<T> = core::result::Result<T, Reply<'static>>;

/// An id, whose missing number is 0.
fn id(text: &[u8]) -> Result<Id> {
    Id::parse(text, 0).ok_or_else(|| Reply::error(INVALID_ID))
}

/// An entry as XRANGE gives it.
fn shown(entry: Entry<'_>) -> Reply<'_> {
    let mut items = Vec::with_capacity(2 * entry.pairs);
    for (name, value) in entry.items() {
        items.push(name.reply());
        items.push(value.reply());
    }
    Reply::Array(alloc::vec![entry.id.reply(), Reply::Array(items)])
}

/// The same, outliving the next change.
fn shown_owned(entry: Entry<'_>) -> Reply<'static> {
    let mut items = Vec::with_capacity(2 * entry.pairs);
    for (name, value) in entry.items() {
        items.push(name.owned());
        items.push(value.owned());
    }
    Reply::Array(alloc::vec![entry.id.reply(), Reply::Array(items)])
}

/// The time of an entry.
fn now_ms(cx: &Writer<'_>) -> i64 {
    i64::try_from(cx.now_ms()).unwrap_or(i64::MAX)
}

/// The time of a read.
fn clock_ms(cx: &Reader<'_>) -> i64 {
    i64::try_from(cx.now_ms().max(cx.clock_ms)).unwrap_or(i64::MAX)
}

/// The error for a group that is not at a key which is there.
#[cold]
fn no_such_group(key: &[u8], group: &[u8]) -> Reply<'static> {
    let (key, group) = (up_to_zero(key), up_to_zero(group));
    Reply::error_of(&[b"NOGROUP No such consumer group '", group, b"' for key name '", key, b"'"])
}

/// The error for a group, or its key, that is not there.
#[cold]
fn no_key_or_group(key: &[u8], group: &[u8]) -> Reply<'static> {
    let (key, group) = (up_to_zero(key), up_to_zero(group));
    Reply::error_of(&[b"NOGROUP No such key '", key, b"' or consumer group '", group, b"'"])
}

fn lines<'a>(lines: &[&'static str]) -> Reply<'a> {
    Reply::Array(lines.iter().map(|&line| Reply::Simple(line.into())).collect::<Vec<_>>())
}
