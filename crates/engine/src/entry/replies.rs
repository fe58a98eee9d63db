//! How the replies of an entry are made: the plan that sealing leaves behind and apply follows.
//!
//! A plan stays in the memory of the replica that sealed; it is never logged. It knows where each
//! session's run begins, which commands of the payload answer whom, which reads ride along, and
//! what was refused at once.

use super::payload::Run;
use crate::{Db, Handler, Keyspace, Reader, cmd};
use alloc::vec::Vec;
use bytes::{Bytes, BytesMut};
use core::slice;
use quorate_resp::{Args, Limits, Parsed, Parser, Proto, Reply, int_text};

/// How the replies of an entry are made. Kept in the leader's memory under the entry's log id,
/// never logged.
#[derive(Debug, Default)]
pub struct Plan {
    steps: Vec<Step>,
    /// What a rehearsal came to: at this index, this digest.
    expected: Option<(u64, u64)>,
    /// The last entry that was applied when it was made.
    sealed_at: u64,
}

/// One step of a plan.
#[derive(Debug)]
enum Step {
    /// What follows belongs to the next run, which has this database and wants this protocol.
    Run(Db, Proto),
    /// The next so many commands of the payload (expiries apart) answer the current run.
    Logged(u32),
    /// The next command answers the current run, without arrays within its reply.
    Flat,
    /// The next command serves somebody who waits: it answers nobody here.
    Served,
    /// The next so many commands are what a script did: they answer nobody.
    Silent(u32),
    /// A read that rides along: canonical RESP, answered here.
    Read(Bytes),
    /// The reply is already known (a refusal, a wrong arity).
    Known(Reply<'static>),
    /// The replies of a transaction follow, so many.
    Array(u32),
    /// The reads that follow are of this database.
    Select(Db),
}

impl Plan {
    /// Whether the state is as it was when the plan was made. Replies that are known since then,
    /// and what transactions watched, hold for that state alone.
    pub fn is_of(&self, keyspace: &Keyspace) -> bool {
        keyspace.applied_index() == self.sealed_at
    }

    /// Answers a plan whose payload was empty (reads and refusals only): one element for each run.
    pub fn answer(&self, keyspace: &Keyspace, seed: u64) -> Result<Vec<Bytes>, &'static str> {
        Answers::new(self, seed).finish(keyspace)
    }

    /// For each run, which commands of the entry are its own: the number of the first among those
    /// that clients sent, and how many.
    pub fn places(&self) -> Vec<(u32, u32)> {
        let (mut places, mut commands) = (Vec::new(), 0);
        for step in &self.steps {
            let more = match step {
                Step::Run(..) => {
                    places.push((commands, 0));
                    continue;
                }
                Step::Logged(count) | Step::Silent(count) => *count,
                Step::Flat => 1,
                _ => continue,
            };
            commands += more;
            if let Some((_, count)) = places.last_mut() {
                *count += more;
            }
        }
        places
    }

    pub(crate) fn run(&mut self, db: Db, proto: Proto) {
        self.steps.push(Step::Run(db, proto));
    }

    pub(crate) fn logged(&mut self) {
        match self.steps.last_mut() {
            Some(Step::Logged(count)) => *count += 1,
            _ => self.steps.push(Step::Logged(1)),
        }
    }

    pub(crate) fn flat(&mut self) {
        self.steps.push(Step::Flat);
    }

    pub(crate) fn served(&mut self) {
        self.steps.push(Step::Served);
    }

    pub(crate) fn silent(&mut self) {
        match self.steps.last_mut() {
            Some(Step::Silent(count)) => *count += 1,
            _ => self.steps.push(Step::Silent(1)),
        }
    }

    /// Where it stands, to go back to.
    pub(crate) fn mark(&self) -> (usize, u32) {
        match self.steps.last() {
            Some(Step::Silent(count)) => (self.steps.len(), *count),
            _ => (self.steps.len(), 0),
        }
    }

    /// Forgets what came since then.
    pub(crate) fn go_back(&mut self, (len, silent): (usize, u32)) {
        self.steps.truncate(len);
        if let Some(Step::Silent(count)) = self.steps.last_mut() {
            *count = silent;
        }
    }

    pub(crate) fn read(&mut self, command: Bytes) {
        self.steps.push(Step::Read(command));
    }

    pub(crate) fn known(&mut self, reply: Reply<'static>) {
        self.steps.push(Step::Known(reply));
    }

    /// It was made in this state.
    pub(crate) fn sealed_in(&mut self, keyspace: &Keyspace) {
        self.sealed_at = keyspace.applied_index();
    }

    /// What applying must come to, if the entry has the index that was foreseen.
    pub(crate) fn expect(&mut self, expected: Option<(u64, u64)>) {
        self.expected = expected;
    }

    /// A transaction: so many replies as it has commands, but for `SELECT`s.
    pub(crate) fn array(&mut self, run: &Run) {
        let mut replies = 0;
        run.visit(run.commands.len(), &mut |_, _| replies += 1);
        self.steps.push(Step::Array(replies));
    }

    pub(crate) fn select(&mut self, db: Db) {
        self.steps.push(Step::Select(db));
    }
}

