//! `COMMAND …` and `… HELP`: the registry as clients see it.
//!
//! Everything is made from the rows: flags and categories follow from group, flags and whether the
//! function writes.

use super::keys::{get_keys, get_keys_and_flags, key_specs};
use super::{Call, NODE, Row, Run, arguments, bulk};
use crate::registry::{Entry, Registry};
use quorate_engine::{Flags, Group, Keys, exactly, glob, least};
use quorate_resp::{Args, Reply};

/// The rows.
pub(super) const ROWS: &[Row] = &Group::Server.rows([
    Row::new("COMMAND", "", Run::Here(all))
        .facts(least(1), Keys::None, NODE)
        .doc("2.8.13", "Describes commands.")
        .filed(&["connection"]),
    Row::new("COMMAND|COUNT", "", Run::Here(count))
        .facts(exactly(2), Keys::None, NODE)
        .doc("1.0.0", "Answers how many commands there are.")
        .filed(&["connection"]),
    Row::new("COMMAND|INFO", "[command-name [command-name ...]]", Run::Here(info))
        .facts(least(2), Keys::None, NODE)
        .doc("1.0.0", "Describes commands.")
        .filed(&["connection"]),
    Row::new(
        "COMMAND|LIST",
        "[FILTERBY <MODULE module-name | ACLCAT category | PATTERN pattern>]",
        Run::Here(list),
    )
    .facts(least(2), Keys::None, NODE)
    .doc("7.0.0", "Lists names of commands.")
    .filed(&["connection"]),
    Row::new("COMMAND|DOCS", "[command-name [command-name ...]]", Run::Here(docs))
        .facts(least(2), Keys::None, NODE)
        .doc("7.0.0", "Documents commands.")
        .filed(&["connection"]),
    Row::new("COMMAND|GETKEYS", "command [arg [arg ...]]", Run::Here(get_keys))
        .facts(least(3), Keys::None, NODE)
        .doc("1.0.0", "Picks the keys out of a command.")
        .filed(&["connection"]),
    Row::new("COMMAND|GETKEYSANDFLAGS", "command [arg [arg ...]]", Run::Here(get_keys_and_flags))
        .facts(least(3), Keys::None, NODE)
        .doc("7.0.0", "Picks the keys out of a command, with their flags.")
        .filed(&["connection"]),
]);

fn all(call: &mut Call<'_>, _: Args<'_>) -> Reply<'static> {
    let registry = call.shared.registry;
    Reply::Array(registry.commands().map(|entry| describe(registry, entry)).collect())
}

fn count(call: &mut Call<'_>, _: Args<'_>) -> Reply<'static> {
    Reply::len(call.shared.registry.commands().count())
}

fn info(call: &mut Call<'_>, args: Args<'_>) -> Reply<'static> {
    if args.len() == 2 {
        return all(call, args);
    }
    let registry = call.shared.registry;
    let found = args.iter().skip(2).map(|name| match registry.find(name) {
        Some(entry) => describe(registry, entry),
        None => Reply::Null,
    });
    Reply::Array(found.collect())
}

fn list(call: &mut Call<'_>, args: Args<'_>) -> Reply<'static> {
    let registry = call.shared.registry;
    let names: Vec<&Entry> = match (args.len(), args.get(2), args.get(3)) {
        (2, ..) => registry.entries().collect(),
        (5, Some(word), Some(by)) if super::is(word, "FILTERBY") => {
            let wanted = args.at(4).to_ascii_lowercase();
            let pattern = glob::Pattern::new(&wanted);
            match by {
                by if super::is(by, "PATTERN") => registry
                    .entries()
                    .filter(|entry| pattern.matches(entry.name.as_bytes()))
                    .collect(),
                by if super::is(by, "ACLCAT") => registry
                    .entries()
                    .filter(|entry| categories(entry).iter().any(|it| it.as_bytes() == wanted))
                    .collect(),
                by if super::is(by, "MODULE") => Vec::new(),
                _ => return super::syntax_error(),
            }
        }
        _ => return super::syntax_error(),
    };
    Reply::Array(names.into_iter().map(|entry| bulk(entry.name.clone())).collect())
}

fn docs(call: &mut Call<'_>, args: Args<'_>) -> Reply<'static> {
    let registry = call.shared.registry;
    let entries: Vec<&Entry> = if args.len() == 2 {
        registry.commands().collect()
    } else {
        args.iter().skip(2).filter_map(|name| registry.find(name)).collect()
    };
    let document = |entry: &Entry| (bulk(entry.name.clone()), document(registry, entry));
    Reply::Map(entries.into_iter().map(document).collect())
}

