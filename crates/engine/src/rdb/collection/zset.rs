//! Sorted sets: members with scores one by one, or in a packed row.
//!
//! One by one they come from the highest, as Redis writes them; in a row from the lowest. A member
//! that occurs twice and a score that is no number are refused, or mended in the file of another.

use super::super::code::kind;
use super::super::input::{Input, Result, Stop};
use super::gather::Gather;
use super::rows;
use crate::number::parse_double;
use crate::types::pack::{Item, Items};
use crate::types::zset::{ZsetTree, order};
use crate::types::{Form, Kind, Open, View};
use alloc::borrow::Cow;
use alloc::vec::Vec;

const TWICE: &str = "a member of a sorted set occurs twice";
const NO_SCORE: &str = "a score is not a number";
const UNORDERED: &str = "a sorted set is out of order";

/// Reads a member with its score, or a row of them.
pub(super) fn read(zset: &mut Open<ZsetTree>, of: u8, input: &mut Input<'_>) -> Result<()> {
    match of {
        kind::ZSET_ZIPLIST => {
            let row = input.text()?.bytes()?;
            let mut items = rows::ziplist(&row, input)?.into_iter();
            fill(zset, &mut items, input)
        }
        kind::ZSET_LISTPACK => {
            let row = input.text()?.bytes()?;
            let mut items: Items<'_> = rows::listpack(&row, input)?;
            fill(zset, &mut items, input)
        }
        _ => {
            // Packed, a score loses the sign of its zero, which a large one of ours may have.
            if zset.rules.as_written && zset.is_empty() {
                ZsetTree::enlarge(zset);
            }
            let member = input.text()?;
            let score = if of == kind::ZSET { score_text(input)? } else { score(input)? };
            let Some(score) = score else { return input.odd(NO_SCORE) };
            let member = member.bytes()?;
            if zset.score(&member).is_some() {
                return input.odd(TWICE);
            }
            zset.set(&member, score);
            Ok(())
        }
    }
}

/// Takes a row that holds all members in order.
fn fill(
    zset: &mut Open<ZsetTree>,
    items: &mut dyn Iterator<Item = Item<'_>>,
    input: &mut Input<'_>,
) -> Result<()> {
    let mut members: Vec<(Cow<'_, [u8]>, f64)> = Vec::new();
    while let Some(member) = items.next() {
        let score = match items.next() {
            Some(Item::Int(number)) => Some(number as f64),
            Some(Item::Bytes(text)) => parse_double(text),
            None => {
                input.odd("a member of a sorted set without a score")?;
                break;
            }
        };
        match score.filter(|score| !score.is_nan()) {
            Some(score) => members.push((member.bytes(), score)),
            None => input.odd(NO_SCORE)?,
        }
    }
    let mut places: Vec<usize> = (0..members.len()).collect();
    let name = |at: usize| members.get(at).map(|(member, _)| &**member);
    places.sort_unstable_by(|&one, &other| (name(one), one).cmp(&(name(other), other)));
    let repeated = |pair: &&[usize; 2]| name(pair[0]) == name(pair[1]);
    let mut repeats: Vec<usize> =
        places.array_windows().filter(repeated).map(|&[_, next]| next).collect();
    if !repeats.is_empty() {
        input.odd_times(TWICE, repeats.len() as u64)?;
        repeats.sort_unstable();
        let (mut at, mut skipped) = (0, repeats.iter().peekable());
        members.retain(|_| {
            at += 1;
            skipped.next_if_eq(&&(at - 1)).is_none()
        });
    }
    if !members.is_empty() && !zset.fill(&members, 0) {
        input.odd(UNORDERED)?;
        members.sort_by(|one, other| order((one.1, &one.0), (other.1, &other.0)));
        if !zset.fill(&members, 0) {
            return Err(Stop::Malformed(UNORDERED));
        }
    }
    Ok(())
}

/// A score, if it is a number.
fn score(input: &mut Input<'_>) -> Result<Option<f64>> {
    let score = f64::from_le_bytes(*input.array()?);
    Ok(Some(score).filter(|score| !score.is_nan()))
}

/// A score as the oldest files have it: its length and its text, or a length that stands for what
/// is no number.
fn score_text(input: &mut Input<'_>) -> Result<Option<f64>> {
    Ok(match input.byte()? {
        0xfd => None,
        0xfe => Some(f64::INFINITY),
        0xff => Some(f64::NEG_INFINITY),
        length => parse_double(input.take(u64::from(length))?).filter(|score| !score.is_nan()),
    })
}

/// From the highest: so Redis appends to nothing while it loads.
pub(super) fn write_large(zset: &ZsetTree, out: &mut Gather<'_>) {
    let view = View { form: Form::Zset, packed: &[], large: Some(zset), now_ms: 0 };
    out.length(view.count() as u64);
    for (member, score) in view.pairs_back(view.count().saturating_sub(1)) {
        member.with(|member| {
            out.string(member);
            out.add(&score.to_le_bytes());
        });
    }
}
