//! `INFO`: the node in Redis's sections, and Quorate's own.
//!
//! `role` is `master` on every node: each takes writes and linearizable reads, and clients that
//! look for a master must find one wherever they connect. Who leads stands in the `quorate`
//! section.

use super::memory::figures;
use super::work::replicas;
use super::{Call, View, is};
use crate::memory::Memory;
use crate::settings::all;
use quorate_consensus::{Kind, Loading, Role, Status};
use quorate_engine::Db;
use quorate_resp::{Args, Reply};
use std::fmt::{Display, Write as _};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// The version of Redis whose commands these are; clients check it.
pub(crate) const REDIS_VERSION: &str = "7.2.5";

/// Writes one section.
type Section = fn(&mut String, &Facts<'_>);

/// What sections are made of.
struct Facts<'a> {
    call: &'a Call<'a>,
    view: &'a View<'a>,
    process: crate::process::Figures,
    memory: Memory,
}

/// Name, writer, and whether it is shown when none is named.
const SECTIONS: &[(&str, Section, bool)] = &[
    ("Server", server, true),
    ("Clients", clients, true),
    ("Memory", memory, true),
    ("Persistence", persistence, true),
    ("Stats", stats, true),
    ("Replication", replication, true),
    ("CPU", cpu, true),
    ("Modules", |_, _| {}, true),
    ("Commandstats", commandstats, false),
    ("Errorstats", errorstats, true),
    ("Latencystats", latencystats, false),
    ("Cluster", cluster, true),
    ("Keyspace", keyspace, true),
    ("Quorate", quorate, true),
];

