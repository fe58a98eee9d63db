//! What sessions hand over ([`Run`]) and what stands in the log (the payload).
//!
//! A payload is RESP: commands in canonical array form back to back. It begins with `SELECT n` for
//! its first command and says `SELECT` again whenever the database changes: Redis keeps the
//! selected database from record to record while it loads an AOF, so nothing may depend on what
//! stood before. Lines that begin with `#` are annotations, which Redis 7 skips: `#x n` marks the
//! next n commands as expiry (without a client: `UNLINK`s, which emit `expired`, and `HDEL`s of
//! fields of hashes, which emit `hexpired`); `#w …`, or `#h …` and a
//! closing `#H …`, carry an armoured command that Redis 7.0 must not see (see `hidden`). What an
//! EXEC wrote stands between `MULTI` and `EXEC`, if it is more than one command: a Redis that finds
//! the end of the file in between drops all of it. `#s n` says what the next command draws from, in
//! place of the entry's seed: it was rehearsed with that. `#p node incarnation id f` says that the
//! next command serves a session that waits: it has no client here, and the node answers with its
//! reply, without arrays within it if `f` is 1.
//!
//! A payload is written once, by `seal`, and read on every replica, by `apply`.

use super::hidden::{self, Armour};
use super::waiter::{Registration, Waiter};
use crate::{Db, Keyspace};
use alloc::boxed::Box;
use alloc::vec::Vec;
use bytes::{Bytes, BytesMut};
use quorate_resp::{
    Args, Limits, Parsed, Parser, Proto, int_text, parse_int, write_command, write_replaced,
};

/// Keys that one expiry `UNLINK` takes, or fields that a `HDEL` takes: enough to make its own cost
/// vanish, few enough to keep a line of `quorate log print` readable.
const EXPIRY_NAMES_MAX: usize = 64;

/// Consecutive commands of one session, sent and answered together.
#[derive(Clone, Debug)]
pub struct Run {
    /// Database of all its commands. A `SELECT` ends a run.
    pub db: Db,
    /// How the session wants its replies.
    pub proto: Proto,
    /// The commands, canonical RESP, back to back: writes, and reads that must see them.
    pub commands: Bytes,
    /// How many.
    pub count: u32,
    /// What they are to each other.
    pub kind: RunKind,
}

/// What the commands of a run are.
#[derive(Clone, Debug, Default)]
pub enum RunKind {
    /// Each is by itself.
    #[default]
    Commands,
    /// They are one transaction, which takes place if these hold.
    Transaction(Box<[Guard]>),
    /// It is one command, which waits until there is something for it.
    Wait(Registration),
}

impl Run {
    /// Bytes that it holds.
    pub fn bytes(&self) -> usize {
        let RunKind::Transaction(guards) = &self.kind else { return self.commands.len() };
        let guards = guards.iter().map(|guard| guard.key.len() + size_of::<Guard>());
        self.commands.len() + guards.sum::<usize>()
    }

    /// Its commands with the database of each, as far as they are whole. `SELECT`s, which only a
    /// transaction has, are not among them.
    pub(super) fn visit(&self, end: usize, visit: &mut dyn FnMut(Db, Args<'_>)) {
        let (mut parser, limits, mut db) = (Parser::default(), Limits::stored(), self.db);
        let mut rest = self.commands.get(..end).unwrap_or(&self.commands);
        while let Ok(Parsed::Command { len, .. }) = parser.parse(rest, &limits) {
            let args = parser.args(rest);
            match self.selects(args) {
                Some(selected) => db = selected,
                None => visit(db, args),
            }
            rest = rest.get(len..).unwrap_or_default();
        }
    }

    /// The database that a command of a transaction goes on in, if it is a `SELECT`.
    pub(super) fn selects(&self, args: Args<'_>) -> Option<Db> {
        let is_transaction = matches!(self.kind, RunKind::Transaction(_));
        let selects = is_transaction && args.len() == 2 && args.at(0) == b"SELECT";
        if selects { Db::parse(args.at(1)) } else { None }
    }
}

/// What a transaction expects of a key that was watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guard {
    /// Its database.
    pub db: Db,
    /// The key.
    pub key: Box<[u8]>,
    /// Its revision when it was watched ([`Keyspace::revision`](crate::Keyspace::revision)).
    pub revision: u64,
}

impl Guard {
    /// Whether the key is as it was when it was watched. What is due at `now_ms`, the key or a
    /// field of it, is as good as gone: its revision tells only once it is removed.
    pub fn holds(&self, keyspace: &Keyspace, now_ms: u64) -> bool {
        let Self { db, key, revision } = self;
        keyspace.revision(*db, key) == *revision
            && !keyspace.is_due(*db, key, now_ms)
            && keyspace.due_fields_of(*db, key, now_ms, 1).0.is_empty()
    }
}

