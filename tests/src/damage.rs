//! Damage to a data directory, one piece at a time: what can be done to its files ([`cases`]), and
//! doing it ([`Case::apply`]).
//!
//! A directory is prepared once ([`prepared`]), every case gets a copy of it with one damage to one
//! file, and a trial ([`trial`]) starts real processes on the copy and judges what they do.
//! Everything random comes from a seed. Nothing here knows the formats: a file is bytes in blocks,
//! and all that is known of a log is that its filler is lines of `#`.

pub mod prepared;
pub mod run;
pub mod table;
pub mod trial;
pub mod writes;

use crate::random::Random;
use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// What disks and file systems lose or put back at once.
const BLOCK_BYTES: u64 = 4096;

/// The name that stands for the directory as a whole in [`Case::file`].
const WHOLE: &str = ".";

/// What is damaged, and how it is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// The only node of its cluster, with its log from the first entry on.
    Alone,
    /// The same, with a log that begins behind the last snapshot: nothing else has what that holds.
    Purged,
    /// One of three, with its log from the first entry on.
    Member,
}

impl Mode {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Alone, Self::Purged, Self::Member];

    /// The word for it, also in `--mode`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Alone => "alone",
            Self::Purged => "purged",
            Self::Member => "member",
        }
    }

    /// Nodes of its cluster.
    fn nodes(self) -> usize {
        if self == Self::Member { 3 } else { 1 }
    }
}

/// One kind of damage, and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Damage {
    /// The file or directory is not there.
    Delete,
    /// The file has no bytes.
    Empty,
    /// Only so many bytes are left.
    Cut(u64),
    /// This block is zeros.
    Zero(u64),
    /// This block has the content of an earlier copy.
    OldBlock {
        /// Which of the earlier copies.
        copy: usize,
        /// Which block.
        block: u64,
    },
    /// The whole file or directory is that of an earlier copy.
    Old(usize),
    /// The whole file or directory is that of another member of the cluster.
    Foreign,
    /// This bit is the other one.
    Flip(u64),
}

impl Damage {
    /// The word for the kind.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Delete => "delete",
            Self::Empty => "empty",
            Self::Cut(_) => "cut",
            Self::Zero(_) => "zero",
            Self::OldBlock { .. } => "old-block",
            Self::Old(_) => "old",
            Self::Foreign => "foreign",
            Self::Flip(_) => "flip",
        }
    }
}

/// One damage to one file. Its text names it for `cargo xtask damage --only`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// Below the data directory; `.` is the directory itself.
    pub file: String,
    /// What is done to it.
    pub damage: Damage,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.damage.kind(), self.file)?;
        match self.damage {
            Damage::Delete | Damage::Empty | Damage::Foreign => Ok(()),
            Damage::Cut(place) | Damage::Zero(place) | Damage::Flip(place) => write!(f, " {place}"),
            Damage::OldBlock { copy, block } => write!(f, " {block} of copy {copy}"),
            Damage::Old(copy) => write!(f, " of copy {copy}"),
        }
    }
}

/// The undamaged directory and those that parts can come from.
#[derive(Clone, Copy, Debug)]
pub struct Sources<'a> {
    /// The directory that cases are made for.
    pub whole: &'a Path,
    /// Earlier copies of it, oldest first.
    pub copies: &'a [PathBuf],
    /// Another member's.
    pub foreign: Option<&'a Path>,
}

/// How many cases are made of each file. Blocks that are filler and nothing else are all alike and
/// only sampled.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    /// Lengths that a file is cut to.
    pub cuts: usize,
    /// The last so many written blocks are zeroed and put back.
    pub blocks: usize,
    /// Bits that are flipped in written blocks.
    pub flips: usize,
    /// Cuts, zeroed blocks and flipped bits, each, in filler.
    pub filler: usize,
}

impl Extent {
    /// Everything.
    pub const FULL: Self = Self { cuts: 50, blocks: usize::MAX, flips: 200, filler: 5 };
    /// What the gate can afford for a node alone.
    pub const SAMPLE: Self = Self { cuts: 3, blocks: 2, flips: 6, filler: 1 };
    /// What the gate can afford for a member of three.
    pub const FEW: Self = Self { cuts: 1, blocks: 1, flips: 1, filler: 0 };
}

