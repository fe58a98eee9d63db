//! The manifest: Redis 7's list of files that make up an append-only file, with what we need to
//! know beside it in `#` lines.
//!
//! One base (the newest snapshot), then the segments that follow it, in order. Replaced as a whole:
//! written aside, synced, renamed, directory synced. Snapshots and segments that are kept without
//! being part of the append-only file stand in the directory unlisted; the second snapshot has a `#
//! kept` line.

use crate::disk::{Disk, DiskFile};
use crate::{LogId, StoreError};
use std::fmt::Write as _;
use std::io::ErrorKind;

/// The directory of the append-only file.
pub(crate) const DIR: &str = "appendonlydir";
/// What all its files are called before the first dot that matters; `appendfilename` in Redis's
/// words.
const NAME: &str = "quorate.aof";
const MARK: &str = "# quorate manifest 1";
const ADVICE: &str =
    "stop the node, move the data directory aside and let the node join again as a new one";

/// Path of the manifest.
pub(crate) fn manifest_path() -> String {
    format!("{DIR}/{NAME}.manifest")
}

/// Path of a segment.
pub(crate) fn segment_path(number: u32) -> String {
    format!("{DIR}/{NAME}.{number}.incr.aof")
}

/// Path of a snapshot.
pub(crate) fn base_path(number: u32) -> String {
    format!("{DIR}/{NAME}.{number}.base.rdb")
}

/// Path of a file that is not complete yet; such files are removed at the next start.
pub(crate) fn temporary_path(what: &str) -> String {
    format!("{DIR}/{NAME}.{what}.tmp")
}

/// A snapshot as the manifest knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Base {
    pub(crate) number: u32,
    pub(crate) last: LogId,
    pub(crate) bytes: u64,
    pub(crate) crc: u32,
}

/// What the manifest says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Manifest {
    /// The newest snapshot.
    pub(crate) base: Option<Base>,
    /// The one before it.
    pub(crate) kept: Option<Base>,
    /// From this index on, stock Redis may replay something else than we did.
    pub(crate) inexact_since: Option<u64>,
    /// Segments that follow the base, ascending.
    pub(crate) segments: Vec<u32>,
}

/// What stands in the directory.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    pub(crate) segments: Vec<u32>,
    pub(crate) bases: Vec<u32>,
    pub(crate) temporary: Vec<String>,
}

impl Listing {
    /// Reads the directory; refuses files of another append-only file.
    pub(crate) fn read<D: Disk>(disk: &D) -> Result<Self, StoreError> {
        let mut listing = Self::default();
        for name in disk.list(DIR)? {
            let Some(rest) = name.strip_prefix(NAME).and_then(|rest| rest.strip_prefix('.')) else {
                if [".manifest", ".aof", ".rdb"].iter().any(|end| name.ends_with(end)) {
                    return Err(foreign(&format!("{DIR}/{name}")));
                }
                continue;
            };
            let number = |end: &str| rest.strip_suffix(end).and_then(|text| text.parse().ok());
            if rest == "manifest" {
                continue;
            }
            if rest.strip_suffix(".tmp").is_some() {
                listing.temporary.push(format!("{DIR}/{name}"));
            } else if let Some(number) = number(".incr.aof") {
                listing.segments.push(number);
            } else if let Some(number) = number(".base.rdb") {
                listing.bases.push(number);
            } else {
                return Err(foreign(&format!("{DIR}/{name}")));
            }
        }
        listing.segments.sort_unstable();
        listing.bases.sort_unstable();
        Ok(listing)
    }
}

/// The error for files that are not ours.
pub(crate) fn foreign(path: &str) -> StoreError {
    StoreError::Foreign(format!(
        "{path} was written by redis-server or by something else than this program; \
         use `quorate restore` to take its data over"
    ))
}

impl Manifest {
    /// Reads the manifest; `None` when there is none.
    pub(crate) fn load<D: Disk>(disk: &D) -> Result<Option<Self>, StoreError> {
        let path = manifest_path();
        let file = match disk.open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let mut bytes = vec![0; file.len()?.min(1 << 24) as usize];
        let count = file.read_at(&mut bytes, 0)?;
        bytes.truncate(count);
        let damaged = || StoreError::Corrupt(format!("{path} is damaged; {ADVICE}"));
        if !bytes.starts_with(MARK.as_bytes()) {
            // Redis's own begins with the first file.
            let is_redis = bytes.starts_with(b"file ");
            return Err(if is_redis { foreign(&path) } else { damaged() });
        }
        Self::decode(&bytes).map(Some).ok_or_else(damaged)
    }

