//! `cmsgpack`: `MessagePack` as Redis's library reads and writes it.
//!
//! Numbers take the shortest form that is exact, a table whose keys are 1 to n is an array, and
//! what lies too deep is nil.

use super::RESULTS_MAX;
use crate::native::{Cx, Fault, Native};
use mlua::{Table, Value};

/// The functions.
pub(crate) const MSGPACK: &[(&str, Native)] = &[
    ("pack", pack),
    ("unpack", |cx| unpack_some(cx, 0, 0)),
    ("unpack_limit", |cx| {
        let limit = cx.integer(2)?;
        unpack_some(cx, limit, 3)
    }),
    ("unpack_one", |cx| unpack_some(cx, 1, 2)),
];

/// How deep tables are packed; those deeper become nil.
const NESTING_MAX: usize = 16;
/// How deep packed tables may lie in one another. Redis stops where its Lua stack ends.
const UNPACKED_NESTING_MAX: usize = 256;

fn pack(cx: &mut Cx<'_>) -> Result<(), Fault> {
    if cx.args.is_empty() {
        return Err(cx.fault(0, "MessagePack pack needs input."));
    }
    let mut out = Vec::new();
    for value in cx.args {
        put_value(cx, &mut out, value, 0)?;
    }
    cx.put_bytes(&out)
}

fn put_value(cx: &Cx<'_>, out: &mut Vec<u8>, value: &Value, level: usize) -> Result<(), Fault> {
    cx.shared.step(2)?;
    match value {
        Value::String(text) => put_text(out, &text.as_bytes()),
        Value::Boolean(value) => out.push(0xC2 | u8::from(*value)),
        Value::Integer(number) => put_integer(out, *number),
        Value::Number(number) => put_double(out, *number),
        Value::Table(table) if level < NESTING_MAX => put_table(cx, out, table, level)?,
        _ => out.push(0xC0),
    }
    cx.room(out.len())
}

/// A header with a length: its short form up to a limit, or 16 or 32 bits.
fn put_length(out: &mut Vec<u8>, length: usize, (short, most): (u8, usize), wide: (u8, u8)) {
    if length <= most {
        out.push(short | length as u8);
    } else if length <= 0xFFFF {
        out.push(wide.0);
        out.extend_from_slice(&(length as u16).to_be_bytes());
    } else {
        out.push(wide.1);
        out.extend_from_slice(&(length as u32).to_be_bytes());
    }
}

fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    if (32..=0xFF).contains(&text.len()) {
        out.extend_from_slice(&[0xD9, text.len() as u8]);
    } else {
        put_length(out, text.len(), (0xA0, 31), (0xDA, 0xDB));
    }
    out.extend_from_slice(text);
}

fn put_integer(out: &mut Vec<u8>, number: i64) {
    match number {
        -32..=127 => out.push(number as u8),
        128..=0xFF => out.extend_from_slice(&[0xCC, number as u8]),
        0x100..=0xFFFF => put_tagged(out, 0xCD, &(number as u16).to_be_bytes()),
        0x1_0000..=0xFFFF_FFFF => put_tagged(out, 0xCE, &(number as u32).to_be_bytes()),
        0x1_0000_0000.. => put_tagged(out, 0xCF, &number.to_be_bytes()),
        -128..=-33 => out.extend_from_slice(&[0xD0, number as u8]),
        -32_768..=-129 => put_tagged(out, 0xD1, &(number as i16).to_be_bytes()),
        -2_147_483_648..=-32_769 => put_tagged(out, 0xD2, &(number as i32).to_be_bytes()),
        _ => put_tagged(out, 0xD3, &number.to_be_bytes()),
    }
}

fn put_tagged(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    out.push(tag);
    out.extend_from_slice(bytes);
}

fn put_double(out: &mut Vec<u8>, number: f64) {
    let narrow = number as f32;
    if f64::from(narrow).to_bits() == number.to_bits() {
        put_tagged(out, 0xCA, &narrow.to_be_bytes());
    } else {
        put_tagged(out, 0xCB, &number.to_be_bytes());
    }
}

fn put_table(cx: &Cx<'_>, out: &mut Vec<u8>, table: &Table, level: usize) -> Result<(), Fault> {
    if let Some(count) = as_array(cx, table)? {
        put_length(out, count, (0x90, 15), (0xDC, 0xDD));
        for at in 1..=count {
            put_value(cx, out, &table.raw_get(at)?, level + 1)?;
        }
        return Ok(());
    }
    let mut count = 0;
    table.for_each(|_: Value, _: Value| {
        count += 1;
        Ok(())
    })?;
    put_length(out, count, (0x80, 15), (0xDE, 0xDF));
    for pair in table.pairs::<Value, Value>() {
        let (key, value) = pair?;
        put_value(cx, out, &key, level + 1)?;
        put_value(cx, out, &value, level + 1)?;
    }
    Ok(())
}

/// How many elements the table has, if its keys are 1 to that.
fn as_array(cx: &Cx<'_>, table: &Table) -> Result<Option<usize>, Fault> {
    let (mut count, mut highest) = (0_i64, 0);
    for pair in table.pairs::<Value, Value>() {
        cx.shared.step(1)?;
        match pair?.0 {
            Value::Integer(at) if at > 0 => highest = at.max(highest),
            _ => return Ok(None),
        }
        count += 1;
    }
    Ok(usize::try_from(count).ok().filter(|_| count == highest))
}

/// Packed bytes, read from left to right.
struct Packed<'a> {
    rest: &'a [u8],
}

