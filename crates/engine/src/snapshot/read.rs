//! Reading: any bytes give a state or an error.
//!
//! Nothing is allocated by a declared size: strings are slices of the input until they become
//! records. A file with our format field is held to what we write (checksum, revisions of every
//! key); any other RDB file of strings is taken with revisions 0 under an all-zero hash key.

use super::crc64::crc64;
use super::text::{parse, take_number};
use super::{FIELD_ITEMS_MAX, FORMAT, SnapshotError, SnapshotFacts, code, field, lzf};
use crate::keyspace::{BUCKETS, Entry, Head, Point};
use crate::{Db, Keyspace, StrEncoding};
use alloc::borrow::Cow;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::str::FromStr;

/// The newest RDB version whose strings we know.
const VERSION_MAX: u32 = 12;
/// The first version that ends with a checksum.
const VERSION_CHECKED: u32 = 5;
/// AUX fields that Redis itself writes; they say nothing about the data.
const OF_REDIS: [&str; 9] = [
    "redis-ver",
    "redis-bits",
    "ctime",
    "used-mem",
    "aof-base",
    "aof-preamble",
    "repl-stream-db",
    "repl-id",
    "repl-offset",
];

type Result<T> = core::result::Result<T, SnapshotError>;

impl Keyspace {
    /// Reads a whole snapshot. Any bytes give a state or an error.
    pub fn read_snapshot(bytes: &[u8]) -> Result<(Keyspace, SnapshotFacts)> {
        let mut input = Input { bytes, at: 0 };
        let version = input.header()?;
        let mut load = Load {
            keyspace: Keyspace::new([0, 0]),
            facts: SnapshotFacts::default(),
            ours: false,
            db: Db(0),
            next_bucket: 0,
            waiting: Vec::new(),
        };
        load.read(&mut input)?;
        let body = bytes.get(..input.at).unwrap_or_default();
        if version >= VERSION_CHECKED {
            let stored = u64::from_le_bytes(*input.array::<8>()?);
            // Redis writes 0 when `rdbchecksum` is off; we always write it.
            let unchecked = stored == 0 && !load.ours;
            if !unchecked && stored != crc64(0, body) {
                return Err(SnapshotError::Checksum);
            }
        }
        if input.at != bytes.len() {
            return Err(input.malformed("bytes behind the end"));
        }
        Ok((load.keyspace, load.facts))
    }
}

/// The file, and how far it was read.
struct Input<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Input<'a> {
    fn malformed(&self, what: &'static str) -> SnapshotError {
        SnapshotError::Malformed(what, self.at)
    }

    fn take(&mut self, count: u64) -> Result<&'a [u8]> {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let end = self.at.checked_add(count).filter(|&end| end <= self.bytes.len());
        let taken = end.and_then(|end| self.bytes.get(self.at..end));
        let taken = taken.ok_or(self.malformed("the file is cut"))?;
        self.at += count;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<&'a [u8; N]> {
        let bytes = self.take(N as u64)?;
        bytes.first_chunk().ok_or(self.malformed("the file is cut"))
    }

    fn byte(&mut self) -> Result<u8> {
        self.array::<1>().map(|&[byte]| byte)
    }

    /// Magic and version.
    fn header(&mut self) -> Result<u32> {
        if self.take(code::MAGIC.len() as u64).ok() != Some(code::MAGIC) {
            return Err(SnapshotError::Malformed("not an RDB file", 0));
        }
        let digits = self.array::<4>()?;
        let version = digits.iter().try_fold(0, |version, digit| {
            digit.is_ascii_digit().then(|| version * 10 + u32::from(digit - b'0'))
        });
        match version {
            Some(version @ 1..=VERSION_MAX) => Ok(version),
            _ => Err(self.malformed("unknown RDB version")),
        }
    }

    /// A length, or in `Err` the byte that says how a string is encoded instead.
    fn length_or_encoding(&mut self) -> Result<core::result::Result<u64, u8>> {
        let first = self.byte()?;
        let length = match first {
            ..0x40 => u64::from(first),
            0x40..0x80 => u64::from(first & 0x3f) << 8 | u64::from(self.byte()?),
            code::LEN_32 => u64::from(u32::from_be_bytes(*self.array()?)),
            code::LEN_64 => u64::from_be_bytes(*self.array()?),
            0xc0.. => return Ok(Err(first)),
            _ => return Err(self.malformed("unknown form of a length")),
        };
        Ok(Ok(length))
    }

    fn length(&mut self) -> Result<u64> {
        self.length_or_encoding()?.map_err(|_| self.malformed("a length is missing"))
    }

    fn string(&mut self) -> Result<Cow<'a, [u8]>> {
        let number = match self.length_or_encoding()? {
            Ok(length) => return self.take(length).map(Cow::Borrowed),
            Err(code::INT_8) => i32::from(i8::from_le_bytes(*self.array()?)),
            Err(code::INT_16) => i32::from(i16::from_le_bytes(*self.array()?)),
            Err(code::INT_32) => i32::from_le_bytes(*self.array()?),
            Err(code::LZF) => {
                let (packed, length) = (self.length()?, self.length()?);
                let packed = self.take(packed)?;
                let whole = usize::try_from(length).ok();
                let whole = whole.and_then(|length| lzf::decompress(packed, length));
                return whole.map(Cow::Owned).ok_or(self.malformed("a compressed string"));
            }
            Err(_) => return Err(self.malformed("unknown encoding of a string")),
        };
        Ok(Cow::Owned(number.to_string().into_bytes()))
    }
}

