//! Reading: a snapshot is fed in pieces of any size, as it comes from a disk or a peer.
//!
//! Any bytes give a state or an error, and the same ones however they are cut. What is buffered is
//! the one item (a field, a key with a short value) that a piece left unfinished; the reader knows
//! how many bytes it takes before trying again is worth while, so that an item costs as many tries
//! as it has fields and not as it has pieces. Long values are not buffered at all (see `value`).

use super::crc64::crc64;
use super::error::shown;
use super::input::{Input, Result, Stop};
use super::state::State;
use super::value::{Begun, Unfinished, Value, is_type};
use super::{SnapshotError, SnapshotFacts, SnapshotFault, code};
use crate::Keyspace;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// The newest RDB version that we know.
pub(super) const VERSION_MAX: u16 = 12;
/// The first version that ends with a checksum.
const VERSION_CHECKED: u16 = 5;
/// A whole file in memory is read in pieces that stay in the processor's cache between parsing and
/// the checksum.
const PIECE: usize = 256 << 10;
/// The buffer of unfinished items is given back when one made it larger than this.
const PENDING_KEPT: usize = 1 << 20;

impl Keyspace {
    /// Reads a whole snapshot. Any bytes give a state or an error.
    pub fn read_snapshot(
        bytes: &[u8],
    ) -> core::result::Result<(Keyspace, SnapshotFacts), SnapshotError> {
        let mut reader = SnapshotReader::new([0, 0]);
        for piece in bytes.chunks(PIECE) {
            reader.feed(piece)?;
        }
        reader.finish()
    }
}

/// A snapshot, or any RDB file of version 1 to 12, being read.
#[derive(Debug)]
pub struct SnapshotReader {
    state: State,
    stage: Stage,
    /// Of the format.
    version: u16,
    /// Of the key to come.
    expire_ms: Option<i64>,
    /// The beginning of an item that the pieces so far left unfinished; never a whole one.
    pending: Vec<u8>,
    /// So long must `pending` be before it is worth another try.
    need: usize,
    /// Of everything read. Running on over the checksum itself it ends at 0.
    crc: u64,
    /// Bytes of the items read; those in `pending` come on top.
    at: u64,
    failed: Option<SnapshotError>,
}

/// What comes next in the file.
#[derive(Debug)]
enum Stage {
    Header,
    Item,
    /// The rest of a long value.
    Value(Box<[u8]>, Box<Unfinished>),
    /// A module's own data, which end with a mark.
    Module,
    Checksum,
    /// Nothing; and whether there was a checksum to compare.
    End(bool),
}

impl SnapshotReader {
    /// Begins. `hash_key` will order the keys of a file that is not ours (see [`Keyspace::new`]);
    /// ours bring their own.
    pub fn new(hash_key: [u64; 2]) -> Self {
        Self {
            state: State::new(hash_key),
            stage: Stage::Header,
            version: 0,
            expire_ms: None,
            pending: Vec::new(),
            need: 0,
            crc: 0,
            at: 0,
            failed: None,
        }
    }

    /// Takes the next bytes of the file. After an error it only repeats that error.
    pub fn feed(&mut self, piece: &[u8]) -> core::result::Result<(), SnapshotError> {
        if self.failed.is_none() {
            self.failed = self.take_in(piece).err();
        }
        self.failed.clone().map_or(Ok(()), Err)
    }

    /// The state, once the whole file was fed.
    pub fn finish(self) -> core::result::Result<(Keyspace, SnapshotFacts), SnapshotError> {
        let fault = match self.stage {
            Stage::End(true) if self.crc != 0 => SnapshotFault::Checksum,
            Stage::End(_) => {
                return self.failed.map_or_else(|| Ok(self.state.finish()), Err);
            }
            _ => SnapshotFault::Malformed("the file is cut"),
        };
        let error = SnapshotError { fault, at: self.bytes(), keys: self.keys() };
        Err(self.failed.unwrap_or(error))
    }

    /// Keys read so far.
    pub fn keys(&self) -> u64 {
        self.state.keys
    }

    /// Bytes taken so far.
    pub fn bytes(&self) -> u64 {
        self.at + self.pending.len() as u64
    }

    /// Memory that the unfinished item takes.
    #[cfg(test)]
    pub(super) fn buffered(&self) -> usize {
        self.pending.capacity()
    }

    fn take_in(&mut self, mut piece: &[u8]) -> core::result::Result<(), SnapshotError> {
        while !self.pending.is_empty() {
            let missing = self.need.saturating_sub(self.pending.len());
            let Some((now, later)) = piece.split_at_checked(missing) else {
                self.pending.extend_from_slice(piece);
                return Ok(());
            };
            self.pending.extend_from_slice(now);
            piece = later;
            let mut pending = core::mem::take(&mut self.pending);
            let used = self.items(&pending)?;
            pending.drain(..used);
            if pending.capacity() <= PENDING_KEPT || !pending.is_empty() {
                self.pending = pending;
            }
        }
        let used = self.items(piece)?;
        self.pending.extend_from_slice(piece.get(used..).unwrap_or_default());
        Ok(())
    }

    /// Reads all whole items at the front of `bytes`; says how many bytes they were.
    fn items(&mut self, bytes: &[u8]) -> core::result::Result<usize, SnapshotError> {
        let mut input = Input::new(bytes);
        while !input.is_empty() {
            let start = input.at();
            let fault = match self.item(&mut input) {
                Ok(()) => continue,
                Err(Stop::Need(end)) => {
                    self.need = end - start;
                    input.rewind(start);
                    break;
                }
                Err(Stop::Malformed(what)) => SnapshotFault::Malformed(what),
                Err(Stop::Fault(fault)) => fault,
            };
            let at = self.at + input.at() as u64;
            return Err(SnapshotError { fault, at, keys: self.keys() });
        }
        let used = input.at();
        self.crc = crc64(self.crc, bytes.get(..used).unwrap_or_default());
        self.at += used as u64;
        Ok(used)
    }

