//! Commands that the server makes for itself: replicated settings, the feature level, messages
//! within transactions, and a long apply for tests.
//!
//! They are armoured in the log, since no Redis knows them, and unknown to clients
//! ([`Flags::INTERNAL`]). They change no key, so that a log with them is still an exact record of
//! the data.

use crate::{Flags, Group, Keys, Reader, Replied, SettingError, Spec, Writer, exactly};
use quorate_resp::{Args, Reply, parse_int};

/// The rows.
pub(super) const ROWS: &[Spec] = &Group::Server.rows([
    Spec::write("QUORATE.CONFIG", "parameter value", config)
        .facts(exactly(3), Keys::None, Flags::INTERNAL.and(Flags::ADMIN))
        .doc("7.2.0", "Sets one replicated setting.")
        .hidden(),
    Spec::write("QUORATE.LEVEL", "level", level)
        .facts(exactly(2), Keys::None, Flags::INTERNAL.and(Flags::ADMIN))
        .doc("7.2.0", "Raises the feature level: from then on the log may hold what it brings.")
        .hidden(),
    Spec::write("QUORATE.PUBLISH", "channel message <ALL | SHARD>", publish)
        .facts(exactly(4), Keys::None, Flags::INTERNAL.and(Flags::ADMIN))
        .doc("7.2.0", "Publishes a message, on every node where the entry is applied.")
        .hidden(),
    Spec::write("QUORATE.SPIN", "millions", spin)
        .facts(exactly(2), Keys::None, Flags::INTERNAL.and(Flags::ADMIN))
        .doc("7.2.0", "Turns an idle loop so many million times while it is applied.")
        .hidden()
        .costing(spin_cost_ns),
]);

/// Turns of the loop per unit.
const TURNS: u64 = 1_000_000;
/// No more units than this at once: some minutes.
const UNITS_MAX: i64 = 1_000_000;

fn config(cx: &mut Writer<'_>, args: Args<'_>) -> Replied<'static> {
    let text = |at| core::str::from_utf8(args.at(at)).unwrap_or("");
    match cx.keyspace.set_setting(text(1), text(2)) {
        Ok(()) => Ok(Reply::OK),
        Err(SettingError::Unknown) => Err(Reply::error("ERR no such replicated setting")),
        Err(SettingError::Invalid) => {
            Err(Reply::error("ERR invalid value of a replicated setting"))
        }
    }
}

/// A level that this version does not know is set all the same: [`apply`](crate::apply) stops then.
fn level(cx: &mut Writer<'_>, args: Args<'_>) -> Replied<'static> {
    let level = parse_int(args.at(1)).and_then(|level| u32::try_from(level).ok());
    cx.keyspace.raise_level(level.ok_or(Reply::error("ERR invalid feature level"))?);
    Ok(Reply::OK)
}

/// Who sent it knows better how many listen.
#[allow(clippy::unnecessary_wraps, reason = "the form of a row's function")]
fn publish(cx: &mut Writer<'_>, args: Args<'_>) -> Replied<'static> {
    cx.publish(args.at(1), args.at(2), args.at(3) == b"SHARD");
    Ok(Reply::Int(0))
}

fn spin(_: &mut Writer<'_>, args: Args<'_>) -> Replied<'static> {
    let units = units(args).ok_or(Reply::error("ERR value is not an integer or out of range"))?;
    let mut state = 1_u64;
    for _ in 0..units * TURNS {
        state = core::hint::black_box(state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1));
    }
    Ok(Reply::OK)
}

/// A turn is a multiplication, an addition and a store that is read again: 2 ns on the machines we
/// measured.
fn spin_cost_ns(_: &Reader<'_>, args: Args<'_>) -> u64 {
    units(args).unwrap_or(0).saturating_mul(TURNS * 2)
}

fn units(args: Args<'_>) -> Option<u64> {
    let units = parse_int(args.at(1)).filter(|units| (0..=UNITS_MAX).contains(units))?;
    u64::try_from(units).ok()
}
