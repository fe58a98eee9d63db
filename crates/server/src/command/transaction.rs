//! MULTI and what belongs to it.
//!
//! What was queued, and what is watched, are in `transaction.rs`; EXEC is carried out by the
//! session (`session/exec.rs`).

use super::{Call, NODE, Row, Run, View, Work};
use crate::transaction::watched_bytes;
use quorate_engine::{Flags, Group, Keys, exactly, least};
use quorate_resp::{Args, Reply};

/// Runs at once also between MULTI and EXEC.
const WORD: Flags = NODE.and(Flags::FAST).and(Flags::UNQUEUED);

/// Shown by what it carries out.
const EXEC: Flags = NODE.and(Flags::UNQUEUED).and(Flags::SKIP_MONITOR).and(Flags::SKIP_SLOWLOG);

/// Bytes that watched keys take at most: they travel with EXEC.
const WATCHED_BYTES_MAX: usize = 16 << 20;

/// The rows.
pub(super) const ROWS: &[Row] = &Group::Transactions.rows([
    Row::new("MULTI", "", Run::Here(multi))
        .facts(exactly(1), Keys::None, WORD)
        .doc("1.2.0", "Begins a transaction: what follows is queued."),
    Row::new("EXEC", "", Run::Ask(exec))
        .facts(exactly(1), Keys::None, EXEC)
        .doc("1.2.0", "Carries out what was queued, as one, unless a watched key has changed."),
    Row::new("DISCARD", "", Run::Here(discard))
        .facts(exactly(1), Keys::None, WORD)
        .doc("2.0.0", "Gives a transaction up."),
    Row::new("WATCH", "key [key ...]", Run::Look(watch, true))
        .facts(least(2), Keys::Range { first: 1, last: -1, step: 1 }, WORD)
        .doc("2.2.0", "Makes the next EXEC depend on these keys.")
        .access(&["RO"]),
    Row::new("UNWATCH", "", Run::Here(unwatch))
        .facts(exactly(1), Keys::None, NODE.and(Flags::FAST))
        .doc("2.2.0", "Forgets the watched keys."),
]);

fn multi(call: &mut Call<'_>, _: Args<'_>) -> Reply<'static> {
    if call.client.transaction.open() {
        return Reply::OK;
    }
    Reply::error("ERR MULTI calls can not be nested")
}

fn exec(call: &mut Call<'_>, _: Args<'_>) -> Result<Work, Reply<'static>> {
    let Some((queue, watched)) = call.client.transaction.take() else {
        return Err(Reply::error("ERR EXEC without MULTI"));
    };
    if queue.spoiled {
        return Err(Reply::error("EXECABORT Transaction discarded because of previous errors."));
    }
    Ok(Work::Exec(queue, watched))
}

fn discard(call: &mut Call<'_>, _: Args<'_>) -> Reply<'static> {
    if call.client.transaction.take().is_some() {
        return Reply::OK;
    }
    Reply::error("ERR DISCARD without MULTI")
}

fn watch(call: &mut Call<'_>, view: &View<'_>, args: Args<'_>) -> Reply<'static> {
    if call.client.transaction.is_open() {
        return Reply::error("ERR WATCH inside MULTI is not allowed");
    }
    let db = call.client.db;
    let asked: usize = args.from(1).iter().map(watched_bytes).sum();
    if call.client.transaction.bytes().saturating_add(asked) > WATCHED_BYTES_MAX {
        return Reply::error("ERR too many bytes of keys are watched");
    }
    for key in args.from(1).iter() {
        call.client.transaction.watch(view.keyspace, db, key);
    }
    Reply::OK
}

fn unwatch(call: &mut Call<'_>, _: Args<'_>) -> Reply<'static> {
    call.client.transaction.unwatch();
    Reply::OK
}