    /// Reads one item. If it is not whole, nothing has happened.
    fn item(&mut self, input: &mut Input<'_>) -> Result<()> {
        match &mut self.stage {
            Stage::Item => return self.opcode(input),
            Stage::Value(key, value) => {
                let Some(whole) = value.go_on(input)? else { return Ok(()) };
                self.state.key(key, whole, self.expire_ms.take())?;
                self.stage = Stage::Item;
            }
            Stage::Header => {
                self.version = header(input)?;
                self.stage = Stage::Item;
            }
            Stage::Module => {
                if skip_module(input)? {
                    self.stage = Stage::Item;
                }
            }
            Stage::Checksum => {
                // Redis writes 0 when `rdbchecksum` is off; we always write it.
                let unchecked = input.array::<8>()? == &[0; 8] && !self.state.ours;
                self.stage = Stage::End(!unchecked);
            }
            Stage::End(_) => return Err(Stop::Malformed("bytes behind the end")),
        }
        Ok(())
    }

    fn opcode(&mut self, input: &mut Input<'_>) -> Result<()> {
        match input.byte()? {
            code::AUX => {
                let (name, value) = (input.text()?, input.text()?);
                self.state.aux(&name.bytes()?, &value.bytes()?)?;
            }
            code::SELECT_DB => {
                let db = input.length()?;
                self.state.select(db)?;
            }
            // Hints: keys and deadlines of a database; slot, keys and deadlines of a slot.
            code::RESIZE_DB => drop((input.length()?, input.length()?)),
            code::SLOT_INFO => drop((input.length()?, input.length()?, input.length()?)),
            // How a key was used is not recorded here.
            code::IDLE => drop(input.length()?),
            code::FREQ => drop(input.byte()?),
            code::EXPIRE_MS => self.expire_ms = Some(i64::from_le_bytes(*input.array()?)),
            code::EXPIRE_S => {
                let seconds = i32::from_le_bytes(*input.array()?);
                self.expire_ms = Some(i64::from(seconds) * 1000);
            }
            code::FUNCTION => {
                let library = library(&input.text()?.bytes()?);
                return Err(Stop::Fault(SnapshotFault::Functions(library)));
            }
            code::FUNCTION_PRE_GA => {
                let name = input.text()?.bytes()?;
                let what = format!("the function \"{}\" of a pre-release of Redis 7", shown(&name));
                return Err(Stop::Fault(SnapshotFault::Functions(what)));
            }
            code::MODULE_AUX => {
                input.length()?;
                self.stage = Stage::Module;
            }
            code::END => {
                self.state.complete()?;
                let checked = self.version >= VERSION_CHECKED;
                self.stage = if checked { Stage::Checksum } else { Stage::End(false) };
            }
            kind if is_type(kind) => self.key(kind, input)?,
            _ => return Err(Stop::Malformed("an opcode or type that is not known")),
        }
        Ok(())
    }

    fn key(&mut self, kind: u8, input: &mut Input<'_>) -> Result<()> {
        // Before its value, so that a fault is the same whatever has arrived.
        let key = input.text()?.bytes()?;
        match Value::begin(kind, input, self.state.rules()) {
            Ok(Begun::Whole(value)) => self.state.key(&key, value, self.expire_ms.take()),
            Ok(Begun::Unfinished(value)) => {
                self.stage = Stage::Value(key.as_ref().into(), Box::new(value));
                Ok(())
            }
            Err(Stop::Fault(SnapshotFault::Value(_, holds))) => {
                Err(Stop::Fault(SnapshotFault::Value(key.to_vec(), holds)))
            }
            Err(stop) => Err(stop),
        }
    }
}

/// Magic and version.
fn header(input: &mut Input<'_>) -> Result<u16> {
    if input.array::<5>()? != code::MAGIC {
        return Err(Stop::Malformed("this is not an RDB file"));
    }
    let digits = input.array::<4>()?;
    let version = digits.iter().try_fold(0, |version, digit| {
        digit.is_ascii_digit().then(|| version * 10 + u16::from(digit - b'0'))
    });
    match version {
        Some(version @ 1..=VERSION_MAX) => Ok(version),
        _ => Err(Stop::Malformed("a version of RDB that is not known (1 to 12 are)")),
    }
}

/// Skips one field of a module's data. True: it was the mark of their end.
fn skip_module(input: &mut Input<'_>) -> Result<bool> {
    match input.length()? {
        code::module::END => return Ok(true),
        code::module::SIGNED | code::module::UNSIGNED => drop(input.length()?),
        code::module::FLOAT => drop(input.array::<4>()?),
        code::module::DOUBLE => drop(input.array::<8>()?),
        code::module::STRING => drop(input.text()?),
        _ => return Err(Stop::Malformed("a module's data")),
    }
    Ok(false)
}

/// Names a library by its first line, `#!lua name=mylib`.
fn library(source: &[u8]) -> String {
    let line = source.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let mut words = line.split(u8::is_ascii_whitespace);
    match words.find_map(|word| word.strip_prefix(b"name=")) {
        Some(name) => format!("the function library \"{}\"", shown(name)),
        None => "a function library".to_string(),
    }
}

#[cfg(test)]
mod tests;