/// All cases of a directory, in a fixed order: files by name, kinds one after the other.
pub fn cases(sources: Sources<'_>, extent: Extent, seed: u64) -> Vec<Case> {
    let mut all = Vec::new();
    let mut add = |file: &str, damage| all.push(Case { file: file.to_owned(), damage });
    for part in subdirectories(sources.whole) {
        add(&part, Damage::Delete);
        if sources.foreign.is_some_and(|other| other.join(&part).exists()) {
            add(&part, Damage::Foreign);
        }
    }
    for copy in 0..sources.copies.len() {
        add(WHOLE, Damage::Old(copy));
    }
    for (number, file) in files(sources.whole).into_iter().enumerate() {
        let mut random = Random::new(seed ^ ((number as u64) << 32));
        let shape = Shape::of(&sources.whole.join(&file));
        for damage in of_file(&file, &shape, sources, extent, &mut random) {
            add(&file, damage);
        }
    }
    all
}

/// All damage to one file.
fn of_file(
    file: &str,
    shape: &Shape,
    sources: Sources<'_>,
    extent: Extent,
    random: &mut Random,
) -> Vec<Damage> {
    let mut all = vec![Damage::Delete];
    if shape.bytes.is_empty() {
        return all;
    }
    all.push(Damage::Empty);
    all.extend(shape.cuts(extent).into_iter().map(Damage::Cut));
    let written = shape.written.iter().rev().take(extent.blocks).rev();
    all.extend(written.clone().map(|&block| Damage::Zero(block)));
    all.extend(shape.filler(extent.filler).map(Damage::Zero));
    let mut before: Vec<Vec<u8>> = Vec::new();
    for (copy, dir) in sources.copies.iter().enumerate() {
        let Ok(old) = fs::read(dir.join(file)) else { continue };
        let changed = |&block: &u64| block_of(&old, block) != block_of(&shape.bytes, block);
        // A block that is the same in two copies is put back once.
        let is_new =
            |&block: &u64| before.iter().all(|one| block_of(one, block) != block_of(&old, block));
        let blocks = written.clone().copied().filter(changed).filter(is_new);
        all.extend(blocks.map(|block| Damage::OldBlock { copy, block }));
        if old != shape.bytes && !before.contains(&old) {
            all.push(Damage::Old(copy));
        }
        before.push(old);
    }
    if let Some(other) = sources.foreign.and_then(|dir| fs::read(dir.join(file)).ok())
        && other != shape.bytes
    {
        all.push(Damage::Foreign);
    }
    all.extend(shape.flips(extent, random).into_iter().map(Damage::Flip));
    all
}

/// A file as far as the making of cases looks into it.
struct Shape {
    bytes: Vec<u8>,
    /// Blocks that hold something other than filler, ascending.
    written: Vec<u64>,
}

impl Shape {
    fn of(path: &Path) -> Self {
        let bytes = fs::read(path).expect("a file of the prepared directory");
        let written = bytes
            .chunks(BLOCK_BYTES as usize)
            .zip(0..)
            .filter(|(block, _)| !is_filler(block))
            .map(|(_, number)| number)
            .collect();
        Self { bytes, written }
    }

    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Up to `count` blocks of filler, spread evenly.
    fn filler(&self, count: usize) -> impl Iterator<Item = u64> {
        let blocks = self.len().div_ceil(BLOCK_BYTES);
        let filler: Vec<u64> =
            (0..blocks).filter(|block| self.written.binary_search(block).is_err()).collect();
        spread(0, filler.len() as u64, count).into_iter().map(move |at| filler[at as usize])
    }

