//! The globals that are Lua's own: which of Luau's stay, and what stands in place of others.
//!
//! Redis's Lua is 5.1, with less in it. What Luau has besides goes; what it has otherwise, and what
//! could run without an end, is replaced.

use crate::libs::{self, json};
use crate::native::{Cx, Fault, Native, Shared, function, lua_number, put, truncated};
use crate::source::{SOURCE_MAX, compile};
use crate::strings;
use mlua::{Function, Lua, LuaString, MultiValue, Table, Value};
use std::rc::Rc;

/// Luau's own that stay as they are.
const KEPT: &[&str] = &[
    "assert",
    "error",
    "ipairs",
    "newproxy",
    "next",
    "pairs",
    "rawequal",
    "rawget",
    "rawset",
    "select",
    "setmetatable",
    "getmetatable",
    "tonumber",
    "type",
    "unpack",
    "xpcall",
];
/// Those of its libraries.
const KEPT_IN: &[(&str, &[&str])] = &[
    ("coroutine", &["create", "resume", "running", "status", "wrap", "yield"]),
    (
        "math",
        &[
            "abs", "acos", "asin", "atan", "atan2", "ceil", "cos", "cosh", "deg", "exp", "floor",
            "fmod", "frexp", "huge", "ldexp", "log10", "max", "min", "modf", "pi", "pow", "rad",
            "sin", "sinh", "sqrt", "tan", "tanh",
        ],
    ),
    ("os", &["clock"]),
    ("string", &["byte", "char", "len", "lower", "reverse", "sub", "upper"]),
    ("table", &["foreach", "foreachi", "getn", "insert", "maxn", "remove", "sort"]),
];

/// The wrappers of `prelude.lua`.
pub(crate) fn prelude(
    lua: &Lua,
    shared: &Rc<Shared>,
    slot: &Table,
    globals: &Table,
) -> mlua::Result<Table> {
    let luau = lua.globals();
    let native = lua.create_table()?;
    for name in ["error", "type", "xpcall", "pcall", "tostring", "getfenv", "setfenv", "select"] {
        native.raw_set(name, luau.raw_get::<Value>(name)?)?;
    }
    native.raw_set("info", luau.raw_get::<Table>("debug")?.raw_get::<Value>("info")?)?;
    native.raw_set("concat", luau.raw_get::<Table>("table")?.raw_get::<Value>("concat")?)?;
    let raw = lua.create_table()?;
    raw.raw_set(
        "texts",
        lua.create_function(|lua, text: LuaString| {
            let as_redis = crate::texts::as_redis(&text.as_bytes());
            as_redis.map_or(Ok(text), |text| lua.create_string(text))
        })?,
    )?;
    raw.raw_set(
        "decimal",
        lua.create_function(|lua, (number, zero): (f64, bool)| {
            if zero { lua.create_string("-0") } else { lua.create_string(lua_number(number)) }
        })?,
    )?;
    raw.raw_set("globals", globals)?;
    raw.raw_set("source_max", SOURCE_MAX)?;
    let environment = globals.clone();
    raw.raw_set(
        "load",
        lua.create_function(move |lua, (source, name): (LuaString, LuaString)| {
            load(lua, &source.as_bytes(), &name.to_string_lossy(), &environment)
        })?,
    )?;
    for (name, native) in RAW {
        raw.raw_set(*name, function(lua, shared, "gmatch", *native)?)?;
    }
    let nothing = lua.create_table()?;
    nothing.set_readonly(true);
    let prelude = compile(lua, include_bytes!("prelude.lua"), "=prelude", &nothing)?;
    let pcall: Function = native.raw_get("pcall")?;
    let wrappers: Table = prelude.call((native, raw, slot))?;
    *shared.guards.borrow_mut() = Some((pcall, wrappers.raw_get("index")?));
    Ok(wrappers)
}

/// What the prelude calls by itself.
const RAW: &[(&str, Native)] =
    &[("gmatch_arguments", strings::gmatch_arguments), ("gmatch_step", strings::gmatch_step)];

/// Compiles what a script made: the function, or nil and what is wrong.
fn load(lua: &Lua, source: &[u8], name: &str, environment: &Table) -> mlua::Result<MultiValue> {
    match compile(lua, source, name, environment) {
        Ok(function) => Ok(MultiValue::from_vec(vec![Value::Function(function)])),
        Err(mlua::Error::SyntaxError { message, .. }) => {
            let message = Value::String(lua.create_string(message)?);
            Ok(MultiValue::from_vec(vec![Value::Nil, message]))
        }
        Err(error) => Err(error),
    }
}

