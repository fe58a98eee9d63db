//! `CONFIG …`: the settings table seen by clients.
//!
//! A change is checked as a whole before any of it is made. Settings of the node change here, those
//! of the cluster go through the log.

use super::{Call, ConfigChange, NODE, Row, Run, View, Work, bulk, error};
use crate::backend::Backend;
use crate::evict::evict;
use crate::settings::{Scope, Setting, When, all, find, kept, merge_output_limits, rewrite_file};
use crate::shared::Shared;
use quorate_engine::{Flags, Group, Keys, exactly, glob, least};
use quorate_resp::{Args, Reply, up_to_zero};
use std::sync::atomic::Ordering::Relaxed;

const ADMIN: Flags = Flags::ADMIN.and(Flags::DANGEROUS);

/// The rows.
pub(super) const ROWS: &[Row] = &Group::Server.rows([
    Row::new("CONFIG", "", Run::Parent)
        .facts(least(2), Keys::None, NODE)
        .doc("2.0.0", "Shows and changes settings."),
    Row::new("CONFIG|GET", "parameter [parameter ...]", Run::Look(get, false))
        .facts(least(3), Keys::None, NODE.and(ADMIN))
        .doc("1.0.0", "Shows settings whose names match."),
    Row::new("CONFIG|SET", "parameter value [parameter value ...]", Run::Ask(set))
        .facts(least(4), Keys::None, NODE.and(ADMIN.and(Flags::SECRET)))
        .doc("1.0.0", "Changes settings, all or none."),
    Row::new("CONFIG|RESETSTAT", "", Run::Here(reset))
        .facts(exactly(2), Keys::None, NODE.and(ADMIN))
        .doc("1.0.0", "Sets the statistics to zero."),
    Row::new("CONFIG|REWRITE", "", Run::Ask(ask_rewrite))
        .facts(exactly(2), Keys::None, NODE.and(ADMIN))
        .doc("1.0.0", "Writes the settings to the configuration file."),
]);

fn get(call: &mut Call<'_>, view: &View<'_>, args: Args<'_>) -> Reply<'static> {
    // A node that has just loaded its state, or has applied another node's change, shows it.
    call.shared.see_cluster(view.keyspace.settings());
    let mut pairs: Vec<(&'static str, String)> = Vec::new();
    for pattern in args.from(2).iter() {
        let pattern = pattern.to_ascii_lowercase();
        let compiled = glob::Pattern::new(&pattern);
        for row in all() {
            for name in [Some(row.name), row.alias].into_iter().flatten() {
                let exact = name.as_bytes() == pattern;
                let shown = exact || row.when != When::Hidden;
                let fits = exact || compiled.matches(name.as_bytes());
                if shown && fits && !pairs.iter().any(|(known, _)| *known == name) {
                    pairs.push((name, call.shared.value(row)));
                }
            }
        }
    }
    Reply::Map(pairs.into_iter().map(|(name, value)| (bulk(name), bulk(value))).collect())
}

fn set(call: &mut Call<'_>, args: Args<'_>) -> Result<Work, Reply<'static>> {
    if !args.len().is_multiple_of(2) {
        return Err(Reply::error("ERR wrong number of arguments for 'config|set' command"));
    }
    let words: Vec<&[u8]> = args.from(2).iter().collect();
    let mut changes: Vec<ConfigChange> = Vec::with_capacity(words.len() / 2);
    for pair in words.chunks(2) {
        let [name, value] = pair else { continue };
        let known = std::str::from_utf8(name).ok().and_then(|name| Some((name, find(name)?)));
        let Some((name, row)) = known else {
            return Err(Reply::error_of(&[
                b"ERR Unknown option or number of arguments for CONFIG SET - '",
                up_to_zero(name),
                b"'",
            ]));
        };
        let refused = |why: &str| Err(set_failed(name, why));
        if changes.iter().any(|change| change.row.name == row.name) {
            return refused("duplicate parameter");
        }
        let old = call.shared.value(row);
        let Ok(value) = std::str::from_utf8(value) else {
            return refused("argument must be UTF-8");
        };
        let canonical = row.kind.canonical(value);
        if row.when == When::Start && canonical.as_ref() != Ok(&old) {
            return refused("can't set immutable config");
        }
        let value = match canonical {
            Ok(value) if row.name == "client-output-buffer-limit" => {
                merge_output_limits(&old, &value)
            }
            Ok(value) => value,
            Err(why) => return refused(&why.to_string()),
        };
        if row.name == "maxclients"
            && let Err(most) = call.shared.outside.descriptors.make_room(number(&value))
        {
            return refused(&format!(
                "The operating system is not able to handle the specified number of clients, try \
                 with {most}"
            ));
        }
        changes.push(ConfigChange { row, value });
    }
    Ok(Work::Configure(changes))
}

fn number(value: &str) -> usize {
    value.parse().unwrap_or(usize::MAX)
}

#[cold]
fn set_failed(name: &str, why: &str) -> Reply<'static> {
    error(format!("ERR CONFIG SET failed (possibly related to argument '{name}') - {why}"))
}

