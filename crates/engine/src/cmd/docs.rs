//! `docs/commands.md`, rendered from the table; `cargo xtask gen` writes it and a test keeps it
//! fresh.

use crate::{Flags, Group, Spec};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;

const HEAD: &str = "# Data commands

Generated from the command table by `cargo xtask gen`: do not edit.

*Arity* counts the name; a minus means \"or more\". *Log* says how a write stands in the
append-only file: *plain* and *rewritten* commands replay in Redis 7.0 as they stand, *armoured*
ones lie in comment lines that Redis skips. A command that waits stands there *as* the one that
serves it, once there is something.
";

/// The whole document.
pub fn docs_markdown() -> String {
    let mut rows: Vec<&Spec> = super::all().iter().filter(|spec| is_public(spec)).collect();
    rows.sort_by_key(|spec| spec.meta.name);
    let mut out = String::from(HEAD);
    for (group, title) in GROUPS {
        let mut rows = rows.iter().filter(|spec| spec.meta.group == *group).peekable();
        if rows.peek().is_none() {
            continue;
        }
        let _ = write!(out, "\n## {title}\n\n| Command | Arity | Kind | Log | Since | |\n");
        out.push_str("|---|---|---|---|---|---|\n");
        for spec in rows {
            row(&mut out, spec);
        }
    }
    out
}

const GROUPS: &[(Group, &str)] = &[
    (Group::Generic, "Generic"),
    (Group::String, "Strings"),
    (Group::Bitmap, "Bitmaps"),
    (Group::List, "Lists"),
    (Group::Set, "Sets"),
    (Group::Hash, "Hashes"),
    (Group::SortedSet, "Sorted sets"),
    (Group::Stream, "Streams"),
    (Group::Hyperloglog, "HyperLogLogs"),
    (Group::Geo, "Places"),
    (Group::Server, "Server"),
];

fn is_public(spec: &Spec) -> bool {
    !spec.meta.flags.has(Flags::INTERNAL)
}

fn row(out: &mut String, spec: &Spec) {
    let name = spec.meta.name.replace('|', " ");
    let arity = spec.meta.arity.number();
    let kind = if spec.is_write() { "write" } else { "read" };
    let logged = spec.logged.forms;
    let (since, summary) = (spec.meta.since, spec.meta.summary);
    let _ = writeln!(out, "| `{name}` | {arity} | {kind} | {logged} | {since} | {summary} |");
}
