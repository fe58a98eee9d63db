//! Scripts and functions: EVAL, FCALL, SCRIPT and FUNCTION.
//!
//! What runs them stands in `entry/script.rs` and `entry/seal/script.rs`; here are the rows, and
//! what needs no interpreter.

use crate::hex;
use crate::side::libraries::Libraries;
use crate::side::scripts::{Scripts, sha_of};
use crate::snapshot::{dump_libraries, dumped_libraries};
use crate::{
    Flags, Group, Handler, Keys, Logged, Reader, Replied, Scripted, Shebang, Spec, WriteFn, Writer,
    exactly, least,
};
use alloc::string::String;
use alloc::vec::Vec;
use quorate_resp::{Args, Reply};

/// Keys behind their count, from the third argument on.
const KEYS: Keys = Keys::Counted { count: 2 };
const CALL: Flags = Flags::NO_SCRIPT.and(Flags::STALE).and(Flags::SKIP_MONITOR);
const ABOUT: Flags = Flags::NO_SCRIPT;

/// The files of this family.
pub(super) const FILES: &[&[Spec]] = &[CALLS, SCRIPTS, FUNCTIONS];

const EFFECTS: &str = "what it wrote";

const CALLS: &[Spec] = &Group::Scripting.rows([
    Spec::script(
        "EVAL",
        "script numkeys [key [key ...]] [arg [arg ...]]",
        EFFECTS,
        Scripted::Eval(false),
    )
    .facts(least(3), KEYS, CALL.and(Flags::NEUTRAL))
    .doc("2.6.0", "Runs a script in Lua.")
    .access(&["RW access update"]),
    Spec::script(
        "EVALSHA",
        "sha1 numkeys [key [key ...]] [arg [arg ...]]",
        EFFECTS,
        Scripted::EvalSha(false),
    )
    .facts(least(3), KEYS, CALL.and(Flags::NEUTRAL))
    .doc("2.6.0", "Runs a script by its SHA-1.")
    .access(&["RW access update"]),
    Spec::script(
        "EVAL_RO",
        "script numkeys [key [key ...]] [arg [arg ...]]",
        "–",
        Scripted::Eval(true),
    )
    .facts(least(3), KEYS, CALL)
    .doc("7.0.0", "Runs a script in Lua that may not write.")
    .access(&["RO access"]),
    Spec::script(
        "EVALSHA_RO",
        "sha1 numkeys [key [key ...]] [arg [arg ...]]",
        "–",
        Scripted::EvalSha(true),
    )
    .facts(least(3), KEYS, CALL)
    .doc("7.0.0", "Runs a script that may not write by its SHA-1.")
    .access(&["RO access"]),
    Spec::script(
        "FCALL",
        "function numkeys [key [key ...]] [arg [arg ...]]",
        EFFECTS,
        Scripted::Function(false),
    )
    .facts(least(3), KEYS, CALL.and(Flags::NEUTRAL))
    .doc("7.0.0", "Calls a function.")
    .access(&["RW access update"]),
    Spec::script(
        "FCALL_RO",
        "function numkeys [key [key ...]] [arg [arg ...]]",
        "–",
        Scripted::Function(true),
    )
    .facts(least(3), KEYS, CALL)
    .doc("7.0.0", "Calls a function that may not write.")
    .access(&["RO access"]),
]);

const SCRIPTS: &[Spec] = &Group::Scripting.rows([
    Spec::script("SCRIPT|LOAD", "script", "as `QUORATE.SCRIPT`", Scripted::Load)
        .facts(exactly(3), Keys::None, ABOUT.and(Flags::NEUTRAL).and(Flags::STALE))
        .doc("2.6.0", "Keeps a script, and tells its SHA-1."),
    Spec::read("SCRIPT|EXISTS", "sha1 [sha1 ...]", |cx, args| Ok(exists(cx, args)))
        .facts(least(3), Keys::None, ABOUT.and(Flags::NEUTRAL))
        .doc("2.6.0", "Tells which scripts are kept."),
    Spec::write("SCRIPT|FLUSH", "[ASYNC | SYNC]", flush_scripts)
        .facts(least(2), Keys::None, ABOUT.and(Flags::NEUTRAL))
        .doc("2.6.0", "Forgets all scripts.")
        .hidden(),
    Spec::write("QUORATE.SCRIPT", "<RAN | LOADED> script", keep)
        .facts(exactly(3), Keys::None, Flags::INTERNAL.and(Flags::ADMIN))
        .doc("7.2.0", "Keeps a script.")
        .hidden(),
]);

