//! `cjson`: JSON as lua-cjson reads and writes it.
//!
//! Its functions and settings; reading and writing are below. A table from `cjson.new` has settings
//! of its own.

pub(crate) mod config;
mod decode;
mod encode;

use self::config::{Config, Invalid};
use crate::native::{Cx, Fault, Shared, function};
use mlua::{Function, Lua, Table, Value};
use std::cell::Cell;
use std::rc::Rc;

/// How deep tables may lie in one another, whatever a script sets. Redis stops where its Lua
/// stack ends, at about this.
const DEPTH_MAX: i64 = 2_600;

type Setting = Rc<Cell<Config>>;
type Json = fn(&mut Cx<'_>, &Setting) -> Result<(), Fault>;

const FUNCTIONS: &[(&str, Json)] = &[
    ("decode", decode::decode),
    ("decode_invalid_numbers", decode_invalid_numbers),
    ("decode_max_depth", |cx, setting| depth(cx, setting, |config| &mut config.decode_max_depth)),
    ("encode", encode::encode),
    ("encode_invalid_numbers", encode_invalid_numbers),
    ("encode_keep_buffer", encode_keep_buffer),
    ("encode_max_depth", |cx, setting| depth(cx, setting, |config| &mut config.encode_max_depth)),
    ("encode_number_precision", encode_number_precision),
    ("encode_sparse_array", encode_sparse_array),
    ("new", new),
];

/// The table, with settings of its own.
pub(crate) fn table(
    lua: &Lua,
    shared: &Rc<Shared>,
    wrap: &Function,
    setting: &Setting,
) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    for (name, json) in FUNCTIONS {
        let setting = Rc::clone(setting);
        let raw = function(lua, shared, name, move |cx| json(cx, &setting))?;
        table.raw_set(*name, wrap.call::<Function>(raw)?)?;
    }
    table.raw_set("null", Value::NULL)?;
    table.raw_set("_NAME", "cjson")?;
    table.raw_set("_VERSION", "2.1.0")?;
    Ok(table)
}

fn new(cx: &mut Cx<'_>, _: &Setting) -> Result<(), Fault> {
    let wrap = cx.shared.wrap.borrow().clone();
    if let Some(wrap) = wrap {
        let new = table(cx.lua, cx.shared, &wrap, &Setting::default())?;
        cx.put(Value::Table(new));
    }
    Ok(())
}

/// A setting takes its value, and gives what holds then.
fn change(setting: &Setting, change: impl FnOnce(&mut Config)) -> Config {
    let mut config = setting.get();
    change(&mut config);
    setting.set(config);
    config
}

/// A number within bounds, if there is one.
fn bounded(cx: &Cx<'_>, at: usize, least: i64, most: i64) -> Result<Option<i64>, Fault> {
    if cx.arg(at).is_nil() {
        return Ok(None);
    }
    let number = cx.integer(at)?;
    if number < least || number > most {
        return Err(cx.fault(1, &format!("expected integer between {least} and {most}")));
    }
    Ok(Some(number))
}

/// On or off, if there is one.
fn switch(cx: &Cx<'_>, at: usize) -> Result<Option<bool>, Fault> {
    match cx.arg(at) {
        Value::Nil => Ok(None),
        Value::Boolean(value) => Ok(Some(*value)),
        _ => match &*cx.string(at)?.as_bytes() {
            b"on" => Ok(Some(true)),
            b"off" => Ok(Some(false)),
            other => Err(invalid_option(cx, at, other)),
        },
    }
}

fn invalid_option(cx: &Cx<'_>, at: usize, option: &[u8]) -> Fault {
    cx.fault(at, &format!("invalid option '{}'", String::from_utf8_lossy(option)))
}

fn at_most(cx: &Cx<'_>, count: usize) -> Result<(), Fault> {
    if cx.args.len() <= count {
        return Ok(());
    }
    Err(cx.fault(count + 1, "found too many arguments"))
}

fn depth(cx: &mut Cx<'_>, setting: &Setting, of: fn(&mut Config) -> &mut i64) -> Result<(), Fault> {
    at_most(cx, 1)?;
    let depth = bounded(cx, 1, 1, i64::from(i32::MAX))?;
    let mut config = change(setting, |config| {
        if let Some(depth) = depth {
            *of(config) = depth;
        }
    });
    cx.put_number(*of(&mut config) as f64);
    Ok(())
}

fn encode_number_precision(cx: &mut Cx<'_>, setting: &Setting) -> Result<(), Fault> {
    at_most(cx, 1)?;
    let precision = bounded(cx, 1, 1, 14)?.and_then(|number| usize::try_from(number).ok());
    let config = change(setting, |config| {
        config.precision = precision.unwrap_or(config.precision);
    });
    cx.put_number(config.precision as f64);
    Ok(())
}

fn encode_sparse_array(cx: &mut Cx<'_>, setting: &Setting) -> Result<(), Fault> {
    at_most(cx, 3)?;
    let convert = switch(cx, 1)?;
    let ratio = bounded(cx, 2, 0, i64::from(i32::MAX))?;
    let safe = bounded(cx, 3, 0, i64::from(i32::MAX))?;
    let config = change(setting, |config| {
        config.sparse_convert = convert.unwrap_or(config.sparse_convert);
        config.sparse_ratio = ratio.unwrap_or(config.sparse_ratio);
        config.sparse_safe = safe.unwrap_or(config.sparse_safe);
    });
    cx.put(Value::Boolean(config.sparse_convert));
    cx.put_number(config.sparse_ratio as f64);
    cx.put_number(config.sparse_safe as f64);
    Ok(())
}

fn encode_keep_buffer(cx: &mut Cx<'_>, setting: &Setting) -> Result<(), Fault> {
    at_most(cx, 1)?;
    let keep = switch(cx, 1)?;
    let config = change(setting, |config| {
        config.keep_buffer = keep.unwrap_or(config.keep_buffer);
    });
    cx.put(Value::Boolean(config.keep_buffer));
    Ok(())
}

fn decode_invalid_numbers(cx: &mut Cx<'_>, setting: &Setting) -> Result<(), Fault> {
    at_most(cx, 1)?;
    let allowed = switch(cx, 1)?;
    let config = change(setting, |config| {
        config.decode_invalid = allowed.unwrap_or(config.decode_invalid);
    });
    cx.put(Value::Boolean(config.decode_invalid));
    Ok(())
}

fn encode_invalid_numbers(cx: &mut Cx<'_>, setting: &Setting) -> Result<(), Fault> {
    at_most(cx, 1)?;
    let invalid = match cx.arg(1) {
        Value::String(option) if option.as_bytes() == *b"null" => Some(Invalid::Null),
        _ => switch(cx, 1)?.map(|on| if on { Invalid::Written } else { Invalid::Refused }),
    };
    let config = change(setting, |config| {
        config.encode_invalid = invalid.unwrap_or(config.encode_invalid);
    });
    match config.encode_invalid {
        Invalid::Null => cx.put_bytes(b"null")?,
        other => cx.put(Value::Boolean(other == Invalid::Written)),
    }
    Ok(())
}
