//! Carrying out a transaction: queueing its commands, and EXEC.
//!
//! If it writes, its data commands go to the log as one run, which the leader takes or leaves as a
//! whole. If it only reads, they run here, behind one barrier and under one guard. The server's own
//! commands are no part of either: they leave holes among the replies, which are filled afterwards.
//! But what is published within a transaction goes with its entry.

use super::server::{Called, call};
use super::{COMMAND_BYTES_MAX, Session, replies};
use crate::backend::Backend;
use crate::command::{ReplyMode, error, message, row};
use crate::refusal::{UNCERTAIN, no_read, not_applied};
use crate::registry::{Entry, Registry, Target};
use crate::tracking::Tracker;
use crate::transaction::Queue;
use bytes::{Bytes, BytesMut};
use quorate_consensus::{Answer, Shown};
use quorate_engine::{
    Db, Flags, Guard, Keyspace, LEVEL_TRANSACTIONS, Reader, Refusal, Run, RunKind, read,
};
use quorate_resp::{Args, Limits, Parsed, Parser, Proto, Reply, parse_int, write_command};
use std::time::Instant;

/// A member is of a version without transactions, or there was no leader to find out.
const TOO_OLD: &str = "CLUSTERDOWN transactions begin when every node of the cluster runs a \
     version that has them: nothing was applied";

/// Bytes of replies of a transaction that only reads.
const REPLIES_BYTES_MAX: usize = 256 << 20;

