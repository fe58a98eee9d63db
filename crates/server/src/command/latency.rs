//! `LATENCY …`: histograms of commands; no events are recorded, so the rest answers that there are
//! none.
//!
//! The histograms are those of [`stats`](crate::stats), which counts every command anyway.

use super::{Call, NODE, Row, Run, bulk};
use quorate_engine::{Flags, Group, Keys, exactly, least};
use quorate_resp::{Args, Reply, up_to_zero};
use std::sync::atomic::Ordering::Relaxed;

const ADMIN: Flags = Flags::ADMIN.and(Flags::DANGEROUS);

/// The rows.
pub(super) const ROWS: &[Row] = &Group::Server.rows([
    Row::new("LATENCY", "", Run::Parent)
        .facts(least(2), Keys::None, NODE)
        .doc("2.8.13", "Shows latencies."),
    Row::new("LATENCY|HISTOGRAM", "[command [command ...]]", Run::Here(histogram))
        .facts(least(2), Keys::None, NODE.and(ADMIN))
        .doc("7.0.0", "Shows latencies of commands."),
    Row::new("LATENCY|LATEST", "", Run::Here(nothing))
        .facts(exactly(2), Keys::None, NODE.and(ADMIN))
        .doc("1.0.0", "Shows the last events: none."),
    Row::new("LATENCY|HISTORY", "event", Run::Here(nothing))
        .facts(exactly(3), Keys::None, NODE.and(ADMIN))
        .doc("1.0.0", "Shows an event's past: none."),
    Row::new("LATENCY|GRAPH", "event", Run::Here(graph))
        .facts(exactly(3), Keys::None, NODE.and(ADMIN))
        .doc("1.0.0", "Draws an event's past: none."),
    Row::new("LATENCY|RESET", "[event [event ...]]", Run::Here(reset))
        .facts(least(2), Keys::None, NODE.and(ADMIN))
        .doc("1.0.0", "Forgets events: none."),
    Row::new("LATENCY|DOCTOR", "", Run::Here(doctor))
        .facts(exactly(2), Keys::None, NODE.and(ADMIN))
        .doc("1.0.0", "Explains events: none."),
]);

fn histogram(call: &mut Call<'_>, args: Args<'_>) -> Reply<'static> {
    let registry = call.shared.registry;
    let named: Vec<u16> = args
        .iter()
        .skip(2)
        .filter_map(|name| registry.find(name))
        .flat_map(|entry| [entry.id].into_iter().chain(entry.subs.iter().copied()))
        .collect();
    let mut commands = Vec::new();
    for entry in registry.entries() {
        let wanted = args.len() == 2 || named.contains(&entry.id);
        let Some(stats) = call.shared.stats.command(entry.id).filter(|_| wanted) else { continue };
        let mut below = 0;
        let buckets: Vec<_> = stats
            .buckets()
            .into_iter()
            .map(|(micros, count)| {
                below += count;
                (Reply::Int(micros as i64), Reply::Int(below as i64))
            })
            .collect();
        if !buckets.is_empty() {
            let facts = Reply::Map(vec![
                (bulk("calls"), Reply::Int(stats.calls.load(Relaxed) as i64)),
                (bulk("histogram_usec"), Reply::Map(buckets)),
            ]);
            commands.push((bulk(entry.name.clone()), facts));
        }
    }
    Reply::Map(commands)
}

fn nothing(_: &mut Call<'_>, _: Args<'_>) -> Reply<'static> {
    Reply::Array(Vec::new())
}

fn graph(_: &mut Call<'_>, args: Args<'_>) -> Reply<'static> {
    let event = up_to_zero(args.at(2));
    Reply::error_of(&[b"ERR No samples available for event '", event, b"'"])
}

fn reset(_: &mut Call<'_>, _: Args<'_>) -> Reply<'static> {
    Reply::Int(0)
}

fn doctor(_: &mut Call<'_>, _: Args<'_>) -> Reply<'static> {
    let text = "No events are recorded. See LATENCY HISTOGRAM, SLOWLOG and INFO quorate.";
    Reply::Verbatim(*b"txt", text.as_bytes().into())
}