/// The state being read.
struct Load<'a> {
    keyspace: Keyspace,
    facts: SnapshotFacts,
    /// The file has our format field.
    ours: bool,
    db: Db,
    /// First deletion bucket that no field has spoken of.
    next_bucket: usize,
    /// Keys whose revisions are still to come. Ours only.
    waiting: Vec<Waiting<'a>>,
}

struct Waiting<'a> {
    key: Cow<'a, [u8]>,
    value: Cow<'a, [u8]>,
    deadline: Option<u64>,
}

impl<'a> Load<'a> {
    fn read(&mut self, input: &mut Input<'a>) -> Result<()> {
        let mut deadline = None;
        loop {
            match input.byte()? {
                code::AUX => self.aux(input)?,
                code::SELECT_DB => {
                    self.complete(input)?;
                    let db = u8::try_from(input.length()?).ok().filter(|&db| db < Db::COUNT);
                    self.db = Db(db.ok_or(input.malformed("no such database"))?);
                }
                code::RESIZE_DB => {
                    input.length()?;
                    input.length()?;
                }
                code::SLOT_INFO => {
                    for _ in 0..3 {
                        input.length()?;
                    }
                }
                code::IDLE => {
                    input.length()?;
                }
                code::FREQ => {
                    input.byte()?;
                }
                code::EXPIRE_MS => deadline = Some(u64::from_le_bytes(*input.array()?)),
                code::EXPIRE_S => {
                    let seconds = u32::from_le_bytes(*input.array()?);
                    deadline = Some(u64::from(seconds) * 1000);
                }
                code::END => return self.complete(input),
                code::STRING => {
                    let (key, value) = (input.string()?, input.string()?);
                    let deadline = deadline.take();
                    self.key(Waiting { key, value, deadline }, input)?;
                }
                other => return Err(SnapshotError::UnsupportedType(other)),
            }
        }
    }

    /// All keys have had their revisions.
    fn complete(&self, input: &Input<'_>) -> Result<()> {
        let complete = self.waiting.is_empty();
        complete.then_some(()).ok_or(input.malformed("keys without revisions"))
    }

    fn key(&mut self, key: Waiting<'a>, input: &Input<'_>) -> Result<()> {
        if !self.ours {
            return self.put(&key, (0, false), input);
        }
        if self.waiting.len() == FIELD_ITEMS_MAX {
            return Err(input.malformed("keys without revisions"));
        }
        self.waiting.push(key);
        Ok(())
    }

    fn put(&mut self, from: &Waiting<'_>, meta: (u64, bool), input: &Input<'_>) -> Result<()> {
        let (revision, raw) = meta;
        let encoding = if raw { StrEncoding::Raw } else { StrEncoding::of(&from.value) };
        let head = Head { encoding, revision, deadline: from.deadline };
        let at = Point::of(self.keyspace.hash_key, &from.key);
        let entry = Entry::string(head, &from.key, &from.value);
        let new = self.keyspace.database_mut(self.db).restore(at, entry);
        new.then_some(()).ok_or(input.malformed("a key occurs twice"))
    }

