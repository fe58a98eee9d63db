//! Sealing: the leader's one look at a batch before it becomes an entry. Pure.
//!
//! It parses the runs, refuses what may not run, rewrites what must be absolute, puts expiries in
//! front, and notes how each reply is to be made. It is called with everything earlier applied, and
//! never changes the keyspace.
//!
//! Expiry is explicit in the log because Redis does not expire keys while it loads an AOF: every
//! due key that a command could meet is removed at the head of the payload, so that a replay sees
//! what apply sees.

mod earlier;

use super::payload::{Guard, Payload};
use crate::{Db, Flags, Handler, Keyspace, LogForm, Plan, Reader, Run, Sealing, Spec, Stamp, cmd};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use bytes::Bytes;
use earlier::Earlier;
use quorate_resp::{Args, Limits, Parsed, Parser, Reply};

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
    /// How many of the runs are in it, from the first on. The next one is a transaction that watched
    /// what an earlier one may change: it has to wait until that is applied.
    pub taken: usize,
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

/// Due fields of a hash that go in front of a write that names it. If there are more, stock Redis
/// may make something else of the write.
const NAMED_FIELDS_MAX: usize = 256;

/// Seals `runs`. With no runs it makes a tick: due keys are removed, cluster time advances. (With
/// nothing due a tick is empty, since nothing depends on cluster time then.)
pub fn seal(keyspace: &Keyspace, runs: &[Run], stamp: &Stamp, limits: &SealLimits) -> Sealed {
    let mut sealer = Sealer::new(keyspace, runs, stamp, limits);
    let mut parser = Parser::default();
    for (number, run) in runs.iter().enumerate() {
        sealer.place = (number, 0);
        if !sealer.run(&mut parser, run) {
            sealer.taken = number;
            break;
        }
    }
    sealer.finish()
}

/// Commands of a run that go into the payload as they lie, found and not copied yet.
#[derive(Default)]
struct Stretch {
    start: usize,
    end: usize,
    count: u32,
}

struct Sealer<'a> {
    keyspace: &'a Keyspace,
    runs: &'a [Run],
    /// Where the command that is judged begins: the run's number, and the place within it.
    place: (usize, usize),
    /// Earlier commands of the batch that count for forms chosen by value,
    moved: Earlier,
    /// and for what transactions watched.
    written: Earlier,
    taken: usize,
    /// The row of the last command.
    last: Option<&'static Spec>,
    /// With a clock that does not run behind cluster time.
    stamp: Stamp,
    limits: &'a SealLimits,
    /// Whether any key at all is due, so that keys are worth looking up.
    any_due: bool,
    over_memory: bool,
    /// Due keys that the batch names.
    named: BTreeSet<(Db, Vec<u8>)>,
    /// Due fields of hashes that the batch writes to.
    fields: BTreeMap<(Db, Vec<u8>), Vec<Vec<u8>>>,
    /// Databases that change places in this batch (a bit each): their due keys all go first.
    swapped: u16,
    body: Payload,
    plan: Plan,
    inexact: bool,
    cost_ns: u64,
}

impl<'a> Sealer<'a> {
    fn new(keyspace: &'a Keyspace, runs: &'a [Run], stamp: &Stamp, limits: &'a SealLimits) -> Self {
        let now_ms = stamp.now_ms.max(keyspace.now_ms());
        let maxmemory = keyspace.settings().maxmemory;
        let bytes = runs.iter().map(|run| run.commands.len() + 32).sum();
        Self {
            keyspace,
            runs,
            place: (0, 0),
            moved: Earlier::moves(),
            written: Earlier::writes(),
            taken: runs.len(),
            last: None,
            stamp: Stamp { now_ms, ..*stamp },
            limits,
            any_due: keyspace.next_deadline_ms().is_some_and(|deadline| deadline < now_ms),
            over_memory: maxmemory > 0 && keyspace.used_bytes() > maxmemory,
            named: BTreeSet::new(),
            fields: BTreeMap::new(),
            swapped: 0,
            body: Payload::with_capacity(bytes),
            plan: Plan::default(),
            inexact: false,
            cost_ns: 0,
        }
    }

    /// Takes a run; false: it has to wait for the next entry.
    fn run(&mut self, parser: &mut Parser, run: &Run) -> bool {
        let Some(guards) = &run.exec else {
            self.plan.run(run.db, run.proto);
            self.commands(parser, run);
            return true;
        };
        let before = self.runs.get(..self.place.0).unwrap_or_default();
        let end = before.last().map_or(0, |run| run.commands.len());
        let written = &mut self.written;
        if !guards.iter().all(|Guard { db, key, .. }| written.spared(before, end, *db, key)) {
            return false;
        }
        self.plan.run(run.db, run.proto);
        if !guards.iter().all(|guard| self.holds(guard)) {
            self.plan.known(Reply::NullArray);
        } else if let Some(refusal) = self.refusal_within(run) {
            self.plan.known(refusal);
        } else {
            self.plan.array(run);
            let within = self.body.continued();
            let outside = core::mem::replace(&mut self.body, within);
            self.commands(parser, run);
            let within = core::mem::replace(&mut self.body, outside);
            self.body.transaction(&within);
        }
        true
    }

