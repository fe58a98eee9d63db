//! `COMMAND …` and `… HELP`: the registry as clients see it.
//!
//! Everything is made from the rows: flags and categories follow from group, flags and whether the
//! function writes.

use super::{Call, Row, Run, bulk, exactly, least};
use crate::registry::{Entry, Registry, Target};
use quorate_engine::glob;
use quorate_engine::{Arity, Flags, Group, Keys};
use quorate_resp::{Args, Reply};

/// The row.
pub(super) const COMMANDS: &[Row] = &[Row {
    run: Run::Here(all),
    subs: SUBS,
    ..Row::new("COMMAND", least(1), Run::Parent, "Describes commands.")
}
.since("2.8.13")];

const SUBS: &[Row] = &[
    Row::new("COMMAND|COUNT", exactly(2), Run::Here(count), "Answers how many commands there are."),
    Row::new("COMMAND|INFO", least(2), Run::Here(info), "Describes commands."),
    Row::new("COMMAND|LIST", least(2), Run::Here(list), "Lists names of commands.").since("7.0.0"),
    Row::new("COMMAND|DOCS", least(2), Run::Here(docs), "Documents commands.").since("7.0.0"),
    Row::new("COMMAND|GETKEYS", least(3), Run::Here(get_keys), "Picks the keys out of a command."),
    Row::new(
        "COMMAND|GETKEYSANDFLAGS",
        least(3),
        Run::Here(get_keys_and_flags),
        "Picks the keys out of a command, with their flags.",
    )
    .since("7.0.0"),
];

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
        None => Reply::NullArray,
    });
    Reply::Array(found.collect())
}

fn list(call: &mut Call<'_>, args: Args<'_>) -> Reply<'static> {
    let registry = call.shared.registry;
    let names: Vec<&Entry> = match (args.len(), args.get(2), args.get(3)) {
        (2, ..) => registry.commands().collect(),
        (5, Some(word), Some(by)) if super::is(word, "FILTERBY") => {
            let wanted = args.at(4).to_ascii_lowercase();
            match by {
                by if super::is(by, "PATTERN") => registry
                    .entries()
                    .iter()
                    .filter(|entry| glob::matches(&wanted, entry.name.as_bytes()))
                    .collect(),
                by if super::is(by, "ACLCAT") => registry
                    .entries()
                    .iter()
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
    let arity = match entry.meta.arity {
        Arity::Exactly(count) => i64::from(count),
        Arity::AtLeast(count) => -i64::from(count),
    };
    let (first, last, step) = match entry.meta.keys {
        Keys::None | Keys::Counted { .. } => (0, 0, 0),
        Keys::At(at) => (i64::from(at), i64::from(at), 1),
        Keys::Range { first, last, step } => (i64::from(first), i64::from(last), i64::from(step)),
    };
    let simple = |text: &'static str| Reply::Simple(text.into());
    let subs = entry.subs.iter().filter_map(|id| registry.get(*id));
    let categories = categories(entry);
    Reply::Array(vec![
        bulk(entry.name.clone()),
        Reply::Int(arity),
        Reply::Set(flags(entry).into_iter().map(simple).collect()),
        Reply::Int(first),
        Reply::Int(last),
        Reply::Int(step),
        Reply::Set(categories.iter().map(|it| Reply::Simple(format!("@{it}").into())).collect()),
        Reply::Array(Vec::new()),
        Reply::Array(key_specs(entry)),
        Reply::Array(subs.map(|sub| describe(registry, sub)).collect()),
    ])
}

fn key_specs(entry: &Entry) -> Vec<Reply<'static>> {
    let at = |index: u8| {
        let place = Reply::Map(vec![(bulk("index"), Reply::Int(i64::from(index)))]);
        Reply::Map(vec![(bulk("type"), bulk("index")), (bulk("spec"), place)])
    };
    let range = |last: i64, step: i64| {
        Reply::Map(vec![
            (bulk("type"), bulk("range")),
            (
                bulk("spec"),
                Reply::Map(vec![
                    (bulk("lastkey"), Reply::Int(last)),
                    (bulk("keystep"), Reply::Int(step)),
                    (bulk("limit"), Reply::Int(0)),
                ]),
            ),
        ])
    };
    let (begin, find) = match entry.meta.keys {
        Keys::None => return Vec::new(),
        Keys::At(index) => (at(index), range(0, 1)),
        Keys::Range { first, last, step } => {
            let last = if last < 0 { i64::from(last) } else { i64::from(last) - i64::from(first) };
            (at(first), range(last, i64::from(step)))
        }
        Keys::Counted { count } => {
            let spec = Reply::Map(vec![
                (bulk("keynumidx"), Reply::Int(0)),
                (bulk("firstkey"), Reply::Int(1)),
                (bulk("keystep"), Reply::Int(1)),
            ]);
            let find = vec![(bulk("type"), bulk("keynum")), (bulk("spec"), spec)];
            (at(count), Reply::Map(find))
        }
    };
    let access = if matches!(entry.target, Target::Write) { "RW" } else { "RO" };
    let flags = Reply::Set(vec![Reply::Simple(access.into()), Reply::Simple("access".into())]);
    vec![Reply::Map(vec![
        (bulk("flags"), flags),
        (bulk("begin_search"), begin),
        (bulk("find_keys"), find),
    ])]
}

/// Redis's names of the flags.
fn flags(entry: &Entry) -> Vec<&'static str> {
    let mut names = Vec::new();
    match entry.target {
        Target::Write => names.push("write"),
        Target::Read(_) => names.push("readonly"),
        Target::Server(_) | Target::Parent => {}
    }
    for (flag, name) in [
        (Flags::DENYOOM, "denyoom"),
        (Flags::ADMIN, "admin"),
        (Flags::LOADING, "loading"),
        (Flags::STALE, "stale"),
        (Flags::SKIP_SLOWLOG, "skip_slowlog"),
        (Flags::FAST, "fast"),
        (Flags::NO_AUTH, "no_auth"),
    ] {
        if entry.meta.flags.has(flag) {
            names.push(name);
        }
    }
    if matches!(entry.meta.keys, Keys::Counted { .. }) {
        names.push("movablekeys");
    }
    names
}

