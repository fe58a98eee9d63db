//! What compares before it writes: the conditions of SET and DELEX (Redis 8.4), DELIFEQ (Valkey
//! 9.0), which release a lock only if its token is still there, and DIGEST, a short stand-in for a
//! long value. Redis 7.0 knows none of them, so the writes are logged armoured.

use super::xxh3;
use crate::{Flags, Group, Keys, Reader, Replied, Spec, StrRef, Writer, WrongType, exactly, least};
use alloc::format;
use alloc::vec::Vec;
use quorate_resp::{Args, Reply};

/// What must hold of the string at a key.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wanted<'a> {
    /// `IFEQ`: it is this.
    Equal(&'a [u8]),
    /// `IFNE`: it is not this.
    Different(&'a [u8]),
    /// `IFDEQ`: its digest is this.
    Digest(&'a [u8]),
    /// `IFDNE`: its digest is not this.
    OtherDigest(&'a [u8]),
}

impl<'a> Wanted<'a> {
    /// Reads an option and its argument; `None` is another option.
    pub(super) fn parse(option: &[u8], argument: &'a [u8]) -> Option<Self> {
        let is = |name: &[u8]| option.eq_ignore_ascii_case(name);
        Some(match () {
            () if is(b"IFEQ") => Wanted::Equal(argument),
            () if is(b"IFNE") => Wanted::Different(argument),
            () if is(b"IFDEQ") => Wanted::Digest(argument),
            () if is(b"IFDNE") => Wanted::OtherDigest(argument),
            () => return None,
        })
    }

    /// Whether a string that is there is as wanted. As in Redis, only the length of a digest can be
    /// wrong, and only now.
    pub(super) fn is_met(self, value: StrRef<'_>) -> Result<bool, Reply<'static>> {
        let is = |bytes: &[u8]| value.len() == bytes.len() && *value.bytes() == *bytes;
        Ok(match self {
            Wanted::Equal(bytes) => is(bytes),
            Wanted::Different(bytes) => !is(bytes),
            Wanted::Digest(digits) | Wanted::OtherDigest(digits) if digits.len() != DIGITS => {
                return Err(Reply::error("ERR must be exactly 16 hexadecimal characters"));
            }
            Wanted::Digest(digits) => digest_of(value).eq_ignore_ascii_case(digits),
            Wanted::OtherDigest(digits) => !digest_of(value).eq_ignore_ascii_case(digits),
        })
    }

    /// Whether SET writes to a key that is absent.
    pub(super) fn is_met_by_absence(self) -> bool {
        matches!(self, Wanted::Different(_) | Wanted::OtherDigest(_))
    }
}

/// A digest is so long.
const DIGITS: usize = 16;

fn digest_of(value: StrRef<'_>) -> Vec<u8> {
    format!("{:016x}", xxh3::hash(&value.bytes())).into_bytes()
}

/// The rows.
pub(in crate::cmd) const ROWS: &[Spec] = &Group::String.rows([
    Spec::read("DIGEST", "key", digest)
        .facts(exactly(2), Keys::At(1), Flags::FAST)
        .doc("8.4.0", "Returns the XXH3 hash of a string, in hexadecimal digits.")
        .costing(|cx, args| {
            // Some 4 bytes a nanosecond.
            cx.string(args.at(1)).ok().flatten().map_or(0, |value| value.len() as u64 / 4)
        }),
    Spec::write("DELEX", "key [IFEQ value | IFNE value | IFDEQ digest | IFDNE digest]", delex)
        .facts(least(2), Keys::At(1), Flags::FAST)
        .doc("8.4.0", "Deletes a key, perhaps only if its string or its digest is as given.")
        .access(&["RM delete"])
        .hidden(),
    Spec::write("DELIFEQ", "key value", delifeq)
        .facts(exactly(3), Keys::At(1), Flags::FAST)
        .doc("9.0.0", "Deletes a key if it holds a string.")
        .access(&["RM delete"])
        .hidden(),
]);

fn digest<'a>(cx: &Reader<'a>, args: Args<'a>) -> Replied<'a> {
    let value = cx.string(args.at(1))?;
    Ok(value.map_or(Reply::Null, |value| Reply::owned(digest_of(value))))
}

fn delex(cx: &mut Writer<'_>, args: Args<'_>) -> Replied<'static> {
    let key = args.at(1);
    match args.len() {
        2 => return Ok(delete_if(cx, key, true)),
        4 => {}
        _ => return Err(Reply::error("ERR wrong number of arguments for 'delex' command")),
    }
    let is_met = match (cx.reader().string(key), Wanted::parse(args.at(2), args.at(3))) {
        (Ok(None), _) => Ok(false),
        (Ok(Some(value)), Some(wanted)) => wanted.is_met(value),
        (Ok(_), None) => {
            Err(Reply::error("ERR Invalid condition. Use IFEQ, IFNE, IFDEQ, or IFDNE"))
        }
        (Err(WrongType), _) => {
            Err(Reply::error("ERR Key should be of string type if conditions are specified"))
        }
    };
    is_met.map(|is_met| delete_if(cx, key, is_met))
}

fn delifeq(cx: &mut Writer<'_>, args: Args<'_>) -> Replied<'static> {
    let key = args.at(1);
    let wanted = args.at(2);
    let value = cx.reader().string(key)?;
    let is_met =
        value.is_some_and(|value| value.len() == wanted.len() && *value.bytes() == *wanted);
    Ok(delete_if(cx, key, is_met))
}

fn delete_if(cx: &mut Writer<'_>, key: &[u8], is_met: bool) -> Reply<'static> {
    let deleted = is_met && cx.remove(key);
    if deleted {
        cx.notify(b'g', "del", key);
    }
    Reply::Int(i64::from(deleted))
}
