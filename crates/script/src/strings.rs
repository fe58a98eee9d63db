//! The string library's functions that search, replace, repeat, and `table.concat`.
//!
//! They stand in place of Luau's because those search without counting, and because what they build
//! must fit into the call's budget.

use crate::native::{Cx, Fault, Native, lua_number};
use crate::pattern::{Captured, Matcher};
use mlua::{LuaString, MultiValue, Value};

/// What goes into `string`.
pub(crate) const STRING: &[(&str, Native)] = &[
    ("find", find),
    ("format", crate::format::format),
    ("gsub", gsub),
    ("match", match_one),
    ("rep", rep),
];

/// What goes into `table`.
pub(crate) const TABLE: &[(&str, Native)] = &[("concat", concat)];

/// Bytes that a search must look at as a pattern.
const SPECIAL: &[u8] = b"^$*+?.([%-";

fn find(cx: &mut Cx<'_>) -> Result<(), Fault> {
    search(cx, true)
}

fn match_one(cx: &mut Cx<'_>) -> Result<(), Fault> {
    search(cx, false)
}

fn search(cx: &mut Cx<'_>, find: bool) -> Result<(), Fault> {
    let (text, pattern) = (cx.string(1)?, cx.string(2)?);
    let start = start_of(cx.integer_or(3, 1)?, text.as_bytes().len());
    let (text, pattern) = (text.as_bytes(), pattern.as_bytes());
    let truth = |value: &Value| !matches!(value, Value::Nil | Value::Boolean(false));
    let up_to_zero = pattern.split(|byte| *byte == 0).next().unwrap_or_default();
    let plain = truth(cx.arg(4)) || !up_to_zero.iter().any(|byte| SPECIAL.contains(byte));
    if find && plain {
        cx.shared.step((text.len() - start) as u64 / 64)?;
        let rest = text.get(start..).unwrap_or_default();
        match memchr::memmem::find(rest, &pattern) {
            Some(at) => {
                cx.put_number((start + at + 1) as f64);
                cx.put_number((start + at + pattern.len()) as f64);
            }
            None => cx.put(Value::Nil),
        }
        return Ok(());
    }
    let anchored = pattern.first() == Some(&b'^');
    let items = pattern.get(usize::from(anchored)..).unwrap_or_default();
    let mut matcher = Matcher::new(cx.shared, &text, items);
    for from in start..=text.len() {
        if let Some(end) = matcher.at(from)? {
            if find {
                cx.put_number((from + 1) as f64);
                cx.put_number(end as f64);
            }
            if !find || matcher.has_captures() {
                put_captures(cx, &matcher, (from, end))?;
            }
            return Ok(());
        }
        if anchored {
            break;
        }
    }
    cx.put(Value::Nil);
    Ok(())
}

/// Where a search begins, from its argument: negative ones count from the end.
fn start_of(init: i64, length: usize) -> usize {
    let from_end = usize::try_from(init.unsigned_abs()).unwrap_or(usize::MAX);
    if init < 0 { length.saturating_sub(from_end) } else { from_end.saturating_sub(1).min(length) }
}

fn captured(cx: &Cx<'_>, captured: &Captured<'_>) -> Result<Value, Fault> {
    Ok(match captured {
        Captured::Bytes(bytes) => Value::String(cx.lua.create_string(bytes)?),
        Captured::Position(position) => Value::Number(*position as f64),
    })
}

fn put_captures(
    cx: &mut Cx<'_>,
    matcher: &Matcher<'_>,
    place: (usize, usize),
) -> Result<(), Fault> {
    for at in 0..matcher.captures() {
        let value = captured(cx, &matcher.capture(at, place)?)?;
        cx.put(value);
    }
    Ok(())
}

/// Checks what `gmatch` got: gives both as strings.
pub(crate) fn gmatch_arguments(cx: &mut Cx<'_>) -> Result<(), Fault> {
    let (text, pattern) = (cx.string(1)?, cx.string(2)?);
    cx.put(Value::String(text));
    cx.put(Value::String(pattern));
    Ok(())
}

/// One step of `gmatch`: from where to go on, and what the match gives.
pub(crate) fn gmatch_step(cx: &mut Cx<'_>) -> Result<(), Fault> {
    let (text, pattern) = (cx.string(1)?, cx.string(2)?);
    let start = usize::try_from(cx.integer(3)?).unwrap_or(usize::MAX);
    let (text, pattern) = (text.as_bytes(), pattern.as_bytes());
    let mut matcher = Matcher::new(cx.shared, &text, &pattern);
    for from in start..=text.len() {
        if let Some(end) = matcher.at(from)? {
            cx.put_number(if end == from { end + 1 } else { end } as f64);
            return put_captures(cx, &matcher, (from, end));
        }
    }
    cx.put_number((text.len() + 1) as f64);
    cx.put(Value::Nil);
    Ok(())
}