/// One thing found in a payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decoded<'a> {
    /// A command, with `true` when it is an expiry and has no client.
    Command(Db, &'a [u8], bool),
    /// An armoured command, decoded to canonical RESP.
    Hidden(Db, Vec<u8>),
    /// An armoured command that is one line of words with a space between each two.
    Words(Db, &'a [u8]),
    /// A transaction begins,
    Multi,
    /// and ends.
    Exec,
}

impl Decoded<'_> {
    /// The database of a command, and whether it is an expiry. `None`: it is none.
    pub(super) fn command(&self) -> Option<(Db, bool)> {
        match self {
            Decoded::Command(db, _, expiry) => Some((*db, *expiry)),
            Decoded::Hidden(db, _) | Decoded::Words(db, _) => Some((*db, false)),
            Decoded::Multi | Decoded::Exec => None,
        }
    }
}

/// Walks a payload; used by `quorate log print` and by the tests. An undecodable payload ends in an
/// `Err`.
pub fn decode(payload: &[u8]) -> impl Iterator<Item = Result<Decoded<'_>, &'static str>> {
    let mut walker = Some(Walker::new(payload));
    core::iter::from_fn(move || {
        let step = walker.as_mut()?.next();
        if !matches!(step, Ok(Some(_))) {
            walker = None;
        }
        step.transpose()
    })
}

/// Walks a payload and keeps the arguments of the command it stands on.
#[derive(Debug)]
pub(crate) struct Walker<'a> {
    rest: &'a [u8],
    /// `None` until the payload's first `SELECT`.
    db: Option<Db>,
    /// Commands still to come that `#x` marked as expiry.
    expiries: u64,
    /// Within a transaction.
    framed: bool,
    /// What the next command draws from, if that is given.
    seed: Option<u64>,
    /// Whom the next command serves, and whether the reply is told flat.
    served: Option<(Waiter, bool)>,
    parser: Parser,
    limits: Limits,
}

impl<'a> Walker<'a> {
    pub(crate) fn new(payload: &'a [u8]) -> Self {
        Self {
            rest: payload,
            db: None,
            expiries: 0,
            framed: false,
            seed: None,
            served: None,
            parser: Parser::default(),
            limits: Limits::stored(),
        }
    }

    /// The next command, `None` at the payload's end. After an `Err` there is nothing more to ask
    /// for.
    pub(crate) fn next(&mut self) -> Result<Option<Decoded<'a>>, &'static str> {
        loop {
            match self.rest.first() {
                None if self.framed => return Err("payload: MULTI without EXEC"),
                None if self.expiries == 0 => return Ok(None),
                None => return Err("payload: an expiry mark without its commands"),
                Some(b'*') => {
                    if let Some(found) = self.command()? {
                        return Ok(Some(found));
                    }
                }
                Some(b'#') => {
                    if let Some(found) = self.annotation()? {
                        return Ok(Some(found));
                    }
                }
                Some(_) => return Err("payload: neither a command nor an annotation"),
            }
        }
    }

    /// The seed that was given for the last command.
    pub(crate) fn take_seed(&mut self) -> Option<u64> {
        self.seed.take()
    }

    /// Whom the last command served, and whether the reply is told flat.
    pub(crate) fn take_served(&mut self) -> Option<(Waiter, bool)> {
        self.served.take()
    }

