//! Commands about the node as a whole: time, role, snapshots, stopping.
//!
//! SAVE, SHUTDOWN and FAILOVER only say what is to be done ([`work`](super::work)).

use super::work::{HAND_OVER_TIME, replicas};
use super::{Call, NODE, Row, Run, View, Work, bulk, int, is, not_an_integer, syntax_error, text};
use crate::shared::{Stop, unix_micros};
use quorate_consensus::LastSnapshot;
use quorate_engine::{Flags, Group, Keys, exactly, least};
use quorate_resp::{Args, Reply, parse_int};
use std::time::Duration;

const ADMIN: Flags = Flags::ADMIN.and(Flags::DANGEROUS);

/// The rows.
pub(super) const ROWS: &[Row] = &[
    Row::new("INFO", "[section [section ...]]", Run::Look(super::info::info, false))
        .facts(least(1), Keys::None, NODE.and(Flags::DANGEROUS))
        .doc("1.0.0", "Describes the node.")
        .group(Group::Server),
    Row::new("TIME", "", Run::Here(time))
        .facts(exactly(1), Keys::None, NODE.and(Flags::FAST))
        .doc("2.6.0", "Answers the node's wall-clock time.")
        .group(Group::Server),
    Row::new("ROLE", "", Run::Look(role, false))
        .facts(exactly(1), Keys::None, NODE.and(Flags::FAST.and(ADMIN)))
        .doc("2.8.12", "Answers the node's role in Redis's form.")
        .group(Group::Server),
    Row::new("WAIT", "numreplicas timeout", Run::Ask(wait))
        .facts(exactly(3), Keys::None, Flags::STALE)
        .doc("3.0.0", "Answers how many replicas hold the last write.")
        .filed(&["connection"])
        .group(Group::Generic),
    Row::new("WAITAOF", "numlocal numreplicas timeout", Run::Look(wait_aof, false))
        .facts(exactly(4), Keys::None, Flags::STALE)
        .doc("7.2.0", "Answers where the last write is on disk.")
        .filed(&["connection"])
        .group(Group::Generic),
    Row::new("SAVE", "", Run::Ask(save))
        .facts(exactly(1), Keys::None, Flags::STALE.and(ADMIN).and(Flags::NO_MULTI))
        .doc("1.0.0", "Makes a snapshot and waits for it.")
        .group(Group::Server),
    Row::new("BGSAVE", "[SCHEDULE]", Run::Ask(bgsave))
        .facts(least(1), Keys::None, Flags::STALE.and(ADMIN))
        .doc("1.0.0", "Makes a snapshot in the background.")
        .group(Group::Server),
    Row::new("BGREWRITEAOF", "", Run::Ask(bgrewriteaof))
        .facts(exactly(1), Keys::None, Flags::STALE.and(ADMIN))
        .doc("1.0.0", "Makes a snapshot, behind which the log is dropped.")
        .group(Group::Server),
    Row::new("LASTSAVE", "", Run::Look(lastsave, false))
        .facts(exactly(1), Keys::None, NODE.and(Flags::FAST.and(ADMIN)))
        .doc("1.0.0", "Answers when the last snapshot was made.")
        .group(Group::Server),
    Row::new("SHUTDOWN", "[NOSAVE | SAVE] [NOW] [FORCE] [ABORT]", Run::Ask(shutdown))
        .facts(least(1), Keys::None, NODE.and(ADMIN).and(Flags::NO_MULTI))
        .doc("1.0.0", "Hands leadership over and stops the node.")
        .group(Group::Server),
    Row::new(
        "FAILOVER",
        "[TO host port [FORCE]] [ABORT] [TIMEOUT milliseconds]",
        Run::Ask(failover),
    )
    .facts(least(1), Keys::None, Flags::STALE.and(ADMIN))
    .doc("6.2.0", "Hands leadership to another voter.")
    .group(Group::Server),
    Row::new("MONITOR", "", Run::Here(monitor))
        .facts(exactly(1), Keys::None, NODE.and(ADMIN))
        .doc("1.0.0", "Shows every command this node receives.")
        .group(Group::Server),
    Row::new("LOLWUT", "[VERSION version]", Run::Here(lolwut))
        .facts(least(1), Keys::None, Flags::STALE.and(Flags::FAST))
        .doc("5.0.0", "Answers the version.")
        .group(Group::Server),
];

fn time(_: &mut Call<'_>, _: Args<'_>) -> Reply<'static> {
    let now = unix_micros();
    let (seconds, micros) = (now / 1_000_000, now % 1_000_000);
    Reply::Array(vec![bulk(seconds.to_string()), bulk(micros.to_string())])
}

/// Every node takes writes, so every node says `master`: clients that look for one find it
/// anywhere.
fn role(call: &mut Call<'_>, view: &View<'_>, _: Args<'_>) -> Reply<'static> {
    let status = view.status;
    let others = status.members.iter().filter(|member| {
        member.node != status.node
            && (member.live || status.role != quorate_consensus::Role::Leader)
    });
    let mut replicas: Vec<Reply<'static>> = others
        .map(|member| {
            let (host, port) = member.resp_address.rsplit_once(':').unwrap_or(("", "0"));
            let index = member.matched.unwrap_or(status.commit_index).to_string();
            Reply::Array(vec![bulk(host), bulk(port), bulk(index)])
        })
        .collect();
    replicas.extend(call.shared.followers.all().iter().map(|follower| {
        let index = follower.index.load(std::sync::atomic::Ordering::Relaxed).to_string();
        Reply::Array(vec![
            bulk(follower.host.clone()),
            bulk(follower.port.to_string()),
            bulk(index),
        ])
    }));
    let offset = Reply::Int(status.commit_index as i64);
    Reply::Array(vec![bulk("master"), offset, Reply::Array(replicas)])
}

/// A count and a timeout in milliseconds, with Redis's errors.
fn count_and_timeout(count: &[u8], timeout: &[u8]) -> Result<(usize, u64), Reply<'static>> {
    let count = int(count).ok_or_else(not_an_integer)?;
    let ms = int(timeout).ok_or(Reply::error("ERR timeout is not an integer or out of range"))?;
    let ms = u64::try_from(ms).map_err(|_| Reply::error("ERR timeout is negative"))?;
    Ok((usize::try_from(count).unwrap_or(0), ms))
}