fn gsub(cx: &mut Cx<'_>) -> Result<(), Fault> {
    let (text, pattern) = (cx.string(1)?, cx.string(2)?);
    let template = match cx.arg(3) {
        Value::Table(_) | Value::Function(_) => None,
        Value::String(_) | Value::Integer(_) | Value::Number(_) => Some(cx.string(3)?),
        _ => return Err(cx.wrong(3, "string/function/table")),
    };
    let (text, pattern) = (text.as_bytes(), pattern.as_bytes());
    let most = cx.integer_or(4, i64::try_from(text.len()).unwrap_or(i64::MAX).saturating_add(1))?;
    let anchored = pattern.first() == Some(&b'^');
    let items = pattern.get(usize::from(anchored)..).unwrap_or_default();
    let mut matcher = Matcher::new(cx.shared, &text, items);
    let (mut out, mut from, mut count) = (Vec::new(), 0, 0_i64);
    while count < most {
        let found = matcher.at(from)?;
        if let Some(end) = found {
            count += 1;
            match &template {
                Some(template) => expand(&mut out, &template.as_bytes(), &matcher, (from, end))?,
                None => replace(cx, &mut out, &matcher, (from, end))?,
            }
            cx.room(out.len())?;
        }
        match (found, text.get(from)) {
            (Some(end), _) if end > from => from = end,
            (_, Some(byte)) => {
                out.push(*byte);
                from += 1;
            }
            (_, None) => break,
        }
        if anchored {
            break;
        }
    }
    out.extend_from_slice(text.get(from..).unwrap_or_default());
    cx.room(out.len())?;
    cx.put_bytes(&out)?;
    cx.put_number(count as f64);
    Ok(())
}

/// A replacement with `%0` to `%9` in it.
fn expand(
    out: &mut Vec<u8>,
    template: &[u8],
    matcher: &Matcher<'_>,
    place: (usize, usize),
) -> Result<(), Fault> {
    let mut bytes = template.iter();
    while let Some(byte) = bytes.next() {
        if *byte != b'%' {
            out.push(*byte);
            continue;
        }
        match bytes.next() {
            Some(b'0') => out.extend_from_slice(matcher.whole(place)),
            Some(digit @ b'1'..=b'9') => {
                match matcher.capture(usize::from(*digit - b'1'), place)? {
                    Captured::Bytes(bytes) => out.extend_from_slice(bytes),
                    Captured::Position(at) => out.extend_from_slice(at.to_string().as_bytes()),
                }
            }
            Some(other) => out.push(*other),
            // C reads the zero byte behind the string.
            None => out.push(0),
        }
    }
    Ok(())
}

/// A replacement that a table or a function gives.
fn replace(
    cx: &mut Cx<'_>,
    out: &mut Vec<u8>,
    matcher: &Matcher<'_>,
    place: (usize, usize),
) -> Result<(), Fault> {
    let mut args = Vec::new();
    let give = match cx.arg(3) {
        Value::Table(table) => {
            args.push(Value::Table(table.clone()));
            args.push(captured(cx, &matcher.capture(0, place)?)?);
            None
        }
        give => {
            for at in 0..matcher.captures() {
                args.push(captured(cx, &matcher.capture(at, place)?)?);
            }
            Some(give.clone())
        }
    };
    match guarded(cx, give, args)? {
        Value::Nil | Value::Boolean(false) => out.extend_from_slice(matcher.whole(place)),
        Value::String(text) => out.extend_from_slice(&text.as_bytes()),
        Value::Integer(number) => out.extend_from_slice(lua_number(number as f64).as_bytes()),
        Value::Number(number) => out.extend_from_slice(lua_number(number).as_bytes()),
        other => {
            let kind = other.type_name();
            return Err(Fault::text(format!("invalid replacement value (a {kind})")));
        }
    }
    Ok(())
}

/// Calls a function of the script's, or without one looks something up in a table of its; an
/// error goes on as it came.
fn guarded(cx: &Cx<'_>, give: Option<Value>, mut args: Vec<Value>) -> Result<Value, Fault> {
    let guards = cx.shared.guards.borrow().clone();
    let Some((pcall, index)) = guards else { return Ok(Value::Nil) };
    args.insert(0, give.unwrap_or(Value::Function(index)));
    let (done, value): (bool, Value) = pcall.call(MultiValue::from_vec(args))?;
    if done { Ok(value) } else { Err(Fault::Raised(value)) }
}

fn rep(cx: &mut Cx<'_>) -> Result<(), Fault> {
    let (text, times) = (cx.string(1)?, cx.integer(2)?);
    let (text, times) = (text.as_bytes(), usize::try_from(times).unwrap_or(0));
    let bytes = text.len().saturating_mul(times);
    cx.room(bytes)?;
    if bytes == 0 { cx.put_bytes(b"") } else { cx.put_bytes(&text.repeat(times)) }
}

fn concat(cx: &mut Cx<'_>) -> Result<(), Fault> {
    let table = cx.table(1)?.clone();
    let between = if cx.arg(2).is_nil() { None } else { Some(cx.string(2)?) };
    let between: Option<&LuaString> = between.as_ref();
    let first = cx.integer_or(3, 1)?;
    let last = match cx.arg(4) {
        Value::Nil => i64::try_from(table.raw_len()).unwrap_or(i64::MAX),
        _ => cx.integer(4)?,
    };
    let mut out = Vec::new();
    let mut at = first;
    while at <= last {
        cx.shared.step(4)?;
        match table.raw_get(at)? {
            Value::String(text) => out.extend_from_slice(&text.as_bytes()),
            Value::Integer(number) => out.extend_from_slice(lua_number(number as f64).as_bytes()),
            Value::Number(number) => out.extend_from_slice(lua_number(number).as_bytes()),
            other => {
                let kind = other.type_name();
                return Err(Fault::text(format!(
                    "invalid value ({kind}) at index {at} in table for 'concat'"
                )));
            }
        }
        if at == last {
            break;
        }
        if let Some(between) = between {
            out.extend_from_slice(&between.as_bytes());
        }
        cx.room(out.len())?;
        at += 1;
    }
    cx.room(out.len())?;
    cx.put_bytes(&out)
}