    /// Whether a key is as it was when it was watched. One that is due is about to go.
    fn holds(&self, Guard { db, key, revision }: &Guard) -> bool {
        let (keyspace, now_ms) = (self.keyspace, self.stamp.now_ms);
        let is_due = self.any_due
            && (keyspace.is_due(*db, key, now_ms)
                || !keyspace.due_fields_of(*db, key, now_ms, 1).0.is_empty());
        !is_due && keyspace.revision(*db, key) == *revision
    }

    /// Why a transaction is refused whole: because one of its writes would be.
    fn refusal_within(&self, run: &Run) -> Option<Reply<'static>> {
        if self.limits.refuse_writes.is_none() && !self.over_memory {
            return None;
        }
        let mut found = None;
        run.visit(run.commands.len(), &mut |_, args| {
            let write = cmd::resolve(args).filter(|spec| spec.run.of(args).is_write());
            found = found.or_else(|| self.refusal(write?.meta.flags));
        });
        let Reply::Error(why) = found?.reply() else { return None };
        const DISCARDED: &[u8] = b"EXECABORT Transaction discarded because of: ";
        Some(Reply::error_of(&[DISCARDED, why.as_bytes()]))
    }

    fn commands(&mut self, parser: &mut Parser, run: &Run) {
        let limits = Limits::stored();
        let (mut stretch, mut db, mut at) = (Stretch::default(), run.db, 0);
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
            match self.judge(db, args) {
                Some(LogForm::Plain) => {
                    if stretch.end != start {
                        self.copy(run, db, &mut stretch);
                        stretch.start = start;
                    }
                    stretch.end = end;
                    stretch.count += 1;
                    self.plan.logged();
                }
                None => self.plan.read(run.commands.slice(start..end)),
                Some(LogForm::Refused(reply)) => self.plan.known(reply),
                Some(form) => {
                    self.copy(run, db, &mut stretch);
                    self.write(db, form, (run.commands.get(start..end).unwrap_or(&[]), args));
                    self.plan.logged();
                }
            }
        }
        self.copy(run, db, &mut stretch);
    }

    /// Writes a command in another form than it came in.
    fn write(&mut self, db: Db, form: LogForm, (command, args): (&[u8], Args<'_>)) {
        match form {
            LogForm::Rewritten(args) => self.body.command(db, &args),
            LogForm::Replaced(at, by) => self.body.replaced(db, args, at, &by),
            LogForm::Hidden => self.body.hidden(db, command, args),
            LogForm::Plain | LogForm::Refused(_) => {}
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
        if let Handler::Write(_) = run
            && let Some(refusal) = self.refusal(spec.meta.flags)
        {
            return Some(LogForm::Refused(refusal.reply()));
        }
        self.cost_ns = self.cost_ns.saturating_add(self.cost(spec, db, args));
        if self.any_due {
            self.note_due(spec, db, args);
        }
        if let Handler::Read(_) = run {
            return None;
        }
        let form = self.form(spec, db, args);
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
        self.limits.refuse_writes.or_else(|| {
            (self.over_memory && flags.has(Flags::DENYOOM)).then_some(Refusal::OutOfMemory)
        })
    }

    fn cost(&self, spec: &Spec, db: Db, args: Args<'_>) -> u64 {
        let cheap = COMMAND_NS + ARG_NS * args.len() as u64;
        let reader = Reader::at(self.keyspace, db);
        let long = spec.cost_ns.map_or(0, |cost_ns| cost_ns(&reader, args));
        cheap.saturating_add(long)
    }

    /// Chooses the form in which a write goes into the log.
    fn form(&mut self, spec: &Spec, db: Db, args: Args<'_>) -> LogForm {
        let Some(choose) = spec.logged.form else {
            return LogForm::Plain;
        };
        let mut sealing = Sealing::new(Reader::at(self.keyspace, db), self.stamp);
        let form = choose(&mut sealing, args);
        self.inexact |= sealing.inexact;
        if sealing.by_value {
            let (number, end) = self.place;
            let runs = self.runs.get(..=number).unwrap_or_default();
            let key = spec.meta.keys.positions(args).next().map_or(&[][..], |at| args.at(at));
            if !self.moved.spared(runs, end, db, key) {
                return LogForm::Hidden;
            }
        }
        form
    }

    /// Notes the due keys that this command could meet, and the due fields of hashes that it could
    /// change, carry elsewhere, or leave without any other.
    #[cold]
    fn note_due(&mut self, spec: &Spec, db: Db, args: Args<'_>) {
        let elsewhere = spec.meta.flags.has(Flags::OTHER_DB);
        let dbs = if elsewhere { 0..Db::COUNT } else { db.0..db.0 + 1 };
        for key in spec.meta.keys.positions(args).filter_map(|at| args.get(at)) {
            for db in dbs.clone().map(Db) {
                if self.keyspace.is_due(db, key, self.stamp.now_ms) {
                    self.named.insert((db, key.to_vec()));
                } else if spec.run.of(args).is_write() {
                    self.inexact |= self.note_due_fields(db, key, NAMED_FIELDS_MAX).1;
                }
            }
        }
        if elsewhere && spec.meta.flags.has(Flags::KEYSPACE_WIDE) {
            for db in args.iter().filter_map(Db::parse) {
                self.swapped |= 1 << db.0;
            }
        }
    }

    /// Notes so many due fields of a hash; how many there were, and whether there are more.
    fn note_due_fields(&mut self, db: Db, key: &[u8], most: usize) -> (usize, bool) {
        let place = (db, key.to_vec());
        if self.fields.contains_key(&place) {
            return (0, false);
        }
        let (due, more) = self.keyspace.due_fields_of(db, key, self.stamp.now_ms, most);
        let count = due.len();
        if count > 0 {
            self.fields.insert(place, due);
        }
        (count, more)
    }

    fn finish(mut self) -> Sealed {
        let head = self.expiries();
        let body = match head {
            Some(mut head) => {
                head.append(&self.body);
                head
            }
            None => self.body,
        };
        Sealed {
            commands: body.commands(),
            payload: body.freeze(),
            plan: self.plan,
            taken: self.taken,
            inexact: self.inexact,
            cost_ns: self.cost_ns,
        }
    }

    /// The removals at the head of the payload: keys that the batch names, all of databases that
    /// change places, and some others while there is room; of hashes that it writes to, and of some
    /// others, the fields that are due. None while writes are refused: all of them are invisible
    /// once time is told.
    fn expiries(&mut self) -> Option<Payload> {
        if !self.any_due || self.limits.refuse_writes.is_some() {
            return None;
        }
        let mut chosen = core::mem::take(&mut self.named);
        let mut room = self.limits.expire_max;
        for (_, db, key) in self.keyspace.due(self.stamp.now_ms) {
            let is_swapped = self.swapped & (1 << db.0) != 0;
            if is_swapped {
                chosen.insert((db, key.to_vec()));
            } else if room > 0 {
                room -= usize::from(chosen.insert((db, key.to_vec())));
            } else if self.swapped == 0 {
                break;
            }
        }
        self.more_fields(&mut chosen, room);
        let fields = core::mem::take(&mut self.fields);
        let removed = chosen.len() + fields.values().map(Vec::len).sum::<usize>();
        if removed == 0 {
            return None;
        }
        self.cost_ns = self.cost_ns.saturating_add(EXPIRY_NS * removed as u64);
        let mut head = Payload::default();
        for db in (0..Db::COUNT).map(Db) {
            let keys: Vec<&[u8]> =
                chosen.iter().filter(|(at, _)| *at == db).map(|(_, key)| key.as_slice()).collect();
            head.expiry(db, &keys);
            for ((_, key), due) in fields.iter().filter(|((at, _), _)| *at == db) {
                let due: Vec<&[u8]> = due.iter().map(Vec::as_slice).collect();
                head.field_expiry(db, key, &due);
            }
        }
        Some(head)
    }

    /// Chooses hashes of which some fields are due, while there is room: those that end with them
    /// go whole.
    fn more_fields(&mut self, chosen: &mut BTreeSet<(Db, Vec<u8>)>, mut room: usize) {
        let (keyspace, now_ms) = (self.keyspace, self.stamp.now_ms);
        for (_, db, key) in keyspace.due_fields(now_ms) {
            let is_swapped = self.swapped & (1 << db.0) != 0;
            // Fields that go later go under another number of their database.
            self.inexact |= is_swapped;
            if room == 0 {
                if self.swapped == 0 {
                    break;
                }
            } else if keyspace.is_due(db, key, now_ms) {
                room -= usize::from(chosen.insert((db, key.to_vec())));
            } else {
                room -= self.note_due_fields(db, key, room).0;
            }
        }
    }
}

#[cfg(test)]
mod tests;
