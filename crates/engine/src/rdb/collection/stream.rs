//! Streams: their blocks as they are, their counters, and their groups with what is pending.
//!
//! Read part by part, so that a list of a million pending entries needs no more than one of them at
//! once. Written as Redis 7.0 does (`STREAM_LISTPACKS_2`), which lacks when a consumer was last
//! active: where that is not when it was last seen, a field behind the keys says it.
//!
//! What Redis tolerates in a file and we in none of ours is mended where a file of others is read:
//! blocks are put in order, counted anew and cut where they are damaged, and what is pending
//! without a consumer, or delivered without being pending, is left out.

use super::super::code::kind;
use super::super::input::{Input, Result, Stop};
use super::super::text::{push_number, take_number};
use super::gather::Gather;
use super::rows;
use crate::types::pack::Items;
use crate::types::stream::{
    Block, DURATION_MAX, Facts, Group, Id, Pending, Producers, SIZE_MAX, Sorted, Stream, add_block,
};
use crate::types::tree::Tree;
use crate::types::value::Value as LargeValue;
use alloc::vec::Vec;

/// A stream that is being read.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    blocks: Tree<Sorted<Block>>,
    /// Blocks that stand behind later ones, to be mended.
    late: Vec<Block>,
    /// Entries in the blocks.
    live: u64,
    /// Id of the last entry of the last block, deleted or not.
    last: Option<Id>,
    stream: Stream,
    /// Groups that are missing behind this one.
    groups: u64,
    group: Option<Group>,
    /// There is one of this name already: this one is read and left out.
    repeated: bool,
    /// Pending entries of the group that have found their consumer.
    owned: usize,
    /// Consumers of the group that are missing behind this one.
    consumers: u64,
    /// The consumer's number.
    consumer: u32,
    next: Next,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// So many blocks.
    Blocks(u64),
    Facts,
    Group,
    /// So many pending entries of a group.
    Pending(u64),
    /// How many consumers a group has.
    Consumers,
    Consumer,
    /// So many ids that a consumer has pending.
    Owned(u64),
    /// What Redis 8.6 knows of producers.
    Producers,
    Done,
}

impl Default for Next {
    fn default() -> Self {
        Self::Blocks(0)
    }
}

impl Reading {
    /// Begins to read one.
    pub(crate) fn begin(input: &mut Input<'_>) -> Result<Self> {
        let mut reading = Self::default();
        reading.blocks_left(input.length()?);
        Ok(reading)
    }

    fn blocks_left(&mut self, left: u64) {
        self.next = if left > 0 { Next::Blocks(left) } else { Next::Facts };
    }

    /// Reads a part; false after the last.
    pub(crate) fn part(&mut self, of: u8, input: &mut Input<'_>) -> Result<bool> {
        match self.next {
            Next::Blocks(left) => {
                self.block(input)?;
                self.blocks_left(left - 1);
            }
            Next::Facts => self.facts(of, input)?,
            Next::Producers => self.producers(input)?,
            Next::Group => self.group(of, input)?,
            Next::Pending(left) => {
                self.pending(input)?;
                self.pending_left(left - 1);
            }
            Next::Consumers => {
                let count = input.length()?;
                self.consumers_left(of, count, input)?;
            }
            Next::Consumer => self.consumer(of, input)?,
            Next::Owned(left) => {
                self.owned(input)?;
                self.owned_left(of, left - 1, input)?;
            }
            Next::Done => {}
        }
        Ok(self.next != Next::Done)
    }

    /// What was read.
    pub(crate) fn finish(self) -> Stream {
        self.stream
    }

    fn block(&mut self, input: &mut Input<'_>) -> Result<()> {
        let (key, text) = (input.text()?, input.text()?);
        let first = key.bytes()?.first_chunk::<16>().copied().map(Id::of_bytes);
        let first = first.filter(|_| matches!(&key.bytes(), Ok(key) if key.len() == 16));
        let bytes = text.bytes()?;
        let row = rows::read_listpack(&bytes).map(|items| items.rest().to_vec());
        let whole = first.zip(row).and_then(|(first, row)| Block::checked(first, row));
        let block = if whole.is_some() {
            whole
        } else {
            input.odd("a block of a stream is damaged")?;
            let row = rows::listpack(&bytes, input)?;
            first.and_then(|first| Block::mended(first, row.rest()))
        };
        let Some(block) = block else { return Ok(()) };
        if self.last.is_some_and(|last| block.first <= last) {
            self.late.push(block);
            return input.odd("a stream's blocks are out of order");
        }
        self.add(block);
        Ok(())
    }

    fn add(&mut self, block: Block) {
        self.last = Some(block.last_id());
        self.live = self.live.saturating_add(block.counts().0);
        add_block(&mut self.blocks, block);
    }

