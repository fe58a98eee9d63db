//! How far long work has come, on standard error: one line that changes in a terminal, a line now
//! and then elsewhere.
//!
//! A quick piece of work prints nothing at all.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

/// A terminal's line changes so often.
const SHOW_EVERY: Duration = Duration::from_millis(200);
/// Elsewhere a line is printed so often.
const PRINT_EVERY: Duration = Duration::from_secs(5);

/// See the module.
pub(crate) struct Progress {
    what: &'static str,
    terminal: bool,
    since: Instant,
    shown: Instant,
    began_at: Option<u64>,
}

impl Progress {
    /// Begins work that is called `what`.
    pub(crate) fn new(what: &'static str) -> Self {
        let now = Instant::now();
        let terminal = std::io::stderr().is_terminal();
        Self { what, terminal, since: now, shown: now, began_at: None }
    }

    /// So many bytes are done, of so many (0: nobody knows).
    pub(crate) fn step(&mut self, done: u64, total: u64) {
        let began_at = *self.began_at.get_or_insert(done);
        let every = if self.terminal { SHOW_EVERY } else { PRINT_EVERY };
        if self.shown.elapsed() < every {
            return;
        }
        self.shown = Instant::now();
        self.say(&line(self.what, (done, total), began_at, self.since.elapsed()), false);
    }

    /// All is done.
    pub(crate) fn end(&mut self, bytes: u64) {
        let seconds = self.since.elapsed().as_secs_f64();
        let rate = bytes as f64 / seconds.max(0.001);
        let (bytes, rate) = (human(bytes as f64), human(rate));
        self.say(&format!("{}: {bytes} in {seconds:.1} s ({rate}/s)", self.what), true);
    }

    fn say(&self, line: &str, last: bool) {
        let mut out = std::io::stderr().lock();
        // A closed standard error is nobody's error.
        let _ = match (self.terminal, last) {
            (true, false) => write!(out, "\r{line}\x1b[K"),
            (true, true) => writeln!(out, "\r{line}\x1b[K"),
            (false, _) => writeln!(out, "{line}"),
        };
        let _ = out.flush();
    }
}

fn line(what: &str, (done, total): (u64, u64), began_at: u64, time: Duration) -> String {
    let rate = done.saturating_sub(began_at) as f64 / time.as_secs_f64().max(0.001);
    let mut text = format!("{what}: {}", human(done as f64));
    if let Some(percent) = (done.min(total) * 100).checked_div(total) {
        let _ = write!(text, " of {} ({percent} %)", human(total as f64));
    }
    let _ = write!(text, ", {}/s", human(rate));
    if total > 0 && rate > 0.0 {
        let left = total.saturating_sub(done) as f64 / rate;
        let _ = write!(text, ", {} left", clock(left));
    }
    text
}

fn clock(seconds: f64) -> String {
    let seconds = seconds.min(1e9) as u64;
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

/// Bytes for people.
fn human(bytes: f64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut value, mut at) = (bytes, 0);
    while value >= 1024.0 && at + 1 < units.len() {
        value /= 1024.0;
        at += 1;
    }
    let unit = units.get(at).copied().unwrap_or("B");
    if at == 0 { format!("{value:.0} {unit}") } else { format!("{value:.1} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::{human, line};
    use std::time::Duration;

    #[test]
    fn a_line_says_rate_and_time_left() {
        let shown = line("restore", (30 << 20, 90 << 20), 0, Duration::from_secs(3));
        assert_eq!(shown, "restore: 30.0 MiB of 90.0 MiB (33 %), 10.0 MiB/s, 0:06 left");
        let unknown = line("backup", (2048, 0), 0, Duration::from_secs(1));
        assert_eq!(unknown, "backup: 2.0 KiB, 2.0 KiB/s");
        assert_eq!(human(17.0), "17 B");
    }
}
