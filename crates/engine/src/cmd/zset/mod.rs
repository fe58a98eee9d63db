//! Commands on sorted sets, as in Redis 7.2.
//!
//! Ranks are counted from 0 at the lowest score, negative ones from the end. Nothing here knows how
//! a sorted set lies.

mod add;
mod combine;
mod pop;
mod range;
mod ranges;
mod read;
mod remove;
mod scan;
mod wait;

pub(super) use add::{CH, NX, Options, XX, put_all};

use crate::types::pack::Item;
use crate::types::zset::ZsetTree;
use crate::types::{Open, View};
use crate::{Reader, Spec, Writer};
use alloc::borrow::Cow;
use alloc::vec::Vec;
use quorate_resp::Reply;

/// The files of the family.
pub(super) const FILES: &[&[Spec]] = &[
    add::ROWS,
    combine::ROWS,
    pop::ROWS,
    range::ROWS,
    read::ROWS,
    remove::ROWS,
    scan::ROWS,
    wait::ROWS,
];

/// A sorted set for reading.
pub(super) type Zset<'a> = View<'a, ZsetTree>;

pub(super) const NOT_A_FLOAT: &str = "ERR value is not a valid float";

/// The sorted set at a key.
pub(super) fn zset<'a>(cx: &Reader<'a>, key: &[u8]) -> Result<Option<Zset<'a>>, Reply<'static>> {
    cx.view::<ZsetTree>(key).map_err(Reply::from)
}

/// Members with their scores, or without.
fn pairs_reply<'a>(
    pairs: impl Iterator<Item = (Reply<'a>, f64)>,
    count: usize,
    with_scores: bool,
) -> Reply<'a> {
    if with_scores {
        let mut list = Vec::with_capacity(count);
        list.extend(pairs.map(|(member, score)| (member, Reply::Double(score))));
        return Reply::Pairs(list);
    }
    let mut list = Vec::with_capacity(count);
    list.extend(pairs.map(|(member, _)| member));
    Reply::Array(list)
}

/// Tells of a change that may have emptied the sorted set.
fn changed(cx: &mut Writer<'_>, event: &'static str, key: &[u8]) {
    cx.notify(b'z', event, key);
    if !cx.reader().exists(key) {
        cx.notify(b'g', "del", key);
    }
}

/// A member that was taken out of its set, and its score.
pub(super) type Member<'a> = (Cow<'a, [u8]>, f64);

/// Takes members out of a set.
fn owned<'a>((member, score): (Item<'_>, f64)) -> Member<'a> {
    (Cow::Owned(member.bytes().into_owned()), score)
}

/// Makes members the sorted set at a key, whatever was there. They are in order, each of them once.
/// Answers how many they are.
pub(super) fn store(
    cx: &mut Writer<'_>,
    key: &[u8],
    members: &[Member<'_>],
    event: &'static str,
) -> Reply<'static> {
    let longest = members.iter().map(|(member, _)| member.len()).max().unwrap_or(0);
    let mut made = Open::<ZsetTree>::aside(cx.keyspace.rules());
    made.fill(members, longest);
    let there = cx.replace(key, made);
    if !members.is_empty() {
        cx.notify(b'z', event, key);
    } else if there {
        cx.notify(b'g', "del", key);
    }
    Reply::len(members.len())
}

/// Members of the sorted set at a key, for a cost estimate.
pub(super) fn size(cx: &Reader<'_>, key: &[u8]) -> u64 {
    zset(cx, key).ok().flatten().map_or(0, |zset| zset.count() as u64)
}