    /// Puts blocks in order. Of two that overlap the later one is left out.
    fn sort_in(&mut self, input: &mut Input<'_>) -> Result<()> {
        let mut blocks = core::mem::take(&mut self.late);
        if blocks.is_empty() {
            return Ok(());
        }
        blocks.extend(core::mem::take(&mut self.blocks).rows(0).cloned());
        blocks.sort_by_key(|block| block.first);
        (self.last, self.live) = (None, 0);
        for block in blocks {
            if self.last.is_none_or(|last| block.first > last) {
                self.add(block);
            } else {
                input.odd("blocks of a stream overlap")?;
            }
        }
        Ok(())
    }

    fn facts(&mut self, of: u8, input: &mut Input<'_>) -> Result<()> {
        let len = input.length()?;
        let mut facts = Facts { last: id(input)?, added: len, ..Facts::default() };
        if of == kind::STREAM {
            let first = self.blocks.rows(0).flat_map(Block::entries).next();
            facts.first = first.map_or(Id::MIN, |entry| entry.id);
        } else {
            facts.first = id(input)?;
            facts.deleted = id(input)?;
            facts.added = input.length()?;
        }
        let groups = input.length()?;
        self.sort_in(input)?;
        if len != self.live || self.last.is_some_and(|last| last > facts.last) {
            input.odd("a stream's counters are wrong")?;
            facts.last = facts.last.max(self.last.unwrap_or(Id::MIN));
            facts.added = facts.added.max(self.live);
        }
        self.stream = Stream::of_parts(core::mem::take(&mut self.blocks), self.live, facts);
        self.groups_left(of, groups);
        Ok(())
    }

    fn groups_left(&mut self, of: u8, left: u64) {
        self.groups = left.saturating_sub(1);
        self.next = match left {
            0 if of == kind::STREAM_4 => Next::Producers,
            0 => Next::Done,
            _ => Next::Group,
        };
    }

    /// How long and how many ids are kept; those of each producer; two counters.
    fn producers(&mut self, input: &mut Input<'_>) -> Result<()> {
        let (duration_s, size, count) = (input.length()?, input.length()?, input.length()?);
        if count > 0 {
            return Err(Stop::Malformed("a stream that knows producers (XADD IDMP) of Redis 8.6"));
        }
        let (added, duplicates) = (input.length()?, input.length()?);
        if !(1..=DURATION_MAX).contains(&duration_s) || !(1..=SIZE_MAX).contains(&size) {
            return Err(Stop::Malformed("what a stream remembers of its producers"));
        }
        let usual = Producers::default();
        if added > 0 || (duration_s, size) != (usual.duration_s, usual.size) {
            let producers = self.stream.producers_mut();
            (producers.duration_s, producers.size) = (duration_s, size);
            (producers.added, producers.duplicates) = (added, duplicates);
        }
        self.next = Next::Done;
        Ok(())
    }

    fn group(&mut self, of: u8, input: &mut Input<'_>) -> Result<()> {
        let (name, last) = (input.text()?, id(input)?);
        // Any number: like Redis's, ours wraps around behind the last one.
        let read = if of == kind::STREAM {
            self.stream.count_until(last).map_or(-1, u64::cast_signed)
        } else {
            input.length()?.cast_signed()
        };
        let pending = input.length()?;
        let group = Group::new(&name.bytes()?, last, read);
        self.repeated = self.stream.group(&group.name).is_some();
        if self.repeated {
            input.odd("a stream's group occurs twice")?;
        }
        self.group = Some(group);
        self.owned = 0;
        self.pending_left(pending);
        Ok(())
    }

    fn pending_left(&mut self, left: u64) {
        self.next = if left > 0 { Next::Pending(left) } else { Next::Consumers };
    }

    fn pending(&mut self, input: &mut Input<'_>) -> Result<()> {
        let id = Id::of_bytes(*input.array()?);
        let time_ms = i64::from_le_bytes(*input.array()?);
        let count = input.length()?;
        let new = Pending { id, time_ms, count, consumer: u32::MAX };
        let added = self.group.as_mut().is_some_and(|group| group.await_owner(new));
        if added { Ok(()) } else { input.odd("a pending entry occurs twice") }
    }

    fn consumers_left(&mut self, of: u8, left: u64, input: &mut Input<'_>) -> Result<()> {
        self.consumers = left.saturating_sub(1);
        self.next = Next::Consumer;
        if left > 0 {
            return Ok(());
        }
        let Some(mut group) = self.group.take() else { return Ok(()) };
        let missing = group.pending().len().saturating_sub(self.owned);
        if missing > 0 {
            input.odd_times("a pending entry has no consumer", missing as u64)?;
            let pending = group.pending().rows(0);
            let lost = pending.filter(|row| row.consumer == u32::MAX).map(|row| row.id);
            for id in lost.collect::<Vec<_>>() {
                group.acknowledge(id);
            }
        }
        if !core::mem::take(&mut self.repeated) {
            self.stream.add_group(group);
        }
        self.groups_left(of, self.groups);
        Ok(())
    }

