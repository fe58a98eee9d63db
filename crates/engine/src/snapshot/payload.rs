//! A value by itself: what DUMP gives and RESTORE takes.
//!
//! Type and value as in an RDB file, then RDB's version (2 bytes, little-endian) and the CRC64 of
//! everything before it. Written in version 10, which Redis 7.0 takes; read up to 12. Nothing may
//! stand behind the value, and here a checksum of 0 is just wrong.

use super::code;
use super::crc64::crc64;
use super::input::{Input, Stop, Text};
use super::read::VERSION_MAX;
use super::value::{Begun, Value, is_type};
use super::write::{put_length, put_string};
use super::{SnapshotFault, WRITTEN};
use crate::StrRef;
use crate::keyspace::PACKED_MAX;
use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

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

/// The payload of a string.
pub(crate) fn dump(value: StrRef<'_>) -> Vec<u8> {
    let mut payload = Vec::with_capacity(value.len() + 32);
    payload.push(code::STRING);
    if value.len() <= PACKED_MAX {
        put_string(&mut payload, &value.bytes());
    } else {
        put_length(&mut payload, value.len() as u64);
        value.pieces().for_each(|piece| payload.extend_from_slice(piece));
    }
    closed(payload)
}

/// The same value in a payload that Redis 7.0 takes; `None` if it is one already.
pub(crate) fn downgraded(payload: &[u8], value: &[u8]) -> Option<Vec<u8>> {
    let (_, version, _) = parts(payload)?;
    if version <= WRITTEN {
        return None;
    }
    let mut payload = Vec::with_capacity(value.len() + 32);
    payload.push(code::STRING);
    put_string(&mut payload, value);
    Some(closed(payload))
}

/// Reads a payload. No string in it may be longer than `longest`.
pub(crate) fn load(payload: &[u8], longest: u64) -> Result<Cow<'_, [u8]>, PayloadError> {
    let (body, version, sum) = parts(payload).ok_or(PayloadError::Unknown)?;
    let summed = payload.split_last_chunk::<8>().map_or(&[][..], |(summed, _)| summed);
    if version > VERSION_MAX || crc64(0, summed) != sum {
        return Err(PayloadError::Unknown);
    }
    let mut input = Input::bounded(body, longest);
    match value(&mut input) {
        Ok(value) if input.is_empty() => Ok(value),
        Err(Stop::Fault(SnapshotFault::Value(_, holds))) => Err(PayloadError::Value(holds)),
        _ => Err(PayloadError::Malformed),
    }
}

/// So many bytes must be gone through to load it, by what it says itself.
pub(crate) fn claimed_bytes(payload: &[u8]) -> u64 {
    let mut input = Input::new(payload);
    let claimed = match input.byte().and_then(|_| input.text()) {
        Ok(Text::Packed(_, length)) => length,
        _ => 0,
    };
    claimed.saturating_add(payload.len() as u64)
}

fn value<'a>(input: &mut Input<'a>) -> Result<Cow<'a, [u8]>, Stop> {
    let kind = input.byte()?;
    if !is_type(kind) {
        return Err(Stop::Malformed("a type that is not known"));
    }
    match Value::begin(kind, input)? {
        Begun::Whole(value) => Ok(value.bytes()),
        Begun::Unfinished(mut value) => loop {
            if let Some(value) = value.go_on(input)? {
                return Ok(value.bytes());
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
fn closed(mut payload: Vec<u8>) -> Vec<u8> {
    payload.extend_from_slice(&WRITTEN.to_le_bytes());
    let sum = crc64(0, &payload);
    payload.extend_from_slice(&sum.to_le_bytes());
    payload
}
