//! Sealing: the leader's one look at a batch before it becomes an entry. Pure.
//!
//! It parses the runs, refuses what may not run, rewrites what must be absolute, puts expiries in
//! front, and notes how each reply is to be made. It is called with everything earlier applied, and
//! never changes the keyspace. A batch in which something depends on what stands before it in the
//! same batch, or for which somebody waits, is *rehearsed*: it runs on the real state, the commands
//! that change something are logged, and all of it is undone.
//!
//! Expiry is explicit in the log because Redis does not expire keys while it loads an AOF: every
//! due key that a command could meet is removed at the head of the payload, so that a replay sees
//! what apply sees.

mod due;
mod earlier;
mod script;
mod stage;
mod wait;

use super::payload::{Guard, Payload};
use super::waiter::Waiter;
use super::waiting::Waiting;
use crate::{
    Db, Flags, Garbage, Handler, Keyspace, LogForm, Plan, Reader, Run, RunKind, Scripting, Sealing,
    Spec, Stamp, cmd,
};
use alloc::vec::Vec;
use bytes::{Bytes, BytesMut};
use due::Due;
use earlier::Earlier;
use quorate_resp::{Args, Limits, Parsed, Parser, Reply, write_command, write_replaced};
use script::Scripts;
use stage::{Ran, Rehearsed, Stage, Still};

/// Why a command is refused before it is logged: definite, nothing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// `maxmemory` is reached and the command may grow memory.
    OutOfMemory,
    /// The disk is full: no write is accepted until space returns.
    DiskFull,
    /// Replicas hold different states and no majority of them agrees: somebody has to look.
    Divided,
}

impl Refusal {
    /// What the client hears of [`Refusal::Divided`], wherever the write is refused.
    pub const DIVIDED: &'static str = "MISCONF replicas of this cluster hold different states and \
         no majority agrees: writes are refused; see the log and INFO quorate";

    /// What the client hears.
    #[cold]
    pub fn reply(self) -> Reply<'static> {
        Reply::error(match self {
            Refusal::OutOfMemory => "OOM command not allowed when used memory > 'maxmemory'.",
            Refusal::DiskFull => {
                "MISCONF The disk is full: no write is accepted until space returns. Reads go on."
            }
            Refusal::Divided => Refusal::DIVIDED,
        })
    }
}

/// What limits a batch at this moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct SealLimits {
    /// Refuse every write with this (disk full, replicas divided).
    pub refuse_writes: Option<Refusal>,
    /// Most expired keys to remove besides those the batch names.
    pub expire_max: usize,
}

/// A sealed batch.
#[derive(Debug)]
pub struct Sealed {
    /// The entry's payload. Empty: nothing has to be logged, the plan can be run at once
    /// ([`Plan::answer`]).
    pub payload: Bytes,
    /// Commands in the payload, expiries counted, `SELECT` not.
    pub commands: u32,
    /// How to answer.
    pub plan: Plan,
    /// How many of the runs are in it, from the first on. If [`seal`] takes fewer than there are,
    /// one depends on what another may change, or somebody waits for that: nothing else here holds,
    /// and all have to be rehearsed. A rehearsal that takes fewer has had to remember too much.
    pub taken: usize,
    /// Which of them wait: they are not in the plan.
    pub parked: Vec<usize>,
    /// Who has been served by it, and waits no longer once it is applied: those of this batch, and
    /// those who waited before.
    pub served: Vec<Waiter>,
    /// Who waited in vain, and the error.
    pub relayed: Vec<(Waiter, Bytes)>,
    /// Whether the payload holds something that stock Redis cannot replay exactly.
    pub inexact: bool,
    /// Estimated time to apply, nanoseconds.
    pub cost_ns: u64,
}

/// Estimated cost of a cheap command, of each of its arguments, and of a removed key or field,
/// nanoseconds.
const COMMAND_NS: u64 = 300;
const ARG_NS: u64 = 100;
const EXPIRY_NS: u64 = 500;

/// Bytes of a command beyond which copying and digesting them costs more than anything else,
const LARGE_BYTES: usize = 64 << 10;
/// and nanoseconds for each, by and large.
const BYTE_NS: u64 = 1;

/// A rehearsal that has to remember more than this of the state ends before its next run.
const REHEARSED_BYTES_MAX: u64 = 256 << 20;

