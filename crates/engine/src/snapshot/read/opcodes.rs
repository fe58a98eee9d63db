//! What stands between keys: opcodes that say something about the file, or that have no place here.
//!
//! Each is read as far as its end, even if it is refused or left out, so that the message can name
//! it and what follows can be read.

use super::super::foreign::Foreign;
use super::super::value::module_name;
use crate::rdb::SnapshotFault;
use crate::rdb::code::{self, VERSION_MAX};
use crate::rdb::error::shown;
use crate::rdb::input::{Input, Result, Stop};
use alloc::format;
use alloc::string::{String, ToString};

/// The newest version of Redis's format that is taken from others.
const FOREIGN_MAX: u16 = 13;
/// The version of Valkey's own format.
const VALKEY: u16 = 80;

/// Which format a file has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Format {
    pub(super) version: u16,
    /// Valkey's own, which has numbers of its own for some types.
    pub(super) valkey: bool,
}

impl Format {
    /// Whether it can be read.
    pub(super) fn is_known(self, foreign: Option<Foreign>) -> bool {
        match (foreign, self.valkey) {
            (Some(_), true) => self.version == VALKEY,
            (Some(_), false) => (1..=FOREIGN_MAX).contains(&self.version),
            (None, valkey) => !valkey && (1..=VERSION_MAX).contains(&self.version),
        }
    }

    /// Names it, and who wrote it.
    pub(super) fn named(self, producer: Option<&str>) -> String {
        let whose = if self.valkey { " of Valkey" } else { "" };
        let by = producer.map_or_else(String::new, |it| format!(", written by {it}"));
        format!("RDB version {}{whose}{by}", self.version)
    }

    /// Why a file of it is refused.
    #[cold]
    pub(super) fn unknown(self, producer: Option<&str>) -> SnapshotFault {
        SnapshotFault::Unknown(format!(
            "{} is not known: versions 1 to {FOREIGN_MAX} of Redis and {VALKEY} of Valkey are",
            self.named(producer)
        ))
    }
}

/// Magic and version.
pub(super) fn header(input: &mut Input<'_>) -> Result<Format> {
    let start = input.at();
    let valkey = match input.array::<5>()? {
        code::MAGIC => false,
        b"VALKE" => true,
        _ => return Err(Stop::Malformed("this is not an RDB file")),
    };
    input.rewind(start);
    let bytes = input.array::<9>()?;
    let digits =
        if valkey { bytes.strip_prefix(b"VALKEY") } else { bytes.strip_prefix(code::MAGIC) };
    let Some(digits) = digits else { return Err(Stop::Malformed("this is not an RDB file")) };
    let version = digits.iter().try_fold(0, |version, digit| {
        digit.is_ascii_digit().then(|| version * 10 + u16::from(digit - b'0'))
    });
    let version = version.ok_or(Stop::Malformed("the version of RDB is not a number"))?;
    Ok(Format { version, valkey })
}

/// Who wrote a file, if this AUX field says so.
pub(super) fn producer(name: &[u8], value: &[u8]) -> Option<String> {
    let who = match name {
        b"redis-ver" => "Redis",
        b"valkey-ver" => "Valkey",
        _ => return None,
    };
    Some(format!("{who} {}", shown(value)))
}

/// A function of a pre-release, named.
pub(super) fn function(input: &mut Input<'_>, skip: bool) -> Result<String> {
    let text = input.text()?;
    if skip {
        // The engine's name, perhaps a description, the code.
        input.text()?;
        if input.length()? > 0 {
            input.text()?;
        }
        input.text()?;
    }
    let name = text.bytes()?;
    Ok(format!("the function \"{}\" of a pre-release of Redis 7", shown(&name)))
}

/// Names a library by its first line, `#!lua name=mylib`.
pub(super) fn library(source: &[u8]) -> String {
    let line = source.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let mut words = line.split(u8::is_ascii_whitespace);
    match words.find_map(|word| word.strip_prefix(b"name=")) {
        Some(name) => format!("the function library \"{}\"", shown(name)),
        None => "a function library".to_string(),
    }
}

/// What a module keeps besides its values, named.
pub(super) fn module_data(id: u64) -> String {
    format!("data of the module type \"{}\" that belong to no key", module_name(id))
}

/// Slots that a node of Valkey was taking over: a name, and ranges of slots.
pub(super) fn slot_import(input: &mut Input<'_>) -> Result<()> {
    const RANGES_MAX: u64 = 16_384;
    input.text()?;
    let ranges = input.length()?;
    if ranges > RANGES_MAX {
        return Err(Stop::Malformed("too many ranges of slots"));
    }
    for _ in 0..2 * ranges {
        input.length()?;
    }
    Ok(())
}

/// Skips one field of a module's data. True: it was the mark of their end.
pub(super) fn skip_module(input: &mut Input<'_>) -> Result<bool> {
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
