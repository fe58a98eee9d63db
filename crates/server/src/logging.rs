//! The process's log: text or JSON, to standard error or to a file.

use crate::settings::Settings;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

/// Starts logging as the settings say. Once a process.
pub(crate) fn start(settings: &Settings) -> Result<(), String> {
    // What libraries tell at `info` is for their developers: shown from `verbose` on.
    let filter = match settings.get("loglevel").as_str() {
        "debug" => "trace",
        "verbose" => "debug",
        "notice" => "warn,quorate=info,quorate_consensus=info,quorate_store=info",
        "warning" => "warn",
        _ => return Ok(()),
    };
    let filter = EnvFilter::new(filter);
    let name = settings.get("logfile");
    let writer = if name.is_empty() {
        BoxMakeWriter::new(std::io::stderr)
    } else {
        let file = std::fs::OpenOptions::new().create(true).append(true).open(&name);
        BoxMakeWriter::new(std::sync::Mutex::new(file.map_err(|why| format!("{name}: {why}"))?))
    };
    let colours = name.is_empty() && std::io::IsTerminal::is_terminal(&std::io::stderr());
    let outcome = if settings.get("log-format") == "json" {
        set(tracing_subscriber::fmt().json().with_env_filter(filter).with_writer(writer).finish())
    } else {
        let text = tracing_subscriber::fmt().with_ansi(colours).with_target(false);
        set(text.with_env_filter(filter).with_writer(writer).finish())
    };
    outcome.map_err(|why| format!("logging cannot start: {why}"))
}

fn set(
    subscriber: impl tracing::Subscriber + Send + Sync + 'static,
) -> Result<(), tracing::subscriber::SetGlobalDefaultError> {
    tracing::subscriber::set_global_default(subscriber)
}