/// Seals `runs`. With no runs it makes a tick: due keys are removed, cluster time advances. (With
/// nothing due a tick is empty, since nothing depends on cluster time then.)
pub fn seal(keyspace: &Keyspace, runs: &[Run], stamp: &Stamp, limits: &SealLimits) -> Sealed {
    seal_beside(&Waiting::default(), keyspace, runs, stamp, limits)
}

/// The same while these wait.
pub fn seal_beside(
    waiting: &Waiting,
    keyspace: &Keyspace,
    runs: &[Run],
    stamp: &Stamp,
    limits: &SealLimits,
) -> Sealed {
    let mut sealer = Sealer::new(Still(keyspace, waiting), runs, stamp, limits);
    let mut parser = Parser::default();
    for (number, run) in runs.iter().enumerate() {
        sealer.place = (number, 0);
        if !sealer.run(&mut parser, run) {
            sealer.taken = number;
            break;
        }
    }
    sealer.finish(None)
}

/// Seals runs of which one depends on what another does, or somebody waits: see the module.
/// Everything that is applied must be in the keyspace, and the entry be the next one. Who is served
/// waits no longer, and who has to wait does from now on.
pub fn rehearse(
    keyspace: &mut Keyspace,
    waiting: &mut Waiting,
    runs: &[Run],
    stamp: &Stamp,
    limits: &SealLimits,
) -> (Sealed, Vec<Garbage>) {
    rehearse_with(None, (keyspace, waiting), runs, stamp, limits)
}

/// The same, where scripts can run.
pub fn rehearse_with<'a>(
    scripting: Option<Scripting<'a>>,
    (keyspace, waiting): (&'a mut Keyspace, &'a mut Waiting),
    runs: &'a [Run],
    stamp: &Stamp,
    limits: &'a SealLimits,
) -> (Sealed, Vec<Garbage>) {
    let stamp = Stamp { now_ms: stamp.now_ms.max(keyspace.now_ms()), ..*stamp };
    let stage = Rehearsed::begin(keyspace, waiting, stamp);
    let mut sealer = Sealer::new(stage, runs, &stamp, limits);
    sealer.scripts.with = scripting;
    let mut parser = Parser::default();
    for (number, run) in runs.iter().enumerate() {
        sealer.place = (number, 0);
        if number > 0 && sealer.stage.state.bytes() > REHEARSED_BYTES_MAX {
            sealer.taken = number;
            break;
        }
        sealer.run(&mut parser, run);
    }
    // What was due may have gone behind the last change.
    sealer.wake();
    let rehearsed = sealer.stage.state.expected();
    sealer.stage.state.undo();
    let garbage = sealer.stage.state.garbage();
    (sealer.finish(rehearsed), garbage)
}

/// Commands of a run that go into the payload as they lie, found and not copied yet.
#[derive(Default)]
struct Stretch {
    start: usize,
    end: usize,
    count: u32,
}

struct Sealer<'a, S> {
    stage: S,
    runs: &'a [Run],
    /// Where the command that is judged begins: the run's number, and the place within it.
    place: (usize, usize),
    /// Earlier commands of the batch that count for forms chosen by value,
    moved: Earlier,
    /// and for what transactions watched.
    written: Earlier,
    taken: usize,
    /// What is judged depends on what cannot be seen: the batch has to be rehearsed.
    unsure: bool,
    parked: Vec<usize>,
    served: Vec<Waiter>,
    relayed: Vec<(Waiter, Bytes)>,
    /// The row of the last command.
    last: Option<&'static Spec>,
    /// With a clock that does not run behind cluster time.
    stamp: Stamp,
    limits: &'a SealLimits,
    over_memory: bool,
    due: Due,
    /// A command in the form in which it is logged.
    scratch: BytesMut,
    body: Payload,
    plan: Plan,
    inexact: bool,
    cost_ns: u64,
    /// What scripts run with, and how they stand.
    scripts: Scripts<'a>,
}

