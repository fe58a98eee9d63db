//! The feature level: nothing above it may be used in the log.
//!
//! It rises when all members support more, and never goes down. A build says in every envelope to
//! its peers how far it goes (`max_level`).

use super::{Change, Part, Side};
use crate::digest::Op;
use alloc::string::ToString;

/// The greatest level that this version knows.
///
/// 1: what there was from the beginning. 2: transactions (`MULTI … EXEC` in payloads).
pub const LEVEL_MAX: u32 = 2;
/// From this level on a payload may hold transactions.
pub const LEVEL_TRANSACTIONS: u32 = 2;

/// The level of the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Level(pub(crate) u32);

impl Level {
    /// Raises it; `None` if it is as high already.
    pub(crate) fn raise(&mut self, level: u32) -> Option<Change<'static>> {
        if level <= self.0 {
            return None;
        }
        self.0 = level;
        Some(Change { of: &[], now: u64::from(level) })
    }
}

impl Part for Level {
    const OP: Op = Op::Level;
    const FIELD: &'static str = "quorate.level";

    fn of(side: &mut Side) -> &mut Self {
        &mut side.level
    }

    fn fields(&self, put: &mut dyn FnMut(&str, &str)) {
        put(Self::FIELD, &self.0.to_string());
    }

    fn restore(&mut self, name: &str, value: &str) -> Option<()> {
        self.0 = value.parse().ok().filter(|level: &u32| level.to_string() == value)?;
        if self.0 > LEVEL_MAX {
            return None;
        }
        name.is_empty().then_some(())
    }
}
