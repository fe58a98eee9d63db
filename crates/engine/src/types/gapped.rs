//! Bytes in a row that begin and end anywhere in their memory: what comes or goes at the front
//! moves nothing, as at the end of a vector.
//!
//! A leaf of a list is such a row. In a vector, each push at the front moves half a leaf on average
//! (2 KiB; 4 % of what a node does under them), and so does each pop.

use super::pack;
use alloc::vec::Vec;
use core::ops::{Deref, Range};

/// See the module. A clone has no spare memory.
#[derive(Debug, Default)]
pub(crate) struct Gapped {
    bytes: Vec<u8>,
    /// Where the row begins.
    start: usize,
}

impl Gapped {
    /// Replaces a part of the row. If there is no room for what is new, memory is made for so many
    /// bytes more, at the side where it is wanted.
    pub(crate) fn splice(&mut self, part: Range<usize>, by: &[u8], step: usize) {
        let more = by.len().saturating_sub(part.len());
        if part.start == 0 && part.end < self.len() {
            if more > self.start {
                return self.grow_front(part.end, by, step);
            }
            self.start = self.start + part.end - by.len();
            if let Some(place) = self.bytes.get_mut(self.start..self.start + by.len()) {
                place.copy_from_slice(by);
            }
            return;
        }
        let spare = self.bytes.capacity() - self.bytes.len();
        if more > spare + self.start {
            self.bytes.reserve_exact(more.max(step));
        } else if more > spare {
            self.bytes.drain(..core::mem::take(&mut self.start));
        }
        let part = self.start + part.start..self.start + part.end;
        pack::splice(&mut self.bytes, part, by);
    }

    /// Replaces what is before `end`, in memory of its own.
    fn grow_front(&mut self, end: usize, by: &[u8], step: usize) {
        let rest = self.get(end..).unwrap_or_default();
        let gap = step.saturating_sub(by.len());
        let mut bytes = Vec::with_capacity(gap + by.len() + rest.len());
        bytes.resize(gap, 0);
        bytes.extend_from_slice(by);
        bytes.extend_from_slice(rest);
        *self = Self { bytes, start: gap };
    }

    /// Cuts off what is behind `at`, and spare memory there.
    pub(crate) fn truncate(&mut self, at: usize) {
        self.bytes.truncate(self.start + at);
        self.bytes.shrink_to_fit();
    }
}

impl From<Vec<u8>> for Gapped {
    fn from(bytes: Vec<u8>) -> Self {
        Self { bytes, start: 0 }
    }
}

impl Clone for Gapped {
    fn clone(&self) -> Self {
        self.to_vec().into()
    }
}

impl Deref for Gapped {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyspace::tests::cases;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(cases(500))]
        #[test]
        fn it_is_a_vector(
            steps in prop::collection::vec(
                (any::<usize>(), 0..4_usize, prop::collection::vec(any::<u8>(), 0..9), 0..20_usize),
                0..60,
            ),
        ) {
            let (mut gapped, mut model) = (Gapped::default(), Vec::new());
            for (at, count, by, step) in steps {
                // Half of them at the front or at the end.
                let at = [0, model.len(), at, at / 7][at % 4] % (model.len() + 1);
                let part = at..(at + count).min(model.len());
                gapped.splice(part.clone(), &by, step);
                model.splice(part, by);
                prop_assert_eq!(&*gapped, model.as_slice());
                prop_assert_eq!(&*gapped.clone(), model.as_slice());
                if step == 0 {
                    gapped.truncate(at);
                    model.truncate(at);
                    prop_assert_eq!(&*gapped, model.as_slice());
                }
            }
        }

        #[test]
        fn little_memory_is_spare(fronts in prop::collection::vec(any::<bool>(), 0..300)) {
            const STEP: usize = 64;
            let mut gapped = Gapped::default();
            for front in fronts {
                let at = if front { 0 } else { gapped.len() };
                gapped.splice(at..at, b"entry", STEP);
                prop_assert!(gapped.bytes.capacity() <= gapped.len() + 2 * STEP);
            }
        }
    }
}
