//! A snapshot on its way in: bytes go to disk as they come, so that a transfer that broke goes on
//! where it was, also after a restart of this process.
//!
//! Two files beside the log, neither of them part of it: the bytes, and a journal that says of
//! which snapshot they are and gives the checksum of every piece. What an earlier process left
//! counts exactly as far as these checksums hold, so a power cut needs no care here: a piece that
//! did not reach the disk is simply asked for again. When all is there and the whole file's
//! checksum is right, it becomes the base like a snapshot of our own.

use crate::disk::{Disk, DiskFile};
use crate::file::manifest::{DIR, log_id};
use crate::{LogId, StoreError};
use std::io::{self, ErrorKind};

/// The bytes.
const BYTES: &str = "appendonlydir/incoming.snapshot";
/// What they are.
const JOURNAL: &str = "appendonlydir/incoming.journal";
const MARK: &str = "# quorate incoming 1";
/// After so many bytes they are synced, so that the sync in the end is short.
const SYNC_EVERY: u64 = 32 << 20;
/// Bytes read at once.
const READ_BYTES: usize = 1 << 20;
/// No journal of ours is longer: a line of at most 30 bytes for 256 KiB.
const JOURNAL_BYTES_MAX: u64 = 256 << 20;

/// Which snapshot it is. Equal for equal bytes, whoever sends them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IncomingId {
    /// The cluster.
    pub cluster: u128,
    /// Last entry it covers.
    pub last: LogId,
    /// Length of the whole.
    pub bytes: u64,
    /// CRC32C of the whole.
    pub crc: u32,
}

/// See the module.
pub struct Incoming<D: Disk> {
    disk: D,
    id: IncomingId,
    bytes: D::File,
    journal: D::File,
    /// Where the journal ends.
    journal_at: u64,
    /// How many bytes are here. Invariant: `at <= id.bytes`, and their checksum is `crc`.
    at: u64,
    crc: u32,
    synced: u64,
}

impl<D: Disk> std::fmt::Debug for Incoming<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Incoming")
            .field("id", &self.id)
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

impl<D: Disk> Incoming<D> {
    /// What an earlier transfer left, as far as it can be trusted. Reads all of it once.
    pub fn resume(disk: &D) -> Result<Option<Self>, StoreError> {
        let (journal, bytes) = match (disk.open(JOURNAL), disk.open(BYTES)) {
            (Ok(journal), Ok(bytes)) => (journal, bytes),
            (Err(error), _) | (_, Err(error)) if error.kind() == ErrorKind::NotFound => {
                Self::remove(disk)?;
                return Ok(None);
            }
            (Err(error), _) | (_, Err(error)) => return Err(error.into()),
        };
        let mut text = vec![0; journal.len()?.min(JOURNAL_BYTES_MAX) as usize];
        let count = journal.read_at(&mut text, 0)?;
        text.truncate(count);
        let mut lines = text.split_inclusive(|byte| *byte == b'\n');
        let Some((id, head)) = lines.next().and_then(|line| Some((parse_head(line)?, line.len())))
        else {
            Self::remove(disk)?;
            return Ok(None);
        };
        let mut this = Self {
            disk: disk.clone(),
            id,
            bytes,
            journal,
            journal_at: head as u64,
            at: 0,
            crc: 0,
            synced: 0,
        };
        for line in lines {
            if !this.take_line(line)? {
                break;
            }
        }
        // What stands behind is neither trusted nor left to be taken for more than it is.
        this.journal.set_len(this.journal_at)?;
        this.bytes.set_len(this.at)?;
        Ok(Some(this))
    }

    /// Counts a piece of the journal if its bytes are there and right.
    fn take_line(&mut self, line: &[u8]) -> Result<bool, StoreError> {
        let Some((end, sum)) = parse_piece(line) else { return Ok(false) };
        if end <= self.at || end > self.id.bytes {
            return Ok(false);
        }
        let (mut at, mut piece) = (self.at, 0);
        let mut whole = self.crc;
        let mut buffer = vec![0; READ_BYTES.min((end - at) as usize)];
        while at < end {
            let want = buffer.len().min((end - at) as usize);
            let into = buffer.get_mut(..want).unwrap_or_default();
            let count = self.bytes.read_at(into, at)?;
            if count != want {
                return Ok(false);
            }
            piece = crc32c::crc32c_append(piece, into);
            whole = crc32c::crc32c_append(whole, into);
            at += count as u64;
        }
        if piece != sum {
            return Ok(false);
        }
        (self.at, self.crc) = (end, whole);
        self.journal_at += line.len() as u64;
        Ok(true)
    }