    fn aux(&mut self, input: &mut Input<'a>) -> Result<()> {
        let (name, value) = (input.string()?, input.string()?);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let name = text(&name);
        if name.starts_with(field::PREFIX) {
            if self.ours == (name == field::FORMAT) {
                return Err(input.malformed("fields of the state without a format, or two"));
            }
            let taken = self.state(&name, &value, input)?;
            return taken.ok_or(input.malformed("a field of the state"));
        }
        if !OF_REDIS.contains(&name.as_str()) {
            self.facts.fields.push((name, text(&value)));
        }
        Ok(())
    }

    /// Takes a field of the state; `None` if its value is not what we write.
    fn state(&mut self, name: &str, value: &[u8], input: &Input<'_>) -> Result<Option<()>> {
        let keyspace = &mut self.keyspace;
        let done = match name {
            field::FORMAT => {
                self.ours = true;
                number::<u64>(value).filter(|&format| format == FORMAT).map(drop)
            }
            field::HASH_KEY if !self.waiting.is_empty() || !keyspace.is_empty() => None,
            field::HASH_KEY => value
                .split_at_checked(16)
                .and_then(|(one, two)| Some([hex(one)?, hex(two)?]))
                .map(|hash_key| keyspace.hash_key = hash_key),
            field::TIME => number(value).map(|now_ms| keyspace.now_ms = now_ms),
            field::INDEX => number(value).map(|index| keyspace.applied_index = index),
            field::DIGEST => hex(value).map(|digest| keyspace.digest.0 = digest),
            field::LEVEL => number(value).map(|level| keyspace.level = level),
            field::FLOORS => self.floors(value),
            field::GONE => self.gone(value),
            field::KEYS => return self.revisions(value, input),
            _ => name
                .strip_prefix(field::SETTING)
                .zip(core::str::from_utf8(value).ok())
                .and_then(|(name, value)| keyspace.restore_setting(name, value).ok()),
        };
        Ok(done)
    }

    fn floors(&mut self, value: &[u8]) -> Option<()> {
        let list = parse(value)?;
        let mut rest = &list[..];
        for db in Db::all() {
            let floors = (take_number(&mut rest)?, take_number(&mut rest)?);
            self.keyspace.revisions.set_floors(db, floors);
        }
        rest.is_empty().then_some(())
    }

    fn gone(&mut self, value: &[u8]) -> Option<()> {
        let list = parse(value)?;
        let mut rest = &list[..];
        while !rest.is_empty() {
            let skipped = usize::try_from(take_number(&mut rest)?).ok()?;
            let bucket = self.next_bucket.checked_add(skipped).filter(|&at| at < BUCKETS)?;
            let revision = take_number(&mut rest).filter(|&revision| revision != 0)?;
            self.keyspace.revisions.set_bucket(bucket, revision);
            self.next_bucket = bucket + 1;
        }
        Some(())
    }

    /// The keys that wait get their revisions.
    fn revisions(&mut self, value: &[u8], input: &Input<'_>) -> Result<Option<()>> {
        let Some(list) = parse(value) else { return Ok(None) };
        let mut rest = &list[..];
        for key in core::mem::take(&mut self.waiting) {
            let Some(number) = take_number(&mut rest) else { return Ok(None) };
            let Some(revision) = self.keyspace.applied_index.checked_sub(number >> 1) else {
                return Ok(None);
            };
            self.put(&key, (revision, number & 1 == 1), input)?;
        }
        Ok(rest.is_empty().then_some(()))
    }
}

fn number<T: FromStr + ToString>(value: &[u8]) -> Option<T> {
    let text = core::str::from_utf8(value).ok()?;
    text.parse::<T>().ok().filter(|number| number.to_string() == text)
}

fn hex(value: &[u8]) -> Option<u64> {
    let text = core::str::from_utf8(value).ok().filter(|text| text.len() == 16)?;
    let plain = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    plain.then(|| u64::from_str_radix(text, 16).ok()).flatten()
}