/// Fills the globals with Lua's own.
pub(crate) fn fill(
    lua: &Lua,
    shared: &Rc<Shared>,
    wrappers: &Table,
    globals: &Table,
) -> mlua::Result<()> {
    let luau = lua.globals();
    for name in KEPT {
        globals.raw_set(*name, luau.raw_get::<Value>(*name)?)?;
    }
    for (library, names) in KEPT_IN {
        let (from, to) = (luau.raw_get::<Table>(*library)?, lua.create_table()?);
        for name in *names {
            to.raw_set(*name, from.raw_get::<Value>(*name)?)?;
        }
        globals.raw_set(*library, to)?;
    }
    for name in ["pcall", "tostring", "getfenv", "setfenv", "load", "loadstring"] {
        globals.raw_set(name, wrappers.raw_get::<Value>(name)?)?;
    }
    globals.raw_set("_VERSION", "Lua 5.1")?;
    let wrap: Function = wrappers.raw_get("wrap")?;
    globals.raw_set("cjson", json::table(lua, shared, &wrap, &shared.json)?)?;
    *shared.wrap.borrow_mut() = Some(wrap);
    for library in ["bit", "cmsgpack", "struct"] {
        globals.raw_set(library, lua.create_table()?)?;
    }
    let string: Table = globals.raw_get("string")?;
    for name in ["gmatch", "gfind"] {
        string.raw_set(name, wrappers.raw_get::<Value>("gmatch")?)?;
    }
    // What `("x"):rep(2)` finds.
    let of_strings = lua.create_table()?;
    of_strings.raw_set("__index", &string)?;
    of_strings.set_readonly(true);
    lua.set_type_metatable::<LuaString>(Some(of_strings));
    let math: Table = globals.raw_get("math")?;
    math.raw_set("mod", math.raw_get::<Value>("fmod")?)?;
    for (library, functions) in OURS {
        let table = if library.is_empty() { globals.clone() } else { globals.raw_get(*library)? };
        for (name, native) in *functions {
            put(lua, shared, wrappers, &table, (name, *native))?;
        }
    }
    Ok(())
}

/// The functions that are written here.
const OURS: &[(&str, &[(&str, Native)])] = &[
    ("", &[("collectgarbage", collectgarbage), ("gcinfo", gcinfo)]),
    ("bit", libs::BIT),
    ("cmsgpack", libs::MSGPACK),
    ("math", MATH),
    ("string", strings::STRING),
    ("struct", libs::STRUCT),
    ("table", strings::TABLE),
];

const MATH: &[(&str, Native)] = &[("log", log), ("random", random), ("randomseed", randomseed)];

/// Luau's takes a base.
fn log(cx: &mut Cx<'_>) -> Result<(), Fault> {
    let number = cx.number(1)?;
    cx.put_number(number.ln());
    Ok(())
}

/// The metatable that refuses names that are not there.
pub(crate) fn missing(lua: &Lua, wrappers: &Table) -> mlua::Result<Table> {
    let meta = lua.create_table()?;
    let shared = Rc::new(Shared::new());
    let wrap: Function = wrappers.raw_get("wrap")?;
    let refuse = function(lua, &shared, "index", |cx| {
        let name = cx.string(2)?;
        Err(Fault::text(format!(
            "Script attempted to access nonexistent global variable '{}'",
            name.to_string_lossy()
        )))
    })?;
    meta.raw_set("__index", wrap.call::<Function>(refuse)?)?;
    Ok(meta)
}

/// What Lua's heap holds is the interpreter's affair: a script may look, no more.
#[allow(clippy::unnecessary_wraps, reason = "as all of them")]
fn collectgarbage(cx: &mut Cx<'_>) -> Result<(), Fault> {
    let counts = matches!(cx.arg(1), Value::String(option) if option.as_bytes() == *b"count");
    cx.put_number(if counts { cx.lua.used_memory() as f64 / 1024.0 } else { 0.0 });
    Ok(())
}

#[allow(clippy::unnecessary_wraps, reason = "as all of them")]
fn gcinfo(cx: &mut Cx<'_>) -> Result<(), Fault> {
    cx.put_number((cx.lua.used_memory() / 1024) as f64);
    Ok(())
}

/// The generator of `lrand48`, which Redis uses: the same seed gives the same numbers as there.
fn random_bits(shared: &Shared) -> u32 {
    let next = shared.random.get().wrapping_mul(0x5_DEEC_E66D).wrapping_add(0xB) & 0xFFFF_FFFF_FFFF;
    shared.random.set(next);
    (next >> 17) as u32
}

/// Where `srand48` begins with a seed.
pub(crate) fn seeded(seed: u64) -> u64 {
    ((seed & 0xFFFF_FFFF) << 16) | 0x330E
}

fn random(cx: &mut Cx<'_>) -> Result<(), Fault> {
    const MAX: u32 = i32::MAX as u32;
    let share = f64::from(random_bits(cx.shared) % MAX) / f64::from(MAX);
    let number = match cx.args.len() {
        0 => share,
        1 => {
            let high = cx.integer(1)?;
            if high < 1 {
                return Err(cx.fault(1, "interval is empty"));
            }
            (share * high as f64).floor() + 1.0
        }
        2 => {
            let (low, high) = (cx.integer(1)?, cx.integer(2)?);
            if low > high {
                return Err(cx.fault(2, "interval is empty"));
            }
            (share * (high as f64 - low as f64 + 1.0)).floor() + low as f64
        }
        _ => return Err(Fault::text("wrong number of arguments")),
    };
    cx.put_number(number);
    Ok(())
}

fn randomseed(cx: &mut Cx<'_>) -> Result<(), Fault> {
    let seed = truncated(cx.number(1)?);
    cx.shared.random.set(seeded(seed as u64));
    Ok(())
}