    /// Begins a snapshot of which nothing is here; what there was of another is gone.
    pub fn begin(disk: &D, id: IncomingId) -> Result<Self, StoreError> {
        Self::remove(disk)?;
        disk.create_dir(DIR)?;
        let head = head(&id);
        let journal = disk.create(JOURNAL)?;
        journal.write_at(&[head.as_bytes()], 0)?;
        let bytes = disk.create(BYTES)?;
        disk.sync_dir(DIR)?;
        let journal_at = head.len() as u64;
        Ok(Self { disk: disk.clone(), id, bytes, journal, journal_at, at: 0, crc: 0, synced: 0 })
    }

    /// Removes whatever there is.
    pub fn remove(disk: &D) -> Result<(), StoreError> {
        // The journal first: bytes without one mean nothing.
        for path in [JOURNAL, BYTES] {
            match disk.remove(path) {
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                outcome => outcome?,
            }
        }
        Ok(())
    }

    /// Which snapshot it is.
    pub fn id(&self) -> IncomingId {
        self.id
    }

    /// How many bytes are here, and their CRC32C.
    pub fn at(&self) -> (u64, u32) {
        (self.at, self.crc)
    }

    /// Takes the next piece, whose CRC32C is `crc`: the caller has compared it.
    pub fn add(&mut self, piece: &[u8], crc: u32) -> Result<(), StoreError> {
        let end = self.at + piece.len() as u64;
        if end > self.id.bytes {
            let why = "more bytes than the snapshot has";
            return Err(StoreError::Io(io::Error::new(ErrorKind::InvalidData, why)));
        }
        self.bytes.write_at(&[piece], self.at)?;
        let line = format!("{end} {crc:08x}\n");
        self.journal.write_at(&[line.as_bytes()], self.journal_at)?;
        self.journal_at += line.len() as u64;
        self.at = end;
        self.crc = crc32c::crc32c_append(self.crc, piece);
        if end - self.synced >= SYNC_EVERY {
            self.sync()?;
        }
        Ok(())
    }

    /// Makes what is here durable.
    fn sync(&mut self) -> Result<(), StoreError> {
        self.bytes.sync()?;
        self.journal.sync()?;
        self.synced = self.at;
        Ok(())
    }

    /// Reads what is here, at most so many bytes.
    pub fn read(&self, offset: u64, bytes_max: usize) -> Result<Vec<u8>, StoreError> {
        let rest = usize::try_from(self.at.saturating_sub(offset)).unwrap_or(usize::MAX);
        let mut bytes = vec![0; rest.min(bytes_max)];
        if self.bytes.read_at(&mut bytes, offset)? != bytes.len() {
            let why = "the incoming snapshot is shorter than was written";
            return Err(StoreError::Io(io::Error::new(ErrorKind::UnexpectedEof, why)));
        }
        Ok(bytes)
    }

    /// Syncs, once everything is here. [`StoreError::Corrupt`]: not everything, or not what was
    /// announced.
    pub fn complete(&mut self) -> Result<(), StoreError> {
        if self.at != self.id.bytes {
            let (at, bytes) = (self.at, self.id.bytes);
            return Err(StoreError::Corrupt(format!("{at} of {bytes} bytes of the snapshot came")));
        }
        if self.crc != self.id.crc {
            return Err(StoreError::Corrupt("the snapshot is not what was announced".to_owned()));
        }
        self.bytes.sync()?;
        Ok(())
    }

    /// Gives it all up.
    pub fn discard(self) -> Result<(), StoreError> {
        Self::remove(&self.disk)
    }

    /// Moves the bytes to where the snapshot shall stand; the journal goes.
    pub(crate) fn move_to(self, path: &str) -> Result<(), StoreError> {
        self.disk.rename(BYTES, path)?;
        self.disk.remove(JOURNAL)?;
        self.disk.sync_dir(DIR)?;
        Ok(())
    }
}

/// The journal's first line.
fn head(id: &IncomingId) -> String {
    let IncomingId { cluster, last, bytes, crc } = *id;
    let LogId { term, index } = last;
    let line =
        format!("{MARK} cluster {cluster:032x} last {term}.{index} bytes {bytes} crc32c {crc:08x}");
    format!("{line} sum {:08x}\n", crc32c::crc32c(line.as_bytes()))
}

