//! Apply: what an entry does to the keyspace.
//!
//! Total, deterministic, the same on every replica. Nothing else changes a key: sealing and reads
//! take a shared keyspace, and a freeze only marks what it has written.

use super::payload::{Decoded, Walker};
use super::replies::{Answers, mix};
use super::retell::{Applying, Listener, Teller};
use super::waiter::Waiter;
use crate::cmd::tell_if_gone;
use crate::keyspace::Ahead;
use crate::{Effects, Handler, Keyspace, LEVEL_MAX, Plan, Spec, Stamp, WriteFn, Writer, cmd};
use alloc::vec::Vec;
use bytes::Bytes;
use quorate_resp::{Args, Reply};

/// Where the entry stands.
#[derive(Clone, Copy, Debug)]
pub struct Applied {
    /// Log index; revision of what the entry changes.
    pub index: u64,
    /// The leader's inputs.
    pub stamp: Stamp,
}

/// What applying an entry gave.
#[derive(Debug, Default)]
pub struct Outcome {
    /// With a plan: the encoded replies of each run, in the order of the runs.
    pub replies: Vec<Bytes>,
    /// Who waited and is served, in order. Their nodes answer them.
    pub served: Vec<Served>,
    /// For the server to carry out.
    pub effects: Effects,
}

/// Somebody who waited is served.
#[derive(Debug)]
pub struct Served {
    /// Who.
    pub waiter: Waiter,
    /// With what.
    pub reply: Reply<'static>,
}

/// Applies one entry. `plan` is given only on the replica that sealed it, which alone makes
/// replies. Returns `Err` if the payload cannot be decoded or does not fit the plan: this replica
/// must stop (both were made by sealing, so the log is damaged, or written by a version that knows
/// more than this one).
pub fn apply(
    keyspace: &mut Keyspace,
    at: Applied,
    payload: &[u8],
    plan: Option<&Plan>,
) -> Result<Outcome, &'static str> {
    run(keyspace, at, payload, (plan, &mut ()))
}

/// The same, and tells what a replica of Redis 7.0, which has everything before this entry, must do
/// to have the same keys: commands, back to back, `SELECT` first. Empty when nothing changed.
pub fn apply_told(
    keyspace: &mut Keyspace,
    at: Applied,
    payload: &[u8],
    plan: Option<&Plan>,
) -> Result<(Outcome, Bytes), &'static str> {
    let mut teller = Teller::default();
    let outcome = run(keyspace, at, payload, (plan, &mut teller))?;
    Ok((outcome, teller.finish()))
}

/// Applies while somebody listens. Without a listener ([`apply`]) nothing of it is compiled.
fn run<L: Listener>(
    keyspace: &mut Keyspace,
    at: Applied,
    payload: &[u8],
    (plan, listener): (Option<&Plan>, &mut L),
) -> Result<Outcome, &'static str> {
    let now_ms = at.stamp.now_ms.max(keyspace.now_ms());
    keyspace.begin_entry(at.index, now_ms);
    let (mut effects, mut served) = (Effects::default(), Vec::new());
    let mut answers = plan.map(|plan| Answers::new(plan, !at.stamp.seed));
    let mut walker = Walker::new(payload);
    let (mut seed, mut ahead, mut last) = (at.stamp.seed, Ahead::default(), None);
    while let Some(found) = walker.next()? {
        let Some((db, expiry)) = found.command() else {
            listener.frame(matches!(found, Decoded::Multi));
            continue;
        };
        let (known, given, serves) = (ahead.take(), walker.take_seed(), walker.take_served());
        if ahead.is_over() {
            ahead = keyspace.warm(db, walker.rest());
        }
        let args = walker.args(&found);
        if !expiry && let Some(answers) = &mut answers {
            match serves {
                None => answers.before_logged(keyspace)?,
                Some(_) => answers.before_served(keyspace)?,
            }
        }
        seed = mix(seed);
        let stamp = Stamp { now_ms, seed: given.unwrap_or(seed) };
        keyspace.begin_command(!expiry && serves.is_none());
        let mut cx = Writer::new(keyspace, db, stamp, at.index, &mut effects);
        cx.known = known;
        if expiry {
            expire(&mut cx, args)?;
            listener.expired(&cx.reader(), args);
            continue;
        }
        let (spec, write) = write_of(last, args)?;
        last = Some(spec);
        let applying = Applying { spec, found: &found, args };
        listener.before(&cx.reader(), applying);
        let reply = write(&mut cx, args).unwrap_or_else(|error| error);
        listener.after(&cx.reader(), applying, &reply);
        match (serves, &mut answers) {
            (Some((waiter, flat)), _) => {
                let reply = if flat { reply.flattened() } else { reply };
                served.push(Served { waiter, reply });
            }
            (None, Some(answers)) => answers.reply(&reply),
            (None, None) => {}
        }
    }
    effects.changed = keyspace.take_changed();
    if keyspace.level() > LEVEL_MAX {
        return Err(
            "the cluster has a feature level that this version does not know: start a newer \
             version of quorate",
        );
    }
    let replies = match answers {
        Some(answers) => answers.finish(keyspace)?,
        None => Vec::new(),
    };
    Ok(Outcome { replies, served, effects })
}

/// The row and the function of a logged command; `last` is the row of that before.
fn write_of(
    last: Option<&'static Spec>,
    args: Args<'_>,
) -> Result<(&'static Spec, WriteFn), &'static str> {
    let spec = cmd::resolve_like(last, args);
    let spec = spec.ok_or("payload: a command that this version does not know")?;
    if !spec.meta.arity.fits(args.len()) {
        return Err("payload: a command with a wrong number of arguments");
    }
    match spec.run {
        // Also with BLOCK: versions that did not wait logged it so.
        Handler::WaitsIf { write, .. } | Handler::Script { write: Some(write), .. } => {
            Ok((spec, write))
        }
        run => match run.of(args) {
            Handler::Write(run) => Ok((spec, run)),
            _ => Err("payload: a read"),
        },
    }
}

/// Removes keys, or fields of a hash, whose deadline has passed. What is not due stays: only time
/// can end it.
fn expire(cx: &mut Writer<'_>, args: Args<'_>) -> Result<(), &'static str> {
    match (args.at(0), args.len()) {
        (b"UNLINK", 2..) => args.from(1).iter().for_each(|key| expire_key(cx, key)),
        (b"HDEL", 3..) => {
            if cx.expire_fields(args.at(1), args.from(2).iter()) {
                cx.notify(b'h', "hexpired", args.at(1));
                tell_if_gone(cx, args.at(1));
            }
        }
        _ => return Err("payload: an expiry that is neither UNLINK nor HDEL"),
    }
    Ok(())
}

fn expire_key(cx: &mut Writer<'_>, key: &[u8]) {
    let deadline = cx.keyspace.deadline(cx.db, key);
    let by_its_own = deadline.is_some_and(|deadline| deadline < cx.now_ms());
    if !cx.expire(key) {
        return;
    }
    if by_its_own {
        cx.notify(b'x', "expired", key);
    } else {
        // A hash whose last field has ended.
        cx.notify(b'h', "hexpired", key);
        cx.notify(b'g', "del", key);
    }
}
