//! Replies as Lua values and back, as Redis converts them.
//!
//! What a command answers becomes what the script hears, in RESP2's terms or RESP3's; what the
//! script gives becomes its reply, within the budget of bytes and depth. Nothing here runs a
//! script's code.

use crate::native::{Fault, Shared, error_table, lua_number, stop_error, truncated};
use mlua::{Lua, LuaString, Table, Value};
use quorate_engine::{Host, Stopped};
use quorate_resp::{Reply, double_text};
use std::borrow::Cow;

/// How deep the tables of a reply may lie in one another. Redis stops where its Lua stack ends.
const DEPTH_MAX: usize = 200;
/// What a reply's own entry weighs in the budget, whatever is in it.
const ENTRY_BYTES: usize = 32;
/// Values of a reply between two questions to the host: some 100 µs.
const VALUES_BETWEEN_QUESTIONS: u32 = 500;

/// What a command answered, as the script hears it.
pub(crate) fn to_lua(lua: &Lua, reply: &Reply<'_>, resp3: bool) -> mlua::Result<Value> {
    Ok(match reply {
        Reply::Simple(text) => one_field(lua, "ok", string(lua, text.as_bytes())?)?,
        Reply::Error(text) => Value::Table(error_of(lua, text.as_bytes())?),
        Reply::Int(number) => Value::Number(*number as f64),
        Reply::Bulk(bytes) => string(lua, bytes)?,
        Reply::Decimal(_) | Reply::Chunks(_) => match reply.text() {
            Some(text) => string(lua, &text)?,
            None => Value::Nil,
        },
        Reply::Null | Reply::NullArray if resp3 => Value::Nil,
        Reply::Null | Reply::NullArray => Value::Boolean(false),
        Reply::Strings(strings) => {
            let table = lua.create_table_with_capacity(strings.len(), 0)?;
            for item in strings.iter() {
                table.raw_push(lua.create_string(item)?)?;
            }
            Value::Table(table)
        }
        Reply::Map(pairs) if resp3 => map(lua, pairs)?,
        Reply::Keyed(pairs) if resp3 => map(lua, pairs)?,
        Reply::Pairs(pairs) if resp3 => nested(lua, pairs, resp3)?,
        Reply::Keyed(pairs) => nested(lua, pairs, resp3)?,
        Reply::Map(pairs) | Reply::Pairs(pairs) => {
            array(lua, pairs.iter().flat_map(|(key, value)| [key, value]), resp3)?
        }
        Reply::Set(items) if resp3 => {
            let set = lua.create_table()?;
            for item in items {
                let item = to_lua(lua, item, resp3)?;
                if !item.is_nil() {
                    set.raw_set(item, true)?;
                }
            }
            one_field(lua, "set", Value::Table(set))?
        }
        Reply::Array(items) | Reply::Push(items) | Reply::Set(items) => {
            array(lua, items.iter(), resp3)?
        }
        Reply::Double(number) if resp3 => one_field(lua, "double", Value::Number(*number))?,
        Reply::Double(number) => string(lua, double_text(*number).as_bytes())?,
        Reply::Digits(text) if resp3 => {
            one_field(lua, "double", Value::Number(text.parse().unwrap_or(f64::NAN)))?
        }
        Reply::Digits(text) => string(lua, text.as_bytes())?,
        Reply::Bool(value) if resp3 => Value::Boolean(*value),
        Reply::Bool(value) => Value::Number(f64::from(u8::from(*value))),
        Reply::BigNumber(digits) if resp3 => {
            one_field(lua, "big_number", string(lua, digits.as_bytes())?)?
        }
        Reply::BigNumber(digits) => string(lua, digits.as_bytes())?,
        Reply::Verbatim(format, text) if resp3 => {
            let table = lua.create_table_with_capacity(0, 2)?;
            table.raw_set("string", lua.create_string(text)?)?;
            table.raw_set("format", lua.create_string(format)?)?;
            one_field(lua, "verbatim_string", Value::Table(table))?
        }
        Reply::Verbatim(_, text) => string(lua, text)?,
        Reply::Attributed(_, reply) => to_lua(lua, reply, resp3)?,
    })
}

