//! Where the stream of records stands, and what lies in front of it in the same block.
//!
//! Pure: the writer moves the tip along and asks for the edge, so that it writes whole blocks
//! without reading one first; nothing here touches the disk.

/// Where the stream of records stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tip {
    /// Next byte in the active segment.
    pub(crate) at: u64,
    /// Checksum of the last header.
    pub(crate) chain: u32,
    /// Number of the next record.
    pub(crate) seq: u64,
    /// Number of the last record known durable. Invariant: `synced < seq`; only a successful sync
    /// raises it.
    pub(crate) synced: u64,
}

/// Bytes that a disk and the kernel's cache change at once. Writes are whole blocks, so that none
/// of them has to be read first: what was filled long ago is no longer in memory.
pub(crate) const BLOCK: u64 = 4096;

/// What stands in front of the tip, from its block's start on.
#[derive(Debug, Default)]
pub(crate) struct Edge {
    segment: u32,
    /// The tip that it belongs to.
    at: u64,
    bytes: Vec<u8>,
}

impl Edge {
    /// The bytes in front of this place; none if others than those are known.
    pub(crate) fn before(&self, segment: u32, at: u64) -> &[u8] {
        let is_here = self.segment == segment && self.at == at;
        if is_here && self.bytes.len() as u64 == at % BLOCK { &self.bytes } else { &[] }
    }

    /// The edge after `pieces` were written up to `at`, with what follows from them alone.
    pub(crate) fn after(segment: u32, at: u64, pieces: &[&[u8]]) -> Self {
        let total: usize = pieces.iter().map(|piece| piece.len()).sum();
        let mut skip = total.saturating_sub((at % BLOCK) as usize);
        let mut bytes = Vec::with_capacity(total - skip);
        for piece in pieces {
            bytes.extend_from_slice(piece.get(skip..).unwrap_or_default());
            skip = skip.saturating_sub(piece.len());
        }
        Self { segment, at, bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edge_is_the_unfinished_block() {
        let mut edge = Edge::default();
        let mut written: Vec<u8> = Vec::new();
        for length in [0_usize, 1, 4000, 95, 1, 4095, 4096, 4097, 9000, 3, 0, 12_287] {
            let at = written.len() as u64;
            let front = edge.before(7, at).to_vec();
            let new = vec![length as u8; length];
            let (one, other) = new.split_at(length / 3);
            edge = Edge::after(7, at + length as u64, &[&front, one, b"", other]);
            written.extend_from_slice(&new);
            let boundary = written.len() - written.len() % BLOCK as usize;
            let here = written.len() as u64;
            assert_eq!(edge.before(7, here), &written[boundary..], "{length}");
            assert!(edge.before(8, here).is_empty() && edge.before(7, here + BLOCK).is_empty());
        }
        // Where what was in front is not known, nothing is said about it.
        let unknown = Edge::after(7, 10, &[b"", b"abc"]);
        assert!(unknown.before(7, 10).is_empty());
    }
}
