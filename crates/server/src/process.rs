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

/// Memory that this process may use: the limit of its control group or of one around it, or all of
/// the machine's.
pub(crate) fn memory_bytes() -> u64 {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let machine = kilobytes(&read("/proc/meminfo"), "MemTotal:");
    let groups = read("/proc/self/cgroup");
    let limits = limit_files(&groups);
    let limits = limits.iter().filter_map(|path| read(path).trim().parse::<u64>().ok());
    limits.filter(|limit| *limit > 0).fold(machine, u64::min)
}

/// Where the limits stand that hold for a process of these groups (`/proc/self/cgroup`), version 2
/// or 1. What a container sees of its path may be its host's, so the top is among them.
fn limit_files(groups: &str) -> Vec<String> {
    let mut files = Vec::new();
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(kinds), Some(path)) = (parts.next(), parts.next()) else { continue };
        let (top, file) = match kinds {
            "" => ("/sys/fs/cgroup", "memory.max"),
            kinds if kinds.split(',').any(|kind| kind == "memory") => {
                ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            _ => continue,
        };
        let mut path = path.trim_end_matches('/');
        loop {
            files.push(format!("{top}{path}/{file}"));
            match path.rsplit_once('/') {
                Some((above, _)) => path = above,
                None => break,
            }
        }
    }
    files
}

fn kilobytes(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("");
    let number = line.split_ascii_whitespace().next().and_then(|word| word.parse::<u64>().ok());
    number.unwrap_or(0) * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_looked_for_up_to_the_top() {
        let check = |groups: &str, files: &[&str]| assert_eq!(limit_files(groups), files);
        check("0::/\n", &["/sys/fs/cgroup/memory.max"]);
        check(
            "0::/a.slice/b\n",
            &[
                "/sys/fs/cgroup/a.slice/b/memory.max",
                "/sys/fs/cgroup/a.slice/memory.max",
                "/sys/fs/cgroup/memory.max",
            ],
        );
        check(
            "3:cpu,cpuacct:/x\n2:memory:/x\nnonsense\n",
            &[
                "/sys/fs/cgroup/memory/x/memory.limit_in_bytes",
                "/sys/fs/cgroup/memory/memory.limit_in_bytes",
            ],
        );
        assert!(memory_bytes() > 0);
    }
}