fn string(lua: &Lua, bytes: &[u8]) -> mlua::Result<Value> {
    Ok(Value::String(lua.create_string(bytes)?))
}

fn one_field(lua: &Lua, name: &str, value: Value) -> mlua::Result<Value> {
    let table = lua.create_table_with_capacity(0, 1)?;
    table.raw_set(name, value)?;
    Ok(Value::Table(table))
}

fn array<'a>(
    lua: &Lua,
    items: impl Iterator<Item = &'a Reply<'a>>,
    resp3: bool,
) -> mlua::Result<Value> {
    let table = lua.create_table_with_capacity(items.size_hint().0, 0)?;
    for (at, item) in (1..).zip(items) {
        table.raw_seti(at, to_lua(lua, item, resp3)?)?;
    }
    Ok(Value::Table(table))
}

fn nested(lua: &Lua, pairs: &[(Reply<'_>, Reply<'_>)], resp3: bool) -> mlua::Result<Value> {
    let table = lua.create_table_with_capacity(pairs.len(), 0)?;
    for (at, (key, value)) in (1..).zip(pairs) {
        let pair = lua.create_table_with_capacity(2, 0)?;
        pair.raw_seti(1, to_lua(lua, key, resp3)?)?;
        pair.raw_seti(2, to_lua(lua, value, resp3)?)?;
        table.raw_seti(at, pair)?;
    }
    Ok(Value::Table(table))
}

/// Only in RESP3.
fn map(lua: &Lua, pairs: &[(Reply<'_>, Reply<'_>)]) -> mlua::Result<Value> {
    let table = lua.create_table_with_capacity(0, pairs.len())?;
    for (key, value) in pairs {
        let key = to_lua(lua, key, true)?;
        if !key.is_nil() {
            table.raw_set(key, to_lua(lua, value, true)?)?;
        }
    }
    one_field(lua, "map", Value::Table(table))
}

/// A command's error. An error without a code gets `ERR`; the mark is Redis's, for its statistics.
pub(crate) fn error_of(lua: &Lua, text: &[u8]) -> mlua::Result<Table> {
    let parts: &[&[u8]] = if text.contains(&b' ') { &[text] } else { &[b"ERR ", text] };
    let table = error_table(lua, parts)?;
    table.raw_set("ignore_error_stats_update", true)?;
    Ok(table)
}

/// The fields that make a table something else than an array, as Lua has them.
pub(crate) struct Names {
    err: LuaString,
    ok: LuaString,
    double: LuaString,
    big_number: LuaString,
    verbatim_string: LuaString,
    map: LuaString,
    set: LuaString,
}

impl Names {
    pub(crate) fn new(lua: &Lua) -> mlua::Result<Self> {
        Ok(Names {
            err: lua.create_string("err")?,
            ok: lua.create_string("ok")?,
            double: lua.create_string("double")?,
            big_number: lua.create_string("big_number")?,
            verbatim_string: lua.create_string("verbatim_string")?,
            map: lua.create_string("map")?,
            set: lua.create_string("set")?,
        })
    }
}

/// Makes a script's result a reply.
pub(crate) struct Converter<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) names: &'a Names,
    /// Asked now and then whether to go on: the script is at its end, so nobody else does.
    pub(crate) host: &'a mut dyn Host,
    /// Values since it was asked.
    pub(crate) values: u32,
    /// Bytes that the reply may still have.
    pub(crate) room: usize,
}

