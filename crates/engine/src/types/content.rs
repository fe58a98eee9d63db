//! What a large value holds, folded into a digest by parts of some 64 KiB.
//!
//! A value is a row of rows here: chunks of a string, elements in their order, and of a stream its
//! blocks, facts, groups and producers. Where leaves begin and end must not show, so a tree is
//! folded row by row, and a part is a number of rows that follows from what the value holds. What
//! follows from the rows (a sorted set's index, when fields end) is left out.

use super::chunks::CHUNK;
use super::hash::HashTree;
use super::list::ListTree;
use super::pack::{self, Item};
use super::set::SetTree;
use super::stream::{Consumer, Facts, Group, Id, Pending, Producer, Stream};
use super::value::Value;
use super::{Form, View};
use crate::digest::Digest;
use core::ops::Range;

/// A part takes about so many bytes.
const PART_BYTES: usize = CHUNK;
/// No value has more parts: their numbers must fit beside a point in a cursor of the keyspace.
const PARTS_MAX: usize = 1 << 17;
/// What a row counts besides its bytes, so that rows without any are work too.
const ROW_BYTES: usize = 16;

/// A digest in the making, and how much went into it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sum {
    /// The digest.
    pub(crate) digest: Digest,
    /// Bytes folded, and some for every row.
    pub(crate) bytes: usize,
}

impl Sum {
    /// Of nothing.
    pub(crate) fn new() -> Self {
        Self { digest: Digest(0), bytes: 0 }
    }

    /// Folds one piece of data in.
    pub(crate) fn row(&mut self, bytes: &[u8]) {
        self.digest.bytes(bytes);
        self.bytes += bytes.len() + ROW_BYTES;
    }

    /// Folds numbers in that stand beside a row.
    pub(crate) fn words(&mut self, words: &[u64]) {
        for &word in words {
            self.digest.word(word);
        }
    }

    fn id(&mut self, id: Id) {
        self.words(&[id.ms, id.seq]);
    }
}

/// How a value is cut. Depends on what it holds alone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parts {
    rows: usize,
    rows_each: usize,
}

impl Parts {
    fn new(rows: usize, bytes: usize) -> Self {
        /// Of rows that take nearly nothing.
        const ROWS_MAX: usize = 4096;
        let fitting = PART_BYTES.saturating_mul(rows).checked_div(bytes).unwrap_or(ROWS_MAX);
        let rows_each = fitting.clamp(1, ROWS_MAX).max(rows.div_ceil(PARTS_MAX));
        Self { rows, rows_each }
    }

    /// How many there are: at least one.
    pub(crate) fn count(self) -> usize {
        self.rows.div_ceil(self.rows_each).max(1)
    }

    fn span(self, part: usize) -> Span {
        Span { skip: part.saturating_mul(self.rows_each), take: self.rows_each }
    }
}

/// The rows of a part, while runs of rows pass by.
#[derive(Clone, Copy, Debug)]
struct Span {
    skip: usize,
    take: usize,
}

impl Span {
    /// Which of the next `rows` rows are in it.
    fn of(&mut self, rows: usize) -> Range<usize> {
        let from = self.skip.min(rows);
        let count = self.take.min(rows - from);
        self.skip -= from;
        self.take -= count;
        from..from + count
    }

    /// Whether the next row is.
    fn has_next(&mut self) -> bool {
        !self.of(1).is_empty()
    }
}

impl Value {
    /// How it is cut into parts.
    pub(crate) fn parts(&self) -> Parts {
        match self {
            Self::Str(chunks) => Parts { rows: chunks.list().len(), rows_each: 1 },
            Self::List(ListTree(tree)) => Parts::new(tree.len(), tree.bytes()),
            Self::Zset(zset) => {
                let (members, bytes) = zset.size();
                Parts::new(members, bytes)
            }
            Self::Set(SetTree(tree)) => Parts::new(tree.len(), tree.bytes()),
            Self::Hash(hash) => Parts::new(hash.fields.len(), hash.fields.bytes()),
            Self::Stream(stream) => {
                let (rows, bytes) = stream_size(stream);
                Parts::new(rows, bytes)
            }
        }
    }

    /// Folds one of its parts in, as [`Value::parts`] cuts it.
    pub(crate) fn fold(&self, parts: Parts, part: usize, sum: &mut Sum) {
        let mut span = parts.span(part);
        match self {
            Self::Str(chunks) => {
                let here = chunks.list().get(span.of(parts.rows)).unwrap_or_default();
                for chunk in here {
                    sum.row(chunk);
                }
            }
            Self::List(list) => fold_list(list, span.of(parts.rows), sum),
            Self::Zset(zset) => {
                let here = span.of(parts.rows);
                let view = View { form: Form::Zset, packed: &[], large: Some(zset), now_ms: 0 };
                for (member, score) in view.pairs(here.start).take(here.len()) {
                    member.with(|member| sum.row(member));
                    sum.words(&[score.to_bits()]);
                }
            }
            Self::Set(SetTree(elements)) | Self::Hash(HashTree { fields: elements, .. }) => {
                let here = span.of(parts.rows);
                let here = elements.elements(here.start).take(here.len());
                here.for_each(|(_, element)| sum.row(element));
            }
            Self::Stream(stream) => fold_stream(stream, &mut span, sum),
        }
    }
}