    fn consumer(&mut self, of: u8, input: &mut Input<'_>) -> Result<()> {
        let name = input.text()?;
        let seen_ms = i64::from_le_bytes(*input.array()?);
        let active_ms = if matches!(of, kind::STREAM_3 | kind::STREAM_4) {
            i64::from_le_bytes(*input.array()?)
        } else {
            seen_ms
        };
        let (owned, name) = (input.length()?, name.bytes()?);
        let Some(group) = &mut self.group else { return Ok(()) };
        let (number, new) = group.add_consumer(&name, seen_ms);
        if !new {
            input.odd("a consumer occurs twice")?;
        }
        group.touch(&name, seen_ms, Some(active_ms));
        self.consumer = number;
        self.owned_left(of, owned, input)
    }

    fn owned_left(&mut self, of: u8, left: u64, input: &mut Input<'_>) -> Result<()> {
        if left > 0 {
            self.next = Next::Owned(left);
            return Ok(());
        }
        self.consumers_left(of, self.consumers, input)
    }

    fn owned(&mut self, input: &mut Input<'_>) -> Result<()> {
        let id = Id::of_bytes(*input.array()?);
        let waiting =
            |group: &&mut Group| group.get(id).is_some_and(|pending| pending.consumer == u32::MAX);
        let Some(group) = self.group.as_mut().filter(waiting) else {
            return input.odd("a consumer's entry is not pending");
        };
        group.own(id, self.consumer);
        self.owned += 1;
        Ok(())
    }
}

fn id(input: &mut Input<'_>) -> Result<Id> {
    Ok(Id { ms: input.length()?, seq: input.length()? })
}

/// Writes what stands behind the key of a stream.
pub(super) fn write(stream: &Stream, out: &mut Gather<'_>) {
    out.length(stream.blocks().len() as u64);
    for block in stream.blocks().rows(0) {
        out.length(16);
        out.add(&block.first.bytes());
        rows::put_listpack(out, Items::new(block.rows()).count(), block.rows());
    }
    let Facts { last, first, deleted, added } = stream.facts();
    out.length(stream.len());
    for id in [last, first, deleted] {
        out.length(id.ms);
        out.length(id.seq);
    }
    out.length(added);
    out.length(stream.groups().len() as u64);
    stream.groups().rows(0).for_each(|group| write_group(group, out));
}

fn write_group(group: &Group, out: &mut Gather<'_>) {
    let text = |bytes: &[u8], out: &mut Gather<'_>| {
        out.length(bytes.len() as u64);
        out.add(bytes);
    };
    text(&group.name, out);
    out.length(group.last.ms);
    out.length(group.last.seq);
    out.length(group.read.cast_unsigned());
    out.length(group.pending().len() as u64);
    for pending in group.pending().rows(0) {
        out.add(&pending.id.bytes());
        out.add(&pending.time_ms.to_le_bytes());
        out.length(pending.count);
    }
    out.length(group.consumers().len() as u64);
    for consumer in group.consumers().rows(0) {
        text(&consumer.name, out);
        out.add(&consumer.seen_ms.to_le_bytes());
        out.length(consumer.pending.len() as u64);
        consumer.pending.rows(0).for_each(|id| out.add(&id.bytes()));
    }
}

/// Whether some consumer was last active at another time than it was last seen.
pub(crate) fn is_active_odd(value: &LargeValue) -> bool {
    let LargeValue::Stream(stream) = value else { return false };
    let mut consumers = stream.groups().rows(0).flat_map(|group| group.consumers().rows(0));
    consumers.any(|consumer| consumer.active_ms != consumer.seen_ms)
}

/// When each consumer was last active, group by group.
pub(crate) fn put_active(stream: &Stream, marks: &mut Vec<u8>) {
    for consumer in stream.groups().rows(0).flat_map(|group| group.consumers().rows(0)) {
        push_number(marks, consumer.active_ms.cast_unsigned().wrapping_add(1));
    }
}

/// Takes it back. `None`: it is not there.
pub(crate) fn take_active(stream: &mut Stream, rest: &mut &[u8]) -> Option<()> {
    let names: Vec<_> = stream.groups().rows(0).map(|group| group.name.clone()).collect();
    for name in names {
        stream.change_group(&name, |group| {
            let known: Vec<_> =
                group.consumers().rows(0).map(|row| (row.name.clone(), row.seen_ms)).collect();
            for (name, seen_ms) in known {
                let active_ms = take_number(rest)?.wrapping_sub(1).cast_signed();
                group.touch(&name, seen_ms, Some(active_ms));
            }
            Some(())
        })??;
    }
    Some(())
}
