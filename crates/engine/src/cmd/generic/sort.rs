//! The elements of a list, a set or a sorted set in some order: `SORT`, `SORT_RO`.
//!
//! SORT is a write to everybody who asks what it is (COMMAND, access rights), because it may store;
//! a call that does not store is run as a read all the same ([`Handler::of`]): it is not logged,
//! any replica answers it, and it may ask for any order.
//!
//! What is stored is the same on every replica: equal weights are ordered by the elements, and
//! where Redis leaves the order to its library (equal texts of BY) here the elements keep theirs.

mod options;
mod pattern;

use super::{Keys, SYNTAX};
use crate::number::parse_double;
use crate::spec::{Handler, hidden_if};
use crate::types::list::{End, ListTree};
use crate::types::pack::{Item, Pack};
use crate::types::set::SetTree;
use crate::types::zset::ZsetTree;
use crate::types::{Form, Open, View};
use crate::{Flags, Group, LogForm, Reader, Replied, Row, Sealing, Spec, Writer, WrongType, least};
use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::cmp::Ordering;
use options::Options;
use pattern::{Found, Pattern};
use quorate_resp::{Args, Reply};

/// The rows.
pub(in crate::cmd) const ROWS: &[Spec] = &Group::Generic.rows([
    Row::new(
        "SORT",
        "key [BY pattern] [LIMIT offset count] [GET pattern [GET pattern ...]] [ASC | DESC] \
         [ALPHA] [STORE destination]",
        Handler::Either { reads: only_reads, read, write: sort_and_store },
    )
    .facts(least(2), Keys::Sort, Flags::DENYOOM.and(Flags::DANGEROUS))
    .doc("1.0.0", "Sorts the elements of a list, a set or a sorted set, and may store them.")
    .access(&["RO access", "RO access", "OW update"])
    .filed(&["set", "sortedset", "list"])
    .logged("plain or armoured", form)
    .costing(cost_ns),
    Spec::read(
        "SORT_RO",
        "key [BY pattern] [LIMIT offset count] [GET pattern [GET pattern ...]] [ASC | DESC] \
         [ALPHA]",
        sort_ro,
    )
    .facts(least(2), Keys::At(1), Flags::DANGEROUS)
    .doc("7.0.0", "Sorts the elements of a list, a set or a sorted set.")
    .access(&["RO access", "RO access"])
    .filed(&["set", "sortedset", "list"])
    .costing(cost_ns),
]);

fn sort_ro<'a>(cx: &Reader<'a>, args: Args<'a>) -> Replied<'a> {
    sorted(cx, args, Options::parse(args.from(2), false))
}

/// SORT where it does not store.
fn read<'a>(cx: &Reader<'a>, args: Args<'a>) -> Replied<'a> {
    sorted(cx, args, Options::parse(args.from(2), true))
}

/// Whether a call of SORT stores nothing.
fn only_reads(args: Args<'_>) -> bool {
    Keys::Sort.positions(args).count() < 2
}

type Result<T> = core::result::Result<T, Reply<'static>>;

fn sorted<'a>(cx: &Reader<'a>, args: Args<'a>, options: Result<Options<'a>>) -> Replied<'a> {
    let answer = || {
        let options = options?;
        let elements = ordered(cx, args.at(1), &options)?;
        if options.gets.is_empty() {
            return Ok(elements.into_iter().map(Item::reply).collect());
        }
        let mut values = Vec::with_capacity(elements.len().saturating_mul(options.gets.len()));
        for element in elements {
            let found = options.gets.iter().map(|get| get.find(cx, element));
            values.extend(found.map(|found| found.map_or(Reply::Null, Found::reply)));
        }
        Ok(values)
    };
    answer().map(Reply::Array)
}

fn sort_and_store(cx: &mut Writer<'_>, args: Args<'_>) -> Replied<'static> {
    stored(cx, args).map(Reply::len)
}

fn stored(cx: &mut Writer<'_>, args: Args<'_>) -> Result<usize> {
    let options = Options::parse(args.from(2), true)?;
    // `Handler::of` leads nobody here without it.
    let target = options.store.ok_or(Reply::error(SYNTAX))?;
    let reader = cx.reader();
    let mut list = Open::<ListTree>::new(Form::List, Pack::default(), None, cx.keyspace.rules());
    for element in ordered(&reader, args.at(1), &options)? {
        if options.gets.is_empty() {
            element.with(|bytes| list.push(End::Back, bytes));
        }
        for get in &options.gets {
            let value = get.find(&reader, element).map_or(Cow::Borrowed(&[][..]), Found::bytes);
            list.push(End::Back, &value);
        }
    }
    let count = list.len();
    if cx.replace(target, list) {
        let event = if count > 0 { (b'l', "sortstore") } else { (b'g', "del") };
        cx.notify(event.0, event.1, target);
    }
    Ok(count)
}

/// How it is logged. A stock Redis finds the same keys while it loads, but for those that were due
/// here; and it has an order of its own where texts that BY finds are equal.
fn form(cx: &mut Sealing<'_>, args: Args<'_>) -> LogForm {
    let (cx, stamp) = (&cx.reader, &cx.stamp);
    let options = match Options::parse(args.from(2), true) {
        Ok(options) => options,
        Err(reply) => return LogForm::Refused(reply),
    };
    let looks = options.by.is_some() || options.gets.iter().any(|get| !get.is_element());
    let any_due = cx.keyspace.next_deadline_ms().is_some_and(|deadline| deadline < stamp.now_ms);
    hidden_if(options.by.is_some() && options.alpha || looks && any_due)
}