    /// Replaces the manifest durably.
    pub(crate) fn store<D: Disk>(&self, disk: &D) -> Result<(), StoreError> {
        let aside = temporary_path("manifest");
        let file = disk.create(&aside)?;
        file.write_at(&[self.encode().as_bytes()], 0)?;
        file.sync()?;
        disk.rename(&aside, &manifest_path())?;
        disk.sync_dir(DIR)?;
        Ok(())
    }

    fn encode(&self) -> String {
        let mut text = format!("{MARK}\n");
        for (word, base) in [("base", self.base), ("kept", self.kept)] {
            if let Some(Base { number, last, bytes, crc }) = base {
                let LogId { term, index } = last;
                let _ = writeln!(
                    text,
                    "# {word} {NAME}.{number}.base.rdb last {term}.{index} bytes {bytes} \
                     crc32c {crc:08x}"
                );
            }
        }
        if let Some(since) = self.inexact_since {
            let _ = writeln!(text, "# inexact since {since}");
        }
        if let Some(base) = self.base {
            let number = base.number;
            let _ = writeln!(text, "file {NAME}.{number}.base.rdb seq {number} type b");
        }
        for number in &self.segments {
            let _ = writeln!(text, "file {NAME}.{number}.incr.aof seq {number} type i");
        }
        let sum = crc32c::crc32c(text.as_bytes());
        let _ = writeln!(text, "# crc32c {sum:08x}");
        text
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let start = text.rfind("# crc32c ")?;
        let (body, sum) = text.split_at_checked(start)?;
        if sum != format!("# crc32c {:08x}\n", crc32c::crc32c(body.as_bytes())) {
            return None;
        }
        let mut manifest = Self::default();
        for line in body.lines().skip(1) {
            let words: Vec<&str> = line.split(' ').collect();
            match *words.as_slice() {
                ["#", word, name, "last", last, "bytes", bytes, "crc32c", crc] => {
                    let base = Some(Base {
                        number: numbered(name, ".base.rdb")?,
                        last: log_id(last)?,
                        bytes: bytes.parse().ok()?,
                        crc: u32::from_str_radix(crc, 16).ok()?,
                    });
                    match word {
                        "base" => manifest.base = base,
                        "kept" => manifest.kept = base,
                        _ => return None,
                    }
                }
                ["#", "inexact", "since", since] => {
                    manifest.inexact_since = Some(since.parse().ok()?);
                }
                ["file", name, "seq", _, "type", "i"] => {
                    manifest.segments.push(numbered(name, ".incr.aof")?);
                }
                ["file", _, "seq", _, "type", "b"] => {}
                _ => return None,
            }
        }
        Some(manifest)
    }
}

fn numbered(name: &str, end: &str) -> Option<u32> {
    name.strip_prefix(NAME)?.strip_prefix('.')?.strip_suffix(end)?.parse().ok()
}

/// Reads `term.index`.
pub(crate) fn log_id(text: &str) -> Option<LogId> {
    let (term, index) = text.split_once('.')?;
    Some(LogId { term: term.parse().ok()?, index: index.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FakeDisk;

    #[test]
    fn a_manifest_reads_back_and_damage_is_seen() {
        let disk = FakeDisk::new(1);
        let base = Base { number: 2, last: LogId { term: 3, index: 1234 }, bytes: 5, crc: 7 };
        let manifest = Manifest {
            base: Some(base),
            kept: Some(Base { number: 1, ..base }),
            inexact_since: Some(1300),
            segments: vec![5, 6, 9],
        };
        manifest.store(&disk).expect("the disk is well");
        assert_eq!(Manifest::load(&disk).expect("just stored"), Some(manifest));
        let bytes = disk.contents(&manifest_path()).expect("just stored");
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            disk.tamper(&manifest_path(), Some(bad));
            let error = Manifest::load(&disk).expect_err("damaged");
            assert!(matches!(error, StoreError::Corrupt(_) | StoreError::Foreign(_)), "{bit}");
        }
    }

    #[test]
    fn another_append_only_file_is_refused() {
        let disk = FakeDisk::new(1);
        disk.tamper("appendonlydir/appendonly.aof.manifest", Some(Vec::new()));
        assert!(matches!(Listing::read(&disk), Err(StoreError::Foreign(_))));
    }
}