const FUNCTIONS: &[Spec] = &Group::Scripting.rows([
    logged("FUNCTION|LOAD", "[REPLACE] function-code", Scripted::Library, load)
        .facts(least(3), Keys::None, ABOUT.and(Flags::DENYOOM))
        .doc("7.0.0", "Loads a library of functions."),
    Spec::write("FUNCTION|DELETE", "library-name", delete)
        .facts(exactly(3), Keys::None, ABOUT)
        .doc("7.0.0", "Deletes a library and its functions."),
    Spec::write("FUNCTION|FLUSH", "[ASYNC | SYNC]", flush)
        .facts(least(2), Keys::None, ABOUT)
        .doc("7.0.0", "Deletes all libraries."),
    Spec::script(
        "FUNCTION|LIST",
        "[LIBRARYNAME library-name-pattern] [WITHCODE]",
        "–",
        Scripted::List,
    )
    .facts(least(2), Keys::None, ABOUT.and(Flags::NEUTRAL))
    .doc("7.0.0", "Lists libraries and their functions."),
    Spec::script("FUNCTION|STATS", "", "–", Scripted::Stats)
        .facts(exactly(2), Keys::None, ABOUT.and(Flags::NEUTRAL).and(Flags::ALLOW_BUSY))
        .doc("7.0.0", "Tells what runs, and how many functions there are."),
    Spec::read("FUNCTION|DUMP", "", |cx, _| Ok(dump(cx)))
        .facts(exactly(2), Keys::None, ABOUT.and(Flags::NEUTRAL))
        .doc("7.0.0", "Gives all libraries as bytes that FUNCTION RESTORE takes."),
    logged(
        "FUNCTION|RESTORE",
        "serialized-value [FLUSH | APPEND | REPLACE]",
        Scripted::Restore,
        restore,
    )
    .facts(least(3), Keys::None, ABOUT.and(Flags::DENYOOM))
    .doc("7.0.0", "Loads the libraries that FUNCTION DUMP gave."),
]);

/// What is looked at in a rehearsal and logged as it came.
const fn logged(name: &'static str, syntax: &'static str, way: Scripted, write: WriteFn) -> Spec {
    let mut row = Spec::new(name, syntax, Handler::Script { way, write: Some(write) });
    row.logged = Logged::PLAIN;
    row
}

fn exists<'a>(cx: &Reader<'a>, args: Args<'a>) -> Reply<'a> {
    let scripts = cx.keyspace.scripts();
    let known = |sha: &[u8]| sha_named(sha).is_some_and(|sha| scripts.body(&sha).is_some());
    Reply::Array(args.from(2).iter().map(|sha| Reply::Int(known(sha).into())).collect())
}

/// A digest in 40 hexadecimal digits of either case.
pub(crate) fn sha_named(text: &[u8]) -> Option<[u8; 20]> {
    let text = core::str::from_utf8(text).ok()?.to_ascii_lowercase();
    hex::read(&text)?.try_into().ok()
}

/// SYNC or ASYNC, which are the same here.
fn mode(args: Args<'_>, refusal: &'static str) -> Result<(), Reply<'static>> {
    match args.get(2) {
        None => Ok(()),
        Some(_) if args.len() > 3 => Err(Reply::error(
            "ERR unknown subcommand or wrong number of arguments for 'flush'. Try FUNCTION HELP.",
        )),
        Some(word) => {
            let known = word.eq_ignore_ascii_case(b"SYNC") || word.eq_ignore_ascii_case(b"ASYNC");
            if known { Ok(()) } else { Err(Reply::error(refusal)) }
        }
    }
}

fn flush_scripts(cx: &mut Writer<'_>, args: Args<'_>) -> Replied<'static> {
    mode(args, "ERR SCRIPT FLUSH only support SYNC|ASYNC option")?;
    cx.keyspace.change_scripts(Scripts::flush);
    Ok(Reply::OK)
}

