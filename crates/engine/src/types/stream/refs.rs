//! Removing entries with regard to consumer groups, as since Redis 8.2.
//!
//! An entry may be pending in groups. What becomes of these references, and whether a group still
//! awaits the entry, decides if it may go.

use super::{Id, Parts, Trim};
use alloc::vec::Vec;

/// What becomes of references to an entry that is to go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Refs {
    /// They stay.
    #[default]
    Keep,
    /// They go too.
    Drop,
    /// While a group has one, or has not read so far, the entry stays.
    Acked,
}

impl Parts {
    /// Whether some group has still to read an entry, or to acknowledge it.
    pub(crate) fn is_awaited(&self, id: Id) -> bool {
        self.groups.rows(0).any(|group| group.last < id || group.get(id).is_some())
    }

    /// Takes an entry off every group's list of pending ones; whether it was on one.
    pub(crate) fn forget(&mut self, id: Id) -> bool {
        // Groups that do not know it are not copied.
        let knows = self.groups.rows(0).filter(|group| group.get(id).is_some());
        let names: Vec<_> = knows.map(|group| group.name.clone()).collect();
        for name in &names {
            self.change_group(name, |group| group.acknowledge(id));
        }
        !names.is_empty()
    }

    /// [`Parts::trim`] with regard to groups. Blocks are not removed unseen then, but with `whole`
    /// they are still what is trimmed: none that holds an entry which is to stay is touched.
    pub(crate) fn trim_by_refs(
        &mut self,
        trim: Trim,
        whole: bool,
        limit: Option<u64>,
        refs: Refs,
    ) -> u64 {
        if refs == Refs::Keep || self.groups.len() == 0 {
            return self.trim(trim, whole, limit);
        }
        // Behind it nothing was read by all.
        let read = self.groups.rows(0).map(|group| group.last).min().unwrap_or(Id::MAX);
        let (mut at, mut gone) = (0, 0_u64);
        while let Some(block) = self.blocks.row(at) {
            let (live, _) = block.counts();
            let done = match trim {
                Trim::Length(most) => self.len <= most,
                Trim::Below(least) => block.first >= least,
            };
            let all = match trim {
                Trim::Length(most) => self.len.saturating_sub(live) >= most,
                Trim::Below(least) => block.last_id() < least,
            };
            let over = limit.is_some_and(|limit| gone.saturating_add(live) > limit);
            if done || over || whole && !all || refs == Refs::Acked && block.first > read {
                break;
            }
            let (removed, emptied) = self.trim_block(at, trim, refs);
            gone += removed;
            at += usize::from(!emptied);
        }
        if gone > 0 || self.len == 0 {
            self.find_first();
        }
        gone
    }

    /// Trims one block: how many entries went, and whether it went with them.
    fn trim_block(&mut self, at: usize, trim: Trim, refs: Refs) -> (u64, bool) {
        let Some(block) = self.blocks.row(at) else { return (0, true) };
        let (live, _) = block.counts();
        let mut left = match trim {
            Trim::Length(most) => self.len.saturating_sub(most),
            Trim::Below(_) => u64::MAX,
        };
        let (mut going, mut traces) = (Vec::new(), Vec::new());
        for (id, deleted) in block.ids() {
            if left == 0 || matches!(trim, Trim::Below(least) if id >= least) {
                break;
            }
            if deleted {
                traces.push(id);
            } else if refs != Refs::Acked || !self.is_awaited(id) {
                going.push(id);
                left -= 1;
            }
        }
        let stays = (live - going.len() as u64) > 0 || at > 0;
        if refs == Refs::Acked && stays {
            // What was there before one of them may stay: as after XDEL, nobody can count there.
            self.facts.deleted = self.facts.deleted.max(going.last().copied().unwrap_or(Id::MIN));
        }
        let emptied = going.len() as u64 == live;
        if emptied {
            self.blocks.remove_range(at, 1);
        } else if !going.is_empty() {
            self.blocks.edit_at(at, |leaf, within| {
                leaf.change_row(within, |block| {
                    block.delete(|entry, _| Some(going.binary_search(&entry.id).is_ok()))
                });
            });
        }
        self.len -= going.len() as u64;
        if refs == Refs::Drop {
            for &id in going.iter().chain(&traces) {
                self.forget(id);
            }
        }
        (going.len() as u64, emptied)
    }
}
