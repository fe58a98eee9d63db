//! The process's log: text or JSON, to standard error or to a file.
//!
//! A line is made where something happens and handed to a thread that writes it ([`output`]), so
//! that a full pipe, a hung disk or an output that is gone costs lines and nothing else. What one
//! place says again and again is held back and counted ([`throttle`]).

mod output;
mod throttle;

use crate::settings::Settings;
use output::{Lines, Output, Sink};
use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use throttle::Throttle;
use tracing::subscriber::SetGlobalDefaultError;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt};

/// How long the end of the process may wait for its last lines.
const FLUSH_TIME: Duration = Duration::from_secs(1);

/// The log of this process. Clones mean the same one; by default there is none.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    output: Arc<Output>,
    throttle: Arc<Throttle>,
}

impl Log {
    /// Opens the log's file anew: somebody has moved it away.
    pub(crate) fn reopen(&self) {
        self.output.reopen();
    }

    /// Lines that could not be written since the start.
    pub(crate) fn lines_lost(&self) -> u64 {
        self.output.lines_lost()
    }

    /// Lines that were held back since the start, being like others.
    pub(crate) fn lines_held(&self) -> u64 {
        self.throttle.lines_held()
    }

    /// Waits until all lines are written, though not for long.
    pub(crate) fn flush(&self) {
        self.output.flush(FLUSH_TIME);
    }
}

/// Why there is no log.
#[derive(Debug)]
pub(crate) enum LogError {
    /// The file of this name cannot be opened.
    File(String, io::Error),
    /// There is no thread to write it.
    Thread(io::Error),
    /// The process has one already.
    Again(SetGlobalDefaultError),
}

impl std::fmt::Display for LogError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(name, why) => write!(f, "{name}: {why}"),
            Self::Thread(why) => write!(f, "no thread: {why}"),
            Self::Again(why) => write!(f, "logging cannot start: {why}"),
        }
    }
}

impl Error for LogError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::File(_, why) | Self::Thread(why) => Some(why),
            Self::Again(why) => Some(why),
        }
    }
}

/// Starts logging as the settings say. Once a process.
pub(crate) fn start(settings: &Settings) -> Result<Log, LogError> {
    let log = Log::default();
    // What libraries tell at `info` is for their developers: shown from `verbose` on.
    let filter = match settings.get("loglevel").as_str() {
        "debug" => "trace",
        "verbose" => "debug",
        "notice" => "warn,quorate=info,quorate_consensus=info,quorate_store=info",
        "warning" => "warn",
        _ => return Ok(log),
    };
    let name = settings.get("logfile");
    let sink = match name.as_str() {
        "" => Sink::standard_error(),
        name => {
            Sink::file(PathBuf::from(name)).map_err(|why| LogError::File(name.to_owned(), why))?
        }
    };
    let throttle = Arc::clone(&log.throttle);
    log.output.start(sink, move || throttle.round()).map_err(LogError::Thread)?;
    let colours = name.is_empty() && std::io::IsTerminal::is_terminal(&std::io::stderr());
    // `log_internal_errors` would print to standard error, and panic where that fails.
    let lines = Lines(Arc::clone(&log.output));
    let lines = fmt::layer().with_writer(lines).log_internal_errors(false);
    let lines: Box<dyn Layer<_> + Send + Sync> = if settings.get("log-format") == "json" {
        lines.json().boxed()
    } else {
        lines.with_ansi(colours).with_target(false).boxed()
    };
    let subscriber = Registry::default()
        .with(lines)
        .with(EnvFilter::new(filter))
        .with(throttle::Hold(Arc::clone(&log.throttle)));
    tracing::subscriber::set_global_default(subscriber).map_err(LogError::Again)?;
    tell_panics(log.clone());
    Ok(log)
}

/// A panic's message goes the way of every other line. Standard error may be gone, or full with
/// nobody reading it: the process would never end.
fn tell_panics(log: Log) {
    std::panic::set_hook(Box::new(move |panic| {
        let thread = std::thread::current();
        let thread = thread.name().unwrap_or("without a name");
        let trace = std::backtrace::Backtrace::capture();
        if trace.status() == std::backtrace::BacktraceStatus::Captured {
            tracing::error!(thread, "{panic}\n{trace}");
        } else {
            tracing::error!(thread, "{panic}");
        }
        log.flush();
    }));
}