    /// Lengths: one byte less, the middle, and the rest spread over what is written.
    fn cuts(&self, extent: Extent) -> BTreeSet<u64> {
        let written_end = self.written.last().map_or(0, |last| (last + 1) * BLOCK_BYTES);
        let written_end = written_end.min(self.len());
        let mut all: BTreeSet<u64> =
            spread(written_end, self.len(), extent.filler).into_iter().collect();
        if written_end > 0 {
            let rest = extent.cuts.saturating_sub(2 + all.len()).max(1);
            all.extend(spread(1, written_end, rest));
        }
        all.extend([self.len() / 2, self.len() - 1].into_iter().take(extent.cuts - 1));
        all.remove(&0);
        all
    }

    /// Bits of written blocks, and some of filler.
    fn flips(&self, extent: Extent, random: &mut Random) -> BTreeSet<u64> {
        let mut all = BTreeSet::new();
        let mut draw = |blocks: &[u64], count: usize| {
            let bits: u64 = blocks.iter().map(|&b| 8 * block_of(&self.bytes, b).len() as u64).sum();
            let want = all.len() + count.min(bits as usize);
            while all.len() < want {
                let block = *random.pick(blocks);
                let bits = 8 * block_of(&self.bytes, block).len();
                all.insert(block * BLOCK_BYTES * 8 + random.below(bits) as u64);
            }
        };
        if !self.written.is_empty() {
            draw(&self.written, extent.flips);
        }
        let filler: Vec<u64> = self.filler(extent.filler).collect();
        if !filler.is_empty() {
            draw(&filler, extent.filler);
        }
        all
    }
}

/// `count` numbers from `start` up to and without `end`, evenly, the middle of each part; all of
/// them if there are no more.
fn spread(start: u64, end: u64, count: usize) -> Vec<u64> {
    let (room, count) = (end.saturating_sub(start), count as u64);
    if room <= count {
        return (start..end.max(start)).collect();
    }
    (0..count).map(|part| start + (2 * part + 1) * room / (2 * count)).collect()
}

fn block_of(bytes: &[u8], block: u64) -> &[u8] {
    let start = ((block * BLOCK_BYTES) as usize).min(bytes.len());
    let end = (start + BLOCK_BYTES as usize).min(bytes.len());
    &bytes[start..end]
}

fn is_filler(block: &[u8]) -> bool {
    block.iter().all(|byte| matches!(byte, b'#' | b'\n'))
}

impl Case {
    /// Does it to `dir`, a copy of [`Sources::whole`].
    pub fn apply(&self, dir: &Path, sources: Sources<'_>) -> io::Result<()> {
        // A path that ends in `.` cannot be removed.
        let path = if self.file == WHOLE { dir.to_owned() } else { dir.join(&self.file) };
        match self.damage {
            Damage::Delete if path.is_dir() => fs::remove_dir_all(path),
            Damage::Delete => fs::remove_file(path),
            Damage::Empty => cut(&path, 0),
            Damage::Cut(len) => cut(&path, len),
            Damage::Zero(block) => change(&path, |bytes| {
                let len = block_of(bytes, block).len();
                put(bytes, block, &vec![0; len]);
            }),
            Damage::OldBlock { copy, block } => {
                let old = fs::read(sources.copies[copy].join(&self.file))?;
                change(&path, |bytes| put(bytes, block, block_of(&old, block)))
            }
            Damage::Old(copy) => replace(&path, &sources.copies[copy].join(&self.file)),
            Damage::Foreign => {
                replace(&path, &sources.foreign.expect("a cluster").join(&self.file))
            }
            Damage::Flip(bit) => change(&path, |bytes| bytes[(bit / 8) as usize] ^= 1 << (bit % 8)),
        }
    }
}

fn cut(path: &Path, len: u64) -> io::Result<()> {
    fs::File::options().write(true).open(path)?.set_len(len)
}

fn change(path: &Path, how: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
    let mut bytes = fs::read(path)?;
    how(&mut bytes);
    fs::write(path, bytes)
}

/// Puts `content` where the block is; a shorter content leaves the rest of the block.
fn put(bytes: &mut [u8], block: u64, content: &[u8]) {
    let start = (block * BLOCK_BYTES) as usize;
    let room = block_of(bytes, block).len().min(content.len());
    bytes[start..start + room].copy_from_slice(&content[..room]);
}