/// ACL categories, without the `@`.
pub(super) fn categories(entry: &Entry) -> Vec<&'static str> {
    let mut names = Vec::new();
    match entry.target {
        Target::Write => names.push("write"),
        Target::Read(_) => names.push("read"),
        Target::Server(_) | Target::Parent => {}
    }
    match entry.meta.group {
        Group::Generic => names.push("keyspace"),
        Group::Server | Group::Cluster => {}
        Group::Transactions => names.push("transaction"),
        group => names.push(group_name(group)),
    }
    let flags = entry.meta.flags;
    names.push(if flags.has(Flags::FAST) { "fast" } else { "slow" });
    if flags.has(Flags::ADMIN) {
        names.push("admin");
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
        Group::Connection => "connection",
        Group::Server => "server",
        Group::Cluster => "cluster",
        Group::Transactions => "transactions",
    }
}

fn get_keys(call: &mut Call<'_>, args: Args<'_>) -> Reply<'static> {
    match keys_of(call, args) {
        Ok((_, keys)) => Reply::Array(keys.into_iter().map(|key| bulk(key.to_vec())).collect()),
        Err(refusal) => refusal,
    }
}

fn get_keys_and_flags(call: &mut Call<'_>, args: Args<'_>) -> Reply<'static> {
    let (entry, keys) = match keys_of(call, args) {
        Ok(found) => found,
        Err(refusal) => return refusal,
    };
    let access = if matches!(entry.target, Target::Write) { "RW" } else { "RO" };
    let pair = |key: &[u8]| {
        let flags = vec![Reply::Simple(access.into()), Reply::Simple("access".into())];
        Reply::Array(vec![bulk(key.to_vec()), Reply::Set(flags)])
    };
    Reply::Array(keys.into_iter().map(pair).collect())
}

fn keys_of<'a>(
    call: &Call<'_>,
    args: Args<'a>,
) -> Result<(&'static Entry, Vec<&'a [u8]>), Reply<'static>> {
    let args = args.from(2);
    let mut entry = call
        .shared
        .registry
        .find(args.at(0))
        .ok_or(Reply::error("ERR Invalid command specified"))?;
    if let Some(sub) = call.shared.registry.find_sub(entry, args.at(1)) {
        entry = sub;
    }
    if !entry.takes(args.len()) {
        return Err(Reply::error("ERR Invalid number of arguments specified for command"));
    }
    let keys = keys(entry.meta.keys, args)
        .ok_or(Reply::error("ERR Invalid arguments specified for command"))?;
    if keys.is_empty() {
        return Err(Reply::error("ERR The command has no key arguments"));
    }
    Ok((entry, keys))
}

/// The keys among the arguments; `None` when a count of keys is wrong.
fn keys(place: Keys, args: Args<'_>) -> Option<Vec<&[u8]>> {
    let (first, last, step) = match place {
        Keys::None => return Some(Vec::new()),
        Keys::At(at) => (usize::from(at), usize::from(at), 1),
        Keys::Range { first, last, step } => {
            let last = if last < 0 {
                args.len().checked_sub(usize::from(last.unsigned_abs()))?
            } else {
                usize::from(last.unsigned_abs())
            };
            (usize::from(first), last, usize::from(step).max(1))
        }
        Keys::Counted { count } => {
            let place = usize::from(count);
            let number = usize::try_from(super::int(args.get(place)?)?).ok()?;
            let last = place.checked_add(number).filter(|last| *last < args.len())?;
            (place + 1, last, 1)
        }
    };
    (first..=last).step_by(step).map(|at| args.get(at)).collect()
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