fn fold_list(list: &ListTree, here: Range<usize>, sum: &mut Sum) {
    let view = View { form: Form::List, packed: &[], large: Some(list), now_ms: 0 };
    let mut left = here.len();
    for (mut items, _) in view.rows(here.start) {
        while left > 0 {
            let before = items.rest();
            if items.next().is_none() {
                break;
            }
            sum.row(before.get(..before.len() - items.rest().len()).unwrap_or_default());
            left -= 1;
        }
        if left == 0 {
            return;
        }
    }
}

/// Rows of a stream, and about how many bytes they take.
fn stream_size(stream: &Stream) -> (usize, usize) {
    const SMALL_ROW: usize = 64;
    let blocks = stream.blocks();
    // Each pending entry lies in the group's list and in its consumer's.
    let of_group = |group: &Group| 1 + 2 * group.pending().len() + group.consumers().len();
    let groups: usize = stream.groups().rows(0).map(of_group).sum();
    let others = 1 + groups + stream.producers().map_or(0, |producers| 1 + producers.len());
    (blocks.len() + others, blocks.bytes() + others * SMALL_ROW)
}

fn fold_stream(stream: &Stream, span: &mut Span, sum: &mut Sum) {
    let here = span.of(stream.blocks().len());
    for block in stream.blocks().rows(here.start).take(here.len()) {
        sum.id(block.first);
        sum.row(block.rows());
    }
    if span.has_next() {
        let Facts { last, first, deleted, added } = stream.facts();
        for id in [last, first, deleted] {
            sum.id(id);
        }
        sum.words(&[stream.len(), added, stream.groups().len() as u64]);
        sum.row(&[]);
    }
    for group in stream.groups().rows(0) {
        if span.take == 0 {
            return;
        }
        fold_group(group, span, sum);
    }
    let Some(producers) = stream.producers() else { return };
    if span.has_next() {
        sum.words(&[producers.duration_s, producers.size, producers.added, producers.duplicates]);
        sum.row(&[]);
    }
    let here = span.of(producers.len());
    producers.rows_from(here.start).take(here.len()).for_each(|row| fold_producer(row, sum));
}

fn fold_group(group: &Group, span: &mut Span, sum: &mut Sum) {
    if span.has_next() {
        sum.id(group.last);
        sum.words(&[group.read.cast_unsigned(), group.pending().len() as u64]);
        sum.row(&group.name);
    }
    let here = span.of(group.pending().len());
    for pending in group.pending().rows(here.start).take(here.len()) {
        let Pending { id, time_ms, count, consumer } = *pending;
        sum.id(id);
        sum.words(&[time_ms.cast_unsigned(), count]);
        // By name: numbers are given anew when a snapshot is read.
        sum.row(group.name_of(consumer));
    }
    for consumer in group.consumers().rows(0) {
        if span.take == 0 {
            return;
        }
        let Consumer { name, seen_ms, active_ms, pending, .. } = consumer;
        if span.has_next() {
            sum.words(&[seen_ms.cast_unsigned(), active_ms.cast_unsigned()]);
            sum.row(name);
        }
        let here = span.of(pending.len());
        for id in pending.rows(here.start).take(here.len()) {
            sum.id(*id);
            sum.row(&[]);
        }
    }
}

/// A producer with its ids, of which there are at most 10,000.
fn fold_producer(producer: &Producer, sum: &mut Sum) {
    sum.row(producer.name());
    for sent in producer.sent() {
        sum.id(sent.id);
        sum.words(&[sent.time_ms]);
        sum.row(&sent.name);
    }
}

/// Where bytes of a packed value lie that can be any others: of a list's element, or of a hash's
/// value. `None`: it has none, or what they are is told by others too (members, names, numbers).
pub(crate) fn spare_bytes(form: Form, packed: &[u8]) -> Option<Range<usize>> {
    let (mut at, step) = match form {
        Form::Int | Form::Embstr | Form::Raw => return Some(0..packed.len()),
        Form::List => (0, 1),
        Form::Hash => (1, 2),
        Form::Zset | Form::Set | Form::Intset | Form::Stream | Form::TimedHash => return None,
    };
    let (_, row) = pack::parts(packed);
    let mut start = packed.len() - row.len();
    while let Some((item, length)) = packed.get(start..).and_then(pack::first) {
        if let Item::Bytes(bytes) = item
            && at % step == 0
            && !bytes.is_empty()
        {
            let begin = start + pack::head_length(bytes.len());
            return Some(begin..begin + bytes.len());
        }
        start += length;
        at += 1;
    }
    None
}
