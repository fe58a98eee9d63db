//! Settings as the numbers that sessions read, made anew after every change.
//!
//! A session takes one `Arc` of it when its generation has moved on, so the hot path reads plain
//! fields.

use super::value::{CLIENT_CLASSES, memory_bytes};
use crate::auth::Secret;

/// Output waiting for one class of clients, in bytes; 0 is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct OutputLimit {
    /// Above it the connection is closed at once.
    pub(crate) hard: usize,
    /// Above it for `seconds` the connection is closed.
    pub(crate) soft: usize,
    /// See `soft`.
    pub(crate) seconds: u64,
}

/// Numbers from settings.
#[derive(Clone, Debug)]
pub(crate) struct Tuned {
    pub(crate) maxclients: usize,
    pub(crate) timeout_s: u64,
    pub(crate) tcp_keepalive_s: u64,
    pub(crate) query_bytes_max: usize,
    /// Of all clients; 0 is no limit.
    pub(crate) clients_bytes_max: usize,
    pub(crate) output_normal: OutputLimit,
    pub(crate) output_replica: OutputLimit,
    pub(crate) output_pubsub: OutputLimit,
    pub(crate) replica_ping_s: u64,
    pub(crate) replica_silence_s: u64,
    pub(crate) slowlog_slower_us: i64,
    pub(crate) slowlog_len_max: usize,
    pub(crate) latency_tracking: bool,
    /// A script that runs longer is one that others hear of.
    pub(crate) busy_ms: u64,
    pub(crate) tracking_keys_max: usize,
    pub(crate) percentiles: Vec<f64>,
    pub(crate) protected: bool,
    pub(crate) password: Option<Secret>,
    pub(crate) debug: Allow,
}

/// Who may use a dangerous command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Allow {
    No,
    Local,
    Yes,
}

impl Tuned {
    /// Reads every value through `get`, which gives canonical text; `memory_bytes` is what the node
    /// has.
    pub(crate) fn new(get: &dyn Fn(&str) -> String, memory_bytes: u64) -> Self {
        let number = |name: &str| get(name).parse::<i64>().unwrap_or(0);
        let size = |name: &str| usize::try_from(number(name)).unwrap_or(0);
        let password = get("requirepass");
        Self {
            maxclients: size("maxclients"),
            timeout_s: size("timeout") as u64,
            tcp_keepalive_s: size("tcp-keepalive") as u64,
            query_bytes_max: size("client-query-buffer-limit"),
            clients_bytes_max: part_of(&get("maxmemory-clients"), memory_bytes),
            output_normal: output_limit(&get("client-output-buffer-limit"), "normal"),
            output_replica: output_limit(&get("client-output-buffer-limit"), "slave"),
            output_pubsub: output_limit(&get("client-output-buffer-limit"), "pubsub"),
            replica_ping_s: size("repl-ping-replica-period").max(1) as u64,
            replica_silence_s: size("repl-timeout") as u64,
            slowlog_slower_us: number("slowlog-log-slower-than"),
            slowlog_len_max: size("slowlog-max-len"),
            tracking_keys_max: size("tracking-table-max-keys"),
            latency_tracking: get("latency-tracking") == "yes",
            busy_ms: size("busy-reply-threshold") as u64,
            percentiles: get("latency-tracking-info-percentiles")
                .split_ascii_whitespace()
                .filter_map(|word| word.parse().ok())
                .collect(),
            protected: get("protected-mode") == "yes",
            password: (!password.is_empty()).then(|| Secret::new(password.as_bytes())),
            debug: match get("enable-debug-command").as_str() {
                "yes" => Allow::Yes,
                "local" => Allow::Local,
                _ => Allow::No,
            },
        }
    }
}

/// Bytes, or so many percent of what there is.
fn part_of(text: &str, all: u64) -> usize {
    let bytes = match text.strip_suffix('%') {
        Some(percent) => all / 100 * percent.parse::<u64>().unwrap_or(0),
        None => text.parse().unwrap_or(0),
    };
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// The limits of one class out of the canonical text.
fn output_limit(text: &str, class: &str) -> OutputLimit {
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    for four in words.chunks(4) {
        if let [name, hard, soft, seconds] = four
            && *name == class
        {
            let bytes = |word: &str| {
                memory_bytes(word).and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(0)
            };
            let seconds = seconds.parse().unwrap_or(0);
            return OutputLimit { hard: bytes(hard), soft: bytes(soft), seconds };
        }
    }
    OutputLimit::default()
}

/// Merges a `CONFIG SET client-output-buffer-limit` that names only some classes into what is in
/// force.
pub(crate) fn merge_output_limits(old: &str, new: &str) -> String {
    let mut lines = Vec::new();
    for class in CLIENT_CLASSES {
        let of = |text: &str| {
            let words: Vec<&str> = text.split_ascii_whitespace().collect();
            words.chunks(4).rev().find(|four| four.first() == Some(&class)).map(|f| f.join(" "))
        };
        lines.extend(of(new).or_else(|| of(old)));
    }
    lines.join(" ")
}
