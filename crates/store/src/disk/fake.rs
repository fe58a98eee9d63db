//! A disk in memory that behaves as badly as a real one may: whatever was not synced can be lost,
//! in pieces, at a crash.
//!
//! Used by this room's tests and by the simulation of whole clusters (feature `fake`). Everything
//! it does follows from its seed. What it models: writes lost by pieces of 512 bytes and torn
//! inside a piece, names lost unless their directory was synced (in order, as journaling file
//! systems do it), a failed sync that forgets what it should have written, a full disk, and a power
//! cut at any chosen operation. What it does not: rot of synced bytes; flip them yourself.

use crate::disk::{Disk, DiskFile};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Error, ErrorKind, Result};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A write reaches the disk in pieces of so many bytes; each may be lost.
const SECTOR: usize = 512;

/// A handle; clones share one disk.
#[derive(Clone, Debug)]
pub struct FakeDisk {
    shared: Arc<Mutex<State>>,
}

/// An open file of a [`FakeDisk`]. Handles opened before a crash fail ever after, like the process
/// that held them.
#[derive(Debug)]
pub struct FakeFile {
    shared: Arc<Mutex<State>>,
    inode: u64,
    epoch: u64,
}

#[derive(Debug, Default)]
struct State {
    random: u64,
    /// Raised by each crash.
    epoch: u64,
    /// Operations that change something, so far.
    ops: u64,
    cut_at: Option<u64>,
    fail_at: Option<(u64, ErrorKind)>,
    capacity: Option<u64>,
    locked: bool,
    inodes: BTreeMap<u64, Inode>,
    names: BTreeMap<String, u64>,
    durable_names: BTreeMap<String, u64>,
    /// Changes of names not yet made durable, oldest first.
    name_changes: Vec<NameChange>,
}

/// A file: what the process sees, and what the disk surely has.
#[derive(Debug, Default)]
struct Inode {
    bytes: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Change>,
    /// Handles of this epoch.
    open: u64,
}

#[derive(Debug)]
enum Change {
    Write(usize, Vec<u8>),
    SetLen(usize),
}

#[derive(Clone, Debug)]
enum NameChange {
    Link(String, u64),
    Rename(String, String),
    Remove(String),
}

impl NameChange {
    fn dir(&self) -> &str {
        match self {
            Self::Link(path, _) | Self::Rename(path, _) | Self::Remove(path) => dir_of(path),
        }
    }

    fn apply(&self, names: &mut BTreeMap<String, u64>) {
        match self {
            Self::Link(path, inode) => {
                names.insert(path.clone(), *inode);
            }
            Self::Rename(from, to) => {
                if let Some(inode) = names.remove(from) {
                    names.insert(to.clone(), inode);
                }
            }
            Self::Remove(path) => {
                names.remove(path);
            }
        }
    }
}

fn dir_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(dir, _)| dir)
}

fn apply_change(bytes: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Write(offset, data) => {
            let end = offset + data.len();
            if bytes.len() < end {
                bytes.resize(end, 0);
            }
            if let Some(target) = bytes.get_mut(*offset..end) {
                target.copy_from_slice(data);
            }
        }
        Change::SetLen(len) => bytes.resize(*len, 0),
    }
}

impl State {
    /// The next random number (xorshift64*).
    fn draw(&mut self) -> u64 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        self.random.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Counts an operation; says whether it must fail. A cut lets the operation it falls on begin
    /// (`Ok(true)`).
    fn count(&mut self, epoch: u64) -> Result<bool> {
        if epoch != self.epoch {
            return Err(Error::new(ErrorKind::BrokenPipe, "this handle is from before the crash"));
        }
        self.ops += 1;
        if self.cut_at.is_some_and(|cut| self.ops > cut) {
            return Err(power_cut());
        }
        if self.fail_at.is_some_and(|(at, _)| self.ops == at)
            && let Some((_, kind)) = self.fail_at.take()
        {
            return Err(kind.into());
        }
        Ok(self.cut_at == Some(self.ops))
    }

    fn used(&self) -> u64 {
        self.names.values().filter_map(|inode| self.inodes.get(inode)).map(Inode::size).sum()
    }