impl<'a, S: Stage> Sealer<'a, S> {
    fn new(stage: S, runs: &'a [Run], stamp: &Stamp, limits: &'a SealLimits) -> Self {
        let keyspace = stage.keyspace();
        let now_ms = stamp.now_ms.max(keyspace.now_ms());
        let bytes = runs.iter().map(|run| run.commands.len() + 32).sum();
        let due = Due::new(keyspace, now_ms);
        Self {
            runs,
            place: (0, 0),
            moved: Earlier::moves(),
            written: Earlier::writes(),
            taken: runs.len(),
            unsure: false,
            parked: Vec::new(),
            served: Vec::new(),
            relayed: Vec::new(),
            last: None,
            stamp: Stamp { now_ms, ..*stamp },
            limits,
            over_memory: keyspace.is_over_memory(),
            due,
            scratch: BytesMut::new(),
            stage,
            body: Payload::with_capacity(bytes),
            plan: Plan::default(),
            inexact: false,
            cost_ns: 0,
            scripts: Scripts { drawn: stamp.seed, ..Scripts::default() },
        }
    }

    /// Takes a run; false: the batch has to be rehearsed.
    fn run(&mut self, parser: &mut Parser, run: &Run) -> bool {
        match &run.kind {
            RunKind::Commands => {
                self.plan.run(run.db, run.proto);
                self.commands(parser, run);
            }
            RunKind::Transaction(guards) => self.transaction(parser, run, guards),
            RunKind::Wait(registration) => self.wait(run, registration),
        }
        !self.unsure
    }

    fn transaction(&mut self, parser: &mut Parser, run: &Run, guards: &[Guard]) {
        if !S::SHOWS {
            let before = self.runs.get(..self.place.0).unwrap_or_default();
            let end = before.last().map_or(0, |run| run.commands.len());
            let written = &mut self.written;
            if !guards.iter().all(|Guard { db, key, .. }| written.spared(before, end, *db, key)) {
                self.unsure = true;
                return;
            }
        }
        self.plan.run(run.db, run.proto);
        let (keyspace, now_ms) = (self.stage.keyspace(), self.stamp.now_ms);
        if !guards.iter().all(|guard| guard.holds(keyspace, now_ms)) {
            self.plan.known(Reply::NullArray);
        } else if let Some(refusal) = self.refusal_within(run) {
            self.plan.known(refusal);
        } else {
            self.plan.array(run);
            let within = self.body.continued();
            let outside = core::mem::replace(&mut self.body, within);
            self.scripts.in_transaction = true;
            self.commands(parser, run);
            self.scripts.in_transaction = false;
            let within = core::mem::replace(&mut self.body, outside);
            self.body.transaction(&within);
            self.wake();
        }
    }

