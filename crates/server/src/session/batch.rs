//! Serving a batch: every whole command that has arrived, piece after piece.
//!
//! A piece is a series of reads (one barrier, one guard), a run for the log, or one command of the
//! server.

use super::intake::Found;
use super::{OUTPUT_HOLD_BYTES, Session, replies};
use crate::backend::Backend;
use crate::command::{Mode, ReplyMode, Row, debug_allowed, error, help, row};
use crate::refusal::{self, UNCERTAIN, UNCERTAIN_READ, no_read, not_applied};
use crate::registry::{Entry, Target};
use crate::slowlog::{Slow, shown};
use quorate_consensus::{Answer, RunningScript, Shown};
use quorate_engine::{
    Flags, Group, Handler, Keyspace, LEVEL_TRANSACTIONS, ReadFn, Reader, Run, RunKind, Scripted,
    Spec, Wait, cmd, function_stats,
};
use quorate_resp::{Args, Limits, Parsed, Parser, Reply};
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// A member is of a version without scripts, or there was no leader to find out.
const TOO_OLD: &str = "CLUSTERDOWN scripts begin when every node of the cluster runs a version \
     that has them: nothing was applied";

/// Whether it may log what came with scripts.
fn is_scripting_write(spec: &Spec) -> bool {
    spec.meta.group == Group::Scripting && spec.is_write()
}

/// Whether it tells of the script that runs.
fn is_stats(spec: &Spec) -> bool {
    matches!(spec.run, Handler::Script { way: Scripted::Stats, .. })
}

