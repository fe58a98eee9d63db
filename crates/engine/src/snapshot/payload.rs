//! A value by itself: what DUMP gives and RESTORE takes.
//!
//! Type and value as in an RDB file, then RDB's version (2 bytes, little-endian) and the CRC64 of
//! everything before it. Written in version 10, which Redis 7.0 takes, but for hashes with
//! deadlines of fields, which need version 12; read up to 12. Nothing may stand behind the value,
//! and here a checksum of 0 is just wrong.

use super::value::{Begun, Value, is_type};
use crate::digest::Digest;
use crate::keyspace::{Reader, Record, Writer};
use crate::rdb::SnapshotFault;
use crate::rdb::code::{self, VERSION_MAX, WRITTEN, kind};
use crate::rdb::collection;
use crate::rdb::crc64::crc64;
use crate::rdb::encode::put_length;
use crate::rdb::input::{Input, Stop, Text};
use crate::types::Rules;
use alloc::string::String;
use alloc::vec::Vec;

/// The version of a hash with deadlines of fields.
const WRITTEN_TIMED: u16 = 12;

/// Why a payload is refused.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum PayloadError {
    /// Its version is newer than we know, its checksum is wrong, or it is too short to have them.
    Unknown,
    /// It is what somebody wrote, but no value.
    Malformed,
    /// A value of a type that this version does not store; says which.
    Value(String),
}

/// A payload that was read.
#[derive(Debug)]
pub(crate) struct Payload<'a> {
    value: Value<'a>,
    body: &'a [u8],
    version: u16,
}

impl Reader<'_> {
    /// The value at `key` as DUMP gives it, `None` when absent.
    pub fn dump(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.visible(key).map(|record| dump(record, self.now_ms()))
    }

    /// The same for Redis 7.0: without deadlines of fields.
    pub(crate) fn dump_untimed(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.visible(key).map(|record| dump_untimed(record, self.now_ms()))
    }
}

impl Writer<'_> {
    /// Puts a value as RESTORE brings it, whatever was there.
    pub(crate) fn put(&mut self, key: &[u8], value: Payload<'_>, deadline: Option<u64>) {
        let (record, element) = value.record(key, self.index, deadline);
        self.put_record(key, record, element);
    }
}

/// The payload of a value as it is at this time. Version 10 has no place for deadlines of fields:
/// a hash with any is written in the version of Redis 7.4.
fn dump(record: &Record, now_ms: u64) -> Vec<u8> {
    if record.field_deadline().is_some()
        && let Some(hash) = record.view(now_ms)
    {
        let mut payload = Vec::new();
        let is_timed = collection::write_timed(hash, &mut payload);
        return closed(payload, if is_timed { WRITTEN_TIMED } else { WRITTEN });
    }
    dump_whole(record)
}

/// The same for Redis 7.0, where fields have no deadlines: those that are due are left out, and the
/// others lose theirs.
fn dump_untimed(record: &Record, now_ms: u64) -> Vec<u8> {
    if record.field_deadline().is_some()
        && let Some(hash) = record.view(now_ms)
    {
        let mut payload = Vec::new();
        collection::write_untimed(hash, &mut payload);
        return closed(payload, WRITTEN);
    }
    dump_whole(record)
}

/// A value as it lies.
fn dump_whole(record: &Record) -> Vec<u8> {
    let (form, value) = (record.form(), record.value());
    let mut payload = Vec::with_capacity(record.packed().len() + 32);
    payload.push(collection::kind_of(form, value.is_some()));
    match value {
        None => collection::write_packed(form, record.packed(), &mut payload),
        Some(value) => {
            collection::write_large(value, &mut |bytes| payload.extend_from_slice(bytes));
        }
    }
    closed(payload, WRITTEN)
}

/// Reads a payload. No string in it may be longer than `longest`.
pub(crate) fn load(
    payload: &[u8],
    longest: u64,
    rules: Rules,
) -> Result<Payload<'_>, PayloadError> {
    let (body, version, sum) = parts(payload).ok_or(PayloadError::Unknown)?;
    let summed = payload.split_last_chunk::<8>().map_or(&[][..], |(summed, _)| summed);
    if version > VERSION_MAX || crc64(0, summed) != sum {
        return Err(PayloadError::Unknown);
    }
    let mut input = Input::bounded(body, longest);
    match value(&mut input, rules) {
        Ok(value) if input.is_empty() => Ok(Payload { value, body, version }),
        Err(Stop::Fault(SnapshotFault::Value(_, holds))) => Err(PayloadError::Value(holds)),
        _ => Err(PayloadError::Malformed),
    }
}

