//! The keys that a client's run names, while the run is under way.
//!
//! What changes one of them meanwhile is told when the run is answered: behind the replies, which
//! may show the key as it was before, and when it is known which of the changes the client made
//! itself.

use quorate_consensus::Shown;
use std::collections::BTreeMap;

/// Entries told apart that changed one key while one run was under way.
const SEEN_MAX: usize = 16;

/// That a key changed: in which entry, and by which commands of clients, from the lowest to the
/// greatest number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) index: u64,
    low: u32,
    high: u32,
}

impl Seen {
    /// Not a change: the key is given up. Nobody's own, and later than any reply.
    pub(super) const GIVEN_UP: Self = Self { index: u64::MAX, low: u32::MAX, high: u32::MAX };

    /// By a command, or by none.
    pub(super) fn new(index: u64, command: Option<u32>) -> Self {
        let number = command.unwrap_or(u32::MAX);
        Self { index, low: number, high: number }
    }

    /// Takes another of the same entry in.
    pub(super) fn merge(&mut self, other: Self) {
        self.low = self.low.min(other.low);
        self.high = self.high.max(other.high);
    }

    /// Whether nobody but this run has made the change.
    fn is_own(&self, shown: &Shown) -> bool {
        shown.is_own(self.index, self.low) && shown.is_own(self.index, self.high)
    }
}

/// A key that the run names.
#[derive(Debug, Default)]
pub(super) struct Named {
    /// The run reads it, and its reader was not known before.
    pub(super) is_fresh: bool,
    seen: Vec<Seen>,
}

impl Named {
    fn see(&mut self, seen: Seen) {
        let is_full = self.seen.len() >= SEEN_MAX;
        let seen = if is_full { Seen::GIVEN_UP } else { seen };
        match self.seen.iter_mut().find(|other| other.index == seen.index) {
            Some(other) => other.merge(seen),
            None => self.seen.push(seen),
        }
    }

    /// Whether the client has to hear of what happened to it, now that this is the answer.
    pub(super) fn is_stale(&self, shown: Option<&Shown>, noloop: bool) -> bool {
        let matters = |seen: &&Seen| match shown {
            // Replies show what came before, and there was no copy before.
            Some(shown) if self.is_fresh && seen.index < shown.index => false,
            Some(shown) => !(noloop && seen.is_own(shown)),
            // Without replies there is no copy of what they would have shown.
            None => !self.is_fresh,
        };
        self.seen.iter().any(|seen| matters(&seen))
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct UnderWay {
    pub(super) keys: BTreeMap<Box<[u8]>, Named>,
    /// Whether the client may keep copies of what the run reads.
    pub(super) reads: bool,
    /// Whether a command of it may change keys that it does not name.
    pub(super) empties: bool,
    /// All keys were forgotten meanwhile.
    pub(super) forgotten: bool,
}

impl UnderWay {
    /// Keeps it for later that a key changed, if the run names it.
    pub(super) fn holds(&mut self, key: &[u8], seen: Seen) -> bool {
        let named = self.keys.get_mut(key);
        named.map(|named| named.see(seen)).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Replies of a run that is commands 3 and 4 of entry 10.
    const SHOWN: Shown = Shown { index: 10, commands: (3, 2) };

    /// The entry, and which command of it.
    type Change = (u64, Option<u32>);

    fn named(is_fresh: bool, seen: &[(u64, Option<u32>)]) -> Named {
        let mut named = Named { is_fresh, ..Named::default() };
        for (index, command) in seen {
            named.see(Seen::new(*index, *command));
        }
        named
    }

    #[test]
    fn only_what_nobody_else_did_is_the_clients_own() {
        let cases: [(&[Change], bool); 8] = [
            (&[], false),
            (&[(10, Some(3))], false),
            (&[(10, Some(4)), (10, Some(3))], false),
            (&[(10, Some(2))], true),
            (&[(10, Some(3)), (10, Some(5))], true),
            (&[(10, Some(3)), (10, None)], true),
            (&[(9, Some(3))], true),
            (&[(10, Some(3)), (11, Some(3))], true),
        ];
        for (seen, is_stale) in cases {
            assert_eq!(named(false, seen).is_stale(Some(&SHOWN), true), is_stale, "{seen:?}");
            assert_eq!(named(false, seen).is_stale(Some(&SHOWN), false), !seen.is_empty());
            assert_eq!(named(false, seen).is_stale(None, true), !seen.is_empty());
        }
    }

    #[test]
    fn a_reply_shows_what_came_before_it() {
        let stale = |seen| named(true, seen).is_stale(Some(&SHOWN), false);
        assert!(!stale(&[(8, Some(1)), (9, Some(1))]));
        assert!(stale(&[(8, Some(1)), (10, Some(1))]), "before or behind the read in one entry");
        assert!(stale(&[(11, None)]));
        assert!(!named(true, &[(11, None)]).is_stale(None, false), "there is no copy");
    }

    #[test]
    fn what_cannot_be_told_apart_is_told() {
        let many: Vec<_> = (0..40).map(|_| (10, Some(3))).collect();
        assert!(!named(false, &many).is_stale(Some(&SHOWN), true));
        let mut named = Named::default();
        for index in 0..40 {
            named.see(Seen::new(index, Some(3)));
        }
        assert_eq!(named.seen.len(), SEEN_MAX + 1);
        assert!(named.is_stale(Some(&SHOWN), true));
        let mut given_up = Named { is_fresh: true, ..Named::default() };
        given_up.see(Seen::GIVEN_UP);
        assert!(given_up.is_stale(Some(&SHOWN), true));
    }
}
