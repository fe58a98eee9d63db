//! `SCRIPT` and `FUNCTION`, as far as the server carries them out: what ends a script that runs.
//!
//! The rest are rows of the engine (`engine/src/cmd/script.rs`): it has the state, and runs them.

use super::{Call, NODE, Row, Run, Work};
use quorate_engine::{Flags, Group, Keys, exactly, least};
use quorate_resp::{Args, Reply};

const KILL: Flags = Flags::STALE.and(Flags::NO_SCRIPT).and(Flags::ALLOW_BUSY);

/// The rows.
pub(super) const ROWS: &[Row] = &Group::Scripting.rows([
    Row::new("SCRIPT", "", Run::Parent)
        .facts(least(2), Keys::None, NODE)
        .doc("2.6.0", "Keeps, forgets and ends scripts."),
    Row::new("SCRIPT|KILL", "", Run::Ask(|_, _| Ok(Work::KillScript(false))))
        .facts(exactly(2), Keys::None, KILL)
        .doc("2.6.0", "Ends the script that runs; nothing that it did stays."),
    Row::new("SCRIPT|DEBUG", "<YES | SYNC | NO>", Run::Here(debug))
        .facts(exactly(3), Keys::None, Flags::NO_SCRIPT)
        .doc("3.2.0", "Is refused: there is no debugger."),
    Row::new("FUNCTION", "", Run::Parent)
        .facts(least(2), Keys::None, NODE)
        .doc("7.0.0", "Loads, lists, deletes and ends functions."),
    Row::new("FUNCTION|KILL", "", Run::Ask(|_, _| Ok(Work::KillScript(true))))
        .facts(exactly(2), Keys::None, KILL)
        .doc("7.0.0", "Ends the function that runs; nothing that it did stays."),
]);

fn debug(_: &mut Call<'_>, args: Args<'_>) -> Reply<'static> {
    if args.at(2).eq_ignore_ascii_case(b"NO") {
        return Reply::OK;
    }
    Reply::error("ERR there is no debugger for scripts here")
}
