//! What signals do: the same for a node and for `quorate dev`.
//!
//! | signal | effect |
//! |---|---|
//! | `SIGTERM`, `SIGINT`, `SIGQUIT` | a clean stop, as `SHUTDOWN` |
//! | `SIGINT` while stopping | the end, at once |
//! | `SIGHUP` | the log's file is opened anew; nothing else is read again |
//! | `SIGUSR1`, `SIGUSR2`, `SIGALRM`, `SIGVTALRM`, `SIGPROF`, `SIGIO`, `SIGXFSZ` | none |
//! | `SIGPIPE` | none: Rust's runtime ignores it |
//!
//! Any other one does what the system does with it.

use std::error::Error;
use std::{fmt, io};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Signals that would end a process that does not care for them, and mean nothing here: alarms,
/// and numbers that tools send to other servers. (`SIGVTALRM`, `SIGPROF`, `SIGIO`, `SIGXFSZ` by
/// number: what a file is too large for is an error of its writer.)
const IGNORED: [i32; 7] = [
    rustix::process::Signal::USR1.as_raw(),
    rustix::process::Signal::USR2.as_raw(),
    rustix::process::Signal::ALARM.as_raw(),
    rustix::process::Signal::VTALARM.as_raw(),
    rustix::process::Signal::PROF.as_raw(),
    rustix::process::Signal::IO.as_raw(),
    rustix::process::Signal::XFSZ.as_raw(),
];

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// A clean stop, by the signal of this name.
    Stop(&'static str),
    /// The log's file is to be opened anew.
    Reopen,
}

/// The system does not let a signal be caught.
#[derive(Debug)]
pub(crate) struct SignalsError(io::Error);

impl fmt::Display for SignalsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "signals cannot be caught: {}", self.0)
    }
}

impl Error for SignalsError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

/// Of two interrupts the second means it.
pub(crate) const INTERRUPT: Wish = Wish::Stop("SIGINT");

/// The signals of this process, from the moment of the call until its end.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    quit: Signal,
    hangup: Signal,
}

impl Signals {
    /// Catches them. Must be called on the runtime.
    pub(crate) fn catch() -> Result<Self, SignalsError> {
        for number in IGNORED {
            // Caught for the life of the process, though nobody listens.
            drop(signal(SignalKind::from_raw(number)).map_err(SignalsError)?);
        }
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).map_err(SignalsError)?,
            terminate: signal(SignalKind::terminate()).map_err(SignalsError)?,
            quit: signal(SignalKind::quit()).map_err(SignalsError)?,
            hangup: signal(SignalKind::hangup()).map_err(SignalsError)?,
        })
    }

    /// Waits for the next one.
    pub(crate) async fn next(&mut self) -> Wish {
        tokio::select! {
            _ = self.interrupt.recv() => INTERRUPT,
            _ = self.terminate.recv() => Wish::Stop("SIGTERM"),
            _ = self.quit.recv() => Wish::Stop("SIGQUIT"),
            _ = self.hangup.recv() => Wish::Reopen,
        }
    }
}
