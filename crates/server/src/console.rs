//! What the tools print.
//!
//! A reader that has gone is nobody's error, and nobody waits for one that does not read.

/// To standard output; a closed pipe is nobody's error.
pub(crate) fn print(text: &str) {
    use std::io::Write as _;
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

/// To standard error, which may be gone, or a full pipe that nobody reads: it is waited for a
/// moment only, since whoever complains is about to end.
pub(crate) fn complain(text: &str) {
    use std::io::Write as _;
    const TIME: std::time::Duration = std::time::Duration::from_secs(1);
    let line = format!("{}\n", text.trim_end());
    let (done, told) = std::sync::mpsc::channel();
    let told_by = std::thread::Builder::new().spawn(move || {
        let _ = std::io::stderr().write_all(line.as_bytes());
        let _ = done.send(());
    });
    if told_by.is_ok() {
        let _ = told.recv_timeout(TIME);
    }
}

/// A value as one line of JSON.
pub(crate) fn json_line(value: &impl serde::Serialize) -> String {
    // A struct of ours has neither keys that are no texts nor a `Serialize` that fails.
    serde_json::to_string(value).unwrap_or_default() + "\n"
}
