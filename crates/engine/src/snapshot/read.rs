//! Reading: a snapshot is fed in pieces of any size, as it comes from a disk or a peer.
//!
//! Any bytes give a state or an error, and the same ones however they are cut. What is buffered is
//! the one item (a field, a key with a short value) that a piece left unfinished; the reader knows
//! how many bytes it takes before trying again is worth while, so that an item costs as many tries
//! as it has fields and not as it has pieces. Long values are not buffered at all (see `value`).

use super::foreign::{Foreign, Report};
use super::state::State;
use super::value::{Begun, Unfinished, Value, is_type, module_value};
use crate::Keyspace;
use crate::rdb::code;
use crate::rdb::crc64::crc64;
use crate::rdb::input::{Input, Result, Stop, Text};
use crate::rdb::{SnapshotError, SnapshotFacts, SnapshotFault};
use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use opcodes::{Format, function, header, library, module_data, producer, skip_module, slot_import};

/// Versions of Redis's format since which there are notes of modules on keys, and streams that
/// know their producers.
const KEY_META_SINCE: u16 = 13;
const STREAM_4_SINCE: u16 = 13;
/// Valkey's hash with deadlines of fields, and the first type that is not as in Redis.
const HASH_OF_VALKEY: u8 = 22;
const EMPTY: &str = "a collection without elements";
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

