//! What a client is told when a command did not run, or may not have.
//!
//! The code before the text is what clients act on. `CLUSTERDOWN`, `TRYAGAIN`, `MISCONF`, `OOM` and
//! `LOADING` promise that nothing happened; `UNCERTAIN` says that nobody knows.

use quorate_consensus::{NotApplied, ReadError};
use quorate_engine::Refusal;

/// The answer to a write that may or may not have been applied.
pub(crate) const UNCERTAIN: &str = "UNCERTAIN the command may or may not have been applied: \
     leadership or time ran out before its outcome was known";
/// The answer to a read that stood in the same run.
pub(crate) const UNCERTAIN_READ: &str =
    "CLUSTERDOWN the read was not answered: leadership or time ran out";
/// What others hear while a script takes long: Redis's text, as are those below.
pub(crate) fn busy(function: bool) -> &'static str {
    if function {
        "BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE."
    } else {
        "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE."
    }
}

/// Redis's text.
pub(crate) const LOADING: &str = "LOADING Redis is loading the dataset in memory";
/// Redis's text.
pub(crate) const NO_AUTH: &str = "NOAUTH Authentication required.";

/// The answer to every command of a run that was definitely not applied.
pub(crate) fn not_applied(why: &NotApplied) -> &'static str {
    match why {
        NotApplied::NoLeader => {
            "CLUSTERDOWN no leader was found in time: the command was not applied"
        }
        NotApplied::Loading => LOADING,
        NotApplied::Refused(Refusal::OutOfMemory) => {
            "OOM command not allowed when used memory > 'maxmemory'."
        }
        NotApplied::Refused(Refusal::DiskFull) => {
            "MISCONF the disk of the leader is full: writes are refused until space returns"
        }
        NotApplied::Refused(Refusal::Divided) => Refusal::DIVIDED,
        NotApplied::Overloaded => {
            "TRYAGAIN too many writes are waiting already: the command was not applied"
        }
        NotApplied::Stopping => "CLUSTERDOWN this node is stopping: the command was not applied",
    }
}

/// The answer to a read that could not be served linearizably.
pub(crate) fn no_read(why: &ReadError) -> &'static str {
    match why {
        ReadError::NoQuorum => "CLUSTERDOWN no quorum confirmed the read in time",
        ReadError::Loading => LOADING,
        ReadError::Stopping => "CLUSTERDOWN this node is stopping",
    }
}
