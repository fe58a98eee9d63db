//! Sorted sets: members with scores one by one (from the highest, as Redis writes them), or in a
//! packed row from the lowest.

use super::super::code::kind;
use super::super::input::{Input, Result, Stop};
use super::{Gather, rows};
use crate::number::parse_double;
use crate::types::pack::{Item, Items};
use crate::types::zset::ZsetTree;
use crate::types::{Form, Large, Open, View};
use alloc::borrow::Cow;
use alloc::vec::Vec;

const TWICE: Stop = Stop::Malformed("a member of a sorted set occurs twice");
const NO_SCORE: Stop = Stop::Malformed("a score is not a number");

/// Reads a member with its score, or a row of them.
pub(super) fn read(zset: &mut Open<ZsetTree>, of: u8, input: &mut Input<'_>) -> Result<()> {
    match of {
        kind::ZSET_ZIPLIST => {
            let row = input.text()?.bytes()?;
            fill(zset, &mut rows::ziplist(&row)?.into_iter())
        }
        kind::ZSET_LISTPACK => {
            let row = input.text()?.bytes()?;
            let items: Items<'_> = rows::listpack(&row)?.0;
            fill(zset, &mut { items })
        }
        _ => {
            // Packed, a score loses the sign of its zero, which a large one of ours may have.
            if zset.rules.as_written && zset.is_empty() {
                ZsetTree::enlarge(zset);
            }
            let member = input.text()?;
            let score = if of == kind::ZSET { score_text(input)? } else { score(input)? };
            let member = member.bytes()?;
            if zset.score(&member).is_some() {
                return Err(TWICE);
            }
            zset.set(&member, score);
            Ok(())
        }
    }
}

/// Takes a row that holds all members in order.
fn fill(zset: &mut Open<ZsetTree>, items: &mut dyn Iterator<Item = Item<'_>>) -> Result<()> {
    let mut members: Vec<(Cow<'_, [u8]>, f64)> = Vec::new();
    while let Some(member) = items.next() {
        let score = match items.next() {
            Some(Item::Int(number)) => number as f64,
            Some(Item::Bytes(text)) => parse_double(text).ok_or(NO_SCORE)?,
            None => return Err(Stop::Malformed("a member of a sorted set without a score")),
        };
        members.push((member.bytes(), score));
    }
    let mut names: Vec<&[u8]> = members.iter().map(|(member, _)| &**member).collect();
    names.sort_unstable();
    if names.array_windows().any(|[one, next]| one == next) {
        return Err(TWICE);
    }
    if !zset.fill(&members, 0) {
        return Err(Stop::Malformed("a sorted set is out of order"));
    }
    Ok(())
}

fn score(input: &mut Input<'_>) -> Result<f64> {
    let score = f64::from_le_bytes(*input.array()?);
    if score.is_nan() { Err(NO_SCORE) } else { Ok(score) }
}

/// A score as the oldest files have it: its length and its text, or a length that stands for what
/// is no number.
fn score_text(input: &mut Input<'_>) -> Result<f64> {
    match input.byte()? {
        0xfd => Err(NO_SCORE),
        0xfe => Ok(f64::INFINITY),
        0xff => Ok(f64::NEG_INFINITY),
        length => parse_double(input.take(u64::from(length))?).ok_or(NO_SCORE),
    }
}

/// From the highest: so Redis appends to nothing while it loads.
pub(super) fn write_large(zset: &ZsetTree, out: &mut Gather<'_>) {
    let view = View { form: Form::Zset, packed: &[], large: Some(zset), now_ms: 0 };
    out.length(view.count() as u64);
    for (member, score) in view.pairs_back(view.count().saturating_sub(1)) {
        member.with(|member| {
            super::put_string(&mut out.bytes, member);
            out.add(&score.to_le_bytes());
        });
    }
}
