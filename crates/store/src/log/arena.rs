//! Where payloads lie that the tail cache keeps: one behind the other in pieces of memory that are
//! used again, in turn, as the cache moves on.
//!
//! As they arrive they are an allocation each, of all sizes, or a part of a message that they would
//! keep alive; an allocator rounds each up to a size class. The cache would take up to a quarter
//! more than it counts, and how much would hang on what is written.

use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;

/// A cache's worth of memory is so many pieces.
const PIECES: usize = 16;
/// A payload longer than this part of a piece stays where it is: it would waste too much of the
/// piece's end, and little of its own allocation.
const LONG_PART: usize = 16;

/// Pieces of memory.
#[derive(Debug)]
pub(crate) struct Arena {
    piece_bytes: usize,
    /// What is left of each, oldest first; the last one is being filled.
    pieces: VecDeque<BytesMut>,
}

impl Arena {
    /// For a cache of so many bytes.
    pub(crate) fn new(cache_bytes: usize) -> Self {
        Self { piece_bytes: (cache_bytes / PIECES).max(4 << 10), pieces: VecDeque::new() }
    }

    /// The same bytes, in a piece unless they are too long for one.
    pub(crate) fn keep(&mut self, payload: Bytes) -> Bytes {
        if payload.len() > self.piece_bytes / LONG_PART {
            return payload;
        }
        if self.pieces.back().is_none_or(|open| open.capacity() < payload.len()) {
            let next = self.next_piece();
            self.pieces.push_back(next);
        }
        let Some(open) = self.pieces.back_mut() else { return payload };
        open.extend_from_slice(&payload);
        open.split().freeze()
    }

    /// The oldest piece if nothing lies in it any more, else a new one. Of several that are free,
    /// one is kept.
    fn next_piece(&mut self) -> BytesMut {
        let mut free = None;
        while let Some(oldest) = self.pieces.front_mut()
            && oldest.try_reclaim(self.piece_bytes)
        {
            free = self.pieces.pop_front();
        }
        free.unwrap_or_else(|| BytesMut::with_capacity(self.piece_bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(length: usize, byte: u8) -> Bytes {
        vec![byte; length].into()
    }

    #[test]
    fn payloads_stay_what_they_are() {
        let mut arena = Arena::new(0);
        let mut kept = VecDeque::new();
        for number in 0..5_000_usize {
            let payload = payload(number * 7 % 300, number as u8);
            kept.push_back((arena.keep(payload.clone()), payload));
            if number % 100 < 80 && kept.len() > 200 {
                kept.pop_front();
            }
            assert!(kept.iter().all(|(kept, payload)| kept == payload), "{number}");
        }
    }

    #[test]
    fn a_cache_that_moves_on_takes_no_more_pieces() {
        let mut arena = Arena::new(16 * 4096);
        let mut cache = VecDeque::new();
        // 20 payloads of 200 bytes to a piece: 25 pieces hold 500, two more are begun or ended. Of
        // 256 bytes, 16 fill a piece to the last byte.
        for (length, most) in [(200, 27), (256, 34)] {
            for number in 0..10_000 {
                cache.push_back(arena.keep(payload(length, number as u8)));
                if cache.len() > 500 {
                    cache.pop_front();
                }
                assert!(number < 1000 || arena.pieces.len() <= most, "{}", arena.pieces.len());
            }
        }
        cache.clear();
        for number in 0..20 {
            cache.push_back(arena.keep(payload(200, number)));
        }
        assert!(arena.pieces.len() <= 2, "free pieces go: {}", arena.pieces.len());
    }

    #[test]
    fn a_long_payload_is_left_alone() {
        let mut arena = Arena::new(64 << 20);
        let long = payload((256 << 10) + 1, 1);
        let place = long.as_ptr();
        assert_eq!(arena.keep(long).as_ptr(), place);
        let short = payload(256 << 10, 1);
        let place = short.as_ptr();
        assert_ne!(arena.keep(short).as_ptr(), place);
    }
}