    /// Forgets files that have neither a name, now or on disk, nor a handle.
    fn drop_nameless(&mut self) {
        let Self { inodes, names, durable_names, name_changes, .. } = self;
        let linked = name_changes.iter().filter_map(|change| match change {
            NameChange::Link(_, inode) => Some(inode),
            _ => None,
        });
        let named: BTreeSet<u64> =
            names.values().chain(durable_names.values()).chain(linked).copied().collect();
        inodes.retain(|number, inode| inode.open > 0 || named.contains(number));
    }

    fn change_name(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        self.name_changes.push(change);
    }
}

impl Inode {
    fn size(&self) -> u64 {
        self.bytes.len() as u64
    }
}

fn power_cut() -> Error {
    Error::new(ErrorKind::BrokenPipe, "the power is cut")
}

fn guard(shared: &Mutex<State>) -> MutexGuard<'_, State> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl FakeDisk {
    /// An empty disk. The seed decides what a crash leaves.
    pub fn new(seed: u64) -> Self {
        let random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        Self { shared: Arc::new(Mutex::new(State { random, ..State::default() })) }
    }

    /// Power cut and restart: unsynced writes survive in random pieces, unsynced names up to a
    /// random point, the lock is free, and every handle opened before is dead.
    pub fn crash(&self) {
        let state = &mut *guard(&self.shared);
        state.epoch += 1;
        state.locked = false;
        state.cut_at = None;
        state.fail_at = None;
        // One crash loses nearly everything, the next nearly nothing: draw the odds first.
        let odds = [0, 1, 4, 7, 8].get((state.draw() % 5) as usize).copied().unwrap_or(4);
        let names: Vec<NameChange> = std::mem::take(&mut state.name_changes);
        let kept = (state.draw() % (names.len() as u64 + 1)) as usize;
        for change in names.iter().take(kept) {
            change.apply(&mut state.durable_names);
        }
        state.names = state.durable_names.clone();
        let mut inodes = std::mem::take(&mut state.inodes);
        inodes.retain(|inode, _| state.names.values().any(|named| named == inode));
        for inode in inodes.values_mut() {
            let mut durable = std::mem::take(&mut inode.durable);
            for change in inode.pending.drain(..) {
                for piece in pieces(change) {
                    keep_piece(state, odds, &mut durable, &piece);
                }
            }
            inode.bytes.clone_from(&durable);
            inode.durable = durable;
            inode.open = 0;
        }
        state.inodes = inodes;
    }

    /// The process dies, the machine does not: nothing written is lost, but handles and the lock
    /// are gone.
    pub fn kill(&self) {
        let state = &mut *guard(&self.shared);
        state.epoch += 1;
        state.locked = false;
        state.cut_at = None;
        state.fail_at = None;
        state.inodes.values_mut().for_each(|inode| inode.open = 0);
    }

    /// A copy of everything as the process sees it, on a disk of its own: an operator's backup.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        let copy = Self::new(guard(&self.shared).random);
        for path in self.paths() {
            copy.tamper(&path, self.contents(&path));
        }
        copy
    }

    /// How many changing operations there were (writes, syncs, renames, …).
    pub fn ops(&self) -> u64 {
        guard(&self.shared).ops
    }

    /// From operation `op` on (it still begins) everything fails, until [`FakeDisk::crash`].
    pub fn cut_at(&self, op: u64) {
        guard(&self.shared).cut_at = Some(op);
    }

    /// Operation `op` fails once with this kind of error. A sync that fails forgets what it should
    /// have written.
    pub fn fail_at(&self, op: u64, kind: ErrorKind) {
        guard(&self.shared).fail_at = Some((op, kind));
    }

    /// Limits the bytes of all files; `None` for no limit.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        guard(&self.shared).capacity = bytes;
    }

    /// All files, sorted.
    pub fn paths(&self) -> Vec<String> {
        guard(&self.shared).names.keys().cloned().collect()
    }

    /// The bytes of a file as the process sees them.
    pub fn contents(&self, path: &str) -> Option<Vec<u8>> {
        let state = guard(&self.shared);
        state.inodes.get(state.names.get(path)?).map(|inode| inode.bytes.clone())
    }

    /// Replaces the bytes of a file, durably and behind the store's back (rot, an operator's hand);
    /// `None` removes it.
    pub fn tamper(&self, path: &str, bytes: Option<Vec<u8>>) {
        let state = &mut *guard(&self.shared);
        let Some(bytes) = bytes else {
            state.names.remove(path);
            state.durable_names.remove(path);
            return;
        };
        let inode = state.names.get(path).copied().unwrap_or_else(|| new_inode(state));
        state.names.insert(path.to_owned(), inode);
        state.durable_names.insert(path.to_owned(), inode);
        let open = state.inodes.get(&inode).map_or(0, |inode| inode.open);
        let file = Inode { durable: bytes.clone(), bytes, pending: Vec::new(), open };
        state.inodes.insert(inode, file);
    }
}