const MISSING: &str = "Missing bytes in input.";

impl<'a> Packed<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Fault> {
        let (taken, rest) =
            self.rest.split_at_checked(count).ok_or_else(|| Fault::text(MISSING))?;
        self.rest = rest;
        Ok(taken)
    }

    /// An unsigned number of so many bytes.
    fn unsigned(&mut self, bytes: usize) -> Result<u64, Fault> {
        Ok(self.take(bytes)?.iter().fold(0, |number, byte| (number << 8) | u64::from(*byte)))
    }

    fn length(&mut self, bytes: usize) -> Result<usize, Fault> {
        Ok(usize::try_from(self.unsigned(bytes)?).unwrap_or(usize::MAX))
    }

    /// A signed number of so many bytes.
    fn signed(&mut self, bytes: usize) -> Result<Value, Fault> {
        let unused = 64 - bytes * 8;
        let number = ((self.unsigned(bytes)? << unused) as i64) >> unused;
        Ok(Value::Number(number as f64))
    }

    fn text(&mut self, cx: &Cx<'_>, length: usize) -> Result<Value, Fault> {
        Ok(Value::String(cx.lua.create_string(self.take(length)?)?))
    }

    fn value(&mut self, cx: &Cx<'_>, depth: usize) -> Result<Value, Fault> {
        cx.shared.step(2)?;
        if depth > UNPACKED_NESTING_MAX {
            return Err(Fault::text(
                "stack overflow (too many return values at once; use unpack_one or unpack_limit \
                 instead.)",
            ));
        }
        let tag = self.take(1)?.first().copied().unwrap_or(0);
        Ok(match tag {
            0x00..=0x7F => Value::Number(f64::from(tag)),
            0x80..=0x8F => self.map(cx, usize::from(tag & 0xF), depth)?,
            0x90..=0x9F => self.array(cx, usize::from(tag & 0xF), depth)?,
            0xA0..=0xBF => self.text(cx, usize::from(tag & 0x1F))?,
            0xC0 => Value::Nil,
            0xC2 | 0xC3 => Value::Boolean(tag == 0xC3),
            0xCA => {
                let bits = self.unsigned(4)? as u32;
                Value::Number(f64::from(f32::from_bits(bits)))
            }
            0xCB => Value::Number(f64::from_bits(self.unsigned(8)?)),
            0xCC..=0xCF => Value::Number(self.unsigned(1 << (tag - 0xCC))? as f64),
            0xD0..=0xD3 => self.signed(1 << (tag - 0xD0))?,
            0xD9..=0xDB => {
                let length = self.length(1 << (tag - 0xD9))?;
                self.text(cx, length)?
            }
            0xDC | 0xDD => {
                let count = self.length(2 << (tag - 0xDC))?;
                self.array(cx, count, depth)?
            }
            0xDE | 0xDF => {
                let count = self.length(2 << (tag - 0xDE))?;
                self.map(cx, count, depth)?
            }
            0xE0..=0xFF => Value::Number(f64::from(tag as i8)),
            _ => return Err(Fault::text("Bad data format in input.")),
        })
    }

    fn array(&mut self, cx: &Cx<'_>, count: usize, depth: usize) -> Result<Value, Fault> {
        let table = cx.lua.create_table()?;
        for at in 1..=count {
            table.raw_set(at, self.value(cx, depth + 1)?)?;
        }
        Ok(Value::Table(table))
    }

    fn map(&mut self, cx: &Cx<'_>, count: usize, depth: usize) -> Result<Value, Fault> {
        let table = cx.lua.create_table()?;
        for _ in 0..count {
            let (key, value) = (self.value(cx, depth + 1)?, self.value(cx, depth + 1)?);
            match key {
                Value::Nil => return Err(Fault::text("table index is nil")),
                Value::Number(number) if number.is_nan() => {
                    return Err(Fault::text("table index is NaN"));
                }
                key => table.raw_set(key, value)?,
            }
        }
        Ok(Value::Table(table))
    }
}

/// Unpacks so many values (0 of all: all there are), from an offset that is one of the arguments.
fn unpack_some(cx: &mut Cx<'_>, limit: i64, offset: usize) -> Result<(), Fault> {
    let text = cx.string(1)?;
    let text = text.as_bytes();
    let offset = if offset == 0 { 0 } else { cx.integer_or(offset, 0)? };
    let length = text.len();
    if offset < 0 || limit < 0 {
        return Err(Fault::text(format!(
            "Invalid request to unpack with offset of {offset} and limit of {length}."
        )));
    }
    let rest = usize::try_from(offset).ok().and_then(|offset| text.get(offset..));
    let rest = rest.ok_or_else(|| {
        Fault::text(format!("Start offset {offset} greater than input length {length}."))
    })?;
    let all = limit == 0 && offset == 0;
    let limit = if all { usize::MAX } else { usize::try_from(limit).unwrap_or(usize::MAX) };
    let mut packed = Packed { rest };
    let mut found = Vec::new();
    while !packed.rest.is_empty() && found.len() < limit {
        if found.len() >= RESULTS_MAX {
            return Err(Fault::text(
                "stack overflow (too many return values at once; use unpack_one or unpack_limit \
                 instead.)",
            ));
        }
        found.push(packed.value(cx, 0)?);
    }
    if !all {
        let left = packed.rest.len();
        cx.put_number(if left == 0 { -1.0 } else { (length - left) as f64 });
    }
    for value in found {
        cx.put(value);
    }
    Ok(())
}