impl Converter<'_> {
    /// A value as a reply. It reads tables raw, so it runs nothing of the script's.
    pub(crate) fn reply(&mut self, value: &Value, depth: usize) -> Result<Reply<'static>, Fault> {
        if depth > DEPTH_MAX {
            return Ok(Reply::error("ERR reached lua stack limit"));
        }
        self.weigh(0)?;
        self.values += 1;
        if self.values.is_multiple_of(VALUES_BETWEEN_QUESTIONS)
            && let Some(stopped) = self.host.stop()
        {
            return Err(self.stopped(stopped));
        }
        Ok(match value {
            Value::String(text) => Reply::owned(self.bytes(text)?),
            Value::Boolean(value) if self.shared.resp3.get() => Reply::Bool(*value),
            Value::Boolean(true) => Reply::Int(1),
            Value::Integer(number) => Reply::Int(*number),
            Value::Number(number) => Reply::Int(truncated(*number)),
            Value::Table(table) => self.table(table, depth)?,
            _ => Reply::Null,
        })
    }

    fn table(&mut self, table: &Table, depth: usize) -> Result<Reply<'static>, Fault> {
        if let Value::String(text) = table.raw_get(&self.names.err)? {
            return Ok(Reply::error_of(&[&self.bytes(&text)?]));
        }
        if let Value::String(text) = table.raw_get(&self.names.ok)? {
            return Ok(Reply::Simple(Cow::Owned(one_line(&self.bytes(&text)?))));
        }
        match table.raw_get(&self.names.double)? {
            Value::Integer(number) => return Ok(Reply::Double(number as f64)),
            Value::Number(number) => return Ok(Reply::Double(number)),
            _ => (),
        }
        if let Value::String(digits) = table.raw_get(&self.names.big_number)? {
            return Ok(Reply::BigNumber(one_line(&self.bytes(&digits)?)));
        }
        if let Value::Table(verbatim) = table.raw_get(&self.names.verbatim_string)?
            && let Value::String(format) = verbatim.raw_get("format")?
            && let Value::String(text) = verbatim.raw_get("string")?
        {
            let mut three = *b"   ";
            for (to, from) in three.iter_mut().zip(format.as_bytes().iter()) {
                *to = *from;
            }
            return Ok(Reply::Verbatim(three, Cow::Owned(self.bytes(&text)?)));
        }
        if let Value::Table(map) = table.raw_get(&self.names.map)? {
            let mut pairs = Vec::new();
            for pair in map.pairs::<Value, Value>() {
                let (key, value) = pair?;
                pairs.push((self.reply(&key, depth + 1)?, self.reply(&value, depth + 1)?));
            }
            return Ok(Reply::Map(pairs));
        }
        if let Value::Table(set) = table.raw_get(&self.names.set)? {
            let mut items = Vec::new();
            for pair in set.pairs::<Value, Value>() {
                items.push(self.reply(&pair?.0, depth + 1)?);
            }
            return Ok(Reply::Set(items));
        }
        let mut items = Vec::new();
        for at in 1_i64.. {
            match table.raw_get(at)? {
                Value::Nil => break,
                item => items.push(self.reply(&item, depth + 1)?),
            }
        }
        Ok(Reply::Array(items))
    }

    fn bytes(&mut self, text: &LuaString) -> Result<Vec<u8>, Fault> {
        let bytes = text.as_bytes();
        self.weigh(bytes.len())?;
        Ok(bytes.to_vec())
    }

    fn weigh(&mut self, bytes: usize) -> Result<(), Fault> {
        match self.room.checked_sub(bytes + ENTRY_BYTES) {
            Some(room) => {
                self.room = room;
                Ok(())
            }
            None => Err(self.stopped(Stopped::Reply)),
        }
    }

    #[cold]
    fn stopped(&self, stopped: Stopped) -> Fault {
        self.shared.stopped.set(Some(stopped));
        Fault::Lua(stop_error())
    }
}

/// A status has one line, and is text.
fn one_line(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace(['\r', '\n'], " ")
}

/// An argument of `redis.call`: a string, or a number as Redis 7.2 writes it. `None`: neither.
pub(crate) fn word(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::String(text) => Some(text.as_bytes().to_vec()),
        Value::Integer(number) => Some(double_text(*number as f64).as_bytes().to_vec()),
        Value::Number(number) => Some(double_text(*number).as_bytes().to_vec()),
        _ => None,
    }
}

/// An error's text, if the value has one: a string or a number.
pub(crate) fn error_text(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::String(text) => Some(text.as_bytes().to_vec()),
        Value::Integer(number) => Some(lua_number(*number as f64).into_bytes()),
        Value::Number(number) => Some(lua_number(*number).into_bytes()),
        _ => None,
    }
}