fn new_inode(state: &State) -> u64 {
    state.inodes.keys().next_back().map_or(1, |last| last + 1)
}

/// Splits a write where sectors end.
fn pieces(change: Change) -> Vec<Change> {
    let Change::Write(mut offset, data) = change else { return vec![change] };
    let mut out = Vec::new();
    let mut rest = data.as_slice();
    while !rest.is_empty() {
        let (piece, tail) = rest.split_at((SECTOR - offset % SECTOR).min(rest.len()));
        out.push(Change::Write(offset, piece.to_vec()));
        offset += piece.len();
        rest = tail;
    }
    out
}

fn keep_piece(state: &mut State, odds: u64, durable: &mut Vec<u8>, piece: &Change) {
    let draw = state.draw();
    if draw % 8 < odds {
        apply_change(durable, piece);
    } else if draw % 64 == 63
        && let Change::Write(offset, data) = piece
    {
        // Torn inside the sector.
        let part = data.get(..(draw >> 32) as usize % data.len()).unwrap_or_default();
        apply_change(durable, &Change::Write(*offset, part.to_vec()));
    }
}

impl Disk for FakeDisk {
    type File = FakeFile;

    fn open(&self, path: &str) -> Result<FakeFile> {
        let state = &mut *guard(&self.shared);
        let inode = *state.names.get(path).ok_or(ErrorKind::NotFound)?;
        state.inodes.get_mut(&inode).ok_or(ErrorKind::NotFound)?.open += 1;
        Ok(FakeFile { shared: self.shared.clone(), inode, epoch: state.epoch })
    }

    fn create(&self, path: &str) -> Result<FakeFile> {
        let state = &mut *guard(&self.shared);
        let epoch = state.epoch;
        let cut = state.count(epoch)?;
        let inode = new_inode(state);
        state.inodes.insert(inode, Inode { open: u64::from(!cut), ..Inode::default() });
        state.change_name(NameChange::Link(path.to_owned(), inode));
        if cut {
            return Err(power_cut());
        }
        Ok(FakeFile { shared: self.shared.clone(), inode, epoch })
    }

    fn list(&self, dir: &str) -> Result<Vec<String>> {
        let state = guard(&self.shared);
        let inside = state.names.keys().filter(|path| dir_of(path) == dir);
        Ok(inside.map(|path| path.rsplit('/').next().unwrap_or(path).to_owned()).collect())
    }

    fn create_dir(&self, _dir: &str) -> Result<()> {
        // Directories are implied by the files in them.
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        let state = &mut *guard(&self.shared);
        let cut = state.count(state.epoch)?;
        if !state.names.contains_key(from) {
            return Err(ErrorKind::NotFound.into());
        }
        state.change_name(NameChange::Rename(from.to_owned(), to.to_owned()));
        if cut { Err(power_cut()) } else { Ok(()) }
    }

    fn remove(&self, path: &str) -> Result<()> {
        let state = &mut *guard(&self.shared);
        let cut = state.count(state.epoch)?;
        if !state.names.contains_key(path) {
            return Err(ErrorKind::NotFound.into());
        }
        state.change_name(NameChange::Remove(path.to_owned()));
        if cut { Err(power_cut()) } else { Ok(()) }
    }

