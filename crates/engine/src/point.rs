//! Where a key lies: its hash slot, the keyed hash that orders a slot's keys, and its deletion
//! bucket.
//!
//! Slots are those of Redis Cluster (CRC16, hash tags), so that slot ranges can later become groups
//! of their own. The second hash is keyed with state drawn at bootstrap: clients cannot aim at one
//! page, and every replica agrees.

use siphasher::sip::SipHasher13;

/// Hash slots of a database.
pub(crate) const SLOTS: usize = 16_384;
/// Buckets that remember when a key of theirs last came or went.
pub(crate) const BUCKETS: usize = 65_536;

/// Position of a key in scan order; keys of one point are ordered by their bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Point {
    /// Hash slot, below [`SLOTS`].
    pub(crate) slot: u16,
    /// Upper half of the keyed hash.
    pub(crate) hash: u32,
    /// Some of the lower half: finds the bucket.
    pub(crate) low: u16,
}

impl Point {
    /// The point of `key` under the state's hash key.
    pub(crate) fn of(hash_key: [u64; 2], key: &[u8]) -> Self {
        let [one, two] = hash_key;
        let hash = SipHasher13::new_with_keys(one, two).hash(key);
        Self { slot: slot(key), hash: (hash >> 32) as u32, low: hash as u16 }
    }

    /// The bucket in which deletions of this key in database `db` are remembered.
    pub(crate) fn bucket(self, db: u8) -> usize {
        usize::from(self.low ^ (u16::from(db) << 12))
    }
}

/// What orders the members of large sets and the fields of large hashes.
pub(crate) fn element_hash(hash_key: [u64; 2], element: &[u8]) -> u32 {
    let [one, two] = hash_key;
    (SipHasher13::new_with_keys(one, two).hash(element) >> 32) as u32
}

/// The hash slot of a key: of its hash tag, if it has one that is not empty.
pub(crate) fn slot(key: &[u8]) -> u16 {
    crc16(tag(key).unwrap_or(key)) % SLOTS as u16
}

/// What stands between the first `{` and the first `}` behind it, if anything.
fn tag(key: &[u8]) -> Option<&[u8]> {
    let open = key.iter().position(|&byte| byte == b'{')?;
    let rest = key.get(open + 1..)?;
    let close = rest.iter().position(|&byte| byte == b'}')?;
    rest.get(..close).filter(|tag| !tag.is_empty())
}

/// CRC16/XMODEM, four bytes a step: a table for each distance from the end of the step, so that a
/// step waits for one look-up and not for four (80 cycles to 25 for a key of 16 bytes).
fn crc16(bytes: &[u8]) -> u16 {
    let row =
        |table: &[u16; 256], byte: u8| table.get(usize::from(byte)).copied().unwrap_or_default();
    let [t0, t1, t2, t3] = &CRC16;
    let (steps, rest) = bytes.as_chunks::<4>();
    let crc = steps.iter().fold(0_u16, |crc, &[a, b, c, d]| {
        let [high, low] = crc.to_be_bytes();
        row(t3, high ^ a) ^ row(t2, low ^ b) ^ row(t1, c) ^ row(t0, d)
    });
    rest.iter().fold(crc, |crc, &byte| (crc << 8) ^ row(t0, (crc >> 8) as u8 ^ byte))
}

/// `CRC16[n]` is the effect of a byte that n more follow.
#[allow(clippy::indexing_slicing, reason = "evaluated by the compiler")]
static CRC16: [[u16; 256]; 4] = {
    let mut tables = [[0; 256]; 4];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = (byte as u16) << 8;
        let mut bit = 0;
        while bit < 32 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 };
            bit += 1;
            if bit % 8 == 0 {
                tables[bit / 8 - 1][byte] = crc;
            }
        }
        byte += 1;
    }
    tables
};

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn slots_are_those_of_redis_cluster() {
        // Answers of `CLUSTER KEYSLOT` of redis-server 7.0.15.
        for (key, want) in [
            ("123456789", 0x31c3),
            ("foo", 12_182),
            ("{foo}bar", 12_182),
            ("a{foo}{bar}", 12_182),
            ("", 0),
            ("{user1000}.following", slot(b"user1000")),
            ("foo{}{bar}", slot(b"foo{}{bar}")),
            ("foo{{bar}}zap", slot(b"{bar")),
        ] {
            assert_eq!(slot(key.as_bytes()), want, "{key}");
        }
        assert_ne!(slot(b"foo{}{bar}"), slot(b"bar"));
        assert_eq!(crc16(b"123456789"), 0x31c3, "the check value of CRC16/XMODEM");
        for length in 0..40 {
            let bytes: Vec<u8> = (0..length).map(|byte: u8| byte.wrapping_mul(37)).collect();
            let slow = bytes.iter().fold(0_u16, |crc, &byte| {
                (0..8).fold(crc ^ u16::from(byte) << 8, |crc, _| {
                    crc << 1 ^ if crc & 0x8000 == 0 { 0 } else { 0x1021 }
                })
            });
            assert_eq!(crc16(&bytes), slow, "length {length}");
        }
    }
}
