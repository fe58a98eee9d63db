//! `redis.`: what a script asks of the server.
//!
//! Most of it goes through the one door to the call's host ([`ask`]); the rest needs nobody. Texts
//! of errors are Redis's, because scripts and clients look at them.

use crate::convert::{error_of, error_text, to_lua, word};
use crate::native::{Cx, Fault, Native, Shared, error_table, put, truncated};
use mlua::{Function, Lua, Table, Value};
use quorate_engine::{Host, LogLevel};
use quorate_resp::Reply;
use sha1::{Digest, Sha1};
use std::fmt::Write as _;
use std::rc::Rc;

/// What INFO reports as `redis_version`, and its number.
const VERSION: (&str, u32) = ("7.2.5", 0x0007_0205);

/// What goes through the host's one door; its first argument says what is meant.
const CALL: i64 = 1;
/// `redis.pcall`
const PCALL: i64 = 2;
/// `redis.acl_check_cmd`
const MAY_CALL: i64 = 3;
/// `redis.log`
const LOG: i64 = 4;
/// `redis.setresp`
const SET_RESP: i64 = 5;
/// `redis.set_repl`
const SET_REPL: i64 = 6;

/// `redis.LOG_DEBUG` and so on, in the order of their numbers.
const LOG_LEVELS: [(&str, LogLevel); 4] = [
    ("LOG_DEBUG", LogLevel::Debug),
    ("LOG_VERBOSE", LogLevel::Verbose),
    ("LOG_NOTICE", LogLevel::Notice),
    ("LOG_WARNING", LogLevel::Warning),
];

/// What needs no host.
const PLAIN: &[(&str, Native)] = &[
    ("sha1hex", sha1hex),
    ("error_reply", error_reply),
    ("status_reply", status_reply),
    ("replicate_commands", replicate_commands),
    ("breakpoint", breakpoint),
    ("debug", debug),
];

/// What needs one: name, operation, and what an error calls it.
const HOSTED: &[(&str, i64, &str)] = &[
    ("call", CALL, "redis.call/pcall"),
    ("pcall", PCALL, "redis.call/pcall"),
    ("acl_check_cmd", MAY_CALL, "redis.acl_check_cmd"),
    ("log", LOG, "redis.log"),
    ("setresp", SET_RESP, "redis.setresp"),
    ("set_repl", SET_REPL, "redis.set_repl"),
];

/// The table.
pub(crate) fn table(lua: &Lua, shared: &Rc<Shared>, wrappers: &Table) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    for (name, native) in PLAIN {
        put(lua, shared, wrappers, &table, (name, *native))?;
    }
    for hosted in HOSTED {
        put_hosted(wrappers, &table, *hosted)?;
    }
    constants(&table)?;
    Ok(table)
}

/// Puts a function that goes through the host's door into a table.
fn put_hosted(
    wrappers: &Table,
    table: &Table,
    (name, operation, what): (&str, i64, &str),
) -> mlua::Result<()> {
    let hosted: Function = wrappers.raw_get("hosted")?;
    let field = if operation == LOG { "log" } else { "host" };
    table.raw_set(name, hosted.call::<Function>((operation, what, field))?)
}

/// `redis.log` and what goes with it: what a library sees while it is loaded.
pub(crate) fn log_and_version(wrappers: &Table, table: &Table) -> mlua::Result<()> {
    put_hosted(wrappers, table, ("log", LOG, "redis.log"))?;
    log_levels_and_version(table)
}

/// The names that are numbers or texts.
fn constants(table: &Table) -> mlua::Result<()> {
    let replication = [
        ("REPL_NONE", 0),
        ("REPL_AOF", 1),
        ("REPL_SLAVE", 2),
        ("REPL_REPLICA", 2),
        ("REPL_ALL", 3),
    ];
    for (name, value) in replication {
        table.raw_set(name, value)?;
    }
    log_levels_and_version(table)
}

fn log_levels_and_version(table: &Table) -> mlua::Result<()> {
    for (number, (name, _)) in LOG_LEVELS.iter().enumerate() {
        table.raw_set(*name, number)?;
    }
    table.raw_set("REDIS_VERSION", VERSION.0)?;
    table.raw_set("REDIS_VERSION_NUM", VERSION.1)
}

/// Does what a script asked of its host; its results go behind the nil in `out`.
pub(crate) fn ask(
    lua: &Lua,
    shared: &Shared,
    host: &mut dyn Host,
    args: &[Value],
    out: &mut Vec<Value>,
) -> Result<(), Fault> {
    let (operation, args) = match args.split_first() {
        Some((Value::Integer(operation), args)) => (*operation, args),
        _ => return Ok(()),
    };
    match operation {
        CALL | PCALL => call(lua, shared, host, operation, args, out),
        MAY_CALL => may_call(host, args, out),
        LOG => log(host, args),
        SET_RESP => set_resp(shared, args),
        _ => set_repl(args),
    }
}

fn words(args: &[Value]) -> Result<Vec<Vec<u8>>, &'static str> {
    if args.is_empty() {
        return Err("Please specify at least one argument for this redis lib call");
    }
    let words: Option<Vec<_>> = args.iter().map(word).collect();
    words.ok_or("Lua redis lib command arguments must be strings or integers")
}