    fn sync_dir(&self, dir: &str) -> Result<()> {
        let state = &mut *guard(&self.shared);
        if state.count(state.epoch)? {
            return Err(power_cut());
        }
        let changes = std::mem::take(&mut state.name_changes);
        let (done, rest): (Vec<_>, Vec<_>) =
            changes.into_iter().partition(|change| change.dir() == dir);
        for change in &done {
            change.apply(&mut state.durable_names);
        }
        state.name_changes = rest;
        state.drop_nameless();
        Ok(())
    }

    fn total_bytes(&self) -> Result<Option<u64>> {
        Ok(guard(&self.shared).capacity)
    }

    fn free_bytes(&self) -> Result<u64> {
        let state = guard(&self.shared);
        Ok(state.capacity.map_or(1 << 50, |capacity| capacity.saturating_sub(state.used())))
    }

    fn lock(&self) -> Result<Box<dyn Send + Sync>> {
        let state = &mut *guard(&self.shared);
        if std::mem::replace(&mut state.locked, true) {
            return Err(ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(FakeLock { shared: self.shared.clone(), epoch: state.epoch }))
    }
}

struct FakeLock {
    shared: Arc<Mutex<State>>,
    epoch: u64,
}

impl Drop for FakeLock {
    fn drop(&mut self) {
        let state = &mut *guard(&self.shared);
        if state.epoch == self.epoch {
            state.locked = false;
        }
    }
}

impl Drop for FakeFile {
    fn drop(&mut self) {
        let state = &mut *guard(&self.shared);
        if state.epoch == self.epoch
            && let Some(inode) = state.inodes.get_mut(&self.inode)
        {
            inode.open = inode.open.saturating_sub(1);
        }
    }
}

impl FakeFile {
    fn change(&self, change: Change) -> Result<()> {
        let state = &mut *guard(&self.shared);
        let cut = state.count(self.epoch)?;
        let used = state.used();
        let capacity = state.capacity.unwrap_or(u64::MAX);
        let inode = state.inodes.get_mut(&self.inode).ok_or(ErrorKind::NotFound)?;
        let end = match &change {
            Change::Write(offset, data) => offset + data.len(),
            Change::SetLen(len) => *len,
        };
        if used + (end as u64).saturating_sub(inode.size()) > capacity {
            return Err(ErrorKind::StorageFull.into());
        }
        apply_change(&mut inode.bytes, &change);
        inode.pending.push(change);
        if cut { Err(power_cut()) } else { Ok(()) }
    }
}

impl DiskFile for FakeFile {
    fn read_at(&self, into: &mut [u8], offset: u64) -> Result<usize> {
        let state = guard(&self.shared);
        if self.epoch != state.epoch {
            return Err(Error::new(ErrorKind::BrokenPipe, "this handle is from before the crash"));
        }
        let inode = state.inodes.get(&self.inode).ok_or(ErrorKind::NotFound)?;
        let rest = inode.bytes.get(offset as usize..).unwrap_or_default();
        let count = rest.len().min(into.len());
        if let (Some(to), Some(from)) = (into.get_mut(..count), rest.get(..count)) {
            to.copy_from_slice(from);
        }
        Ok(count)
    }

    fn write_at(&self, pieces: &[&[u8]], offset: u64) -> Result<()> {
        self.change(Change::Write(offset as usize, pieces.concat()))
    }

    fn sync(&self) -> Result<()> {
        let state = &mut *guard(&self.shared);
        let outcome = state.count(self.epoch);
        let inode = state.inodes.get_mut(&self.inode).ok_or(ErrorKind::NotFound)?;
        match outcome {
            Ok(false) => {
                for change in inode.pending.drain(..) {
                    apply_change(&mut inode.durable, &change);
                }
                Ok(())
            }
            Ok(true) => Err(power_cut()),
            Err(error) => {
                // The pages are clean now and never reached the disk.
                if error.kind() != ErrorKind::BrokenPipe {
                    inode.pending.clear();
                }
                Err(error)
            }
        }
    }

    fn len(&self) -> Result<u64> {
        let state = guard(&self.shared);
        Ok(state.inodes.get(&self.inode).ok_or(ErrorKind::NotFound)?.size())
    }

    fn set_len(&self, len: u64) -> Result<()> {
        self.change(Change::SetLen(len as usize))
    }
}
