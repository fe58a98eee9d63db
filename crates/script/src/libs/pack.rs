//! `struct`: values as bytes, with sizes and alignment as C has them.
//!
//! A format says what stands where, one letter each. Sizes that a script may choose have bounds,
//! and no sum of them is trusted.

use super::RESULTS_MAX;
use crate::native::{Cx, Fault, Native, truncated};
use mlua::Value;

/// The functions.
pub(crate) const STRUCT: &[(&str, Native)] = &[("pack", pack), ("size", size), ("unpack", unpack)];

/// The largest integer, in bytes.
const INTEGER_BYTES_MAX: usize = 32;
/// What `!` alone aligns to.
const ALIGN_MAX: usize = 8;

/// A format, read from left to right.
struct Format<'a> {
    rest: &'a [u8],
    big: bool,
    align: usize,
}

impl<'a> Format<'a> {
    fn new(format: &'a [u8]) -> Self {
        let end = memchr::memchr(0, format).unwrap_or(format.len());
        Format { rest: format.get(..end).unwrap_or(format), big: false, align: 1 }
    }

    /// A number in the format, or what stands for a missing one.
    fn number(&mut self, default: usize) -> Result<usize, Fault> {
        let digits = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (digits, rest) = self.rest.split_at(digits);
        self.rest = rest;
        if digits.is_empty() {
            return Ok(default);
        }
        let number = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
        let number: i32 = number.ok_or_else(|| Fault::text("integral size overflow"))?;
        Ok(usize::try_from(number).unwrap_or(0))
    }

    /// The next option, its size, and how many bytes stand before it at this position.
    fn next(&mut self, position: usize) -> Result<Option<(u8, usize, usize)>, Fault> {
        let Some((option, rest)) = self.rest.split_first() else { return Ok(None) };
        self.rest = rest;
        let size = match option {
            b'B' | b'b' | b'x' => 1,
            b'H' | b'h' => 2,
            b'f' => 4,
            b'L' | b'l' | b'T' | b'd' => 8,
            b'c' => self.number(1)?,
            b'i' | b'I' => {
                let size = self.number(4)?;
                if size > INTEGER_BYTES_MAX {
                    return Err(Fault::text(format!(
                        "integral size {size} is larger than limit of {INTEGER_BYTES_MAX}"
                    )));
                }
                size
            }
            _ => 0,
        };
        let before = if size == 0 || *option == b'c' {
            0
        } else {
            let to = size.min(self.align);
            to.wrapping_sub(position & (to - 1)) & (to - 1)
        };
        Ok(Some((*option, size, before)))
    }

    /// Byte order and alignment.
    fn control(&mut self, cx: &Cx<'_>, option: u8) -> Result<(), Fault> {
        match option {
            b' ' => (),
            b'>' => self.big = true,
            b'<' => self.big = false,
            b'!' => {
                let align = self.number(ALIGN_MAX)?;
                if !align.is_power_of_two() {
                    return Err(Fault::text(format!("alignment {align} is not a power of 2")));
                }
                self.align = align;
            }
            other => {
                let option = char::from(other);
                return Err(cx.fault(1, &format!("invalid format option '{option}'")));
            }
        }
        Ok(())
    }

    /// Bytes in this format's order, from such with the lowest first.
    fn ordered(&self, mut bytes: Vec<u8>) -> Vec<u8> {
        if self.big {
            bytes.reverse();
        }
        bytes
    }
}

fn pack(cx: &mut Cx<'_>) -> Result<(), Fault> {
    let format = cx.string(1)?;
    let format = format.as_bytes();
    let mut format = Format::new(&format);
    let (mut out, mut arg) = (Vec::new(), 2);
    while let Some((option, size, before)) = format.next(out.len())? {
        cx.shared.step(1)?;
        cx.room(out.len() + before + size)?;
        out.resize(out.len() + before, 0);
        match option {
            b'b' | b'B' | b'h' | b'H' | b'l' | b'L' | b'T' | b'i' | b'I' => {
                let number = cx.number(arg)?;
                let value = if number < 0.0 { truncated(number) as u64 } else { number as u64 };
                let mut bytes = value.to_le_bytes().to_vec();
                bytes.resize(size, 0);
                out.extend(format.ordered(bytes));
                arg += 1;
            }
            b'x' => out.push(0),
            b'f' => {
                let number = cx.number(arg)? as f32;
                out.extend(format.ordered(number.to_le_bytes().to_vec()));
                arg += 1;
            }
            b'd' => {
                out.extend(format.ordered(cx.number(arg)?.to_le_bytes().to_vec()));
                arg += 1;
            }
            b'c' | b's' => {
                let text = cx.string(arg)?;
                let text = text.as_bytes();
                arg += 1;
                let size = if size == 0 { text.len() } else { size };
                let text = text.get(..size).ok_or_else(|| cx.fault(arg, "string too short"))?;
                out.extend_from_slice(text);
                if option == b's' {
                    out.push(0);
                }
            }
            other => format.control(cx, other)?,
        }
    }
    cx.room(out.len())?;
    cx.put_bytes(&out)
}