fn call(
    lua: &Lua,
    shared: &Shared,
    host: &mut dyn Host,
    operation: i64,
    args: &[Value],
    out: &mut Vec<Value>,
) -> Result<(), Fault> {
    let reply = match words(args) {
        Ok(words) => host.call(&words),
        Err(text) if operation == CALL => return Err(Fault::redis(text)),
        Err(text) => {
            out.push(Value::Table(error_table(lua, &[b"ERR ", text.as_bytes()])?));
            return Ok(());
        }
    };
    // What the command did may have been too much.
    if let Some(stopped) = host.stop() {
        shared.stopped.set(Some(stopped));
        return Err(Fault::Lua(crate::native::stop_error()));
    }
    match reply {
        Reply::Error(text) if operation == CALL => {
            Err(Fault::Raised(Value::Table(error_of(lua, text.as_bytes())?)))
        }
        reply => {
            out.push(to_lua(lua, &reply, shared.resp3.get())?);
            Ok(())
        }
    }
}

fn may_call(host: &mut dyn Host, args: &[Value], out: &mut Vec<Value>) -> Result<(), Fault> {
    let words = words(args).map_err(Fault::redis)?;
    match host.may_call(&words) {
        Ok(may) => out.push(Value::Boolean(may)),
        Err(_) => return Err(Fault::redis("Invalid command passed to redis.acl_check_cmd()")),
    }
    Ok(())
}

fn number_of(value: Option<&Value>) -> Option<f64> {
    match value? {
        Value::Integer(number) => Some(*number as f64),
        Value::Number(number) => Some(*number),
        Value::String(text) => text.to_string_lossy().trim().parse().ok(),
        _ => None,
    }
}

fn log(host: &mut dyn Host, args: &[Value]) -> Result<(), Fault> {
    let Some((level, pieces)) = args.split_first().filter(|(_, pieces)| !pieces.is_empty()) else {
        return Err(Fault::redis("redis.log() requires two arguments or more."));
    };
    let Some(level) = number_of(Some(level)) else {
        return Err(Fault::redis("First argument must be a number (log level)."));
    };
    let level = usize::try_from(truncated(level)).ok().and_then(|level| LOG_LEVELS.get(level));
    let Some((_, level)) = level else {
        return Err(Fault::redis("Invalid debug level."));
    };
    let pieces: Vec<Vec<u8>> = pieces.iter().filter_map(error_text).collect();
    host.log(*level, &pieces.join(&b' '));
    Ok(())
}

fn set_resp(shared: &Shared, args: &[Value]) -> Result<(), Fault> {
    if args.len() != 1 {
        return Err(Fault::redis("redis.setresp() requires one argument."));
    }
    match number_of(args.first()).map(truncated) {
        Some(version @ 2..=3) => shared.resp3.set(version == 3),
        _ => return Err(Fault::redis("RESP version must be 2 or 3.")),
    }
    Ok(())
}

/// What a script writes is logged, always: a write that is not could not exist on the others.
fn set_repl(args: &[Value]) -> Result<(), Fault> {
    if args.len() != 1 {
        return Err(Fault::redis("redis.set_repl() requires two arguments."));
    }
    let flags = number_of(args.first()).map_or(0, truncated);
    if flags & !3 != 0 {
        return Err(Fault::redis(
            "Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.",
        ));
    }
    Ok(())
}

fn sha1hex(cx: &mut Cx<'_>) -> Result<(), Fault> {
    if cx.args.len() != 1 {
        return Err(Fault::redis("wrong number of arguments"));
    }
    let text = error_text(cx.arg(1)).unwrap_or_default();
    let mut hex = String::with_capacity(40);
    for byte in Sha1::digest(&text) {
        let _ = write!(hex, "{byte:02x}");
    }
    cx.put_bytes(hex.as_bytes())
}

const WRONG_REPLY: &str = "ERR wrong number or type of arguments";

fn error_reply(cx: &mut Cx<'_>) -> Result<(), Fault> {
    let table = match cx.args {
        [Value::String(text)] => {
            let text = text.as_bytes();
            let text = text.strip_prefix(b"-").unwrap_or(&text);
            // An error has a code; what has no blank is a code without a text, or one without.
            let (code, message) = match text.iter().position(|byte| *byte == b' ') {
                Some(at) => (text.get(..at).unwrap_or(b""), text.get(at + 1..).unwrap_or(b"")),
                None => (&b"ERR"[..], text),
            };
            let ends = [b'\r', b'\n'];
            let start = message.iter().position(|byte| !ends.contains(byte));
            let end = message.iter().rposition(|byte| !ends.contains(byte));
            let message = match (start, end) {
                (Some(start), Some(end)) => message.get(start..=end).unwrap_or(b""),
                _ => b"",
            };
            error_table(cx.lua, &[code, b" ", message])?
        }
        _ => error_table(cx.lua, &[WRONG_REPLY.as_bytes()])?,
    };
    cx.put(Value::Table(table));
    Ok(())
}

fn status_reply(cx: &mut Cx<'_>) -> Result<(), Fault> {
    let table = match cx.args {
        [text @ Value::String(_)] => {
            let table = cx.lua.create_table()?;
            table.raw_set("ok", text)?;
            table
        }
        _ => error_table(cx.lua, &[WRONG_REPLY.as_bytes()])?,
    };
    cx.put(Value::Table(table));
    Ok(())
}

#[allow(clippy::unnecessary_wraps, reason = "as all of them")]
fn replicate_commands(cx: &mut Cx<'_>) -> Result<(), Fault> {
    cx.put(Value::Boolean(true));
    Ok(())
}

/// There is no debugger that could stop here.
#[allow(clippy::unnecessary_wraps, reason = "as all of them")]
fn breakpoint(cx: &mut Cx<'_>) -> Result<(), Fault> {
    cx.put(Value::Boolean(false));
    Ok(())
}

/// Nor one that could print.
#[allow(clippy::unnecessary_wraps, reason = "as all of them")]
fn debug(_cx: &mut Cx<'_>) -> Result<(), Fault> {
    Ok(())
}