/// Applies checked changes, all or none: this node's first, then what can fail here, last what goes
/// through the log.
pub(super) async fn apply<B: Backend>(
    node: &B,
    shared: &Shared,
    changes: &[ConfigChange],
) -> Reply<'static> {
    let local: Vec<(&'static Setting, String)> = changes
        .iter()
        .filter(|change| change.row.scope != Scope::Cluster && change.row.when != When::Start)
        .map(|change| (change.row, change.value.clone()))
        .collect();
    let old = shared.settings.replace(&local);
    let outcome = apply_outside(node, shared, changes).await;
    if outcome.is_err() {
        shared.settings.replace(&old);
    }
    shared.settings_changed();
    // Before the answer, as in Redis; it may be the asking client's own last.
    evict(shared);
    match outcome {
        Ok(()) => Reply::OK,
        Err(refusal) => refusal,
    }
}

async fn apply_outside<B: Backend>(
    node: &B,
    shared: &Shared,
    changes: &[ConfigChange],
) -> Result<(), Reply<'static>> {
    for change in changes.iter().filter(|change| change.row.name == "port") {
        let port = change.value.parse::<u16>().unwrap_or(0);
        if u64::from(port) != shared.port.load(Relaxed) {
            listen_on(shared, port).await?;
        }
    }
    let mut cluster = Vec::new();
    for change in changes.iter().filter(|change| change.row.scope == Scope::Cluster) {
        if shared.value(change.row) != change.value {
            cluster.push(change);
        }
    }
    for change in &cluster {
        set_in_cluster(node, change.row.name, &change.value).await?;
    }
    if !cluster.is_empty() {
        // What was just logged is to be seen by the next CONFIG GET on this node.
        if let Ok(keyspace) = node.read().await {
            shared.see_cluster(keyspace.settings());
        }
    }
    Ok(())
}

/// Sets one replicated setting.
pub(crate) async fn set_in_cluster<B: Backend>(
    node: &B,
    name: &str,
    value: &str,
) -> Result<(), Reply<'static>> {
    let value = kept(name, value);
    let args = ["QUORATE.CONFIG", name, &value].map(|arg| arg.as_bytes().to_vec());
    match super::log::through_log(node, &args).await {
        Reply::Error(line) if line.as_bytes().starts_with(b"ERR ") => {
            let line = line.to_string();
            Err(set_failed(name, line.strip_prefix("ERR ").unwrap_or(&line)))
        }
        refusal @ Reply::Error(_) => Err(refusal),
        _ => Ok(()),
    }
}

async fn listen_on(shared: &Shared, port: u16) -> Result<(), Reply<'static>> {
    const FAILED: &str = "Unable to listen on this port. Check server logs.";
    let (answer, outcome) = tokio::sync::oneshot::channel();
    let asked = shared.rebind.send((port, answer)).await.is_ok();
    match outcome.await {
        Ok(Ok(())) if asked => Ok(()),
        Ok(Err(why)) => {
            tracing::warn!(port, %why, "cannot listen there");
            Err(set_failed("port", FAILED))
        }
        _ => Err(set_failed("port", FAILED)),
    }
}

fn reset(call: &mut Call<'_>, _: Args<'_>) -> Reply<'static> {
    call.shared.stats.reset();
    Reply::OK
}

pub(super) fn ask_rewrite(call: &mut Call<'_>, _: Args<'_>) -> Result<Work, Reply<'static>> {
    if call.shared.settings.file().is_none() {
        return Err(Reply::error("ERR The server is running without a config file"));
    }
    Ok(Work::RewriteConfig)
}

/// Rewrites the file; small and rare, so it is done in place.
pub(super) fn rewrite(shared: &Shared) -> Reply<'static> {
    let Some(file) = shared.settings.file() else {
        return Reply::error("ERR The server is running without a config file");
    };
    match rewrite_file(file, &shared.settings.given()) {
        Ok(()) => Reply::OK,
        Err(why) => error(format!("ERR Rewriting config file: {why}")),
    }
}
