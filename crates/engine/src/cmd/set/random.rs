//! Members at random: SPOP, SRANDMEMBER.

use super::{Set, len, members};
use crate::cmd::collection::{Picks, tell_if_gone};
use crate::cmd::generic::SYNTAX;
use crate::types::View;
use crate::types::pack::Item;
use crate::types::set::SetTree;
use crate::{Flags, Group, Keys, Reader, Replied, Spec, Writer, least};
use alloc::vec::Vec;
use quorate_resp::{Args, Reply, parse_int};

/// The rows.
pub(in crate::cmd) const ROWS: &[Spec] = &Group::Set.rows([
    Spec::write("SPOP", "key [count]", spop)
        .facts(least(2), Keys::At(1), Flags::FAST)
        .doc("1.0.0", "Takes one or more members out of a set at random.")
        .access(&["RW access delete"])
        .hidden()
        .costing(spop_cost_ns),
    Spec::read("SRANDMEMBER", "key [count]", srandmember)
        .facts(least(2), Keys::At(1), Flags::NONE)
        .doc("1.0.0", "Picks one or more members of a set at random.")
        .costing(srandmember_cost_ns),
]);

fn spop(cx: &mut Writer<'_>, args: Args<'_>) -> Replied<'static> {
    let key = args.at(1);
    let Some(count) = args.get(2) else {
        let popped = pop(cx, key, 1)?;
        return Ok(popped.and_then(|mut members| members.pop()).unwrap_or(Reply::Null));
    };
    if args.len() > 3 {
        return Err(Reply::error(SYNTAX));
    }
    let count = parse_int(count).and_then(|count| usize::try_from(count).ok());
    let count = count.ok_or(Reply::error("ERR value is out of range, must be positive"))?;
    Ok(Reply::Set(pop(cx, key, count)?.unwrap_or_default()))
}

/// Takes members out, telling of it; `None`: there is no set.
fn pop(
    cx: &mut Writer<'_>,
    key: &[u8],
    count: usize,
) -> Result<Option<Vec<Reply<'static>>>, Reply<'static>> {
    let reader = cx.reader();
    let Some(set) = reader.view::<SetTree>(key)? else { return Ok(None) };
    if count == 0 {
        return Ok(Some(Vec::new()));
    }
    let popped = if count >= set.len() {
        let all = set.iter().map(Item::owned).collect();
        cx.notify(b's', "spop", key);
        cx.remove(key);
        all
    } else {
        let mut seed = cx.random();
        let popped = cx.edit(key, |set: &mut Set| set.pop(count, &mut seed))?;
        cx.notify(b's', "spop", key);
        popped.unwrap_or_default()
    };
    tell_if_gone(cx, key);
    Ok(Some(popped))
}

fn spop_cost_ns(cx: &Reader<'_>, args: Args<'_>) -> u64 {
    let count = args.get(2).and_then(parse_int).unwrap_or(1);
    let count = usize::try_from(count).unwrap_or(0);
    400 * count.min(members(cx, args)) as u64
}

fn srandmember<'a>(cx: &Reader<'a>, args: Args<'a>) -> Replied<'a> {
    if args.len() > 3 {
        return Err(Reply::error(SYNTAX));
    }
    let picks = args.get(2).map(Picks::parse).transpose()?;
    let set = cx.view::<SetTree>(args.at(1))?;
    let Some(picks) = picks else {
        let picked = set.and_then(|set| {
            let at = Picks::Repeating(1).positions(set.len(), cx.seed).ok()?;
            set.get(at.first().copied()?)
        });
        return Ok(picked.map_or(Reply::Null, Item::reply));
    };
    let Some(set) = set else { return Ok(Reply::Array(Vec::new())) };
    let numbers = picks.positions(set.len(), cx.seed)?;
    Ok(Reply::Array(match picks {
        Picks::Distinct(_) => set.picked(&numbers).into_iter().map(Item::reply).collect(),
        Picks::Repeating(_) => repeated(set, &numbers),
    }))
}

/// Members by numbers in any order.
fn repeated<'a>(set: View<'a, SetTree>, numbers: &[usize]) -> Vec<Reply<'a>> {
    if set.large.is_some() {
        return numbers.iter().filter_map(|&at| set.get(at).map(Item::reply)).collect();
    }
    let all: Vec<Item<'a>> = set.iter().collect();
    numbers.iter().filter_map(|&at| all.get(at).copied().map(Item::reply)).collect()
}

fn srandmember_cost_ns(cx: &Reader<'_>, args: Args<'_>) -> u64 {
    let Some(Ok(picks)) = args.get(2).map(Picks::parse) else { return 0 };
    let len = len(cx, args.at(1));
    200 * picks.of(len) as u64
}