/// Libraries as FUNCTION DUMP gives them: the opcode and the text of each, version and checksum as
/// behind a value.
pub(crate) fn dump_libraries<'a>(texts: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut payload = Vec::new();
    for text in texts {
        payload.push(code::FUNCTION);
        put_length(&mut payload, text.len() as u64);
        payload.extend_from_slice(text);
    }
    closed(payload, WRITTEN)
}

/// The texts of libraries that [`dump_libraries`] wrote.
pub(crate) fn dumped_libraries(payload: &[u8]) -> Result<Vec<Vec<u8>>, PayloadError> {
    let (body, version, sum) = parts(payload).ok_or(PayloadError::Unknown)?;
    let summed = payload.split_last_chunk::<8>().map_or(&[][..], |(summed, _)| summed);
    if version > VERSION_MAX || crc64(0, summed) != sum {
        return Err(PayloadError::Unknown);
    }
    let mut input = Input::bounded(body, body.len() as u64);
    let mut texts = Vec::new();
    while !input.is_empty() {
        let mut next = || match input.byte()? {
            code::FUNCTION => Ok(input.text()?.bytes()?.to_vec()),
            _ => Err(Stop::Malformed("something else than a library")),
        };
        texts.push(next().map_err(|_| PayloadError::Malformed)?);
    }
    Ok(texts)
}

impl Payload<'_> {
    /// The value under a key, and its digest.
    pub(crate) fn record(self, key: &[u8], revision: u64, deadline: Option<u64>) -> (Record, u64) {
        let mut element = Digest(0);
        element.bytes(self.body);
        (self.value.record(key, revision, deadline), element.0)
    }

    /// The same value in a payload that Redis 7.0 takes; `None` if it is one already.
    pub(crate) fn downgraded(self) -> Option<Vec<u8>> {
        (self.version > WRITTEN).then(|| dump(&self.value.record(&[], 0, None), 0))
    }

    /// Whether it is a hash with deadlines of fields, of which Redis 7.0 takes no payload.
    pub(crate) fn is_timed(&self) -> bool {
        matches!(&self.value, Value::Collection(collection) if collection.is_timed())
    }
}

/// So many bytes must be gone through to load it, by what it says itself.
pub(crate) fn claimed_bytes(payload: &[u8]) -> u64 {
    let mut input = Input::new(payload);
    // Of a value of many strings only what is there counts: each of them is short, or is there.
    let of = input.byte().unwrap_or(kind::HASH);
    let is_string = of == kind::STRING || kind::is_packed(of);
    if of == kind::HASH_LISTPACK_TIMED {
        let _ = input.take(8);
    }
    let claimed = match input.text() {
        Ok(Text::Packed(_, length)) if is_string => length,
        _ => 0,
    };
    claimed.saturating_add(payload.len() as u64)
}

fn value<'a>(input: &mut Input<'a>, rules: Rules) -> Result<Value<'a>, Stop> {
    let kind = input.byte()?;
    if !is_type(kind) {
        return Err(Stop::Malformed("a type that is not known"));
    }
    match Value::begin(kind, input, rules)? {
        Begun::Whole(value) => Ok(value),
        Begun::Unfinished(mut value) => loop {
            if let Some(value) = value.go_on(input)? {
                return Ok(value);
            }
        },
    }
}

/// Type and value, version, checksum.
fn parts(payload: &[u8]) -> Option<(&[u8], u16, u64)> {
    let (rest, sum) = payload.split_last_chunk()?;
    let (body, version) = rest.split_last_chunk()?;
    Some((body, u16::from_le_bytes(*version), u64::from_le_bytes(*sum)))
}

/// Adds version and checksum.
fn closed(mut payload: Vec<u8>, version: u16) -> Vec<u8> {
    payload.extend_from_slice(&version.to_le_bytes());
    let sum = crc64(0, &payload);
    payload.extend_from_slice(&sum.to_le_bytes());
    payload
}