fn parse_head(line: &[u8]) -> Option<IncomingId> {
    let text = std::str::from_utf8(line).ok()?;
    let words: Vec<&str> = text.strip_prefix(MARK)?.split_ascii_whitespace().collect();
    let ["cluster", cluster, "last", last, "bytes", bytes, "crc32c", crc, "sum", _] = *words else {
        return None;
    };
    let id = IncomingId {
        cluster: u128::from_str_radix(cluster, 16).ok()?,
        last: log_id(last)?,
        bytes: bytes.parse().ok()?,
        crc: u32::from_str_radix(crc, 16).ok()?,
    };
    // Written again it must be the same, its own checksum included.
    (head(&id) == text).then_some(id)
}

/// Where a piece ends, and its checksum.
fn parse_piece(line: &[u8]) -> Option<(u64, u32)> {
    let text = std::str::from_utf8(line).ok()?.strip_suffix('\n')?;
    let (end, sum) = text.split_once(' ')?;
    let sum = (sum.len() == 8).then(|| u32::from_str_radix(sum, 16).ok()).flatten()?;
    Some((end.parse().ok()?, sum))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FakeDisk;

    fn whole() -> Vec<u8> {
        (0..100_000_u32).flat_map(u32::to_le_bytes).collect()
    }

    fn id(bytes: &[u8]) -> IncomingId {
        let last = LogId { term: 3, index: 77 };
        IncomingId { cluster: 9, last, bytes: bytes.len() as u64, crc: crc32c::crc32c(bytes) }
    }

    fn add(into: &mut Incoming<FakeDisk>, bytes: &[u8]) -> Result<(), StoreError> {
        bytes.chunks(7000).try_for_each(|piece| into.add(piece, crc32c::crc32c(piece)))
    }

    #[test]
    fn a_transfer_goes_on_where_a_crash_left_it() {
        let whole = whole();
        for seed in 0..60 {
            let disk = FakeDisk::new(seed);
            let mut first = Incoming::begin(&disk, id(&whole)).unwrap();
            // Nine tenths came, one tenth at least is known to be on disk.
            add(&mut first, &whole[..whole.len() / 10]).unwrap();
            first.sync().unwrap();
            add(&mut first, &whole[whole.len() / 10..whole.len() / 10 * 9]).unwrap();
            let came = first.at();
            if seed % 2 == 0 {
                disk.kill();
            } else {
                disk.crash();
            }
            let mut second = Incoming::resume(&disk).unwrap().expect("its beginning was synced");
            let (at, crc) = second.at();
            assert_eq!(crc, crc32c::crc32c(&whole[..at as usize]), "seed {seed}");
            assert!(at as usize >= whole.len() / 10, "seed {seed}");
            assert!(seed % 2 == 1 || (at, crc) == came, "seed {seed}: a kill loses nothing");
            add(&mut second, &whole[at as usize..]).unwrap();
            second.complete().unwrap();
            second.move_to("appendonlydir/there").unwrap();
            assert_eq!(disk.contents("appendonlydir/there"), Some(whole.clone()));
            assert!(Incoming::resume(&disk).unwrap().is_none());
        }
    }

    #[test]
    fn damage_is_cut_off_and_a_strange_journal_removed() {
        let whole = whole();
        let disk = FakeDisk::new(1);
        add(&mut Incoming::begin(&disk, id(&whole)).unwrap(), &whole[..70_000]).unwrap();
        let mut bytes = disk.contents(BYTES).unwrap();
        bytes[30_000] ^= 1;
        disk.tamper(BYTES, Some(bytes));
        let mut resumed = Incoming::resume(&disk).unwrap().unwrap();
        assert_eq!(resumed.at().0, 28_000);
        assert!(matches!(resumed.complete(), Err(StoreError::Corrupt(_))));
        assert!(resumed.add(&whole, 0).is_err(), "more than was announced");
        let journal = disk.contents(JOURNAL).unwrap();
        for bit in 0..head(&id(&whole)).len() * 8 {
            let mut bad = journal.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            disk.tamper(JOURNAL, Some(bad));
            disk.tamper(BYTES, Some(whole.clone()));
            assert!(Incoming::resume(&disk).unwrap().is_none(), "bit {bit}");
        }
        assert!(disk.contents(BYTES).is_none());
    }

    #[test]
    fn something_else_than_announced_is_not_complete() {
        let (whole, disk) = (whole(), FakeDisk::new(1));
        let mut incoming = Incoming::begin(&disk, IncomingId { crc: 1, ..id(&whole) }).unwrap();
        add(&mut incoming, &whole).unwrap();
        assert!(matches!(incoming.complete(), Err(StoreError::Corrupt(_))));
        incoming.discard().unwrap();
        assert!(disk.paths().iter().all(|path| !path.contains("incoming")));
    }
}