#[allow(clippy::unnecessary_wraps, reason = "the form of a row's function")]
fn keep(cx: &mut Writer<'_>, args: Args<'_>) -> Replied<'static> {
    let (sha, body) = (sha_of(args.at(2)), args.at(2));
    let eval = args.at(1) == b"RAN";
    cx.keyspace.change_scripts(|scripts| scripts.keep(&sha, body, eval));
    Ok(Reply::owned(hex::of(&sha).into_bytes()))
}

/// The text of FUNCTION LOAD, and whether it may take the place of another.
pub(crate) fn loaded(args: Args<'_>) -> Result<(bool, &[u8]), Reply<'static>> {
    let mut replace = false;
    let text = args.at(args.len().saturating_sub(1));
    for word in args.from(2).iter().take(args.len().saturating_sub(3)) {
        if !word.eq_ignore_ascii_case(b"REPLACE") {
            return Err(Reply::error_of(&[b"ERR Unknown option given: ", word]));
        }
        replace = true;
    }
    Ok((replace, text))
}

/// The name in the first line of a library.
pub(crate) fn name_of(text: &[u8]) -> Result<String, Reply<'static>> {
    let said = |why: String| Reply::error_of(&[b"ERR ", why.as_bytes()]);
    Ok(Shebang::of_library(text).map_err(said)?.name.unwrap_or_default())
}

fn load(cx: &mut Writer<'_>, args: Args<'_>) -> Replied<'static> {
    let (_, text) = loaded(args)?;
    let name = name_of(text)?;
    cx.keyspace.change_libraries(|libraries| Some(libraries.load(&name, text)));
    Ok(Reply::owned(name.into_bytes()))
}

fn delete(cx: &mut Writer<'_>, args: Args<'_>) -> Replied<'static> {
    let name = String::from_utf8_lossy(args.at(2));
    if cx.keyspace.change_libraries(|libraries| libraries.delete(&name)) {
        return Ok(Reply::OK);
    }
    Err(Reply::error("ERR Library not found"))
}

fn flush(cx: &mut Writer<'_>, args: Args<'_>) -> Replied<'static> {
    mode(args, "ERR FUNCTION FLUSH only supports SYNC|ASYNC option")?;
    cx.keyspace.change_libraries(Libraries::flush);
    Ok(Reply::OK)
}

fn dump<'a>(cx: &Reader<'a>) -> Reply<'a> {
    Reply::owned(dump_libraries(cx.keyspace.libraries().iter().map(|(_, text)| &**text)))
}

/// How FUNCTION RESTORE treats what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Policy {
    /// It goes.
    Flush,
    /// It stays, and a library of the same name is refused.
    Append,
    /// It stays, but for libraries of the same name.
    Replace,
}

/// The libraries of FUNCTION RESTORE.
pub(crate) fn restored(args: Args<'_>) -> Result<(Policy, Vec<Vec<u8>>), Reply<'static>> {
    let policy = match args.get(3) {
        None => Policy::Append,
        Some(_) if args.len() > 4 => {
            return Err(Reply::error(
                "ERR unknown subcommand or wrong number of arguments for 'restore'. Try FUNCTION \
                 HELP.",
            ));
        }
        Some(word) if word.eq_ignore_ascii_case(b"FLUSH") => Policy::Flush,
        Some(word) if word.eq_ignore_ascii_case(b"APPEND") => Policy::Append,
        Some(word) if word.eq_ignore_ascii_case(b"REPLACE") => Policy::Replace,
        Some(_) => {
            return Err(Reply::error(
                "ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.",
            ));
        }
    };
    let texts = dumped_libraries(args.at(2))
        .map_err(|_| Reply::error("ERR DUMP payload version or checksum are wrong"))?;
    Ok((policy, texts))
}

fn restore(cx: &mut Writer<'_>, args: Args<'_>) -> Replied<'static> {
    let (policy, texts) = restored(args)?;
    if policy == Policy::Flush {
        cx.keyspace.change_libraries(Libraries::flush);
    }
    for text in texts {
        let name = name_of(&text)?;
        cx.keyspace.change_libraries(|libraries| Some(libraries.load(&name, &text)));
    }
    Ok(Reply::OK)
}
