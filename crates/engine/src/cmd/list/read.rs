//! Looking at lists: LLEN, LINDEX, LPOS, LRANGE.

use super::{position, range};
use crate::cmd::generic::{NOT_AN_INTEGER, SYNTAX};
use crate::types::View;
use crate::types::list::ListTree;
use crate::types::pack::Item;
use crate::{Arity, Flags, Group, Keys, Reader, Spec, WrongType};
use alloc::vec::Vec;
use quorate_resp::{Args, Reply, Strings, parse_int};

pub(super) const LLEN: Spec = Spec::read(
    Group::List.meta(
        "LLEN",
        Arity::Exactly(2),
        Keys::At(1),
        Flags::FAST,
        ("1.0.0", "Returns the length of a list."),
    ),
    llen,
);

fn llen<'a>(cx: &Reader<'a>, args: Args<'a>) -> Reply<'a> {
    match cx.view::<ListTree>(args.at(1)) {
        Ok(list) => Reply::len(list.map_or(0, View::<ListTree>::len)),
        Err(WrongType) => Reply::WRONG_TYPE,
    }
}

pub(super) const LINDEX: Spec = Spec::read(
    Group::List.meta(
        "LINDEX",
        Arity::Exactly(3),
        Keys::At(1),
        Flags::NONE,
        ("1.0.0", "Returns an element of a list by its position."),
    ),
    lindex,
);

fn lindex<'a>(cx: &Reader<'a>, args: Args<'a>) -> Reply<'a> {
    let list = match cx.view::<ListTree>(args.at(1)) {
        Ok(Some(list)) => list,
        Ok(None) => return Reply::Null,
        Err(WrongType) => return Reply::WRONG_TYPE,
    };
    let Some(at) = parse_int(args.at(2)) else { return Reply::error(NOT_AN_INTEGER) };
    let element = position(at, list.len()).and_then(|at| list.get(at));
    element.map_or(Reply::Null, Item::reply)
}

pub(super) const LPOS: Spec = Spec::read(
    Group::List.meta(
        "LPOS",
        Arity::AtLeast(3),
        Keys::At(1),
        Flags::NONE,
        ("6.0.6", "Returns the positions of elements that equal another."),
    ),
    lpos,
)
.costing(super::walk_cost_ns);

fn lpos<'a>(cx: &Reader<'a>, args: Args<'a>) -> Reply<'a> {
    let search = match Search::parse(args.from(3)) {
        Ok(search) => search,
        Err(reply) => return reply,
    };
    let list = match cx.view::<ListTree>(args.at(1)) {
        Ok(list) => list,
        Err(WrongType) => return Reply::WRONG_TYPE,
    };
    let wanted = Item::of(args.at(2));
    let mut found = list.map_or_else(Vec::new, |list| search.run(list, wanted));
    match search.count {
        Some(_) => Reply::Array(found),
        None => found.pop().unwrap_or(Reply::Null),
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

pub(super) const LRANGE: Spec = Spec::read(
    Group::List.meta(
        "LRANGE",
        Arity::Exactly(4),
        Keys::At(1),
        Flags::NONE,
        ("1.0.0", "Returns the elements of a list between two positions, both included."),
    ),
    lrange,
)
.costing(lrange_cost_ns);

fn lrange<'a>(cx: &Reader<'a>, args: Args<'a>) -> Reply<'a> {
    let (Some(first), Some(last)) = (parse_int(args.at(2)), parse_int(args.at(3))) else {
        return Reply::error(NOT_AN_INTEGER);
    };
    let list = match cx.view::<ListTree>(args.at(1)) {
        Ok(Some(list)) => list,
        Ok(None) => return Reply::Array(Vec::new()),
        Err(WrongType) => return Reply::WRONG_TYPE,
    };
    let Some((start, end)) = range(first, last, list.len()) else {
        return Reply::Array(Vec::new());
    };
    let mut elements = Strings::with_capacity(end - start, (end - start) * ELEMENT_BYTES);
    list.from(start).take(end - start).for_each(|element| element.tell(&mut elements));
    Reply::Strings(elements)
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