    /// What is still to be walked.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The arguments of what [`Self::next`] returned last.
    pub(crate) fn args<'s>(&'s self, found: &'s Decoded<'_>) -> Args<'s> {
        match found {
            Decoded::Command(_, bytes, _) | Decoded::Words(_, bytes) => self.parser.args(bytes),
            Decoded::Hidden(_, bytes) => self.parser.args(bytes),
            Decoded::Multi | Decoded::Exec => self.parser.args(&[]),
        }
    }

    /// Takes the command at the front; `None` if it is a `SELECT`, which only changes where the
    /// walk stands.
    fn command(&mut self) -> Result<Option<Decoded<'a>>, &'static str> {
        let len = parse_one(&mut self.parser, self.rest, &self.limits)?;
        let (bytes, rest) = self.rest.split_at_checked(len).unwrap_or((self.rest, &[]));
        self.rest = rest;
        if self.expiries > 0 {
            self.expiries -= 1;
            return Ok(Some(Decoded::Command(self.selected()?, bytes, true)));
        }
        let args = self.parser.args(bytes);
        if args.len() == 2 && args.at(0) == b"SELECT" {
            self.db = Some(Db::parse(args.at(1)).ok_or("payload: SELECT of no database")?);
            return Ok(None);
        }
        if args.len() == 1 && (args.at(0) == b"MULTI" || args.at(0) == b"EXEC") {
            let begins = args.at(0) == b"MULTI";
            if core::mem::replace(&mut self.framed, begins) == begins {
                return Err("payload: MULTI or EXEC where it cannot be");
            }
            return Ok(Some(if begins { Decoded::Multi } else { Decoded::Exec }));
        }
        Ok(Some(Decoded::Command(self.selected()?, bytes, false)))
    }

    fn annotation(&mut self) -> Result<Option<Decoded<'a>>, &'static str> {
        if self.expiries > 0 {
            return Err("payload: an annotation among expiries");
        }
        match self.rest.get(..3) {
            Some(b"#x ") => {
                let line = hidden::take_line(&mut self.rest)?;
                let count = line.get(3..).and_then(parse_int).filter(|&count| count > 0);
                self.expiries = count.ok_or("payload: malformed expiry mark")?.unsigned_abs();
                Ok(None)
            }
            Some(b"#s ") => {
                let line = hidden::take_line(&mut self.rest)?;
                let seed = line.get(3..).and_then(parse_int);
                self.seed = Some(seed.ok_or("payload: malformed seed")?.cast_unsigned());
                Ok(None)
            }
            Some(b"#p ") => {
                let line = hidden::take_line(&mut self.rest)?;
                self.served = Some(served_mark(line).ok_or("payload: malformed mark of a waiter")?);
                Ok(None)
            }
            Some(b"#w ") => {
                let line = hidden::take_line(&mut self.rest)?;
                let line = line.get(3..).unwrap_or_default();
                self.parser.words(line);
                if !self.parser.args(line).iter().all(hidden::is_word) {
                    return Err("payload: a line of words with something else in it");
                }
                Ok(Some(Decoded::Words(self.selected()?, line)))
            }
            Some(b"#h " | b"#H ") => {
                let command = hidden::decode(&mut self.rest)?;
                if !command.starts_with(b"*")
                    || parse_one(&mut self.parser, &command, &self.limits)? != command.len()
                {
                    return Err("payload: the armour does not hold one command");
                }
                Ok(Some(Decoded::Hidden(self.selected()?, command)))
            }
            _ => Err("payload: unknown annotation"),
        }
    }

    fn selected(&self) -> Result<Db, &'static str> {
        self.db.ok_or("payload: does not begin with SELECT")
    }
}

/// Reads a line that says whom a command serves.
fn served_mark(line: &[u8]) -> Option<(Waiter, bool)> {
    let mut words = line.split(|byte| *byte == b' ').skip(1).map(parse_int);
    let mut number = || Some(words.next()??.cast_unsigned());
    let waiter = Waiter { node: number()?, incarnation: number()?, id: number()? };
    let flat = number()?;
    (flat <= 1 && words.next().is_none()).then_some((waiter, flat == 1))
}

/// Parses one command that must be whole and canonical; returns its length.
fn parse_one(parser: &mut Parser, bytes: &[u8], limits: &Limits) -> Result<usize, &'static str> {
    match parser.parse(bytes, limits) {
        Ok(Parsed::Command { len, canonical: true }) => Ok(len),
        Ok(Parsed::Command { .. }) => Err("payload: a command that is not canonical"),
        Ok(Parsed::Empty { .. }) => Err("payload: an empty command"),
        Ok(Parsed::Incomplete) => Err("payload: cut inside a command"),
        Ok(Parsed::Skipped { .. } | Parsed::TooLarge { .. }) => Err("payload: too large a command"),
        Err(_) => Err("payload: malformed command"),
    }
}

/// A payload in the making.
#[derive(Debug, Default)]
pub(crate) struct Payload {
    out: BytesMut,
    /// What the last `SELECT` chose.
    db: Option<Db>,
    commands: u32,
}