    /// Why a transaction is refused whole: because one of its writes would be.
    fn refusal_within(&self, run: &Run) -> Option<Reply<'static>> {
        const DISCARDED: &[u8] = b"EXECABORT Transaction discarded because of: ";
        if self.limits.refuse_writes.is_none() && !self.over_memory {
            return None;
        }
        let mut found = None;
        run.visit(run.commands.len(), &mut |_, args| {
            let write = cmd::resolve(args).filter(|spec| spec.run.of(args).is_write());
            found = found.or_else(|| self.refusal(write?.meta.flags));
        });
        let Reply::Error(why) = found?.reply() else { return None };
        Some(Reply::error_of(&[DISCARDED, why.as_bytes()]))
    }

    fn commands(&mut self, parser: &mut Parser, run: &Run) {
        let limits = Limits::stored();
        let (mut stretch, mut db, mut at) = (Stretch::default(), run.db, 0);
        let is_alone = S::SHOWS && matches!(run.kind, RunKind::Commands);
        for done in 0..run.count {
            let rest = run.commands.get(at..).unwrap_or(&[]);
            let Ok(Parsed::Command { len, canonical: true }) = parser.parse(rest, &limits) else {
                self.malformed(run, run.count - done);
                break;
            };
            let (start, end) = (at, at + len);
            at = end;
            let args = parser.args(rest);
            self.place.1 = start;
            if len > LARGE_BYTES {
                self.cost_ns = self.cost_ns.saturating_add(len as u64 * BYTE_NS);
            }
            if let Some(selected) = run.selects(args) {
                self.copy(run, db, &mut stretch);
                db = selected;
                self.plan.select(db);
                continue;
            }
            let command = run.commands.get(start..end).unwrap_or(&[]);
            let form = self.judge(db, args);
            if self.unsure {
                return;
            }
            let Some(form) = form else {
                self.plan.read(run.commands.slice(start..end));
                continue;
            };
            if let LogForm::Script(way) = form {
                self.copy(run, db, &mut stretch);
                self.script_of(way, db, (command, args), is_alone);
                continue;
            }
            let seed = match self.run_as(&form, db, args) {
                Ran::Unseen => None,
                Ran::Changed(seed, _) => seed,
                Ran::Unchanged(reply) => {
                    self.plan.known(reply);
                    continue;
                }
            };
            match form {
                LogForm::Plain if seed.is_none() => {
                    if stretch.end != start {
                        self.copy(run, db, &mut stretch);
                        stretch.start = start;
                    }
                    stretch.end = end;
                    stretch.count += 1;
                    self.plan.logged();
                }
                LogForm::Refused(reply) => self.plan.known(reply),
                form => {
                    self.copy(run, db, &mut stretch);
                    self.log_one(db, (form, seed), (command, args));
                }
            }
            if is_alone && !self.stage.waiting().is_empty() {
                self.copy(run, db, &mut stretch);
                self.wake();
            }
        }
        self.copy(run, db, &mut stretch);
    }

    /// Logs a command by itself: in another form, or with what it drew from.
    fn log_one(
        &mut self,
        db: Db,
        (form, seed): (LogForm, Option<u64>),
        command: (&[u8], Args<'_>),
    ) {
        if let Some(seed) = seed {
            self.body.seed(seed);
            self.inexact = true;
        }
        let is_flat = matches!(form, LogForm::Flat(_));
        self.write(db, form, command);
        if is_flat { self.plan.flat() } else { self.plan.logged() }
    }

    /// Runs a command in the form in which it will be logged, if commands run here.
    fn run_as(&mut self, form: &LogForm, db: Db, args: Args<'_>) -> Ran {
        if !S::SHOWS {
            return Ran::Unseen;
        }
        let scratch = &mut self.scratch;
        scratch.clear();
        match form {
            LogForm::Refused(_) | LogForm::Script(_) => return Ran::Unseen,
            LogForm::Plain | LogForm::Hidden => return rehearse_one(&mut self.stage, db, args),
            LogForm::Rewritten(words) | LogForm::Flat(words) => {
                write_command(scratch, words.iter().map(Vec::as_slice));
            }
            LogForm::Replaced(at, by) => write_replaced(scratch, args, *at, by),
        }
        let mut parser = Parser::default();
        // It was written here.
        let _ = parser.parse(scratch, &Limits::stored());
        rehearse_one(&mut self.stage, db, parser.args(scratch))
    }

    /// Writes a command in another form than it came in, or by itself.
    fn write(&mut self, db: Db, form: LogForm, (command, args): (&[u8], Args<'_>)) {
        match form {
            LogForm::Plain => self.body.plain(db, command, 1),
            LogForm::Rewritten(words) | LogForm::Flat(words) => self.body.command(db, &words),
            LogForm::Replaced(at, by) => self.body.replaced(db, args, at, &by),
            LogForm::Hidden => self.body.hidden(db, command, args),
            LogForm::Refused(_) | LogForm::Script(_) => {}
        }
    }

    /// Copies what has been found so far.
    fn copy(&mut self, run: &Run, db: Db, stretch: &mut Stretch) {
        let found = core::mem::take(stretch);
        if let (1.., Some(bytes)) = (found.count, run.commands.get(found.start..found.end)) {
            self.body.plain(db, bytes, found.count);
        }
    }

    /// A run that is not what its session promised: our own fault. Every command is answered all
    /// the same; there cannot be more commands than bytes.
    #[cold]
    fn malformed(&mut self, run: &Run, left: u32) {
        let left = left.min(u32::try_from(run.commands.len()).unwrap_or(u32::MAX)).max(1);
        for _ in 0..left {
            self.plan
                .known(Reply::error("ERR internal: the command did not arrive as it was sent"));
        }
    }

    /// The form in which a command goes into the log; `None` for a read.
    fn judge(&mut self, db: Db, args: Args<'_>) -> Option<LogForm> {
        let Some(spec) = cmd::resolve_like(self.last, args) else {
            return Some(LogForm::Refused(cmd::unknown(args)));
        };
        self.last = Some(spec);
        if !spec.meta.arity.fits(args.len()) {
            return Some(LogForm::Refused(cmd::wrong_arity(spec.meta.name)));
        }
        let run = spec.run.of(args);
        if run.is_write()
            && !matches!(run, Handler::Script { write: None, .. })
            && let Some(refusal) = self.refusal(spec.meta.flags)
        {
            return Some(LogForm::Refused(refusal.reply()));
        }
        self.cost_ns = self.cost_ns.saturating_add(self.cost(spec, db, args));
        if self.due.any {
            self.due.note(&mut self.stage, spec, db, args);
        }
        if let Handler::Read(_) = run {
            return None;
        }
        let form = match run {
            Handler::Script { way, .. } => {
                self.unsure = !S::SHOWS;
                return Some(LogForm::Script(way));
            }
            Handler::Wait(wait) => self.at_once(wait, db, args),
            _ => self.form(spec, db, args),
        };
        if !S::SHOWS && self.is_awaited(spec, db, args) {
            self.unsure = true;
        }
        // The server's own commands change no key: without them the data is still exact.
        let is_data = !spec.meta.flags.has(Flags::INTERNAL);
        self.inexact |= is_data && matches!(form, LogForm::Hidden);
        if !matches!(form, LogForm::Refused(_)) {
            self.moved.note(spec, db, args);
            self.written.note(spec, db, args);
        }
        Some(form)
    }

    fn refusal(&self, flags: Flags) -> Option<Refusal> {
        self.limits.refuse_writes.filter(|_| !self.scripts.allowed.ignores_all()).or_else(|| {
            let is_short = self.over_memory && !self.scripts.allowed.ignores_memory();
            (is_short && flags.has(Flags::DENYOOM)).then_some(Refusal::OutOfMemory)
        })
    }

    fn cost(&self, spec: &Spec, db: Db, args: Args<'_>) -> u64 {
        let cheap = COMMAND_NS + ARG_NS * args.len() as u64;
        let reader = Reader::at(self.stage.keyspace(), db);
        let long = spec.cost_ns.map_or(0, |cost_ns| cost_ns(&reader, args));
        cheap.saturating_add(long)
    }

    /// Chooses the form in which a write goes into the log.
    fn form(&mut self, spec: &Spec, db: Db, args: Args<'_>) -> LogForm {
        let Some(choose) = spec.logged.form else {
            return LogForm::Plain;
        };
        let mut sealing = Sealing::new(Reader::at(self.stage.keyspace(), db), self.stamp);
        let form = choose(&mut sealing, args);
        self.inexact |= sealing.inexact;
        if sealing.by_value && !S::SHOWS {
            let (number, end) = self.place;
            let runs = self.runs.get(..=number).unwrap_or_default();
            let key = spec.meta.keys.positions(args).next().map_or(&[][..], |at| args.at(at));
            if !self.moved.spared(runs, end, db, key) {
                return LogForm::Hidden;
            }
        }
        form
    }

    /// Puts the removals of what is due in front. None while writes are refused: all of it is
    /// invisible once time is told. Where something is due, what was rehearsed says nothing of the
    /// digest: it had the removals one by one.
    fn finish(self, rehearsed: Option<(u64, u64)>) -> Sealed {
        let Self { stage, mut due, limits, mut cost_ns, mut body, mut plan, .. } = self;
        plan.sealed_in(stage.keyspace());
        plan.expect(rehearsed.filter(|_| !due.any));
        if due.any
            && limits.refuse_writes.is_none()
            && let Some((mut head, removed)) = due.head(stage.keyspace(), limits.expire_max)
        {
            cost_ns = cost_ns.saturating_add(EXPIRY_NS * removed as u64);
            head.append(&body);
            body = head;
        }
        Sealed {
            commands: body.commands(),
            payload: body.freeze(),
            plan,
            taken: self.taken,
            parked: self.parked,
            served: self.served,
            relayed: self.relayed,
            inexact: self.inexact || due.inexact,
            cost_ns,
        }
    }
}

/// Runs a command that is logged with these words, which may name another command than came.
fn rehearse_one(stage: &mut impl Stage, db: Db, args: Args<'_>) -> Ran {
    match cmd::resolve(args).map(|spec| spec.run.of(args)) {
        Some(Handler::Write(write) | Handler::Script { write: Some(write), .. }) => {
            stage.run(db, write, args)
        }
        _ => Ran::Unseen,
    }
}

#[cfg(test)]
mod tests;
