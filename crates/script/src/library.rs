//! Libraries: what their text registers with `redis.register_function`.
//!
//! While its text runs, a library sees little more than that; what it registers is kept in the
//! state and called later, with all that scripts see.

use crate::api;
use crate::native::{Cx, Fault, Registered, Shared, function, seal};
use mlua::{Lua, Table, Value};
use quorate_engine::{Function, ScriptFlags};
use std::rc::Rc;

/// `redis.register_function`.
pub(crate) fn register(
    lua: &Lua,
    shared: &Rc<Shared>,
    wrappers: &Table,
) -> mlua::Result<mlua::Function> {
    let wrap: mlua::Function = wrappers.raw_get("wrap")?;
    wrap.call(function(lua, shared, "register_function", register_function)?)
}

/// What a library sees while it is loaded.
pub(crate) fn loading(
    lua: &Lua,
    wrappers: &Table,
    register: mlua::Function,
    meta: Table,
) -> mlua::Result<Table> {
    let redis = lua.create_table()?;
    redis.raw_set("register_function", register)?;
    api::log_and_version(wrappers, &redis)?;
    redis.set_metatable(Some(meta.clone()))?;
    let globals = lua.create_table()?;
    globals.raw_set("redis", redis)?;
    globals.set_metatable(Some(meta))?;
    seal(&globals)?;
    Ok(globals)
}

fn register_function(cx: &mut Cx<'_>) -> Result<(), Fault> {
    if cx.shared.registered.borrow().is_none() {
        let text = "redis.register_function can only be called on FUNCTION LOAD command";
        return Err(Fault::redis(text));
    }
    let registered = match cx.args {
        [Value::Table(named)] => named_arguments(named)?,
        [_] => {
            return Err(Fault::redis(
                "calling redis.register_function with a single argument is only applicable to Lua \
                 table (representing named arguments).",
            ));
        }
        [name, callback] => positional_arguments(name, callback)?,
        _ => {
            return Err(Fault::redis("wrong number of arguments to redis.register_function"));
        }
    };
    if !is_name(registered.function.name.as_bytes()) {
        return Err(Fault::redis(NAMES));
    }
    let mut all = cx.shared.registered.borrow_mut();
    let Some(all) = all.as_mut() else { return Ok(()) };
    if all.iter().any(|other| other.function.name == registered.function.name) {
        return Err(Fault::redis("Function already exists in the library"));
    }
    all.push(registered);
    Ok(())
}

/// What Redis says of a wrong name, a function's too.
const NAMES: &str = "Library names can only contain letters, numbers, or underscores(_) and must \
                     be at least one character long";

fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
}

fn text(value: &Value) -> Option<String> {
    crate::convert::error_text(value).map(|text| String::from_utf8_lossy(&text).into_owned())
}

fn positional_arguments(name: &Value, callback: &Value) -> Result<Registered, Fault> {
    let Some(name) = text(name) else {
        return Err(Fault::redis("first argument to redis.register_function must be a string"));
    };
    let Value::Function(callback) = callback else {
        return Err(Fault::redis("second argument to redis.register_function must be a function"));
    };
    let function = Function { name, description: None, flags: ScriptFlags::default() };
    Ok(Registered { function, callback: callback.clone() })
}

fn named_arguments(named: &Table) -> Result<Registered, Fault> {
    let (mut name, mut description, mut callback) = (None, None, None);
    let mut flags = ScriptFlags::default();
    for pair in named.pairs::<Value, Value>() {
        let (key, value) = pair?;
        let Some(key) = text(&key) else {
            return Err(Fault::redis(
                "named argument key given to redis.register_function is not a string",
            ));
        };
        match key.to_ascii_lowercase().as_str() {
            "function_name" => name = Some(text_argument("function_name", &value)?),
            "description" => description = Some(text_argument("description", &value)?),
            "callback" => match value {
                Value::Function(function) => callback = Some(function),
                _ => {
                    return Err(Fault::redis(
                        "callback argument given to redis.register_function must be a function",
                    ));
                }
            },
            "flags" => flags = read_flags(&value)?,
            _ => {
                return Err(Fault::redis("unknown argument given to redis.register_function"));
            }
        }
    }
    let Some(name) = name else {
        return Err(Fault::redis("redis.register_function must get a function name argument"));
    };
    let Some(callback) = callback else {
        return Err(Fault::redis("redis.register_function must get a callback argument"));
    };
    Ok(Registered { function: Function { name, description, flags }, callback })
}

fn text_argument(name: &str, value: &Value) -> Result<String, Fault> {
    text(value).ok_or_else(|| {
        Fault::redis(format!("{name} argument given to redis.register_function must be a string"))
    })
}

fn read_flags(value: &Value) -> Result<ScriptFlags, Fault> {
    let Value::Table(names) = value else {
        return Err(Fault::redis(
            "flags argument to redis.register_function must be a table representing function flags",
        ));
    };
    let mut flags = ScriptFlags::default();
    for at in 1_i64.. {
        let name: Value = names.raw_get(at)?;
        if name.is_nil() {
            break;
        }
        let flag = text(&name).map(|name| name.to_ascii_lowercase());
        match flag.and_then(|name| ScriptFlags::named(name.as_bytes())) {
            Some(flag) => flags = flags.and(flag),
            None => return Err(Fault::redis("unknown flag given")),
        }
    }
    Ok(flags)
}