/// Runs one read (`args` names a command whose row says `Handler::Read`) and writes its reply.
pub fn read(reader: &Reader<'_>, args: Args<'_>, proto: Proto, out: &mut BytesMut) {
    match cmd::resolve(args) {
        Some(spec) if !spec.meta.arity.fits(args.len()) => {
            cmd::wrong_arity(spec.meta.name).encode(proto, out);
        }
        Some(spec) => match spec.run.of(args) {
            Handler::Read(run) => {
                run(reader, args).unwrap_or_else(|error| error).encode(proto, out);
            }
            _ => Reply::error("ERR internal: a write came as a read").encode(proto, out),
        },
        None => cmd::unknown(args).encode(proto, out),
    }
}

/// Follows a plan while its entry is applied, and collects the encoded replies.
#[derive(Debug)]
pub(crate) struct Answers<'p> {
    steps: slice::Iter<'p, Step>,
    expected: Option<(u64, u64)>,
    /// Commands of the current `Logged` step that are still to come.
    logged: u32,
    /// The next reply is told flat.
    flat: bool,
    /// The next command serves somebody.
    serves: bool,
    /// The commands of the current step answer nobody.
    silent: bool,
    /// The current run; `None` before the first.
    run: Option<(Db, Proto)>,
    /// Replies of the current run so far.
    out: BytesMut,
    done: Vec<Bytes>,
    parser: Parser,
    seed: u64,
}

impl<'p> Answers<'p> {
    pub(crate) fn new(plan: &'p Plan, seed: u64) -> Self {
        Self {
            steps: plan.steps.iter(),
            expected: plan.expected,
            logged: 0,
            flat: false,
            serves: false,
            silent: false,
            run: None,
            out: BytesMut::with_capacity(plan.steps.len() * 16),
            done: Vec::new(),
            parser: Parser::default(),
            seed,
        }
    }

    /// Called before the next command of the payload runs: answers what stands in front of it.
    pub(crate) fn before_logged(&mut self, keyspace: &Keyspace) -> Result<(), &'static str> {
        self.advance(keyspace)?;
        self.logged =
            self.logged.checked_sub(1).ok_or("the plan has fewer commands than the payload")?;
        Ok(())
    }

    /// The same, for a command that serves somebody who waits.
    pub(crate) fn before_served(&mut self, keyspace: &Keyspace) -> Result<(), &'static str> {
        self.advance(keyspace)?;
        if core::mem::take(&mut self.serves) {
            return Ok(());
        }
        Err("the payload serves somebody of whom the plan does not know")
    }

    /// Takes the reply of the command that ran.
    pub(crate) fn reply(&mut self, reply: &Reply<'_>) {
        if self.silent {
            return;
        }
        self.say(reply);
    }

    fn say(&mut self, reply: &Reply<'_>) {
        if core::mem::take(&mut self.flat) {
            return reply.clone().flattened().encode(self.proto(), &mut self.out);
        }
        reply.encode(self.proto(), &mut self.out);
    }

    /// Answers what stands behind the last command; gives the replies of each run.
    pub(crate) fn finish(mut self, keyspace: &Keyspace) -> Result<Vec<Bytes>, &'static str> {
        self.advance(keyspace)?;
        if self.logged > 0 || self.serves {
            return Err("the plan has more commands than the payload");
        }
        if let Some((index, digest)) = self.expected
            && index == keyspace.applied_index()
            && digest != keyspace.digest()
        {
            return Err("what was rehearsed is not what happened");
        }
        self.close();
        Ok(self.done)
    }

    /// Goes on to the next logged command or to the end.
    fn advance(&mut self, keyspace: &Keyspace) -> Result<(), &'static str> {
        while self.logged == 0 && !self.serves {
            self.silent = false;
            match self.steps.next() {
                None => break,
                Some(Step::Logged(count)) => self.logged = *count,
                Some(Step::Silent(count)) => (self.logged, self.silent) = (*count, true),
                Some(Step::Flat) => (self.logged, self.flat) = (1, true),
                Some(Step::Served) => self.serves = true,
                Some(Step::Run(db, proto)) => {
                    self.close();
                    self.run = Some((*db, *proto));
                }
                Some(Step::Read(command)) => self.ride(keyspace, command)?,
                Some(Step::Known(reply)) => self.say(reply),
                Some(Step::Array(replies)) => array_header(*replies, &mut self.out),
                Some(Step::Select(db)) => {
                    if let Some((selected, _)) = &mut self.run {
                        *selected = *db;
                    }
                }
            }
        }
        Ok(())
    }

    fn ride(&mut self, keyspace: &Keyspace, command: &[u8]) -> Result<(), &'static str> {
        let Ok(Parsed::Command { .. }) = self.parser.parse(command, &Limits::stored()) else {
            return Err("the plan holds a malformed read");
        };
        self.seed = mix(self.seed);
        let (db, proto) = self.run.unwrap_or_default();
        let reader = Reader { keyspace, db, seed: self.seed, clock_ms: 0 };
        read(&reader, self.parser.args(command), proto, &mut self.out);
        Ok(())
    }

    fn close(&mut self) {
        if self.run.take().is_some() {
            self.done.push(self.out.split().freeze());
        }
    }

    fn proto(&self) -> Proto {
        self.run.unwrap_or_default().1
    }
}

/// What stands in front of the replies of a transaction.
fn array_header(replies: u32, out: &mut BytesMut) {
    out.extend_from_slice(b"*");
    out.extend_from_slice(int_text(i64::from(replies)).as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// The next of a chain of seeds (the finisher of splitmix64).
pub(crate) fn mix(seed: u64) -> u64 {
    let mut mixed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