/// What is sorted.
struct Source<'a> {
    elements: Vec<Item<'a>>,
    /// Whether they have no order of their own.
    is_set: bool,
}

/// The elements at a key in their own order.
fn source<'a>(cx: &Reader<'a>, key: &[u8]) -> core::result::Result<Source<'a>, WrongType> {
    let list = |elements| Source { elements, is_set: false };
    match cx.type_name(key) {
        None => Ok(list(Vec::new())),
        Some("list") => {
            let found = cx.view::<ListTree>(key)?;
            Ok(list(found.map_or_else(Vec::new, |list| list.from(0).collect())))
        }
        Some("zset") => {
            let found = cx.view::<ZsetTree>(key)?;
            let members = |zset: View<'a, ZsetTree>| zset.pairs(0).map(|(member, _)| member);
            Ok(list(found.map_or_else(Vec::new, |zset| members(zset).collect())))
        }
        Some("set") => {
            let found = cx.view::<SetTree>(key)?;
            let elements = found.map_or_else(Vec::new, |set| set.iter().collect());
            Ok(Source { elements, is_set: true })
        }
        Some(_) => Err(WrongType),
    }
}

/// The elements that the options ask for.
fn ordered<'a>(cx: &Reader<'a>, key: &[u8], options: &Options<'_>) -> Result<Vec<Item<'a>>> {
    let Source { mut elements, is_set } = source(cx, key)?;
    // What is stored of a set has an order that anybody can make again.
    let by_text = options.unsorted && is_set && options.store.is_some();
    let (start, end) = options.range(elements.len());
    if options.unsorted && !by_text {
        // A set has no order that could be turned round.
        if options.descending && !is_set {
            elements.reverse();
        }
    } else if by_text || options.alpha {
        sort_by_text(cx, &mut elements, options, if by_text { None } else { options.by });
    } else {
        sort_by_number(cx, &mut elements, options)?;
    }
    elements.truncate(end);
    elements.drain(..start);
    Ok(elements)
}

fn in_direction(options: &Options<'_>, order: Ordering) -> Ordering {
    if options.descending { order.reverse() } else { order }
}

/// By the elements' own texts, or by those that BY finds, none before all others.
fn sort_by_text(
    cx: &Reader<'_>,
    elements: &mut [Item<'_>],
    options: &Options<'_>,
    by: Option<Pattern<'_>>,
) {
    let Some(by) = by else {
        return elements.sort_by(|one, other| in_direction(options, compare(*one, *other)));
    };
    let mut weighed: Vec<(Option<Cow<'_, [u8]>>, Item<'_>)> = elements
        .iter()
        .map(|element| (by.find(cx, *element).map(Found::bytes), *element))
        .collect();
    weighed.sort_by(|one, other| in_direction(options, one.0.cmp(&other.0)));
    for (place, (_, element)) in elements.iter_mut().zip(weighed) {
        *place = element;
    }
}

/// By the elements as numbers, or by those that BY finds, which are 0 where it finds none.
fn sort_by_number(cx: &Reader<'_>, elements: &mut [Item<'_>], options: &Options<'_>) -> Result<()> {
    let mut weighed = Vec::with_capacity(elements.len());
    for element in elements.iter() {
        let weight = match (options.by, element) {
            (None, Item::Int(number)) => Some(*number as f64),
            (None, Item::Bytes(bytes)) => number(bytes),
            (Some(by), element) => {
                by.find(cx, *element).map_or(Some(0.0), |found| number(&found.bytes()))
            }
        };
        let weight = weight.ok_or(Reply::error(NO_NUMBER))?;
        weighed.push((weight, *element));
    }
    weighed.sort_by(|one, other| {
        let by_weight = one.0.partial_cmp(&other.0).unwrap_or(Ordering::Equal);
        in_direction(options, by_weight.then_with(|| compare(one.1, other.1)))
    });
    for (place, (_, element)) in elements.iter_mut().zip(weighed) {
        *place = element;
    }
    Ok(())
}

const NO_NUMBER: &str = "ERR One or more scores can't be converted into double";

/// Orders elements by their bytes.
fn compare(one: Item<'_>, other: Item<'_>) -> Ordering {
    one.with(|one| other.with(|other| one.cmp(other)))
}

/// A weight as `strtod` reads it: a zero byte ends it, blanks may stand in front, nothing is 0,
/// what is too large or too small for a double is no number.
fn number(text: &[u8]) -> Option<f64> {
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    if text.is_empty() {
        return Some(0.0);
    }
    parse_double(text.trim_ascii_start()).filter(|number| !number.is_subnormal())
}

/// An element is read, weighed and sorted in some 300 ns, and a key is found in 300 more.
fn cost_ns(cx: &Reader<'_>, args: Args<'_>) -> u64 {
    const ELEMENT_NS: u64 = 300;
    let count = count(cx, args.at(1)) as u64;
    let patterns = args.iter().filter(|word| word.contains(&b'*')).count() as u64;
    count.saturating_mul(ELEMENT_NS * (1 + patterns))
}

/// Elements at a key.
fn count(cx: &Reader<'_>, key: &[u8]) -> usize {
    match cx.type_name(key) {
        Some("list") => cx.view(key).map_or(0, |list| list.map_or(0, View::<ListTree>::len)),
        Some("set") => cx.view(key).map_or(0, |set| set.map_or(0, View::<SetTree>::len)),
        Some("zset") => cx.view(key).map_or(0, |zset| zset.map_or(0, View::<ZsetTree>::count)),
        _ => 0,
    }
}