/// What became of the data commands.
enum Outcome {
    /// They ran; their replies, in order, and what those show.
    Ran(Vec<Bytes>, Shown),
    /// None ran; this is the answer.
    Not(Reply<'static>),
    /// The client is gone.
    Gone,
}

impl<B: Backend> Session<B> {
    /// Queues the command at the front of the intake.
    pub(super) fn enqueue(&mut self, entry: &'static Entry) -> Result<(), Reply<'static>> {
        if entry.meta.flags.has(Flags::NO_MULTI) {
            return Err(Reply::error("ERR Command not allowed inside a transaction"));
        }
        if entry.meta.flags.has(Flags::DENYOOM) && self.node.is_over_memory() {
            return Err(Refusal::OutOfMemory.reply());
        }
        let args = self.intake.args();
        if changes_protocol(entry, args, self.client.proto) {
            return Err(Reply::error("ERR HELLO cannot change the protocol inside a transaction"));
        }
        let canonical = self.intake.canonical();
        if self.client.transaction.bytes() + canonical.len() > COMMAND_BYTES_MAX {
            return Err(too_large());
        }
        self.client.transaction.push(entry, canonical);
        self.intake.consume();
        self.emit(&Reply::Simple("QUEUED".into()));
        Ok(())
    }

    /// EXEC.
    pub(super) async fn exec(&mut self, queue: Queue, guards: Vec<Guard>) {
        let program = Program::new(&queue, self.shared.registry);
        program.gather(&mut self.client.tracker);
        let started = Instant::now();
        let outcome = if program.writes {
            self.exec_logged(&program, guards).await
        } else {
            self.exec_here(&program, &guards).await
        };
        let mut shows = None;
        match outcome {
            Outcome::Gone => return,
            Outcome::Not(reply) => {
                if let Reply::Error(line) = &reply {
                    self.shared.stats.rejected(None, line.as_bytes());
                }
                self.emit(&reply);
            }
            Outcome::Ran(data, shown) => {
                shows = Some(shown);
                let share = started.elapsed().as_nanos() as u64 / (queue.ids.len() as u64).max(1);
                // What is said of replies within it holds for what follows it.
                let wanted = self.client.reply_mode;
                let replies = self.fill(&program, data, share).await;
                self.emit_array(wanted, &replies);
            }
        }
        self.client.tracker.arrive(shows);
        if program.steps.iter().any(|step| step.entry.meta.name == "CLIENT|TRACKING") {
            // What it read before and behind that was noted in the mode of before.
            self.client.tracker.doubt();
        }
    }

    /// A transaction that writes.
    async fn exec_logged(&mut self, program: &Program<'_>, guards: Vec<Guard>) -> Outcome {
        if self.shared.pause().is_some() && !self.wait_for_resume().await {
            return Outcome::Gone;
        }
        let node = self.node.clone();
        match self.attend(node.allows(LEVEL_TRANSACTIONS)).await {
            None => return Outcome::Gone,
            Some(false) => return Outcome::Not(Reply::error(TOO_OLD)),
            Some(true) => {}
        }
        let run = program.run(self.client.db, self.client.proto, guards);
        if run.bytes() > COMMAND_BYTES_MAX {
            return Outcome::Not(too_large());
        }
        self.show_sizes(run.commands.len());
        self.client.tracker.depart();
        let Some(answer) = self.submit(run).await else { return Outcome::Gone };
        match answer {
            Answer::Replies(bytes, shown) => match bytes.get(..2) {
                Some(b"*-" | b"_\r") => Outcome::Not(Reply::NullArray),
                Some([b'*', _]) => Outcome::Ran(elements(&bytes), shown),
                _ => {
                    let line = replies::error_line(&bytes).unwrap_or_default();
                    Outcome::Not(Reply::error_of(&[line]))
                }
            },
            Answer::NotApplied(why) => Outcome::Not(Reply::error(not_applied(&why))),
            Answer::Uncertain => {
                self.shared.stats.uncertain(1);
                Outcome::Not(Reply::error(UNCERTAIN))
            }
        }
    }

    /// A transaction that only reads, if it does.
    async fn exec_here(&mut self, program: &Program<'_>, guards: &[Guard]) -> Outcome {
        if guards.is_empty() && !program.steps.iter().any(Step::is_data) {
            return Outcome::Ran(Vec::new(), Shown::default());
        }
        let paused = self.shared.pause().is_some_and(|pause| pause.all);
        if paused && !self.wait_for_resume().await {
            return Outcome::Gone;
        }
        let node = self.node.clone();
        let keyspace = match self.attend(node.read()).await {
            Some(Ok(keyspace)) => keyspace,
            Some(Err(why)) => return Outcome::Not(Reply::error(no_read(&why))),
            None => return Outcome::Gone,
        };
        if !guards.iter().all(|guard| guard.holds(&keyspace, keyspace.now_ms())) {
            return Outcome::Not(Reply::NullArray);
        }
        self.client.tracker.depart();
        let shown = Shown::up_to(keyspace.applied_index());
        match self.run_queued(program, &keyspace, node.clock_ms()) {
            Some(replies) => Outcome::Ran(replies, shown),
            None => Outcome::Not(error(format!(
                "ERR the replies of the transaction take more than {} MiB",
                REPLIES_BYTES_MAX >> 20
            ))),
        }
    }

    /// The replies of the reads; `None`: they take too much.
    fn run_queued(
        &mut self,
        program: &Program<'_>,
        keyspace: &Keyspace,
        clock_ms: u64,
    ) -> Option<Vec<Bytes>> {
        let (mut db, mut parser, mut out) = (self.client.db, Parser::default(), BytesMut::new());
        let (mut replies, mut bytes) = (Vec::new(), 0);
        for step in &program.steps {
            let args = step.args(&mut parser);
            if let Some(selected) = step.selects(args) {
                db = selected;
            } else if step.is_data() {
                self.seed = self.seed.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
                let reader = Reader { keyspace, db, seed: self.seed, clock_ms };
                read(&reader, args, self.client.proto, &mut out);
                bytes += out.len();
                if bytes > REPLIES_BYTES_MAX {
                    return None;
                }
                replies.push(out.split().freeze());
            }
        }
        Some(replies)
    }

    /// The replies of all commands: those of data commands are here, those of the server's own are
    /// made now.
    async fn fill(&mut self, program: &Program<'_>, data: Vec<Bytes>, share: u64) -> Vec<Bytes> {
        let (mut parser, mut data) = (Parser::default(), data.into_iter());
        let mut replies = Vec::with_capacity(program.steps.len());
        for step in &program.steps {
            let args = step.args(&mut parser);
            if !step.entry.meta.flags.has(Flags::ADMIN) {
                self.monitor(step.entry, args);
            }
            let reply = match step.entry.target {
                _ if step.publishes().is_some() => self.receivers(step, args, data.next()),
                Target::Server(number) => self.call_queued(step.entry, number, args).await,
                Target::Data(_) | Target::Parent => data.next(),
            };
            let Some(reply) = reply else { continue };
            self.note(step.entry, share, args);
            if let Some(line) = replies::error_line(&reply) {
                self.shared.stats.failed(step.entry.id, line);
            }
            replies.push(reply);
        }
        replies
    }

    /// The reply to a PUBLISH that went with the transaction's entry.
    fn receivers(&self, step: &Step<'_>, args: Args<'_>, went: Option<Bytes>) -> Option<Bytes> {
        went?;
        let message = message(args, step.publishes()?, 0);
        let count = self.shared.pubsub.interest().receivers(&message);
        let mut out = BytesMut::new();
        Reply::Int(count as i64).encode(self.client.proto, &mut out);
        Some(out.freeze())
    }

    async fn call_queued(
        &mut self,
        entry: &'static Entry,
        number: u16,
        args: Args<'_>,
    ) -> Option<Bytes> {
        let (node, shared) = (self.node.clone(), self.shared.clone());
        let called = call((&node, &shared), &mut self.client, (entry, row(number)?), args).await;
        let mut out = std::mem::take(&mut self.client.frames);
        if let Called::Answer(Some(reply)) = called {
            reply.encode(self.client.proto, &mut out);
        }
        (!out.is_empty()).then(|| out.freeze())
    }

    fn emit_array(&mut self, wanted: ReplyMode, replies: &[Bytes]) {
        match wanted {
            ReplyMode::On => {
                self.output.extend_from_slice(format!("*{}\r\n", replies.len()).as_bytes());
                for reply in replies {
                    self.output.extend_from_slice(reply);
                }
            }
            ReplyMode::Skip => self.client.reply_mode = ReplyMode::On,
            ReplyMode::Off => {}
        }
    }
}

/// A queued command.
struct Step<'q> {
    entry: &'static Entry,
    bytes: &'q [u8],
}

impl Step<'_> {
    fn is_data(&self) -> bool {
        matches!(self.entry.target, Target::Data(_))
    }

