//! `MEMORY …`: what the data and the process take.

use super::{Call, Row, Run, View, bulk, exactly};
use quorate_resp::{Args, Reply};

/// The row.
pub(super) const COMMANDS: &[Row] =
    &[Row::parent("MEMORY", SUBS, "Looks at memory.").since("4.0.0")];

const SUBS: &[Row] = &[
    Row::new(
        "MEMORY|STATS",
        exactly(2),
        Run::Look(stats, false),
        "Shows what takes how many bytes.",
    )
    .after_loading()
    .since("4.0.0"),
    Row::new(
        "MEMORY|DOCTOR",
        exactly(2),
        Run::Look(doctor, false),
        "Says whether memory looks sound.",
    )
    .after_loading()
    .since("4.0.0"),
    Row::new(
        "MEMORY|PURGE",
        exactly(2),
        Run::Here(purge),
        "Has no effect: memory goes back by itself.",
    )
    .after_loading()
    .since("4.0.0"),
    Row::new("MEMORY|MALLOC-STATS", exactly(2), Run::Here(malloc_stats), "Names the allocator.")
        .after_loading()
        .since("4.0.0"),
];

fn stats(call: &mut Call<'_>, view: &View<'_>, _: Args<'_>) -> Reply<'static> {
    let process = crate::process::Figures::now();
    let used = view.keyspace.used_bytes();
    let clients: usize = call
        .shared
        .clients
        .all()
        .iter()
        .map(|peer| {
            let order = std::sync::atomic::Ordering::Relaxed;
            peer.input_capacity.load(order) + peer.output.load(order)
        })
        .sum();
    let number = |value: u64| Reply::Int(value as i64);
    Reply::Map(vec![
        (bulk("peak.allocated"), number(process.rss_peak_bytes)),
        (bulk("total.allocated"), number(process.rss_bytes)),
        (bulk("clients.normal"), number(clients as u64)),
        (bulk("dataset.bytes"), number(used)),
        (bulk("log.bytes"), number(view.status.log_bytes)),
    ])
}

fn doctor(_: &mut Call<'_>, view: &View<'_>, _: Args<'_>) -> Reply<'static> {
    let process = crate::process::Figures::now();
    let (used, rss) = (view.keyspace.used_bytes(), process.rss_bytes);
    let text = if rss < 256 << 20 {
        "The process takes less than 256 MiB; there is nothing to say about it yet.".to_owned()
    } else if used > 0 && rss / used >= 3 {
        format!(
            "The process takes {rss} bytes for {used} bytes of data. Look for large replies \
             and log caches."
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