fn wait(_: &mut Call<'_>, args: Args<'_>) -> Result<Work, Reply<'static>> {
    let (count, ms) = count_and_timeout(args.at(1), args.at(2))?;
    Ok(Work::Wait(count, ms))
}

/// Acknowledged means synced on a majority: the local log and the replicas that hold the write are
/// answered at once.
fn wait_aof(_: &mut Call<'_>, view: &View<'_>, args: Args<'_>) -> Reply<'static> {
    match int(args.at(1)) {
        Some(0 | 1) => {}
        Some(_) => return Reply::error("ERR value is out of range, must be between 0 and 1"),
        None => return not_an_integer(),
    }
    if let Err(refusal) = count_and_timeout(args.at(2), args.at(3)) {
        return refusal;
    }
    Reply::Array(vec![Reply::Int(1), Reply::len(replicas(view.status).0)])
}

fn save(call: &mut Call<'_>, _: Args<'_>) -> Result<Work, Reply<'static>> {
    if call.shared.saving.load(std::sync::atomic::Ordering::Relaxed) {
        return Err(Reply::error("ERR Background save already in progress"));
    }
    Ok(Work::Save)
}

fn bgsave(call: &mut Call<'_>, args: Args<'_>) -> Result<Work, Reply<'static>> {
    match args.get(1) {
        None => {}
        Some(word) if args.len() == 2 && is(word, "SCHEDULE") => {}
        Some(_) => return Err(syntax_error()),
    }
    save(call, args)?;
    Ok(Work::SaveBehind("Background saving started"))
}

fn bgrewriteaof(call: &mut Call<'_>, args: Args<'_>) -> Result<Work, Reply<'static>> {
    if save(call, args).is_err() {
        return Err(Reply::error("ERR Background append only file rewriting already in progress"));
    }
    Ok(Work::SaveBehind("Background append only file rewriting started"))
}

fn lastsave(call: &mut Call<'_>, view: &View<'_>, _: Args<'_>) -> Reply<'static> {
    Reply::Int(call.shared.last_save(view.status.saving.newest_at) as i64)
}

fn shutdown(_: &mut Call<'_>, args: Args<'_>) -> Result<Work, Reply<'static>> {
    let (mut now, mut last) = (false, None);
    for word in args.from(1).iter() {
        match word {
            word if is(word, "NOW") => now = true,
            word if is(word, "FORCE") => {}
            word if is(word, "SAVE") && last != Some(LastSnapshot::Never) => {
                last = Some(LastSnapshot::Always);
            }
            word if is(word, "NOSAVE") && last != Some(LastSnapshot::Always) => {
                last = Some(LastSnapshot::Never);
            }
            word if is(word, "ABORT") && args.len() == 2 => {
                return Err(Reply::error("ERR No shutdown in progress."));
            }
            _ => return Err(syntax_error()),
        }
    }
    Ok(Work::Shutdown(match (now, last) {
        (true, last) => Stop::Now(last.unwrap_or(LastSnapshot::Never)),
        (false, last) => Stop::Orderly(last.unwrap_or_default()),
    }))
}

fn failover(_: &mut Call<'_>, args: Args<'_>) -> Result<Work, Reply<'static>> {
    let (mut to, mut limit) = (None, HAND_OVER_TIME);
    let mut words = args.from(1).iter();
    while let Some(word) = words.next() {
        if is(word, "ABORT") && args.len() == 2 {
            // A hand-over is waited for by its caller: there is never one to be aborted.
            return Err(Reply::error("ERR No failover in progress."));
        } else if is(word, "TO") && to.is_none() {
            let (Some(host), Some(port)) = (words.next(), words.next()) else {
                return Err(syntax_error());
            };
            to = Some(format!("{}:{}", text(host), text(port)));
        } else if is(word, "TIMEOUT") {
            let ms = words.next().and_then(parse_int).and_then(|ms| u64::try_from(ms).ok());
            let Some(ms) = ms.filter(|ms| *ms > 0) else {
                return Err(Reply::error("ERR FAILOVER timeout must be greater than 0"));
            };
            limit = Duration::from_millis(ms);
        } else if !is(word, "FORCE") {
            return Err(syntax_error());
        }
    }
    Ok(Work::HandOver(to, limit))
}

fn monitor(call: &mut Call<'_>, _: Args<'_>) -> Reply<'static> {
    call.shared.clients.set_monitor(&call.client.peer, true);
    Reply::OK
}

fn lolwut(_: &mut Call<'_>, _: Args<'_>) -> Reply<'static> {
    Reply::Verbatim(
        *b"txt",
        format!("Quorate ver. {}\n", env!("CARGO_PKG_VERSION")).into_bytes().into(),
    )
}
