//! Which keys a batch may have changed so that what was judged for a later command of it does not
//! hold.
//!
//! XADD with `*` is logged with the time that its id will have, which needs the stream's last id; a
//! command earlier in the batch may have raised that. A transaction takes place if the keys that it
//! watched are as they were; a command earlier in the batch may change them. Both are looked for
//! only once somebody asks, so that other batches pay nothing.

use crate::{Db, Flags, Run, Spec, cmd};
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use quorate_resp::Args;

/// What is known of the batch so far.
#[derive(Debug)]
pub(super) struct Earlier {
    /// Which of its writes count.
    counts: fn(&Spec, Args<'_>) -> bool,
    /// Keys whose values may be others than before the batch. `None` until somebody asks.
    changed: Option<BTreeSet<(Db, Vec<u8>)>>,
    /// Any key may be one of them.
    all: bool,
}

impl Earlier {
    /// The writes that put other values at keys, or raise a stream's last id.
    pub(super) const fn moves() -> Self {
        Self::of(|spec, args| spec.moves.is_some_and(|moves| moves(args)))
    }

    /// All writes.
    pub(super) const fn writes() -> Self {
        Self::of(|_, _| true)
    }

    const fn of(counts: fn(&Spec, Args<'_>) -> bool) -> Self {
        Self { counts, changed: None, all: false }
    }

    /// Takes a write into account that goes into the payload.
    pub(super) fn note(&mut self, spec: &Spec, db: Db, args: Args<'_>) {
        let Some(changed) = &mut self.changed else { return };
        if !(self.counts)(spec, args) {
            return;
        }
        let flags = spec.meta.flags;
        self.all |= flags.has(Flags::OTHER_DB) || flags.has(Flags::KEYSPACE_WIDE);
        let keys = spec.meta.keys.positions(args).filter_map(|at| args.get(at));
        changed.extend(keys.map(|key| (db, key.to_vec())));
    }

    /// Whether a key is as it was before the batch, as far as that matters. The batch so far is
    /// `runs`, the last of them up to `end`.
    pub(super) fn spared(&mut self, runs: &[Run], end: usize, db: Db, key: &[u8]) -> bool {
        if self.changed.is_none() {
            self.changed = Some(BTreeSet::new());
            self.look_back(runs, end);
        }
        let changed = self.changed.as_ref();
        !self.all
            && changed
                .is_some_and(|changed| changed.is_empty() || !changed.contains(&(db, key.to_vec())))
    }

    fn look_back(&mut self, runs: &[Run], end: usize) {
        let last = runs.len().saturating_sub(1);
        for (number, run) in runs.iter().enumerate() {
            let end = if number == last { end } else { run.commands.len() };
            run.visit(end, &mut |db, args| {
                if let Some(spec) = cmd::resolve(args).filter(|spec| spec.is_write()) {
                    self.note(spec, db, args);
                }
            });
        }
    }
}
