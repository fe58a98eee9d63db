//! Settings of Redis that Quorate accepts, remembers and shows, without any effect.
//!
//! Tools and test suites write them without a thought, and what they govern (eviction samples, the
//! replication backlog, `save` points …) either does not exist here or is decided by the cluster.

use super::Kind::{Bool, Bytes, Choice, Int, SavePoints, Text, Words};
use super::{Kind, Scope, Setting, When};

const MAX: i64 = i64::MAX;
const INT: i64 = i32::MAX as i64;

const fn row(name: &'static str, kind: Kind, default: &'static str) -> Setting {
    let doc = "Accepted for compatibility; no effect.";
    Setting { name, alias: None, kind, default, when: When::Anytime, scope: Scope::Compatible, doc }
}

const SIGNALS: Kind = Kind::Choices(&["default", "save", "nosave", "now", "force"]);

/// The rows.
pub(super) const SETTINGS: &[Setting] = &[
    row("save", SavePoints, ""),
    row("maxmemory-samples", Int(1, INT), "5"),
    row("maxmemory-eviction-tenacity", Int(0, 100), "10"),
    row("rdbcompression", Bool, "yes"),
    row("rdbchecksum", Bool, "yes").at_start(),
    row("dbfilename", Text, "dump.rdb").at_start(),
    row("appendfilename", Text, "quorate.aof").at_start(),
    row("appenddirname", Text, "appendonlydir").at_start(),
    row("aof-use-rdb-preamble", Bool, "yes"),
    row("aof-load-truncated", Bool, "yes"),
    row("aof-timestamp-enabled", Bool, "no"),
    row("aof-rewrite-incremental-fsync", Bool, "yes"),
    row("auto-aof-rewrite-percentage", Int(0, INT), "100"),
    row("auto-aof-rewrite-min-size", Bytes(0, MAX), "67108864"),
    row("no-appendfsync-on-rewrite", Bool, "no"),
    row("stop-writes-on-bgsave-error", Bool, "yes"),
    row("lazyfree-lazy-eviction", Bool, "yes"),
    row("lazyfree-lazy-expire", Bool, "yes"),
    row("lazyfree-lazy-server-del", Bool, "yes"),
    row("lazyfree-lazy-user-del", Bool, "yes"),
    row("lazyfree-lazy-user-flush", Bool, "yes"),
    row("activerehashing", Bool, "yes"),
    row("activedefrag", Choice(&["no"]), "no"),
    row("active-expire-effort", Int(1, 10), "1"),
    row("hz", Int(1, 500), "10"),
    row("dynamic-hz", Bool, "yes"),
    row("lfu-log-factor", Int(0, INT), "10"),
    row("lfu-decay-time", Int(0, INT), "1"),
    row("latency-monitor-threshold", Int(0, MAX), "0"),
    row("acllog-max-len", Int(0, MAX), "128"),
    row("list-compress-depth", Int(0, INT), "0"),
    row("replicaof", Words, "").at_start().alias("slaveof"),
    row("repl-backlog-size", Bytes(1, MAX), "1048576"),
    row("repl-backlog-ttl", Int(0, MAX), "3600"),
    row("repl-diskless-sync", Bool, "yes"),
    row("repl-diskless-sync-delay", Int(0, INT), "5"),
    row("repl-disable-tcp-nodelay", Bool, "no"),
    row("replica-priority", Int(0, INT), "100").alias("slave-priority"),
    row("replica-read-only", Bool, "yes").alias("slave-read-only"),
    row("replica-serve-stale-data", Bool, "yes").alias("slave-serve-stale-data"),
    row("min-replicas-to-write", Int(0, INT), "0").alias("min-slaves-to-write"),
    row("min-replicas-max-lag", Int(0, INT), "10").alias("min-slaves-max-lag"),
    row("cluster-enabled", Choice(&["no"]), "no").at_start(),
    row("daemonize", Choice(&["no"]), "no").at_start(),
    row("supervised", Choice(&["no"]), "no").at_start(),
    row("pidfile", Text, "").at_start(),
    row("unixsocket", Choice(&[""]), "").at_start(),
    row("io-threads", Int(1, 1), "1").at_start(),
    row("always-show-logo", Bool, "no").at_start(),
    row("set-proc-title", Bool, "no").at_start(),
    row("proc-title-template", Text, "{title} {listen-addr}"),
    row("crash-log-enabled", Bool, "yes"),
    row("shutdown-timeout", Int(0, INT), "10"),
    row("shutdown-on-sigint", SIGNALS, "default"),
    row("shutdown-on-sigterm", SIGNALS, "default"),
    row("enable-protected-configs", Choice(&["no"]), "no").at_start(),
    row("enable-module-command", Choice(&["no"]), "no").at_start(),
    row("key-load-delay", Int(-INT, INT), "0").hidden(),
    row("rdb-key-save-delay", Int(-INT, INT), "0").hidden(),
];
