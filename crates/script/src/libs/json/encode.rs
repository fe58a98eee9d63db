//! Lua values as JSON.
//!
//! A table is an array if its keys are whole numbers from 1 on, and else an object; where that
//! leaves too many holes, the settings say what becomes of it.

use super::config::Invalid;
use super::{DEPTH_MAX, Setting};
use crate::native::{Cx, Fault};
use crate::number::general;
use mlua::{Table, Value};

/// A table that is being written; the innermost is the last. No recursion: a script chooses how
/// deep its tables lie.
enum Open {
    Array { table: Table, next: i64, length: i64 },
    Object { pairs: std::vec::IntoIter<(Value, Value)>, first: bool },
}

/// `cjson.encode`
pub(super) fn encode(cx: &mut Cx<'_>, setting: &Setting) -> Result<(), Fault> {
    if cx.args.len() != 1 {
        return Err(cx.fault(1, "expected 1 argument"));
    }
    let (mut out, mut open) = (Vec::new(), Vec::new());
    put_value(cx, setting, (&mut out, &mut open), cx.arg(1))?;
    while let Some(innermost) = open.last_mut() {
        cx.room(out.len())?;
        let value = match innermost {
            Open::Array { next, length, .. } if *next > *length => {
                out.push(b']');
                open.pop();
                continue;
            }
            Open::Array { table, next, .. } => {
                if *next > 1 {
                    out.push(b',');
                }
                *next += 1;
                table.raw_get(*next - 1)?
            }
            Open::Object { pairs, first } => match pairs.next() {
                None => {
                    out.push(b'}');
                    open.pop();
                    continue;
                }
                Some((key, value)) => {
                    if !std::mem::take(first) {
                        out.push(b',');
                    }
                    put_key(setting, &mut out, &key)?;
                    value
                }
            },
        };
        put_value(cx, setting, (&mut out, &mut open), &value)?;
    }
    cx.room(out.len())?;
    cx.put_bytes(&out)
}

fn refused(kind: &Value, reason: &str) -> Fault {
    let kind = match kind {
        Value::Integer(_) => "number",
        Value::LightUserData(_) => "userdata",
        other => other.type_name(),
    };
    Fault::text(format!("Cannot serialise {kind}: {reason}"))
}

fn put_value(
    cx: &Cx<'_>,
    setting: &Setting,
    (out, open): (&mut Vec<u8>, &mut Vec<Open>),
    value: &Value,
) -> Result<(), Fault> {
    cx.shared.step(2)?;
    match value {
        Value::String(text) => put_text(out, &text.as_bytes()),
        Value::Integer(number) => put_number(setting, out, *number as f64)?,
        Value::Number(number) => put_number(setting, out, *number)?,
        Value::Boolean(true) => out.extend_from_slice(b"true"),
        Value::Boolean(false) => out.extend_from_slice(b"false"),
        Value::Nil => out.extend_from_slice(b"null"),
        null if *null == Value::NULL => out.extend_from_slice(b"null"),
        Value::Table(table) => {
            let depth = i64::try_from(open.len()).unwrap_or(i64::MAX) + 1;
            if depth > setting.get().encode_max_depth.min(DEPTH_MAX) {
                let text = format!("Cannot serialise, excessive nesting ({depth})");
                return Err(Fault::text(text));
            }
            if let Some(length) = array_length(cx, setting, table)? {
                out.push(b'[');
                open.push(Open::Array { table: table.clone(), next: 1, length });
            } else {
                out.push(b'{');
                let pairs = all_pairs(cx, table)?.into_iter();
                open.push(Open::Object { pairs, first: true });
            }
        }
        other => return Err(refused(other, "type not supported")),
    }
    Ok(())
}

/// How long the array is, if the table is one: all its keys are whole numbers from 1 on.
fn array_length(cx: &Cx<'_>, setting: &Setting, table: &Table) -> Result<Option<i64>, Fault> {
    let (mut longest, mut items) = (0, 0_i64);
    for pair in table.pairs::<Value, Value>() {
        cx.shared.step(1)?;
        let (key, _) = pair?;
        match key {
            Value::Integer(at) if at >= 1 => longest = longest.max(at),
            _ => return Ok(None),
        }
        items += 1;
    }
    let config = setting.get();
    let sparse = config.sparse_ratio > 0
        && longest > items.saturating_mul(config.sparse_ratio)
        && longest > config.sparse_safe;
    match (sparse, config.sparse_convert) {
        (true, false) => Err(Fault::text("Cannot serialise table: excessively sparse array")),
        (true, true) => Ok(None),
        (false, _) => Ok(Some(longest).filter(|longest| *longest > 0)),
    }
}

/// What an object holds. Beside the heap it takes more than there, so it has the heap's bound.
fn all_pairs(cx: &Cx<'_>, table: &Table) -> Result<Vec<(Value, Value)>, Fault> {
    let mut pairs = Vec::new();
    for pair in table.pairs::<Value, Value>() {
        cx.shared.step(1)?;
        cx.room(pairs.len() * size_of::<(Value, Value)>())?;
        pairs.push(pair?);
    }
    Ok(pairs)
}

fn put_key(setting: &Setting, out: &mut Vec<u8>, key: &Value) -> Result<(), Fault> {
    match key {
        Value::String(text) => put_text(out, &text.as_bytes()),
        Value::Integer(_) | Value::Number(_) => {
            out.push(b'"');
            let number = key.as_number().or(key.as_integer().map(|number| number as f64));
            put_number(setting, out, number.unwrap_or_default())?;
            out.push(b'"');
        }
        other => return Err(refused(other, "table key must be a number or string")),
    }
    out.push(b':');
    Ok(())
}

fn put_number(setting: &Setting, out: &mut Vec<u8>, number: f64) -> Result<(), Fault> {
    let config = setting.get();
    match config.encode_invalid {
        Invalid::Refused if !number.is_finite() => {
            return Err(refused(&Value::Number(number), "must not be NaN or Inf"));
        }
        Invalid::Null if !number.is_finite() => out.extend_from_slice(b"null"),
        Invalid::Written if number.is_nan() => out.extend_from_slice(b"nan"),
        _ => out.extend_from_slice(general(number, config.precision).as_bytes()),
    }
    Ok(())
}

fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    for byte in text {
        let escaped = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'/' => "\\/",
            8 => "\\b",
            b'\t' => "\\t",
            b'\n' => "\\n",
            12 => "\\f",
            b'\r' => "\\r",
            0..32 | 127 => {
                out.extend_from_slice(b"\\u00");
                for digit in [byte >> 4, byte & 0xF] {
                    out.push(if digit < 10 { b'0' + digit } else { b'a' + digit - 10 });
                }
                continue;
            }
            other => {
                out.push(*other);
                continue;
            }
        };
        out.extend_from_slice(escaped.as_bytes());
    }
    out.push(b'"');
}