    /// Whether it publishes: as part of the transaction, so that its message goes with it. To a
    /// channel of a shard?
    fn publishes(&self) -> Option<bool> {
        match self.entry.meta.name {
            "PUBLISH" => Some(false),
            "SPUBLISH" => Some(true),
            _ => None,
        }
    }

    fn args<'a>(&'a self, parser: &'a mut Parser) -> Args<'a> {
        // It was parsed when it was queued.
        let _ = parser.parse(self.bytes, &Limits::stored());
        parser.args(self.bytes)
    }

    /// The database that what follows is carried out in, if this chooses another.
    fn selects(&self, args: Args<'_>) -> Option<Db> {
        let number = (self.entry.meta.name == "SELECT").then(|| parse_int(args.at(1)))??;
        u8::try_from(number).ok().filter(|number| *number < Db::COUNT).map(Db)
    }
}

/// What was queued, looked at.
struct Program<'q> {
    steps: Vec<Step<'q>>,
    writes: bool,
}

impl<'q> Program<'q> {
    fn new(queue: &'q Queue, registry: &'static Registry) -> Self {
        let (mut parser, mut rest) = (Parser::default(), &queue.commands[..]);
        let (mut steps, mut writes) = (Vec::with_capacity(queue.ids.len()), false);
        for id in &queue.ids {
            let Ok(Parsed::Command { len, .. }) = parser.parse(rest, &Limits::stored()) else {
                break;
            };
            let (bytes, behind) = rest.split_at_checked(len).unwrap_or((rest, &[]));
            if let Some(entry) = registry.get(*id) {
                let args = parser.args(bytes);
                let step = Step { entry, bytes };
                writes |= step.publishes().is_some()
                    || matches!(entry.target, Target::Data(spec) if spec.run.of(args).is_write());
                steps.push(step);
            }
            rest = behind;
        }
        Self { steps, writes }
    }

    /// Tells which keys it names.
    fn gather(&self, tracker: &mut Tracker) {
        if !tracker.is_on() {
            return;
        }
        let mut parser = Parser::default();
        for step in &self.steps {
            let args = step.args(&mut parser);
            if step.is_data() {
                tracker.gather_queued(step.entry, args);
            } else if step.entry.meta.name == "CLIENT|CACHING" {
                tracker.gather_caching(args);
            }
        }
    }

    /// The data commands as one run, with the `SELECT`s between them.
    fn run(&self, db: Db, proto: Proto, guards: Vec<Guard>) -> Run {
        let (mut commands, mut count, mut parser) = (BytesMut::new(), 0, Parser::default());
        for step in &self.steps {
            let args = step.args(&mut parser);
            if let Some(db) = step.selects(args) {
                let number = db.0.to_string();
                write_command(&mut commands, [&b"SELECT"[..], number.as_bytes()].into_iter());
            } else if let Some(shard) = step.publishes() {
                let to: &[u8] = if shard { b"SHARD" } else { b"ALL" };
                let words = [&b"QUORATE.PUBLISH"[..], args.at(1), args.at(2), to];
                write_command(&mut commands, words.into_iter());
            } else if step.is_data() {
                commands.extend_from_slice(step.bytes);
            } else {
                continue;
            }
            count += 1;
        }
        let kind = RunKind::Transaction(guards.into());
        Run { db, proto, commands: commands.freeze(), count, kind }
    }
}

/// The elements of an encoded array.
fn elements(array: &Bytes) -> Vec<Bytes> {
    let header = array.iter().position(|byte| *byte == b'\n').map_or(array.len(), |at| at + 1);
    let elements = array.slice(header..);
    replies::each(&elements).map(|reply| elements.slice_ref(reply)).collect()
}

fn too_large() -> Reply<'static> {
    error(format!("ERR a transaction has {} MiB at most", COMMAND_BYTES_MAX >> 20))
}

fn changes_protocol(entry: &Entry, args: Args<'_>, proto: Proto) -> bool {
    let now = if proto == Proto::Resp3 { 3 } else { 2 };
    entry.meta.name == "HELLO"
        && args.get(1).and_then(parse_int).is_some_and(|version| version != now)
}
