//! Which streams a batch may have changed so that what was judged for a later command of it does
//! not hold.
//!
//! XADD with `*` is logged with the time that its id will have, which needs the stream's last id; a
//! command earlier in the batch may have raised that. They are looked for only once a command asks,
//! so that batches without streams pay nothing.

use crate::{Db, Flags, Run, Spec, cmd};
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use quorate_resp::{Args, Limits, Parsed, Parser};

/// What is known of the batch so far.
#[derive(Debug, Default)]
pub(super) struct Guard {
    /// Keys whose values may be others than before the batch. `None` until somebody asks.
    raised: Option<BTreeSet<(Db, Vec<u8>)>>,
    /// Any key may be one of them.
    all: bool,
}

impl Guard {
    /// Takes a write into account that goes into the payload.
    pub(super) fn note(&mut self, spec: &Spec, db: Db, args: Args<'_>) {
        let Some(raised) = &mut self.raised else { return };
        if !spec.moves.is_some_and(|moves| moves(args)) {
            return;
        }
        self.all |= spec.meta.flags.has(Flags::OTHER_DB);
        let keys = spec.meta.keys.positions(args).filter_map(|at| args.get(at));
        raised.extend(keys.map(|key| (db, key.to_vec())));
    }

    /// Whether a key is as it was before the batch, as far as that matters. The batch so far is
    /// `runs`, the last of them up to `end`.
    pub(super) fn holds(&mut self, runs: &[Run], end: usize, db: Db, key: &[u8]) -> bool {
        if self.raised.is_none() {
            self.raised = Some(BTreeSet::new());
            self.look_back(runs, end);
        }
        let raised = self.raised.as_ref();
        !self.all
            && raised
                .is_some_and(|raised| raised.is_empty() || !raised.contains(&(db, key.to_vec())))
    }

    fn look_back(&mut self, runs: &[Run], end: usize) {
        let (mut parser, limits) = (Parser::default(), Limits::stored());
        for (number, run) in runs.iter().enumerate() {
            let mut rest = if number + 1 == runs.len() {
                run.commands.get(..end).unwrap_or_default()
            } else {
                &run.commands[..]
            };
            while let Ok(Parsed::Command { len, .. }) = parser.parse(rest, &limits) {
                let args = parser.args(rest);
                if let Some(spec) = cmd::resolve(args).filter(|spec| spec.is_write()) {
                    self.note(spec, run.db, args);
                }
                rest = rest.get(len..).unwrap_or_default();
            }
        }
    }
}