fn replace(path: &Path, with: &Path) -> io::Result<()> {
    if with.is_dir() {
        fs::remove_dir_all(path)?;
        copy_dir(with, path)
    } else {
        fs::copy(with, path).map(|_| ())
    }
}

/// Copies a directory. A file that goes away meanwhile is left out: the earlier copies are taken of
/// a running node.
pub fn copy_dir(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        let target = to.join(path.file_name().unwrap_or_default());
        let copied = if path.is_dir() {
            copy_dir(&path, &target)
        } else {
            fs::copy(&path, &target).map(|_| ())
        };
        match copied {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => other?,
        }
    }
    Ok(())
}

/// Every file below `dir`, by name, from there.
fn files(dir: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open = vec![dir.to_owned()];
    while let Some(next) = open.pop() {
        for path in entries(&next) {
            match path.strip_prefix(dir) {
                _ if path.is_dir() => open.push(path),
                Ok(name) => drop(found.insert(name.display().to_string())),
                Err(_) => {}
            }
        }
    }
    found
}

/// The directories directly below `dir`.
fn subdirectories(dir: &Path) -> BTreeSet<String> {
    let named = |path: PathBuf| Some(path.file_name()?.to_str()?.to_owned());
    entries(dir).filter(|path| path.is_dir()).filter_map(named).collect()
}

fn entries(dir: &Path) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(dir).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()))
}

/// A line for each file of the directory: how long it is, and how much of it is not filler.
pub fn describe(dir: &Path) -> String {
    let line = |file: &String| {
        let shape = Shape::of(&dir.join(file));
        let blocks = shape.len().div_ceil(BLOCK_BYTES);
        format!(
            "{file}: {} bytes, {} of {blocks} blocks written\n",
            shape.len(),
            shape.written.len()
        )
    };
    files(dir).iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Scratch;
    use std::collections::BTreeMap;

    /// Everything below a directory: files with their bytes, and directories.
    fn content(dir: &Path) -> (BTreeMap<String, Vec<u8>>, BTreeSet<String>) {
        let bytes = |file: String| (file.clone(), fs::read(dir.join(file)).expect("a file"));
        (files(dir).into_iter().map(bytes).collect(), subdirectories(dir))
    }

    fn directory(dir: &Path, letter: u8) {
        fs::create_dir_all(dir.join("log")).expect("a directory");
        let mut segment = vec![b'#'; 5 * BLOCK_BYTES as usize];
        segment[..5000].fill(letter);
        fs::write(dir.join("log/segment"), segment).expect("a file");
        fs::write(dir.join("log/small"), [letter; 10]).expect("a file");
        fs::write(dir.join("lock"), "").expect("a file");
    }

    #[test]
    fn every_case_is_made_from_the_seed_and_changes_something() {
        let scratch = Scratch::new("damage-cases");
        let place = |name: &str| scratch.path().join(name);
        for (name, letter) in [("whole", b'a'), ("copy", b'b'), ("foreign", b'c')] {
            directory(&place(name), letter);
        }
        let (whole, copies, foreign) = (place("whole"), [place("copy")], place("foreign"));
        let sources = Sources { whole: &whole, copies: &copies, foreign: Some(&foreign) };
        let all = cases(sources, Extent::FULL, 7);
        assert_eq!(all, cases(sources, Extent::FULL, 7));
        assert_ne!(all, cases(sources, Extent::FULL, 8));
        for case in all {
            let dir = place("trial");
            copy_dir(&whole, &dir).expect("a copy");
            case.apply(&dir, sources).expect("damage can be done");
            assert_ne!(content(&dir), content(&whole), "{case}");
            fs::remove_dir_all(&dir).expect("it is there");
        }
    }

    #[test]
    fn places_are_spread_evenly() {
        assert_eq!(spread(10, 20, 2), [12, 17]);
        assert_eq!(spread(10, 13, 5), [10, 11, 12]);
        assert_eq!(spread(10, 10, 5), [0_u64; 0]);
    }
}