fn document(registry: &Registry, entry: &Entry) -> Reply<'static> {
    let mut facts = vec![
        (bulk("summary"), bulk(entry.meta.summary)),
        (bulk("since"), bulk(entry.meta.since)),
        (bulk("group"), bulk(group_name(entry.meta.group))),
    ];
    let arguments = arguments::of(&entry.meta);
    if !arguments.is_empty() {
        facts.push((bulk("arguments"), arguments::shown(&arguments)));
    }
    let subs: Vec<_> = entry
        .subs
        .iter()
        .filter_map(|id| registry.get(*id))
        .map(|sub| (bulk(sub.name.clone()), document(registry, sub)))
        .collect();
    if !subs.is_empty() {
        facts.push((bulk("subcommands"), Reply::Map(subs)));
    }
    Reply::Map(facts)
}

/// Redis's ten fields of `COMMAND INFO`.
fn describe(registry: &Registry, entry: &Entry) -> Reply<'static> {
    let (first, last, step) = entry.meta.keys.bounds();
    let simple = |text: &'static str| Reply::Simple(text.into());
    let subs = entry.subs.iter().filter_map(|id| registry.get(*id));
    let categories = categories(entry);
    Reply::Array(vec![
        bulk(entry.name.clone()),
        Reply::Int(entry.meta.arity.number()),
        Reply::Set(flags(entry).into_iter().map(simple).collect()),
        Reply::Int(first),
        Reply::Int(last),
        Reply::Int(step),
        Reply::Set(categories.iter().map(|it| Reply::Simple(format!("@{it}").into())).collect()),
        Reply::Set(Vec::new()),
        Reply::Set(key_specs(entry)),
        Reply::Set(subs.map(|sub| describe(registry, sub)).collect()),
    ])
}

/// Redis's names of the flags.
fn flags(entry: &Entry) -> Vec<&'static str> {
    let mut names = Vec::new();
    names.extend(entry.is_called_write().map(|writes| if writes { "write" } else { "readonly" }));
    for (flag, name) in [
        (Flags::DENYOOM, "denyoom"),
        (Flags::ADMIN, "admin"),
        (Flags::PUBSUB, "pubsub"),
        (Flags::LOADING, "loading"),
        (Flags::STALE, "stale"),
        (Flags::SKIP_SLOWLOG, "skip_slowlog"),
        (Flags::FAST, "fast"),
        (Flags::NO_AUTH, "no_auth"),
        (Flags::BLOCKING, "blocking"),
        (Flags::NO_MULTI, "no_multi"),
    ] {
        if entry.meta.flags.has(flag) {
            names.push(name);
        }
    }
    if entry.meta.keys.are_movable() {
        names.push("movablekeys");
    }
    names
}

/// ACL categories, without the `@`.
pub(super) fn categories(entry: &Entry) -> Vec<&'static str> {
    let mut names = Vec::new();
    // What only reads of scripts is in no category of reads, as in Redis.
    let counts = |writes: &bool| *writes || entry.meta.group != Group::Scripting;
    let writes = entry.is_called_write().filter(counts);
    names.extend(writes.map(|writes| if writes { "write" } else { "read" }));
    match entry.meta.group {
        _ if let Some(filed) = entry.meta.filed => names.extend(filed),
        Group::Generic => names.push("keyspace"),
        Group::SortedSet => names.push("sortedset"),
        Group::Server | Group::Cluster => {}
        Group::Transactions => names.push("transaction"),
        group => names.push(group_name(group)),
    }
    let flags = entry.meta.flags;
    names.push(if flags.has(Flags::FAST) { "fast" } else { "slow" });
    if flags.has(Flags::ADMIN) {
        names.push("admin");
    }
    if flags.has(Flags::BLOCKING) {
        names.push("blocking");
    }
    if flags.has(Flags::ADMIN) || flags.has(Flags::DANGEROUS) {
        names.push("dangerous");
    }
    names
}

fn group_name(group: Group) -> &'static str {
    match group {
        Group::String => "string",
        Group::Bitmap => "bitmap",
        Group::Generic => "generic",
        Group::List => "list",
        Group::Set => "set",
        Group::Hash => "hash",
        Group::SortedSet => "sorted-set",
        Group::Stream => "stream",
        Group::Hyperloglog => "hyperloglog",
        Group::Geo => "geo",
        Group::Connection => "connection",
        Group::Server => "server",
        Group::Cluster => "cluster",
        Group::Transactions => "transactions",
        Group::PubSub => "pubsub",
        Group::Scripting => "scripting",
    }
}

/// The answer to `PARENT HELP`, made from the rows.
pub(crate) fn help(registry: &Registry, parent: &Entry) -> Reply<'static> {
    let line = |text: String| Reply::Simple(text.into());
    let mut lines = vec![line(format!(
        "{} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        parent.meta.name
    ))];
    for sub in parent.subs.iter().filter_map(|id| registry.get(*id)) {
        let name = sub.meta.name.split_once('|').map_or(sub.meta.name, |(_, name)| name);
        lines.push(line(name.to_owned()));
        lines.push(line(format!("    {}", sub.meta.summary)));
    }
    lines.push(line("HELP".to_owned()));
    lines.push(line("    Print this help.".to_owned()));
    Reply::Array(lines)
}