impl Payload {
    /// With room for so many bytes.
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self { out: BytesMut::with_capacity(bytes), ..Self::default() }
    }

    /// Appends `count` commands that are canonical already: the hot path, one copy.
    pub(crate) fn plain(&mut self, db: Db, commands: &[u8], count: u32) {
        self.select(db);
        self.out.extend_from_slice(commands);
        self.commands += count;
    }

    /// Appends one command from its arguments.
    pub(crate) fn command(&mut self, db: Db, args: &[Vec<u8>]) {
        self.select(db);
        write_command(&mut self.out, args.iter().map(Vec::as_slice));
        self.commands += 1;
    }

    /// The same from words that lie elsewhere.
    pub(crate) fn words(&mut self, db: Db, words: &[&[u8]]) {
        self.select(db);
        write_command(&mut self.out, words.iter().copied());
        self.commands += 1;
    }

    /// Appends one canonical command with another argument at one place.
    pub(crate) fn replaced(&mut self, db: Db, args: Args<'_>, at: usize, by: &[u8]) {
        self.select(db);
        write_replaced(&mut self.out, args, at, by);
        self.commands += 1;
    }

    /// Appends one canonical command, which has these arguments, in armour.
    pub(crate) fn hidden(&mut self, db: Db, command: &[u8], args: Args<'_>) {
        self.select(db);
        self.commands += 1;
        if hidden::write_words(&mut self.out, args) {
            return;
        }
        let mut armour = Armour::new(&mut self.out);
        armour.push(command);
        armour.finish();
    }

    /// Says what the next command draws from.
    pub(crate) fn seed(&mut self, seed: u64) {
        self.out.extend_from_slice(b"#s ");
        self.out.extend_from_slice(int_text(seed.cast_signed()).as_bytes());
        self.out.extend_from_slice(b"\n");
    }

    /// Says whom the next command serves, and whether the reply is told flat.
    pub(crate) fn served(&mut self, Waiter { node, incarnation, id }: Waiter, flat: bool) {
        self.out.extend_from_slice(b"#p");
        for number in [node, incarnation, id, u64::from(flat)] {
            self.out.extend_from_slice(b" ");
            self.out.extend_from_slice(int_text(number.cast_signed()).as_bytes());
        }
        self.out.extend_from_slice(b"\n");
    }

    /// Appends the removal of expired keys.
    pub(crate) fn expiry(&mut self, db: Db, keys: &[&[u8]]) {
        self.removals(db, &[b"UNLINK"], keys);
    }

    /// Appends the removal of expired fields of a hash.
    pub(crate) fn field_expiry(&mut self, db: Db, key: &[u8], fields: &[&[u8]]) {
        self.removals(db, &[b"HDEL", key], fields);
    }

    fn removals(&mut self, db: Db, words: &[&[u8]], names: &[&[u8]]) {
        if names.is_empty() {
            return;
        }
        self.select(db);
        let count = names.len().div_ceil(EXPIRY_NAMES_MAX);
        self.out.extend_from_slice(b"#x ");
        self.out.extend_from_slice(int_text(count as i64).as_bytes());
        self.out.extend_from_slice(b"\n");
        for names in names.chunks(EXPIRY_NAMES_MAX) {
            write_command(&mut self.out, Removal { words, names });
            self.commands += 1;
        }
    }

    /// An empty payload to be put behind this one.
    pub(crate) fn continued(&self) -> Self {
        Self { db: self.db, ..Self::default() }
    }

    /// What a transaction has written, as one.
    pub(crate) fn transaction(&mut self, written: &Payload) {
        let is_framed = written.commands > 1;
        if is_framed {
            write_command(&mut self.out, [b"MULTI".as_slice()].into_iter());
        }
        self.append(written);
        if is_framed {
            write_command(&mut self.out, [b"EXEC".as_slice()].into_iter());
        }
    }

    /// What another payload holds, behind what stands here.
    pub(crate) fn append(&mut self, behind: &Payload) {
        self.out.extend_from_slice(&behind.out);
        self.db = behind.db.or(self.db);
        self.commands += behind.commands;
    }

    /// Bytes so far.
    pub(crate) fn bytes(&self) -> usize {
        self.out.len()
    }

    /// Commands so far, expiries counted, `SELECT` not.
    pub(crate) fn commands(&self) -> u32 {
        self.commands
    }

    /// The finished bytes.
    pub(crate) fn freeze(self) -> Bytes {
        self.out.freeze()
    }

    fn select(&mut self, db: Db) {
        if self.db == Some(db) {
            return;
        }
        self.db = Some(db);
        let number = int_text(i64::from(db.0));
        write_command(&mut self.out, [b"SELECT".as_slice(), number.as_bytes()].into_iter());
    }
}

/// The arguments of an expiry's command, counted ahead as [`write_command`] wants them.
struct Removal<'a> {
    /// The command's name, and what else stands in front.
    words: &'a [&'a [u8]],
    names: &'a [&'a [u8]],
}

impl<'a> Iterator for Removal<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let from = if self.words.is_empty() { &mut self.names } else { &mut self.words };
        let (first, rest) = from.split_first()?;
        *from = rest;
        Some(first)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.words.len() + self.names.len();
        (left, Some(left))
    }
}

impl ExactSizeIterator for Removal<'_> {}

#[cfg(test)]
mod tests;
