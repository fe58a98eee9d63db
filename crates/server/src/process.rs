//! What the operating system says about this process: memory and processor time.
//!
//! Read from `/proc`; where there is none, everything is 0.

/// Clock ticks a second in `/proc/self/stat`; 100 on every Linux that Rust supports.
const TICKS: f64 = 100.0;

/// Figures of one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Figures {
    pub(crate) rss_bytes: u64,
    pub(crate) memory_bytes: u64,
    pub(crate) user_s: f64,
    pub(crate) system_s: f64,
    pub(crate) main_user_s: f64,
    pub(crate) main_system_s: f64,
}

impl Figures {
    /// Looks now.
    pub(crate) fn now() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let status = read("/proc/self/status");
        let (user_s, system_s) = processor_s(&read("/proc/self/stat"));
        // The first thread has the process's number.
        let main = read(&format!("/proc/self/task/{}/stat", std::process::id()));
        let (main_user_s, main_system_s) = processor_s(&main);
        Self {
            rss_bytes: kilobytes(&status, "VmRSS:"),
            memory_bytes: kilobytes(&read("/proc/meminfo"), "MemTotal:"),
            user_s,
            system_s,
            main_user_s,
            main_system_s,
        }
    }
}

/// Processor time of a `stat` file, for the program and for the system.
fn processor_s(stat: &str) -> (f64, f64) {
    // Fields are counted behind the closing parenthesis of the name, which may hold spaces.
    let behind = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let mut fields = behind.split_ascii_whitespace().skip(11);
    let mut next = || fields.next().and_then(|ticks| ticks.parse().ok()).unwrap_or(0.0) / TICKS;
    (next(), next())
}

fn kilobytes(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("");
    let number = line.split_ascii_whitespace().next().and_then(|word| word.parse::<u64>().ok());
    number.unwrap_or(0) * 1024
}
