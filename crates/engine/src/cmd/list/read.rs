//! Looking at lists: LLEN, LINDEX, LPOS, LRANGE.

use super::{position, range};
use crate::cmd::generic::{NOT_AN_INTEGER, SYNTAX};
use crate::types::View;
use crate::types::list::ListTree;
use crate::types::pack::Item;
use crate::{Flags, Group, Keys, Reader, Replied, Spec, exactly, least};
use alloc::vec::Vec;
use quorate_resp::{Args, Reply, Strings, parse_int};

/// The rows.
pub(in crate::cmd) const ROWS: &[Spec] = &Group::List.rows([
    Spec::read("LLEN", "key", llen)
        .facts(exactly(2), Keys::At(1), Flags::FAST)
        .doc("1.0.0", "Returns the length of a list.")
        .access(&["RO"]),
    Spec::read("LINDEX", "key index", lindex)
        .facts(exactly(3), Keys::At(1), Flags::NONE)
        .doc("1.0.0", "Returns an element of a list by its position."),
    Spec::read("LPOS", "key element [RANK rank] [COUNT num-matches] [MAXLEN len]", lpos)
        .facts(least(3), Keys::At(1), Flags::NONE)
        .doc("6.0.6", "Returns the positions of elements that equal another.")
        .costing(super::walk_cost_ns),
    Spec::read("LRANGE", "key start stop", lrange)
        .facts(exactly(4), Keys::At(1), Flags::NONE)
        .doc("1.0.0", "Returns the elements of a list between two positions, both included.")
        .costing(lrange_cost_ns),
]);

fn llen<'a>(cx: &Reader<'a>, args: Args<'a>) -> Replied<'a> {
    let list = cx.view::<ListTree>(args.at(1))?;
    Ok(Reply::len(list.map_or(0, View::<ListTree>::len)))
}

fn lindex<'a>(cx: &Reader<'a>, args: Args<'a>) -> Replied<'a> {
    let Some(list) = cx.view::<ListTree>(args.at(1))? else { return Ok(Reply::Null) };
    let Some(at) = parse_int(args.at(2)) else { return Err(Reply::error(NOT_AN_INTEGER)) };
    let element = position(at, list.len()).and_then(|at| list.get(at));
    Ok(element.map_or(Reply::Null, Item::reply))
}

fn lpos<'a>(cx: &Reader<'a>, args: Args<'a>) -> Replied<'a> {
    let search = Search::parse(args.from(3))?;
    let list = cx.view::<ListTree>(args.at(1))?;
    let wanted = Item::of(args.at(2));
    let mut found = list.map_or_else(Vec::new, |list| search.run(list, wanted));
    match search.count {
        Some(_) => Ok(Reply::Array(found)),
        None => Ok(found.pop().unwrap_or(Reply::Null)),
    }
}

/// LPOS's options.
struct Search {
    /// The first match that counts, from 1 on.
    rank: u64,
    /// Whether to search from the end.
    back: bool,
    /// Most matches; 0 is all, and `None` one that is not an array.
    count: Option<usize>,
    /// Most elements to look at.
    look_max: usize,
}

impl Search {
    fn parse(args: Args<'_>) -> Result<Self, Reply<'static>> {
        let mut search = Self { rank: 1, back: false, count: None, look_max: usize::MAX };
        let mut options = args.iter();
        while let Some(option) = options.next() {
            let is = |name: &[u8]| option.eq_ignore_ascii_case(name);
            if !(is(b"RANK") || is(b"COUNT") || is(b"MAXLEN")) {
                return Err(Reply::error(SYNTAX));
            }
            let value = options.next().ok_or(Reply::error(SYNTAX))?;
            if is(b"RANK") {
                let rank = parse_int(value).ok_or(Reply::error(NOT_AN_INTEGER))?;
                (search.rank, search.back) = (rank.unsigned_abs(), rank < 0);
                if rank == 0 {
                    return Err(Reply::error(RANK_ZERO));
                }
                if rank == i64::MIN {
                    return Err(Reply::error(RANK_MIN));
                }
            } else if is(b"COUNT") {
                search.count = Some(not_negative(value, "ERR COUNT can't be negative")?);
            } else {
                let most = not_negative(value, "ERR MAXLEN can't be negative")?;
                search.look_max = if most == 0 { usize::MAX } else { most };
            }
        }
        Ok(search)
    }

    fn run(&self, list: View<'_, ListTree>, wanted: Item<'_>) -> Vec<Reply<'static>> {
        let last = list.len().saturating_sub(1);
        let skipped = usize::try_from(self.rank - 1).unwrap_or(usize::MAX);
        let most = match self.count {
            None => 1,
            Some(0) => usize::MAX,
            Some(count) => count,
        };
        let is_wanted = |(at, element): (usize, Item<'_>)| (element == wanted).then_some(at);
        if self.back {
            let passed = list.back_from(last).take(self.look_max).enumerate();
            let found = passed.filter_map(is_wanted).skip(skipped).take(most);
            found.map(|at| Reply::len(last - at)).collect()
        } else {
            let passed = list.from(0).take(self.look_max).enumerate();
            passed.filter_map(is_wanted).skip(skipped).take(most).map(Reply::len).collect()
        }
    }
}

const RANK_ZERO: &str = "ERR RANK can't be zero: use 1 to start from the first match, 2 from \
    the second ... or use negative to start from the end of the list";
/// Redis 7.0.15 would negate it, 7.2 refuses it.
const RANK_MIN: &str = "ERR value is out of range, value must between -9223372036854775807 and \
    9223372036854775807";

/// A number from 0 on; otherwise this error.
fn not_negative(text: &[u8], error: &'static str) -> Result<usize, Reply<'static>> {
    let number = parse_int(text).and_then(|number| usize::try_from(number).ok());
    number.ok_or_else(|| Reply::error(error))
}

fn lrange<'a>(cx: &Reader<'a>, args: Args<'a>) -> Replied<'a> {
    let (Some(first), Some(last)) = (parse_int(args.at(2)), parse_int(args.at(3))) else {
        return Err(Reply::error(NOT_AN_INTEGER));
    };
    let Some(list) = cx.view::<ListTree>(args.at(1))? else {
        return Ok(Reply::Array(Vec::new()));
    };
    let Some((start, end)) = range(first, last, list.len()) else {
        return Ok(Reply::Array(Vec::new()));
    };
    let mut elements = Strings::with_capacity(end - start, (end - start) * ELEMENT_BYTES);
    list.from(start).take(end - start).for_each(|element| element.tell(&mut elements));
    Ok(Reply::Strings(elements))
}

/// Bytes for which there is room in a reply before an element is looked at.
const ELEMENT_BYTES: usize = 8;

/// An element takes some 30 ns.
fn lrange_cost_ns(cx: &Reader<'_>, args: Args<'_>) -> u64 {
    let (Some(first), Some(last)) = (parse_int(args.at(2)), parse_int(args.at(3))) else {
        return 0;
    };
    let len = cx.view::<ListTree>(args.at(1)).ok().flatten().map_or(0, View::<ListTree>::len);
    range(first, last, len).map_or(0, |(start, end)| 30 * (end - start) as u64)
}
