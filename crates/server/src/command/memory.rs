//! `MEMORY …`: what the data and the process take.
//!
//! The sums are [`memory`](crate::memory)'s; this file fetches the parts and names them as Redis
//! does.

use super::{Call, NODE, Row, Run, View, bulk};
use crate::memory::{Held, Memory};
use crate::process::Figures;
use quorate_engine::{Db, Flags, Group, Keys, exactly, least};
use quorate_resp::{Args, Reply};

/// The rows.
pub(super) const ROWS: &[Row] = &Group::Server.rows([
    Row::new("MEMORY", "", Run::Parent)
        .facts(least(2), Keys::None, NODE)
        .doc("4.0.0", "Looks at memory.")
        .filed(&[]),
    Row::new("MEMORY|STATS", "", Run::Look(stats, false))
        .facts(exactly(2), Keys::None, Flags::STALE)
        .doc("4.0.0", "Shows what takes how many bytes.")
        .filed(&[]),
    Row::new("MEMORY|DOCTOR", "", Run::Look(doctor, false))
        .facts(exactly(2), Keys::None, Flags::STALE)
        .doc("4.0.0", "Says whether memory looks sound.")
        .filed(&[]),
    Row::new("MEMORY|PURGE", "", Run::Here(purge))
        .facts(exactly(2), Keys::None, Flags::STALE)
        .doc("4.0.0", "Has no effect: memory goes back by itself.")
        .filed(&[]),
    Row::new("MEMORY|MALLOC-STATS", "", Run::Here(malloc_stats))
        .facts(exactly(2), Keys::None, Flags::STALE)
        .doc("4.0.0", "Names the allocator.")
        .filed(&[]),
]);

/// What takes memory now.
pub(super) fn figures(call: &Call<'_>, view: &View<'_>, process: &Figures) -> Memory {
    let held = Held {
        data: view.keyspace.used_bytes(),
        clients: call.shared.clients.bytes() as u64,
        replicas: call.shared.followers.waiting(),
        log: view.status.log_cached_bytes,
    };
    Memory::now(&call.shared.memory, process, held, view.status.loading.is_none())
}

fn stats(call: &mut Call<'_>, view: &View<'_>, _: Args<'_>) -> Reply<'static> {
    let memory = figures(call, view, &Figures::now());
    let number = |value: u64| Reply::Int(value as i64);
    let keys: u64 = (0..Db::COUNT).map(|db| view.keyspace.stats(Db(db)).0).sum();
    let each = (memory.used() - memory.startup) / keys.max(1);
    let of_peak = memory.used() as f64 * 100.0 / memory.peak.max(1) as f64;
    Reply::Map(vec![
        (bulk("peak.allocated"), number(memory.peak)),
        (bulk("total.allocated"), number(memory.used())),
        (bulk("startup.allocated"), number(memory.startup)),
        (bulk("replication.backlog"), number(memory.log)),
        (bulk("clients.slaves"), number(memory.replicas)),
        (bulk("clients.normal"), number(memory.clients - memory.replicas)),
        (bulk("overhead.total"), number(memory.overhead())),
        (bulk("keys.count"), number(keys)),
        (bulk("keys.bytes-per-key"), number(if keys == 0 { 0 } else { each })),
        (bulk("dataset.bytes"), number(memory.data)),
        (bulk("dataset.percentage"), Reply::Double(memory.data_percent())),
        (bulk("peak.percentage"), Reply::Double(of_peak)),
        (bulk("allocator.resident"), number(memory.resident)),
        (bulk("fragmentation"), Reply::Double(memory.fragmentation())),
        (bulk("log.bytes"), number(view.status.log_bytes)),
    ])
}

fn doctor(call: &mut Call<'_>, view: &View<'_>, _: Args<'_>) -> Reply<'static> {
    let memory = figures(call, view, &Figures::now());
    let (used, rss) = (memory.used(), memory.resident);
    let text = if rss < 256 << 20 {
        "The process takes less than 256 MiB; there is nothing to say about it yet.".to_owned()
    } else if rss / used.max(1) >= 3 {
        format!(
            "The process takes {rss} bytes and knows of {used} in use. Look for large replies \
             that were just sent."
        )
    } else {
        "Memory looks sound.".to_owned()
    };
    Reply::Verbatim(*b"txt", text.into_bytes().into())
}

fn purge(_: &mut Call<'_>, _: Args<'_>) -> Reply<'static> {
    Reply::OK
}

fn malloc_stats(_: &mut Call<'_>, _: Args<'_>) -> Reply<'static> {
    Reply::Verbatim(*b"txt", b"mimalloc; its figures are in INFO memory\n".as_slice().into())
}