/// What to do next.
enum Piece {
    Reads,
    Run,
    Wait(&'static Entry, Wait),
    Await(&'static Entry, ReadFn),
    /// Scripts wait until every node runs a version that has them.
    Allow(&'static Entry),
    Server(&'static Entry, &'static Row),
    Nothing,
}

impl<B: Backend> Session<B> {
    /// Serves what has arrived, up to an unfinished command or until too many replies wait.
    pub(super) async fn serve_batch(&mut self) {
        loop {
            match self.next_piece() {
                Piece::Reads => self.serve_reads().await,
                Piece::Run => self.serve_run().await,
                Piece::Wait(entry, wait) => self.serve_wait(entry, wait).await,
                Piece::Await(entry, read) => self.serve_await(entry, read).await,
                Piece::Allow(entry) => self.allow_scripts(entry).await,
                Piece::Server(entry, row) => self.serve_server(entry, row).await,
                Piece::Nothing => return,
            }
        }
    }

    /// Looks at the next commands, gathers those that go to the log, refuses those that may not
    /// run.
    fn next_piece(&mut self) -> Piece {
        loop {
            if self.killed {
                return Piece::Nothing;
            }
            let run_waits = !self.intake.is_empty_run();
            if !run_waits && (self.client.closing || !self.takes_commands()) {
                self.held = !self.client.closing;
                return Piece::Nothing;
            }
            let found = match self.intake.next() {
                Ok(Some(found)) => found,
                _ if run_waits => return Piece::Run,
                Ok(None) => return Piece::Nothing,
                Err(broken) => {
                    self.end_with(&error(format!("ERR {broken}")));
                    return Piece::Nothing;
                }
            };
            let entry = match self.admit(&found) {
                Ok(entry) => entry,
                Err(_) if run_waits => return Piece::Run,
                Err(refusal) => {
                    self.refuse(&found, &refusal);
                    continue;
                }
            };
            if self.client.transaction.is_open() && !entry.meta.flags.has(Flags::UNQUEUED) {
                if let Err(refusal) = self.enqueue(entry) {
                    self.refuse(&found, &refusal);
                }
                continue;
            }
            match entry.target {
                Target::Server(_) | Target::Parent if run_waits => return Piece::Run,
                Target::Server(number) => match row(number) {
                    Some(row) => return Piece::Server(entry, row),
                    None => self.intake.consume(),
                },
                // A parent without a subcommand has not passed the arity check.
                Target::Parent => self.intake.consume(),
                Target::Data(spec) if is_stats(spec) && self.tell_running() => {}
                Target::Data(spec) => {
                    let waits = match spec.run.of(self.intake.args()) {
                        Handler::Wait(wait) => Some(Piece::Wait(entry, wait)),
                        // What flushes or deletes them is logged, too, and unknown to older nodes.
                        _ if !self.may_script && is_scripting_write(spec) => {
                            Some(Piece::Allow(entry))
                        }
                        Handler::Read(read) if entry.meta.flags.has(Flags::BLOCKING) => {
                            Some(Piece::Await(entry, read))
                        }
                        _ => None,
                    };
                    if let Some(piece) = waits {
                        return if run_waits { Piece::Run } else { piece };
                    }
                    if !run_waits && !spec.run.of(self.intake.args()).is_write() {
                        return Piece::Reads;
                    }
                    self.monitor(entry, self.intake.args());
                    self.client.tracker.gather(entry, self.intake.args());
                    self.intake.gather();
                    if self.intake.is_full_run() || self.client.reply_mode != ReplyMode::On {
                        return Piece::Run;
                    }
                }
            }
        }
    }

    async fn allow_scripts(&mut self, entry: &'static Entry) {
        let node = self.node.clone();
        match self.attend(node.allows(LEVEL_TRANSACTIONS)).await {
            None => {}
            Some(true) => self.may_script = true,
            Some(false) => {
                let refusal = Reply::error(TOO_OLD);
                self.shared.stats.rejected(Some(entry.id), TOO_OLD.as_bytes());
                self.intake.consume();
                self.emit(&refusal);
            }
        }
    }

    /// FUNCTION STATS while a script runs here: false if none does.
    fn tell_running(&mut self) -> bool {
        let Some(RunningScript { name, command, age, counts, .. }) = self.node.script() else {
            return false;
        };
        let mut parser = Parser::default();
        let _ = parser.parse(&command, &Limits::stored());
        let words = parser.args(&command).iter().map(<[u8]>::to_vec).collect();
        let running = Some((name.as_str(), words, age.as_millis() as u64));
        self.intake.consume();
        self.emit(&function_stats(running, counts));
        true
    }

    /// Whether the command may run, as far as its row and the client tell.
    fn admit(&self, found: &Found) -> Result<&'static Entry, Reply<'static>> {
        if let Some(why) = found.too_large {
            return Err(error(format!("ERR {why}")));
        }
        let args = self.intake.args();
        let Some(entry) = found.entry else { return Err(cmd::unknown_command(args)) };
        if !self.client.authenticated && !entry.meta.flags.has(Flags::NO_AUTH) {
            return Err(Reply::error(refusal::NO_AUTH));
        }
        if !entry.subs.is_empty() && args.len() > 1 {
            return Err(self.no_subcommand(entry, args.at(1)));
        }
        if !entry.takes(args.len()) {
            return Err(cmd::wrong_arity(entry.meta.name));
        }
        self.may_run_subscribed(entry)?;
        let is_busy = |age: Duration| age.as_millis() as u64 > self.shared.tuned().busy_ms;
        if self.node.script_age().is_some_and(is_busy) && !entry.meta.flags.has(Flags::ALLOW_BUSY) {
            let function = self.node.script().is_some_and(|script| script.is_function);
            return Err(Reply::error(refusal::busy(function)));
        }
        if !entry.meta.flags.has(Flags::LOADING) && self.node.is_loading() {
            return Err(Reply::error(refusal::LOADING));
        }
        if entry.meta.flags.has(Flags::DEBUG) {
            debug_allowed(&self.client)?;
        }
        Ok(entry)
    }

    /// HELP, or the error for a subcommand that nobody knows.
    #[cold]
    fn no_subcommand(&self, parent: &Entry, name: &[u8]) -> Reply<'static> {
        if parent.meta.flags.has(Flags::DEBUG)
            && let Err(refusal) = debug_allowed(&self.client)
        {
            return refusal;
        }
        if name.eq_ignore_ascii_case(b"HELP") {
            return help(self.shared.registry, parent);
        }
        cmd::unknown_subcommand(parent.meta.name, name)
    }

    /// Answers a command that does not run.
    #[cold]
    fn refuse(&mut self, found: &Found, refusal: &Reply<'static>) {
        if found.entry.is_none() && found.too_large.is_none() && self.is_other_protocol() {
            return;
        }
        self.client.transaction.spoil();
        self.client.done(found.entry);
        if let Reply::Error(line) = refusal {
            self.shared.stats.rejected(found.entry.map(|entry| entry.id), line.as_bytes());
        }
        self.intake.consume();
        self.emit(refusal);
    }

    /// A browser tricked into talking to this port is not answered (cross-protocol scripting), as
    /// in Redis.
    fn is_other_protocol(&mut self) -> bool {
        let name = self.intake.args().at(0);
        let other = name.eq_ignore_ascii_case(b"POST") || name.eq_ignore_ascii_case(b"Host:");
        if other {
            tracing::warn!(address = %self.client.peer.address,
                "closing a connection that speaks HTTP: possibly an attack through a browser");
            self.client.closing = true;
        }
        other
    }

    /// Answers and closes.
    #[cold]
    fn end_with(&mut self, reply: &Reply<'static>) {
        if let Reply::Error(line) = reply {
            self.shared.stats.rejected(None, line.as_bytes());
        }
        reply.encode(self.client.proto, &mut self.output);
        self.client.closing = true;
    }

    /// Sends a reply, if the client wants it.
    pub(super) fn emit(&mut self, reply: &Reply<'_>) {
        match self.client.reply_mode {
            ReplyMode::On => reply.encode(self.client.proto, &mut self.output),
            ReplyMode::Skip => self.client.reply_mode = ReplyMode::On,
            ReplyMode::Off => {}
        }
    }

    async fn serve_reads(&mut self) {
        let paused = self.shared.pause().is_some_and(|pause| pause.all);
        if paused && !self.wait_for_resume().await {
            return;
        }
        let node = self.node.clone();
        let view = match self.client.mode {
            Mode::Exact => self.attend(node.read()).await,
            Mode::Stale => Some(Ok(node.peek().await)),
        };
        match view {
            Some(Ok(keyspace)) => self.run_reads(&keyspace, node.clock_ms()),
            Some(Err(why)) => self.refuse_reads(no_read(&why)),
            None => {}
        }
    }

    /// Runs the reads that have arrived. What arrived after the barrier was asked for is not here
    /// yet.
    fn run_reads(&mut self, keyspace: &Keyspace, clock_ms: u64) {
        let mut clock = Instant::now();
        let mut warm = 0_usize;
        while let Some((entry, run)) = self.next_read() {
            warm = match warm.checked_sub(1) {
                Some(left) => left,
                None => {
                    keyspace.warm(self.client.db, self.intake.waiting()).count().saturating_sub(1)
                }
            };
            let args = self.intake.args();
            self.monitor(entry, args);
            // A xorshift step: any sequence will do, it only has to differ from call to call.
            self.seed ^= self.seed << 13;
            self.seed ^= self.seed >> 7;
            self.seed ^= self.seed << 17;
            let reader = Reader { keyspace, db: self.client.db, seed: self.seed, clock_ms };
            let reply = run(&reader, args).unwrap_or_else(|error| error);
            if self.shared.tells_misses.load(Relaxed) {
                self.tell_misses(entry, &reader, args);
            }
            match &reply {
                Reply::Error(line) => self.shared.stats.failed(entry.id, line.as_bytes()),
                Reply::Null => self.shared.stats.missed(),
                _ => self.shared.stats.hit(),
            }
            if self.client.reply_mode == ReplyMode::On {
                reply.encode(self.client.proto, &mut self.output);
            } else if self.client.reply_mode == ReplyMode::Skip {
                self.client.reply_mode = ReplyMode::On;
            }
            self.client.tracker.read(entry, args);
            let now = Instant::now();
            let nanos = (now - clock).as_nanos() as u64;
            clock = now;
            self.note(entry, nanos, args);
            self.client.peer.command.store(entry.id, Relaxed);
            self.intake.consume();
        }
    }

    /// The next command if it is a read that may run now.
    fn next_read(&mut self) -> Option<(&'static Entry, quorate_engine::ReadFn)> {
        let entry = self.intake.next().ok()??.entry?;
        let Target::Data(spec) = entry.target else { return None };
        let args = self.intake.args();
        let Handler::Read(run) = spec.run.of(args) else { return None };
        let fits = entry.takes(args.len()) && !entry.meta.flags.has(Flags::BLOCKING);
        (fits && self.output.len() < OUTPUT_HOLD_BYTES).then_some((entry, run))
    }

    #[cold]
    fn refuse_reads(&mut self, line: &'static str) {
        while let Some((entry, _)) = self.next_read() {
            self.shared.stats.rejected(Some(entry.id), line.as_bytes());
            self.intake.consume();
            self.emit(&Reply::error(line));
        }
    }

    async fn serve_run(&mut self) {
        if self.shared.pause().is_some() && !self.wait_for_resume().await {
            return;
        }
        let collected = self.intake.take_run();
        let commands = collected.commands.clone();
        let run = Run {
            db: self.client.db,
            proto: self.client.proto,
            commands: collected.commands,
            count: collected.ids.len() as u32,
            kind: RunKind::Commands,
        };
        let started = Instant::now();
        self.show_sizes(commands.len());
        self.client.tracker.depart();
        let Some(answer) = self.submit(run).await else { return };
        let nanos = started.elapsed().as_nanos() as u64;
        if let Some(id) = collected.ids.last() {
            self.client.peer.command.store(*id, Relaxed);
        }
        let mut shows = None;
        match answer {
            Answer::Replies(bytes, shown) => {
                shows = Some(shown);
                self.take_replies(&bytes, &collected.ids, nanos);
            }
            Answer::NotApplied(why) => self.refuse_run(&collected.ids, |_| not_applied(&why)),
            Answer::Uncertain => {
                let count = collected.ids.len() as u64;
                self.shared.stats.uncertain(count);
                self.refuse_run(
                    &collected.ids,
                    |is_write| {
                        if is_write { UNCERTAIN } else { UNCERTAIN_READ }
                    },
                );
            }
        }
        self.client.tracker.arrive(shows);
        self.note_slow_run(&commands, &collected.ids, nanos);
        self.intake.recycle(collected.ids);
    }

    /// Hands a run over and waits for its answer; `None` if the client is gone before. Clients of
    /// this node that keep copies hear of what was written before the writer does.
    pub(super) async fn submit(&mut self, run: Run) -> Option<Answer> {
        let node = self.node.clone();
        let answer = self.attend(node.submit(run)).await?;
        if let Answer::Replies(_, Shown { index, .. }) = answer {
            self.client.written = index;
            self.shared.writes_answered.fetch_add(1, Relaxed);
            if self.shared.tracking.has_any() {
                self.attend(node.applied(index)).await?;
            }
        }
        Some(answer)
    }

    /// Passes a run's replies on. A command's time is its share of the run's.
    pub(super) fn take_replies(&mut self, bytes: &[u8], ids: &[u16], nanos: u64) {
        if self.client.reply_mode == ReplyMode::On {
            self.output.extend_from_slice(bytes);
        } else if self.client.reply_mode == ReplyMode::Skip {
            self.client.reply_mode = ReplyMode::On;
        }
        let tracking = self.client.tuned.latency_tracking;
        let share = nanos / (ids.len() as u64).max(1);
        let stats = &self.shared.stats;
        if !replies::may_hold_error(bytes) {
            // As a rule a pipeline repeats one command.
            for same in ids.chunk_by(|one, next| one == next) {
                if let Some(id) = same.first() {
                    stats.ran_often(*id, same.len() as u64, share, tracking);
                }
            }
            return;
        }
        for (id, reply) in ids.iter().zip(replies::each(bytes)) {
            match replies::error_line(reply) {
                // Refused when it was sealed, so it never ran.
                Some(line) if line.starts_with(b"OOM ") => stats.rejected(Some(*id), line),
                Some(line) => {
                    stats.ran(*id, share, tracking);
                    stats.failed(*id, line);
                }
                None => stats.ran(*id, share, tracking),
            }
        }
    }

    #[cold]
    pub(super) fn refuse_run(&mut self, ids: &[u16], line: impl Fn(bool) -> &'static str) {
        for id in ids {
            let entry = self.shared.registry.get(*id);
            let is_write = entry.is_none_or(|entry| entry.is_write() == Some(true));
            let line = line(is_write);
            self.shared.stats.rejected(Some(*id), line.as_bytes());
            self.emit(&Reply::error(line));
        }
    }

    /// Counts a command that ran, and keeps it if it was slow.
    pub(super) fn note(&self, entry: &Entry, nanos: u64, args: Args<'_>) {
        self.shared.stats.ran(entry.id, nanos, self.client.tuned.latency_tracking);
        let limit = self.client.tuned.slowlog_slower_us;
        if limit >= 0 && nanos / 1000 >= limit as u64 {
            self.note_slow(entry, nanos, args);
        }
    }

    #[cold]
    fn note_slow(&self, entry: &Entry, nanos: u64, args: Args<'_>) {
        if entry.meta.flags.has(Flags::SKIP_SLOWLOG) {
            return;
        }
        let slow = Slow {
            id: 0,
            unix_s: crate::shared::unix_micros() / 1_000_000,
            micros: nanos / 1000,
            args: shown(args, entry.meta.flags.has(Flags::SECRET)),
            address: self.client.peer.address.to_string(),
            name: self.client.peer.names().name.clone(),
        };
        self.shared.slowlog.add(slow, self.client.tuned.slowlog_len_max);
    }

    /// Keeps the commands of a run whose share of its time was long.
    fn note_slow_run(&self, commands: &[u8], ids: &[u16], nanos: u64) {
        let limit = self.client.tuned.slowlog_slower_us;
        let share = nanos / (ids.len() as u64).max(1);
        if limit < 0 || share / 1000 < limit as u64 {
            return;
        }
        let mut parser = Parser::default();
        let mut rest = commands;
        for id in ids {
            let Ok(Parsed::Command { len, .. }) = parser.parse(rest, &Limits::stored()) else {
                return;
            };
            if let Some(entry) = self.shared.registry.get(*id) {
                self.note_slow(entry, share, parser.args(rest));
            }
            rest = rest.get(len..).unwrap_or(&[]);
        }
    }

    /// Waits until `CLIENT PAUSE` is over; false if the client is gone before.
    #[cold]
    pub(super) async fn wait_for_resume(&mut self) -> bool {
        let shared = std::sync::Arc::clone(&self.shared);
        let resumed = async move {
            while let Some(pause) = shared.pause() {
                let left = pause.until.saturating_duration_since(Instant::now());
                let _ = tokio::time::timeout(left, shared.resumed.notified()).await;
            }
        };
        self.client.peer.postponed.store(true, Relaxed);
        let is_there = self.attend(resumed).await.is_some();
        self.client.peer.postponed.store(false, Relaxed);
        is_there
    }
}