/// `INFO [section …]`.
pub(super) fn info(call: &mut Call<'_>, view: &View<'_>, args: Args<'_>) -> Reply<'static> {
    let process = crate::process::Figures::now();
    let memory = figures(call, view, &process);
    let facts = Facts { call, view, process, memory };
    let mut text = String::with_capacity(4096);
    for (name, write, by_default) in SECTIONS {
        let default = args.len() == 1 || args.iter().skip(1).any(|word| is(word, "default"));
        let all = args.iter().skip(1).any(|word| is(word, "all") || is(word, "everything"));
        let named = args.iter().skip(1).any(|word| is(word, name));
        if named || all || (default && *by_default) {
            if !text.is_empty() {
                text.push_str("\r\n");
            }
            let _ = write!(text, "# {name}\r\n");
            write(&mut text, &facts);
        }
    }
    Reply::Verbatim(*b"txt", text.into_bytes().into())
}

fn field(text: &mut String, name: &str, value: impl Display) {
    let _ = write!(text, "{name}:{value}\r\n");
}

fn server(text: &mut String, facts: &Facts<'_>) {
    let shared = facts.call.shared;
    let uptime_s = shared.started.elapsed().as_secs();
    field(text, "redis_version", REDIS_VERSION);
    field(text, "redis_git_sha1", "00000000");
    field(text, "redis_git_dirty", 0);
    field(text, "redis_build_id", "0");
    field(text, "redis_mode", "standalone");
    field(text, "server_name", "quorate");
    field(text, "quorate_version", env!("CARGO_PKG_VERSION"));
    field(text, "os", std::env::consts::OS);
    field(text, "arch_bits", usize::BITS);
    field(text, "monotonic_clock", "POSIX clock_gettime");
    field(text, "multiplexing_api", "epoll");
    field(text, "process_id", std::process::id());
    field(text, "process_supervised", "no");
    field(text, "run_id", &shared.run_id);
    field(text, "tcp_port", shared.port.load(Relaxed));
    field(text, "server_time_usec", crate::shared::unix_micros());
    field(text, "uptime_in_seconds", uptime_s);
    field(text, "uptime_in_days", uptime_s / 86_400);
    // Seconds, in Redis's 24 bits.
    field(text, "lru_clock", crate::shared::unix_micros() / 1_000_000 % (1 << 24));
    field(text, "hz", shared.settings.get("hz"));
    field(text, "configured_hz", shared.settings.get("hz"));
    let executable = std::env::current_exe().unwrap_or_default();
    field(text, "executable", executable.display());
    let file = shared.settings.file().map(|file| file.display().to_string());
    field(text, "config_file", file.unwrap_or_default());
    field(text, "io_threads_active", 0);
}

fn clients(text: &mut String, facts: &Facts<'_>) {
    let shared = facts.call.shared;
    let peers = shared.clients.all();
    let most = |figure: fn(&crate::clients::Peer) -> usize| {
        peers.iter().map(|peer| figure(peer)).max().unwrap_or(0)
    };
    let followers = shared.followers.count();
    field(text, "connected_clients", shared.clients.count().saturating_sub(followers));
    field(text, "cluster_connections", 0);
    field(text, "maxclients", shared.tuned().maxclients);
    field(text, "client_recent_max_input_buffer", most(|peer| peer.held().input));
    field(text, "client_recent_max_output_buffer", most(|peer| peer.output.load(Relaxed)));
    let blocked = peers.iter().filter(|peer| peer.is_held_up());
    field(text, "blocked_clients", blocked.count());
    field(text, "tracking_clients", shared.tracking.figures().clients);
    let subscribers = peers.iter().filter(|peer| peer.is_subscriber());
    field(text, "pubsub_clients", subscribers.count());
    field(text, "clients_in_timeout_table", 0);
}

fn memory(text: &mut String, facts: &Facts<'_>) {
    let memory = &facts.memory;
    let max = facts.call.shared.cluster().maxmemory;
    let both = |text: &mut String, name: &str, bytes: u64| {
        field(text, name, bytes);
        field(text, &format!("{name}_human"), human(bytes));
    };
    let percent = |part: u64, whole: u64| part as f64 * 100.0 / whole.max(1) as f64;
    both(text, "used_memory", memory.used());
    both(text, "used_memory_rss", memory.resident);
    both(text, "used_memory_peak", memory.peak);
    let of_peak = percent(memory.used(), memory.peak);
    field(text, "used_memory_peak_perc", format_args!("{of_peak:.2}%"));
    field(text, "used_memory_overhead", memory.overhead());
    field(text, "used_memory_startup", memory.startup);
    let (scripts, script_bytes) = facts.view.keyspace.scripts_kept();
    field(text, "used_memory_scripts_eval", script_bytes);
    field(text, "number_of_cached_scripts", scripts);
    field(text, "number_of_libraries", facts.view.keyspace.library_count());
    field(text, "used_memory_dataset", memory.data);
    field(text, "used_memory_dataset_perc", format_args!("{:.2}%", memory.data_percent()));
    // Nothing is kept from the allocator: what is not in use is the system's to take.
    field(text, "allocator_allocated", memory.used());
    field(text, "allocator_active", memory.resident);
    field(text, "allocator_resident", memory.resident);
    both(text, "total_system_memory", facts.process.memory_bytes);
    for name in ["lua", "scripts"] {
        both(text, &format!("used_memory_{name}"), 0);
    }
    for name in ["vm_eval", "vm_functions", "scripts_eval", "functions"] {
        field(text, &format!("used_memory_{name}"), 0);
    }
    both(text, "used_memory_vm_total", 0);
    for name in ["cached_scripts", "functions", "libraries"] {
        field(text, &format!("number_of_{name}"), 0);
    }
    both(text, "maxmemory", max);
    field(text, "maxmemory_policy", "noeviction");
    let slack = memory.resident as i64 - memory.used() as i64;
    field(text, "allocator_frag_ratio", format_args!("{:.2}", memory.fragmentation()));
    field(text, "allocator_frag_bytes", slack);
    field(text, "allocator_rss_ratio", "1.00");
    field(text, "allocator_rss_bytes", 0);
    field(text, "rss_overhead_ratio", "1.00");
    field(text, "rss_overhead_bytes", 0);
    field(text, "mem_fragmentation_ratio", format_args!("{:.2}", memory.fragmentation()));
    field(text, "mem_fragmentation_bytes", slack);
    field(text, "mem_not_counted_for_evict", memory.overhead());
    field(text, "mem_replication_backlog", memory.log);
    field(text, "mem_total_replication_buffers", memory.log);
    field(text, "mem_clients_slaves", memory.replicas);
    field(text, "mem_clients_normal", memory.clients - memory.replicas);
    field(text, "mem_cluster_links", 0);
    field(text, "mem_aof_buffer", 0);
    field(text, "mem_allocator", "mimalloc");
    field(text, "active_defrag_running", 0);
    field(text, "lazyfree_pending_objects", 0);
    field(text, "lazyfreed_objects", 0);
}

/// Bytes as Redis shows them to people.
pub(super) fn human(bytes: u64) -> String {
    let units = [(30, "G"), (20, "M"), (10, "K")];
    match units.iter().find(|(shift, _)| bytes >> shift > 0) {
        Some((shift, unit)) => format!("{:.2}{unit}", bytes as f64 / f64::from(1_u32 << shift)),
        None => format!("{bytes}B"),
    }
}

fn persistence(text: &mut String, facts: &Facts<'_>) {
    let (shared, status) = (facts.call.shared, facts.view.status);
    let saving = &status.saving;
    // One that was asked for begins when its cut is logged and applied.
    let busy = u8::from(saving.running.is_some() || shared.saving.load(Relaxed));
    // A request that failed counts until a snapshot was made after all.
    let failed = shared.save_failed_at.load(Relaxed) > saving.newest_at || saving.failed;
    let last_status = if failed { "err" } else { "ok" };
    let seconds = |time: Option<Duration>| time.map_or(-1, |time| time.as_secs() as i64);
    let (took, takes) = (seconds(saving.took), seconds(saving.running.map(|it| it.0)));
    let (_, keys_done, keys) = saving.running.unwrap_or_default();
    loading(text, status);
    field(text, "async_loading", 0);
    // Without a fork there are no pages to copy.
    field(text, "current_cow_peak", 0);
    field(text, "current_cow_size", 0);
    field(text, "current_cow_size_age", 0);
    let percent = if keys == 0 { 0.0 } else { keys_done as f64 * 100.0 / keys as f64 };
    field(text, "current_fork_perc", format_args!("{percent:.2}"));
    field(text, "current_save_keys_processed", keys_done);
    field(text, "current_save_keys_total", keys);
    field(text, "rdb_changes_since_last_save", saving.changes);
    field(text, "rdb_bgsave_in_progress", busy);
    field(text, "rdb_last_save_time", shared.last_save(status.saving.newest_at));
    field(text, "rdb_last_bgsave_status", last_status);
    field(text, "rdb_last_bgsave_time_sec", took);
    field(text, "rdb_current_bgsave_time_sec", takes);
    field(text, "rdb_saves", saving.saves);
    field(text, "rdb_last_cow_size", 0);
    // What is past its deadline is removed by the log, not by loading.
    field(text, "rdb_last_load_keys_expired", 0);
    field(text, "rdb_last_load_keys_loaded", status.loaded_keys);
    field(text, "module_fork_in_progress", 0);
    field(text, "module_fork_last_cow_size", 0);
    field(text, "aof_enabled", 1);
    // A snapshot is the append-only file's new base.
    field(text, "aof_rewrite_in_progress", busy);
    field(text, "aof_rewrite_scheduled", 0);
    field(text, "aof_last_rewrite_time_sec", took);
    field(text, "aof_current_rewrite_time_sec", takes);
    field(text, "aof_last_bgrewrite_status", last_status);
    field(text, "aof_rewrites", saving.saves);
    field(text, "aof_rewrites_consecutive_failures", saving.failures);
    field(text, "aof_last_write_status", if status.disk_full { "err" } else { "ok" });
    field(text, "aof_last_cow_size", 0);
    field(text, "aof_current_size", status.log_bytes);
    field(text, "aof_pending_rewrite", 0);
    field(text, "aof_buffer_length", 0);
    field(text, "aof_pending_bio_fsync", 0);
    field(text, "aof_delayed_fsync", 0);
}

/// While it goes on, what Redis says of it.
fn loading(text: &mut String, status: &Status) {
    field(text, "loading", u8::from(status.loading.is_some()));
    let Some(Loading { since_s, total, done }) = status.loading else { return };
    let time = (crate::shared::unix_micros() / 1_000_000).saturating_sub(since_s);
    let left = time.saturating_mul(total - done) / done.max(1);
    field(text, "loading_start_time", since_s);
    field(text, "loading_total_bytes", total);
    field(text, "loading_rdb_used_mem", 0);
    field(text, "loading_loaded_bytes", done);
    let percent = done as f64 * 100.0 / total.max(1) as f64;
    field(text, "loading_loaded_perc", format_args!("{percent:.2}"));
    field(text, "loading_eta_seconds", left);
}

fn stats(text: &mut String, facts: &Facts<'_>) {
    let stats = &facts.call.shared.stats;
    field(text, "total_connections_received", stats.connections_total.load(Relaxed));
    field(text, "total_commands_processed", stats.commands_total.load(Relaxed));
    field(text, "instantaneous_ops_per_sec", stats.ops_per_second.load(Relaxed));
    field(text, "total_net_input_bytes", stats.bytes_in.load(Relaxed));
    field(text, "total_net_output_bytes", stats.bytes_out.load(Relaxed));
    let kilobytes = |rate: &std::sync::atomic::AtomicU64| rate.load(Relaxed) as f64 / 1024.0;
    let (input, output) = &stats.bytes_per_second;
    field(text, "instantaneous_input_kbps", format_args!("{:.2}", kilobytes(input)));
    field(text, "instantaneous_output_kbps", format_args!("{:.2}", kilobytes(output)));
    field(text, "rejected_connections", stats.connections_rejected.load(Relaxed));
    for name in ["input", "output"] {
        // What goes between nodes is gRPC's and not counted in clients' bytes.
        field(text, &format!("instantaneous_{name}_repl_kbps"), "0.00");
        field(text, &format!("total_net_repl_{name}_bytes"), 0);
    }
    let followers = &facts.call.shared.followers;
    field(text, "sync_full", followers.synced.load(Relaxed));
    field(text, "sync_partial_ok", 0);
    field(text, "sync_partial_err", followers.refused.load(Relaxed));
    field(text, "expired_keys", facts.view.status.expired_keys);
    // Deadlines are kept in order and met one by one, so none is overdue and no cycle runs.
    field(text, "expired_stale_perc", "0.00");
    field(text, "expired_time_cap_reached_count", 0);
    field(text, "expire_cycle_cpu_milliseconds", 0);
    field(text, "evicted_keys", 0);
    field(text, "evicted_clients", stats.evicted_clients.load(Relaxed));
    field(text, "total_eviction_exceeded_time", 0);
    field(text, "current_eviction_exceeded_time", 0);
    field(text, "keyspace_hits", stats.hits.load(Relaxed));
    field(text, "keyspace_misses", stats.misses.load(Relaxed));
    let interest = facts.call.shared.pubsub.interest();
    field(text, "pubsub_channels", interest.names(Kind::Channel).len());
    field(text, "pubsub_patterns", interest.names(Kind::Pattern).len());
    field(text, "pubsubshard_channels", interest.names(Kind::Shard).len());
    field(text, "latest_fork_usec", 0);
    field(text, "total_forks", 0);
    field(text, "migrate_cached_sockets", 0);
    field(text, "slave_expires_tracked_keys", 0);
    for name in ["hits", "misses", "key_hits", "key_misses"] {
        field(text, &format!("active_defrag_{name}"), 0);
    }
    field(text, "total_active_defrag_time", 0);
    field(text, "current_active_defrag_time", 0);
    let tracked = facts.call.shared.tracking.figures();
    field(text, "tracking_total_keys", tracked.keys);
    field(text, "tracking_total_items", tracked.items);
    field(text, "tracking_total_prefixes", tracked.prefixes);
    field(text, "unexpected_error_replies", 0);
    field(text, "dump_payload_sanitizations", restored(facts));
    field(text, "io_threaded_reads_processed", 0);
    field(text, "io_threaded_writes_processed", 0);
    field(text, "total_reads_processed", stats.socket_reads.load(Relaxed));
    field(text, "total_writes_processed", stats.socket_writes.load(Relaxed));
    field(text, "total_error_replies", stats.errors_total.load(Relaxed));
    field(text, "client_query_buffer_limit_disconnections", stats.query_limit_closed.load(Relaxed));
    field(
        text,
        "client_output_buffer_limit_disconnections",
        stats.output_limit_closed.load(Relaxed),
    );
    field(text, "uncertain_replies", stats.uncertain_total.load(Relaxed));
}

/// Payloads that RESTORE was given here; each is checked throughout.
fn restored(facts: &Facts<'_>) -> u64 {
    let shared = facts.call.shared;
    let entry = shared.registry.entries().find(|entry| entry.name == "restore");
    let stats = entry.and_then(|entry| shared.stats.command(entry.id));
    stats.map_or(0, |stats| stats.calls.load(Relaxed))
}

fn replication(text: &mut String, facts: &Facts<'_>) {
    let status = facts.view.status;
    field(text, "role", "master");
    let followers = facts.call.shared.followers.all();
    field(text, "connected_slaves", replicas(status).1 + followers.len());
    let mut number = 0;
    if status.role == Role::Leader {
        let others = status.members.iter().filter(|it| it.node != status.node && it.live);
        for member in others {
            let (host, port) = member.resp_address.rsplit_once(':').unwrap_or(("", "0"));
            let offset = member.matched.unwrap_or(0);
            let lag = status.commit_index.saturating_sub(offset).min(1);
            let line = format!("ip={host},port={port},state=online,offset={offset},lag={lag}");
            field(text, &format!("slave{number}"), line);
            number += 1;
        }
    }
    // Their offset is the log entry that they have, as everybody's here is.
    for follower in followers {
        let (host, port, state) = (&follower.host, follower.port, follower.state());
        let (offset, lag) = (follower.index.load(Relaxed), follower.silent_ms() / 1000);
        let line = format!("ip={host},port={port},state={state},offset={offset},lag={lag}");
        field(text, &format!("slave{number}"), line);
        number += 1;
    }
    field(text, "master_failover_state", "no-failover");
    field(text, "master_replid", replication_id(status));
    field(text, "master_replid2", "0".repeat(40));
    field(text, "master_repl_offset", status.commit_index);
    field(text, "second_repl_offset", -1);
    field(text, "repl_backlog_active", 0);
    field(text, "repl_backlog_size", facts.call.shared.settings.get("repl-backlog-size"));
    field(text, "repl_backlog_first_byte_offset", 0);
    field(text, "repl_backlog_histlen", 0);
}

/// The cluster's id, made as long as Redis's.
fn replication_id(status: &Status) -> String {
    format!("{:0<40}", status.cluster)
}

fn cpu(text: &mut String, facts: &Facts<'_>) {
    let process = &facts.process;
    field(text, "used_cpu_sys", format_args!("{:.6}", process.system_s));
    field(text, "used_cpu_user", format_args!("{:.6}", process.user_s));
    field(text, "used_cpu_sys_children", "0.000000");
    field(text, "used_cpu_user_children", "0.000000");
    field(text, "used_cpu_sys_main_thread", format_args!("{:.6}", process.main_system_s));
    field(text, "used_cpu_user_main_thread", format_args!("{:.6}", process.main_user_s));
}

fn commandstats(text: &mut String, facts: &Facts<'_>) {
    let shared = facts.call.shared;
    for entry in shared.registry.entries() {
        let Some(stats) = shared.stats.command(entry.id) else { continue };
        let calls = stats.calls.load(Relaxed);
        let (rejected, failed) = (stats.rejected.load(Relaxed), stats.failed.load(Relaxed));
        if calls + rejected + failed == 0 {
            continue;
        }
        let micros = stats.nanos.load(Relaxed) / 1000;
        let each = if calls == 0 { 0.0 } else { micros as f64 / calls as f64 };
        let line = format!(
            "calls={calls},usec={micros},usec_per_call={each:.2},rejected_calls={rejected},\
             failed_calls={failed}"
        );
        field(text, &format!("cmdstat_{}", entry.name), line);
    }
}

fn errorstats(text: &mut String, facts: &Facts<'_>) {
    for (code, count) in facts.call.shared.stats.errors() {
        field(text, &format!("errorstat_{code}"), format_args!("count={count}"));
    }
}

fn latencystats(text: &mut String, facts: &Facts<'_>) {
    let shared = facts.call.shared;
    let tuned = shared.tuned();
    for entry in shared.registry.entries() {
        let Some(stats) = shared.stats.command(entry.id) else { continue };
        let shown: Vec<String> = tuned
            .percentiles
            .iter()
            .filter_map(|p| Some(format!("p{p}={}.000", stats.percentile(*p)?)))
            .collect();
        if tuned.latency_tracking && !shown.is_empty() {
            field(text, &format!("latency_percentiles_usec_{}", entry.name), shown.join(","));
        }
    }
}

fn cluster(text: &mut String, _: &Facts<'_>) {
    field(text, "cluster_enabled", 0);
}

fn keyspace(text: &mut String, facts: &Facts<'_>) {
    for number in 0..Db::COUNT {
        let (keys, expires, ttl_ms) = facts.view.keyspace.stats(Db(number));
        if keys > 0 {
            let line = format!("keys={keys},expires={expires},avg_ttl={ttl_ms}");
            field(text, &format!("db{number}"), line);
        }
    }
}

fn quorate(text: &mut String, facts: &Facts<'_>) {
    let status = facts.view.status;
    let role = match status.role {
        Role::Leader => "leader",
        Role::Candidate => "candidate",
        Role::Follower => "follower",
        Role::Learner => "learner",
    };
    let voters = status.members.iter().filter(|member| member.voter);
    let voters: Vec<&str> = voters.map(|member| member.resp_address.as_str()).collect();
    field(text, "quorate_version", env!("CARGO_PKG_VERSION"));
    field(text, "cluster_id", &status.cluster);
    field(text, "node_id", status.node);
    field(text, "incarnation", status.incarnation);
    field(text, "ready", u8::from(facts.view.ready));
    field(text, "healthy", u8::from(status.healthy));
    field(text, "raft_role", role);
    field(text, "raft_leader", status.leader.as_deref().unwrap_or(""));
    field(text, "raft_term", status.term);
    field(text, "raft_last_log_index", status.last_log_index);
    field(text, "raft_commit_index", status.commit_index);
    field(text, "raft_applied_index", status.applied_index);
    field(text, "raft_snapshot_index", status.snapshot_index);
    field(text, "raft_purged_index", status.purged_index);
    field(text, "raft_voters", voters.join(","));
    field(text, "state_digest", format_args!("{:016x}", status.state_digest));
    field(text, "state_agreed_index", status.agreed_index);
    field(text, "state_divided", u8::from(status.divided));
    field(text, "cluster_time_ms", status.cluster_time_ms);
    field(text, "proposed_entries", status.proposed.0);
    field(text, "proposed_commands", status.proposed.1);
    field(text, "waiting_clients", status.waiting_clients);
    field(text, "read_rounds", status.read_rounds.0);
    field(text, "read_rounds_served", status.read_rounds.1);
    field(text, "heartbeat_late_ms_max", status.heartbeat_late_ms_max);
    field(text, "log_bytes", status.log_bytes);
    field(text, "log_disk_bytes", status.log_disk_bytes);
    field(text, "fsync_count", status.fsync.0);
    field(text, "fsync_usec_p50", status.fsync.1);
    field(text, "fsync_usec_p99", status.fsync.2);
    field(text, "disk_full", u8::from(status.disk_full));
    let log = &facts.call.shared.outside.log;
    field(text, "log_lines_lost", log.lines_lost());
    field(text, "log_lines_held", log.lines_held());
    followers(text, facts);
    let given = all().filter(|row| facts.call.shared.settings.is_given(row.name)).count();
    field(text, "settings_given", given);
}

/// Replicas of Redis, in bytes of their streams.
fn followers(text: &mut String, facts: &Facts<'_>) {
    let followers = &facts.call.shared.followers;
    field(text, "redis_replicas", followers.count());
    field(text, "redis_replicas_cut", followers.cut.load(Relaxed));
    for (number, follower) in followers.all().iter().enumerate() {
        let (host, port, state) = (&follower.host, follower.port, follower.state());
        let figure = |it: &std::sync::atomic::AtomicU64| it.load(Relaxed);
        let line = format!(
            "ip={host},port={port},state={state},sent={},acked={},waiting={},index={},lag={}",
            figure(&follower.sent),
            figure(&follower.acked),
            figure(&follower.waiting),
            figure(&follower.index),
            follower.silent_ms() / 1000
        );
        field(text, &format!("redis_replica{number}"), line);
    }
}

#[cfg(test)]
mod tests {
    use super::human;

    #[test]
    fn bytes_for_people_look_as_in_redis() {
        let shown = [0, 1023, 1024, 1_572_864, 3 << 30].map(human);
        assert_eq!(shown, ["0B", "1023B", "1.00K", "1.50M", "3.00G"]);
    }
}