/// A snapshot, or any RDB file of a known version, being read.
#[derive(Debug)]
pub struct SnapshotReader {
    state: State,
    stage: Stage,
    format: Format,
    /// Who wrote the file, as far as it says so.
    producer: Option<String>,
    /// How a file of others is taken; `None`: like one of ours.
    foreign: Option<Foreign>,
    report: Report,
    /// What was mended of the value that is being read.
    mended: Vec<(&'static str, u64)>,
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
    /// AUX fields of a file whose version is not known, until they tell who wrote it.
    Stranger,
    Item,
    /// The rest of a long value.
    Value(Box<[u8]>, Box<Unfinished>),
    /// A module's own data, which end with a mark; and how many such are behind them, each after
    /// four bytes that say whose.
    Module(u64),
    /// So many of these, whose is yet to come.
    Meta(u64),
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
            format: Format::default(),
            producer: None,
            foreign: None,
            report: Report::default(),
            mended: Vec::new(),
            expire_ms: None,
            pending: Vec::new(),
            need: 0,
            crc: 0,
            at: 0,
            failed: None,
        }
    }

    /// Begins to read a file of others. One that turns out to be ours is read as strictly as ever.
    pub fn foreign(hash_key: [u64; 2], foreign: Foreign) -> Self {
        Self { foreign: Some(foreign), ..Self::new(hash_key) }
    }

    /// What was mended and left out so far.
    pub fn report(&self) -> &Report {
        &self.report
    }

    fn is_lenient(&self) -> bool {
        self.foreign.is_some_and(|foreign| !foreign.strict) && !self.state.ours
    }

    fn skips(&self) -> bool {
        self.foreign.is_some_and(|foreign| foreign.skip_unsupported) && !self.state.ours
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
            Stage::Stranger => self.format.unknown(self.producer.as_deref()),
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
        input.mended = core::mem::take(&mut self.mended);
        while !input.is_empty() {
            let start = input.at();
            input.lenient = self.is_lenient();
            if input.lenient && matches!(self.stage, Stage::End(_)) {
                break;
            }
            let fault = match self.item(&mut input) {
                Ok(()) => continue,
                Err(Stop::Need(end)) => {
                    self.need = end - start;
                    input.rewind(start);
                    break;
                }
                Err(Stop::Malformed(what)) => SnapshotFault::Malformed(what),
                Err(Stop::Empty) => SnapshotFault::Malformed(EMPTY),
                Err(Stop::Fault(fault)) => fault,
            };
            let at = self.at + input.at() as u64;
            return Err(SnapshotError { fault, at, keys: self.keys() });
        }
        let mut used = input.at();
        self.mended = core::mem::take(&mut input.mended);
        self.crc = crc64(self.crc, bytes.get(..used).unwrap_or_default());
        if used < bytes.len() && input.lenient && matches!(self.stage, Stage::End(_)) {
            self.report.behind += (bytes.len() - used) as u64;
            used = bytes.len();
        }
        self.at += used as u64;
        Ok(used)
    }

    /// Reads one item. If it is not whole, nothing has happened.
    fn item(&mut self, input: &mut Input<'_>) -> Result<()> {
        match &mut self.stage {
            Stage::Item => return self.opcode(input),
            Stage::Value(key, value) => {
                let whole = match value.go_on(input) {
                    Ok(None) => return Ok(()),
                    Err(Stop::Need(end)) => return Err(Stop::Need(end)),
                    Ok(Some(whole)) => Ok(whole),
                    Err(stop) => Err(stop),
                };
                let key = core::mem::take(key);
                self.value(&key, whole, input)?;
                self.stage = Stage::Item;
            }
            Stage::Header => {
                self.format = header(input)?;
                let is_known = self.format.is_known(self.foreign);
                if !is_known && self.foreign.is_none() {
                    return Err(Stop::Malformed(
                        "a version of RDB that is not known (1 to 12 are)",
                    ));
                }
                self.stage = if is_known { Stage::Item } else { Stage::Stranger };
            }
            Stage::Stranger => {
                if input.byte()? != code::AUX {
                    return Err(Stop::Fault(self.format.unknown(self.producer.as_deref())));
                }
                let (name, value) = (input.text()?, input.text()?);
                self.hear(&name.bytes()?, &value.bytes()?);
            }
            Stage::Module(behind) => {
                if skip_module(input)? {
                    self.stage = match *behind {
                        0 => Stage::Item,
                        behind => Stage::Meta(behind),
                    };
                }
            }
            Stage::Meta(classes) => {
                input.array::<4>()?;
                self.stage = Stage::Module(*classes - 1);
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
                let (name, value) = (name.bytes()?, value.bytes()?);
                self.hear(&name, &value);
                self.state.aux(&name, &value)?;
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
            opcode @ (code::FUNCTION | code::FUNCTION_PRE_GA) => self.functions(opcode, input)?,
            code::MODULE_AUX => {
                let data = module_data(input.length()?);
                self.no_place(data)?;
                self.stage = Stage::Module(0);
            }
            code::KEY_META if self.is_of(KEY_META_SINCE) => {
                let classes = input.length()?;
                self.no_place("what modules noted on a key".to_string())?;
                if classes > 0 {
                    self.stage = Stage::Meta(classes);
                }
            }
            code::KEY_META if self.format.valkey => {
                slot_import(input)?;
                self.no_place("slots that the node was taking over".to_string())?;
            }
            code::END => {
                self.state.complete()?;
                let checked = self.format.version >= VERSION_CHECKED;
                self.stage = if checked { Stage::Checksum } else { Stage::End(false) };
            }
            HASH_OF_VALKEY if self.format.valkey => self.key(code::kind::HASH_VALKEY, input)?,
            code::kind::STREAM_4 if self.is_of(STREAM_4_SINCE) => {
                self.key(code::kind::STREAM_4, input)?;
            }
            code::kind::MODULE_2 if self.skips() => {
                let key = input.text()?;
                let what = module_value(input.length()?);
                self.report.skip(Some((self.state.db().number() as u8, &key.bytes()?)), &what);
                self.expire_ms = None;
                self.stage = Stage::Module(0);
            }
            kind if is_type(kind) && !(self.format.valkey && kind >= HASH_OF_VALKEY) => {
                self.key(kind, input)?;
            }
            other => return Err(self.unknown(other, input)),
        }
        Ok(())
    }

    /// A library of functions, which is kept if it can be, or a function of a pre-release.
    fn functions(&mut self, opcode: u8, input: &mut Input<'_>) -> Result<()> {
        let what = if opcode == code::FUNCTION {
            let text = input.text()?.bytes()?.to_vec();
            if self.state.library(&text).is_some() {
                return Ok(());
            }
            library(&text)
        } else {
            function(input, self.skips())?
        };
        if !self.skips() {
            return Err(Stop::Fault(SnapshotFault::Functions(what)));
        }
        self.report.skip(None, &what);
        Ok(())
    }

    /// A byte that is no opcode and no type that is known here.
    #[cold]
    fn unknown(&self, byte: u8, input: &mut Input<'_>) -> Stop {
        if self.foreign.is_none() {
            return Stop::Malformed("an opcode or type that is not known");
        }
        let format = self.format.named(self.producer.as_deref());
        if byte >= code::KEY_META {
            let what = format!("the opcode {byte} is not known ({format})");
            return Stop::Fault(SnapshotFault::Unknown(what));
        }
        match input.text().and_then(Text::bytes) {
            Ok(key) => {
                let holds = format!("a value of type {byte}, which is not known ({format})");
                Stop::Fault(SnapshotFault::Value(key.to_vec(), holds))
            }
            Err(stop) => stop,
        }
    }

    /// Whether the file is in Redis's format, of this version or a later one.
    fn is_of(&self, version: u16) -> bool {
        self.foreign.is_some() && !self.format.valkey && self.format.version >= version
    }

    fn hear(&mut self, name: &[u8], value: &[u8]) {
        if self.foreign.is_some() {
            self.producer = producer(name, value).or_else(|| self.producer.take());
        }
    }

    /// Something that belongs to no value and has no place here. Our own readers have always passed
    /// over it.
    fn no_place(&mut self, what: String) -> Result<()> {
        if self.skips() {
            self.report.skip(None, &what);
        } else if self.foreign.is_some() {
            return Err(Stop::Fault(SnapshotFault::Unsupported(what)));
        }
        Ok(())
    }

    fn key(&mut self, kind: u8, input: &mut Input<'_>) -> Result<()> {
        // Before its value, so that a fault is the same whatever has arrived.
        let key = input.text()?.bytes()?;
        let value = match Value::begin(kind, input, self.state.rules()) {
            Ok(Begun::Whole(value)) => Ok(value),
            Ok(Begun::Unfinished(value)) => {
                self.stage = Stage::Value(key.as_ref().into(), Box::new(value));
                return Ok(());
            }
            Err(stop) => Err(stop),
        };
        self.value(&key, value, input)
    }

    /// Takes the value of a key, or says what is wrong with it.
    fn value(&mut self, key: &[u8], value: Result<Value<'_>>, input: &mut Input<'_>) -> Result<()> {
        let db = self.state.db().number() as u8;
        let named = |what| Stop::Fault(SnapshotFault::Key(key.to_vec(), what));
        match value {
            Ok(value) => {
                let mended = core::mem::take(&mut input.mended);
                self.report.mend(db, key, &mended);
                self.state.key(key, value, self.expire_ms.take())
            }
            Err(Stop::Empty) if input.lenient => {
                let mended = core::mem::take(&mut input.mended);
                self.report.drop(db, key, &mended);
                self.expire_ms = None;
                Ok(())
            }
            Err(Stop::Empty) => Err(named(EMPTY)),
            Err(Stop::Malformed(what)) => Err(named(what)),
            Err(Stop::Fault(SnapshotFault::Value(_, holds))) => {
                Err(Stop::Fault(SnapshotFault::Value(key.to_vec(), holds)))
            }
            Err(stop) => Err(stop),
        }
    }
}

mod opcodes;
#[cfg(test)]
mod tests;