/// An integer of bytes in their order; beyond 64 bits the lowest count.
fn integer(bytes: &[u8], big: bool, signed: bool) -> f64 {
    let next = |value: u64, byte: &u8| (value << 8) | u64::from(*byte);
    let value = if big { bytes.iter().fold(0, next) } else { bytes.iter().rev().fold(0, next) };
    if !signed {
        return value as f64;
    }
    match bytes.len() {
        0 => 0.0,
        size @ 1..8 => {
            let unused = 64 - size * 8;
            (((value << unused) as i64) >> unused) as f64
        }
        _ => (value as i64) as f64,
    }
}

fn unpack(cx: &mut Cx<'_>) -> Result<(), Fault> {
    let (format, data) = (cx.string(1)?, cx.string(2)?);
    let (format, data) = (format.as_bytes(), data.as_bytes());
    let start = usize::try_from(cx.integer_or(3, 1)?).ok().and_then(|at| at.checked_sub(1));
    let mut at = start.ok_or_else(|| cx.fault(3, "offset must be 1 or greater"))?;
    let short = |cx: &Cx<'_>| cx.fault(2, "data string too short");
    let mut format = Format::new(&format);
    let mut found: Vec<Value> = Vec::new();
    while let Some((option, mut size, before)) = format.next(at)? {
        cx.shared.step(1)?;
        at = at.saturating_add(before);
        let rest = data.get(at..).filter(|rest| size <= rest.len()).ok_or_else(|| short(cx))?;
        let bytes = rest.get(..size).unwrap_or_default();
        if found.len() >= RESULTS_MAX {
            return Err(Fault::text("stack overflow (too many results)"));
        }
        match option {
            b'b' | b'B' | b'h' | b'H' | b'l' | b'L' | b'T' | b'i' | b'I' => {
                let signed = option.is_ascii_lowercase();
                found.push(Value::Number(integer(bytes, format.big, signed)));
            }
            b'x' => (),
            b'f' => {
                let bytes = format.ordered(bytes.to_vec()).try_into().unwrap_or_default();
                found.push(Value::Number(f64::from(f32::from_le_bytes(bytes))));
            }
            b'd' => {
                let bytes = format.ordered(bytes.to_vec()).try_into().unwrap_or_default();
                found.push(Value::Number(f64::from_le_bytes(bytes)));
            }
            b'c' => {
                if size == 0 {
                    let Some(Value::Number(length)) = found.pop() else {
                        return Err(Fault::text("format 'c0' needs a previous size"));
                    };
                    size = usize::try_from(truncated(length)).unwrap_or(usize::MAX);
                }
                let text = rest.get(..size).ok_or_else(|| short(cx))?;
                found.push(Value::String(cx.lua.create_string(text)?));
            }
            b's' => {
                let end = memchr::memchr(0, rest);
                let end = end.ok_or_else(|| Fault::text("unfinished string in data"))?;
                let text = rest.get(..end).unwrap_or_default();
                found.push(Value::String(cx.lua.create_string(text)?));
                size = end + 1;
            }
            other => format.control(cx, other)?,
        }
        at = at.saturating_add(size);
    }
    for value in found {
        cx.put(value);
    }
    cx.put_number((at + 1) as f64);
    Ok(())
}

fn size(cx: &mut Cx<'_>) -> Result<(), Fault> {
    let format = cx.string(1)?;
    let format = format.as_bytes();
    let mut format = Format::new(&format);
    let mut at = 0_usize;
    while let Some((option, size, before)) = format.next(at)? {
        at = at.saturating_add(before);
        match option {
            b's' => return Err(cx.fault(1, "option 's' has no fixed size")),
            b'c' if size == 0 => return Err(cx.fault(1, "option 'c0' has no fixed size")),
            other if !other.is_ascii_alphanumeric() => format.control(cx, other)?,
            _ => (),
        }
        at = at.saturating_add(size);
    }
    cx.put_number(at as f64);
    Ok(())
}
