//! A string over 64 KiB: shared chunks.
//!
//! Whoever needs the value as it is now (a snapshot, COPY) keeps the spine of pointers; a write
//! copies only the chunk it touches. Gaps of zeros are one chunk, pointed to many times.

use alloc::vec::Vec;
use triomphe::Arc;

/// Length of every chunk but the last.
pub(crate) const CHUNK: usize = 64 << 10;

/// Invariants: no chunk is empty; all but the last are [`CHUNK`] long; `len` is their sum.
#[derive(Clone, Debug, Default)]
pub(crate) struct Chunks {
    list: Vec<Arc<Vec<u8>>>,
    len: usize,
}

impl Chunks {
    /// A value laid out in chunks.
    pub(crate) fn new(bytes: &[u8]) -> Self {
        let list = bytes.chunks(CHUNK).map(|piece| Arc::new(piece.to_vec())).collect();
        Self { list, len: bytes.len() }
    }

    /// Drops it chunk by chunk: see [`Garbage::free`](crate::Garbage::free).
    pub(crate) fn free(self, pause: &mut dyn FnMut()) {
        for chunk in self.list {
            drop(chunk);
            pause();
        }
    }

    /// Length in bytes.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The chunks in order.
    pub(crate) fn list(&self) -> &[Arc<Vec<u8>>] {
        &self.list
    }

    /// Adds bytes at the end.
    pub(crate) fn append(&mut self, mut bytes: &[u8]) {
        let room = self.list.len() * CHUNK - self.len;
        if let Some(last) = self.list.last_mut().filter(|_| room > 0) {
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            grow(Arc::make_mut(last), now.len());
            Arc::make_mut(last).extend_from_slice(now);
            self.len += now.len();
            bytes = later;
        }
        self.len += bytes.len();
        self.list.extend(bytes.chunks(CHUNK).map(|piece| Arc::new(piece.to_vec())));
    }

    /// Overwrites from `offset` on, which may lie beyond the end: zeros fill the gap.
    pub(crate) fn write_at(&mut self, offset: usize, bytes: &[u8]) {
        if offset > self.len {
            self.fill(offset - self.len);
        }
        let (inside, beyond) = bytes.split_at(bytes.len().min(self.len - offset));
        let mut at = offset;
        let mut rest = inside;
        while let Some(chunk) = self.list.get_mut(at / CHUNK).filter(|_| !rest.is_empty()) {
            let start = at % CHUNK;
            let (now, later) = rest.split_at(rest.len().min(CHUNK - start));
            let chunk = Arc::make_mut(chunk);
            if let Some(place) = chunk.get_mut(start..start + now.len()) {
                place.copy_from_slice(now);
            }
            at += now.len();
            rest = later;
        }
        self.append(beyond);
    }

    /// Flips a bit, counted around, of a copy of its chunk: see
    /// [`Keyspace::flip_bit`](crate::Keyspace::flip_bit).
    pub(crate) fn flip_bit(&mut self, bit: u64) -> bool {
        let at = (bit / 8).checked_rem(self.len as u64).unwrap_or_default() as usize;
        let chunk = self.list.get_mut(at / CHUNK).map(Arc::make_mut);
        let byte = chunk.and_then(|chunk| chunk.get_mut(at % CHUNK));
        byte.map(|byte| *byte ^= 1 << (bit % 8)).is_some()
    }

    /// Adds zeros at the end.
    fn fill(&mut self, count: usize) {
        const ZEROS: [u8; 4096] = [0; 4096];
        let end = self.len + count;
        while self.len < end && (!self.len.is_multiple_of(CHUNK) || end - self.len < CHUNK) {
            let room = (CHUNK - self.len % CHUNK).min(end - self.len).min(ZEROS.len());
            self.append(ZEROS.get(..room).unwrap_or_default());
        }
        if self.len < end {
            let whole = (end - self.len) / CHUNK;
            let zeros = Arc::new(alloc::vec![0; CHUNK]);
            self.list.extend(core::iter::repeat_n(zeros, whole));
            self.len += whole * CHUNK;
            self.fill(end - self.len);
        }
    }
}

/// Makes room for `more` bytes without going beyond a chunk: doubling, so that small appends stay
/// cheap.
fn grow(last: &mut Vec<u8>, more: usize) {
    let need = last.len() + more;
    if need > last.capacity() {
        let want = need.max(last.capacity() * 2).min(CHUNK.max(need));
        last.reserve_exact(want - last.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyspace::tests::cases;
    use alloc::vec;
    use proptest::prelude::*;

    fn flat(chunks: &Chunks) -> Vec<u8> {
        let count = chunks.list.len();
        for (at, chunk) in chunks.list.iter().enumerate() {
            assert!(chunk.len() == CHUNK || at + 1 == count && !chunk.is_empty());
        }
        let flat = chunks.list.iter().flat_map(|chunk| chunk.iter().copied()).collect::<Vec<_>>();
        assert_eq!(flat.len(), chunks.len());
        flat
    }

    #[test]
    fn a_gap_of_zeros_is_one_chunk() {
        let mut chunks = Chunks::new(&vec![1; CHUNK]);
        chunks.write_at(1000 * CHUNK + 7, b"x");
        assert_eq!(chunks.len(), 1000 * CHUNK + 8);
        assert!(Arc::ptr_eq(&chunks.list()[1], &chunks.list()[999]));
        chunks.write_at(5 * CHUNK, b"y");
        assert_eq!((chunks.list()[5][0], chunks.list()[6][0]), (b'y', 0));
    }

    proptest! {
        #![proptest_config(cases(40))]
        #[test]
        fn chunks_are_a_flat_string(
            start in 0..3 * CHUNK,
            steps in prop::collection::vec((0..5 * CHUNK, 0..2 * CHUNK, any::<u8>()), 1..8),
        ) {
            let mut model = vec![9; start];
            let mut chunks = Chunks::new(&model);
            for (offset, length, byte) in steps {
                let kept = (chunks.clone(), model.clone());
                let bytes = vec![byte; length];
                if byte % 2 == 0 {
                    model.extend_from_slice(&bytes);
                    chunks.append(&bytes);
                } else {
                    model.resize(model.len().max(offset + length), 0);
                    model[offset..offset + length].copy_from_slice(&bytes);
                    chunks.write_at(offset, &bytes);
                }
                prop_assert!(flat(&chunks) == model);
                prop_assert!(flat(&kept.0) == kept.1, "a kept spine changed");
            }
        }
    }
}
