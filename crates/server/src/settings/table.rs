//! The settings that do something, in the order of the documentation.
//!
//! Redis's name stands wherever Redis has the setting; Quorate's own come last. What is accepted
//! without any effect stands in `compatible`.

use super::Kind::{
    Bool, Bytes, BytesOrPercent, BytesUpTo, Choice, Events, Int, OutputLimits, Percentiles, Secret,
    Text, Words,
};
use super::Setting;

const MAX: i64 = i64::MAX;
const INT: i64 = i32::MAX as i64;
const MB: i64 = 1 << 20;
const COUNT: super::Kind = Int(0, MAX);
const SIZE: super::Kind = Bytes(0, MAX);
/// Bytes of an element of a packed value, which is no larger as a whole.
const PACKED: super::Kind = BytesUpTo(64 << 10);
const PORT: super::Kind = Int(0, 65_535);
const ALLOW: super::Kind = Choice(&["no", "yes", "local"]);
const LEVELS: super::Kind = Choice(&["debug", "verbose", "notice", "warning", "nothing"]);

/// The rows.
pub(super) const SETTINGS: &[Setting] = &[
    // Clients' side.
    Setting::new(
        "port",
        PORT,
        "6379",
        "Port for clients. Peers learn a new one at the next start.",
    ),
    Setting::new(
        "bind",
        Words,
        "127.0.0.1 -::1",
        "Addresses for clients; one that begins with `-` may be missing.",
    )
    .at_start(),
    Setting::new(
        "protected-mode",
        Bool,
        "yes",
        "Refuse clients from elsewhere while no password is set.",
    ),
    Setting::new("requirepass", Secret, "", "Password of the user `default`."),
    Setting::new(
        "maxclients",
        Int(1, 1_000_000),
        "10000",
        "Connections at most; a quarter of them before authentication.",
    ),
    Setting::new(
        "timeout",
        Int(0, MAX),
        "0",
        "Seconds after which an idle client is closed; 0 is never.",
    ),
    Setting::new(
        "tcp-keepalive",
        Int(0, MAX),
        "60",
        "Seconds between keepalive probes; 0 is none.",
    ),
    Setting::new("tcp-backlog", Int(1, 65_535), "511", "Connections that may wait to be accepted.")
        .at_start(),
    Setting::new(
        "client-query-buffer-limit",
        Bytes(MB, MAX),
        "134217728",
        "Bytes of requests that may wait in one connection. One command has 128 MiB at most \
         whatever it says; a larger one is read, not kept, and answered with an error.",
    ),
    Setting::new(
        "client-output-buffer-limit",
        OutputLimits,
        "normal 268435456 67108864 60 slave 268435456 67108864 60 pubsub 33554432 8388608 60",
        "Replies that may wait for a client before it is closed.",
    ),
    Setting::new(
        "repl-ping-replica-period",
        Int(1, i32::MAX as i64),
        "10",
        "Seconds between signs of life to a replica of Redis that follows this node.",
    )
    .alias("repl-ping-slave-period"),
    Setting::new(
        "repl-timeout",
        Int(1, i32::MAX as i64),
        "60",
        "Seconds without a sign of life after which such a replica is given up.",
    ),
    Setting::new(
        "maxmemory-clients",
        BytesOrPercent,
        "12%",
        "Memory of all clients' buffers, above which those that hold most are closed: bytes, or a \
         part of this node's memory (the limit of its control group, or all there is); 0 is no \
         limit.",
    ),
    Setting::new(
        "proto-max-bulk-len",
        Bytes(MB, super::replicated::BULK_BYTES_MAX),
        "67108864",
        "Greatest argument, 64 MiB at most. Strings grow to it too (`APPEND`, `SETRANGE`, \
         `SETBIT`) where it is less than 64 MiB, and to 512 MiB otherwise.",
    )
    .cluster(),
    Setting::new(
        "enable-debug-command",
        ALLOW,
        "no",
        "Who may use DEBUG: nobody, everybody, or clients on this machine.",
    )
    .at_start(),
    // Data.
    Setting::new("dir", Text, ".", "Data directory.").at_start(),
    Setting::new("databases", Int(16, 16), "16", "Numbered databases.").at_start(),
    Setting::new(
        "maxmemory",
        Bytes(0, MAX),
        "0",
        "Bytes of data above which growing writes are refused; 0 is no limit.",
    )
    .cluster(),
    Setting::new(
        "maxmemory-policy",
        Choice(&["noeviction"]),
        "noeviction",
        "What happens at `maxmemory`: nothing is evicted.",
    ),
    Setting::new(
        "notify-keyspace-events",
        Events,
        "",
        "Classes of keyspace events that are published.",
    )
    .cluster(),
    // Where a small value becomes a large one.
    Setting::new(
        "list-max-listpack-size",
        Int(-5, INT),
        "-2",
        "Elements of a packed list; negative: at most 4, 8, 16, 32 or 64 KiB.",
    )
    .alias("list-max-ziplist-size")
    .cluster(),
    Setting::new("hash-max-listpack-entries", COUNT, "512", "Fields of a packed hash.")
        .alias("hash-max-ziplist-entries")
        .cluster(),
    Setting::new("hash-max-listpack-value", PACKED, "64", "Bytes of its longest field or value.")
        .alias("hash-max-ziplist-value")
        .cluster(),
    Setting::new("set-max-intset-entries", COUNT, "512", "Members of a packed set of integers.")
        .cluster(),
    Setting::new("set-max-listpack-entries", COUNT, "128", "Members of any other packed set.")
        .cluster(),
    Setting::new("set-max-listpack-value", PACKED, "64", "Bytes of its longest member.").cluster(),
    Setting::new("zset-max-listpack-entries", COUNT, "128", "Members of a packed sorted set.")
        .alias("zset-max-ziplist-entries")
        .cluster(),
    Setting::new("zset-max-listpack-value", PACKED, "64", "Bytes of its longest member.")
        .alias("zset-max-ziplist-value")
        .cluster(),
    Setting::new("stream-node-max-entries", COUNT, "100", "Entries of a stream's block; 0: any.")
        .cluster(),
    Setting::new("stream-node-max-bytes", SIZE, "4096", "Bytes of a stream's block; 0: any.")
        .cluster(),
    Setting::new("hll-sparse-max-bytes", SIZE, "3000", "Bytes of a sparse HyperLogLog.").cluster(),
    Setting::new("appendonly", Choice(&["yes"]), "yes", "The log is an append-only file, always.")
        .at_start(),
    Setting::new(
        "appendfsync",
        Choice(&["always"]),
        "always",
        "A write is acknowledged when a majority has synced it.",
    )
    .at_start(),
    // Looking at it.
    Setting::new("loglevel", LEVELS, "notice", "Least important lines that are logged.").at_start(),
    Setting::new("logfile", Text, "", "File for the log; empty is standard error.").at_start(),
    Setting::new("log-format", Choice(&["text", "json"]), "text", "Form of log lines.").at_start(),
    Setting::new(
        "slowlog-log-slower-than",
        Int(-1, MAX),
        "10000",
        "Microseconds above which a command enters SLOWLOG; -1 is never.",
    ),
    Setting::new("slowlog-max-len", Int(0, MAX), "128", "Entries that SLOWLOG keeps."),
    Setting::new(
        "tracking-table-max-keys",
        Int(0, MAX),
        "1000000",
        "Keys of which it is remembered who keeps copies (CLIENT TRACKING); of more, whoever does \
         is told to forget. 0 is no limit.",
    ),
    Setting::new(
        "busy-reply-threshold",
        Int(0, MAX),
        "5000",
        "Milliseconds after which a script that runs on this node makes it answer others BUSY.",
    )
    .alias("lua-time-limit"),
    Setting::new("latency-tracking", Bool, "yes", "Keep latency percentiles of each command."),
    Setting::new(
        "latency-tracking-info-percentiles",
        Percentiles,
        "50 99 99.9",
        "Percentiles that INFO shows.",
    ),
    // The cluster.
    Setting::new("peer-port", PORT, "0", "Port for peers; 0 is `port` + 10000.").at_start(),
    Setting::new(
        "peer-bind",
        Text,
        "",
        "Address for peers; empty is loopback when all of `peers` are there, else every one.",
    )
    .at_start(),
    Setting::new(
        "peers",
        Words,
        "",
        "HOST:PEERPORT of every node, this one included, the same list everywhere.",
    )
    .at_start(),
    Setting::new(
        "peer-address",
        Text,
        "",
        "Which entry of `peers` this node is; found by itself when its port is unique.",
    )
    .at_start(),
    Setting::new(
        "peer-secret",
        Secret,
        "",
        "Shared secret of the peer port; without one, peers are on loopback only.",
    )
    .at_start(),
    Setting::new(
        "peer-secret-file",
        Text,
        "",
        "File with the shared secret, where `peer-secret` is empty; `quorate secret` makes one.",
    )
    .at_start(),
    Setting::new(
        "announce-host",
        Text,
        "",
        "Host under which clients reach this node, told to the others.",
    )
    .at_start(),
    Setting::new(
        "cluster-link",
        Choice(&["lan", "wan"]),
        "lan",
        "What lies between the nodes: decides the three time-outs below where they are 0.",
    )
    .at_start(),
    Setting::new(
        "heartbeat-ms",
        Int(0, 60_000),
        "0",
        "Milliseconds between a leader's heartbeats; 0: 75 in a `lan`, 300 in a `wan`.",
    )
    .at_start(),
    Setting::new(
        "election-min-ms",
        Int(0, 600_000),
        "0",
        "Least milliseconds of silence before an election; 0: 250 or 1500.",
    )
    .at_start(),
    Setting::new(
        "election-max-ms",
        Int(0, 600_000),
        "0",
        "Most milliseconds of silence before an election; 0: 400 or 2500.",
    )
    .at_start(),
    Setting::new(
        "cluster-write-timeout",
        Int(0, 600_000),
        "2000",
        "Milliseconds a write is held while there is no leader.",
    )
    .at_start(),
    Setting::new(
        "auto-snapshot-log-bytes",
        Bytes(MB, MAX),
        "536870912",
        "Bytes of log after which a snapshot is made (an eighth of the disk at most), or as \
         many as the last one has.",
    )
    .alias("snapshot-log-bytes")
    .at_start(),
    Setting::new(
        "auto-snapshot-seconds",
        Int(0, 315_360_000),
        "86400",
        "Age of the last snapshot at which one is made if anything has changed since; 0: never.",
    )
    .at_start(),
    Setting::new(
        "disable-thp",
        Bool,
        "yes",
        "Does without transparent huge pages: a tenth less memory for some 3 % more CPU.",
    )
    .at_start(),
    Setting::new(
        "segment-bytes",
        Bytes(MB, MAX),
        "67108864",
        "Most bytes of one log segment; never more than a sixty-fourth of the disk.",
    )
    .at_start(),
    Setting::new(
        "disk-reserve-bytes",
        Bytes(0, MAX),
        "268435456",
        "Free bytes on the disk below which writes are refused: an eighth of it at most, two \
         segments at least.",
    )
    .at_start(),
    Setting::new(
        "unsafe-no-fsync",
        Bool,
        "no",
        "Never sync the log. For benchmarks: a power cut loses acknowledged writes.",
    )
    .at_start(),
];
