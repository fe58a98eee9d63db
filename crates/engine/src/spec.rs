//! One command, one row: everything the server must know about a command stands in its [`Row`].
//!
//! Legend. `arity` counts the command's name. `keys` says which arguments are keys, for routing,
//! ACL, sealing and COMMAND. `group` is Redis's documentation group. `run` is the function; its
//! type says whether it can write. `logged` is the form a write takes in the log, which must stay
//! an append-only file that Redis 7.0 replays exactly. Commands that the server runs itself have
//! the same rows.

mod keys;
mod logged;
mod wait;

pub use keys::{Keys, Span};
pub(crate) use logged::hidden_if;
pub use logged::{LogForm, LogFormFn, Logged, Sealing};
pub use wait::{Cause, ServeFn, Serving, Wait};

use crate::{Reader, Writer};
use quorate_resp::{Args, Reply};

/// What a handler gives: the reply, or the error that is the reply.
pub type Replied<'a> = Result<Reply<'a>, Reply<'static>>;
/// A read: it sees a shared keyspace and cannot change it.
pub type ReadFn = for<'a> fn(&Reader<'a>, Args<'a>) -> Replied<'a>;
/// A write: run at apply, on every replica, with the same inputs. Total: it never panics, whatever
/// the arguments.
pub type WriteFn = fn(&mut Writer<'_>, Args<'_>) -> Replied<'static>;
/// Estimates the cost of one run in nanoseconds from its arguments and the state.
pub type CostFn = fn(&Reader<'_>, Args<'_>) -> u64;

/// The function of a data command.
#[derive(Clone, Copy)]
pub enum Handler {
    /// Served under a shared lock; never logged.
    Read(ReadFn),
    /// Logged and applied.
    Write(WriteFn),
    /// A write to everybody who asks what the command is, and a read where `reads` says so of its
    /// arguments (SORT that stores nothing). [`Handler::of`] tells which.
    Either {
        /// Whether these arguments change nothing.
        reads: fn(Args<'_>) -> bool,
        /// Runs it then,
        read: ReadFn,
        /// and otherwise.
        write: WriteFn,
    },
    /// A write that waits while there is nothing for it. It is never logged: another command is, in
    /// its place.
    Wait(Wait),
    /// A write that waits where `waits` says so of its arguments (XREADGROUP with BLOCK).
    WaitsIf {
        /// Whether these arguments wait.
        waits: fn(Args<'_>) -> bool,
        /// Serves it then,
        wait: Wait,
        /// and runs it otherwise.
        write: WriteFn,
    },
    /// A script, a function, or what loads one. It runs within a rehearsal, and what it writes is
    /// logged in its place.
    Script {
        /// What is run.
        way: Scripted,
        /// What it does at apply, if it is logged itself.
        write: Option<WriteFn>,
    },
}

/// What a command has to do with scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scripted {
    /// EVAL; `true`: it may not write (`EVAL_RO`).
    Eval(bool),
    /// EVALSHA and `EVALSHA_RO`.
    EvalSha(bool),
    /// SCRIPT LOAD.
    Load,
    /// FCALL and `FCALL_RO`.
    Function(bool),
    /// FUNCTION LOAD.
    Library,
    /// FUNCTION LIST.
    List,
    /// FUNCTION RESTORE.
    Restore,
    /// FUNCTION STATS.
    Stats,
}

impl Handler {
    /// What it is with these arguments: a read, a write, or one that waits.
    #[must_use]
    pub fn of(self, args: Args<'_>) -> Self {
        match self {
            Handler::Either { reads, read, .. } if reads(args) => Handler::Read(read),
            Handler::WaitsIf { waits, wait, .. } if waits(args) => Handler::Wait(wait),
            Handler::Either { write, .. } | Handler::WaitsIf { write, .. } => Handler::Write(write),
            it => it,
        }
    }

    /// Whether it may change the keyspace.
    pub const fn is_write(self) -> bool {
        !matches!(self, Handler::Read(_))
    }
}

/// How many arguments a command takes, its name included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arity {
    /// Exactly so many.
    Exactly(u8),
    /// So many or more.
    AtLeast(u8),
}

impl Arity {
    /// Whether a command of `len` arguments, name included, has enough and not too many.
    pub const fn fits(self, len: usize) -> bool {
        match self {
            Arity::Exactly(count) => len == count as usize,
            Arity::AtLeast(count) => len >= count as usize,
        }
    }

    /// As COMMAND prints it: negative for "so many or more".
    pub const fn number(self) -> i64 {
        match self {
            Arity::Exactly(count) => count as i64,
            Arity::AtLeast(count) => -(count as i64),
        }
    }
}

/// [`Arity::AtLeast`] and [`Arity::Exactly`] in short, for the tables.
pub const fn least(count: u8) -> Arity {
    Arity::AtLeast(count)
}

/// See [`least`].
pub const fn exactly(count: u8) -> Arity {
    Arity::Exactly(count)
}

/// Redis's documentation group; the ACL category follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// `string`
    String,
    /// `bitmap`
    Bitmap,
    /// `generic`
    Generic,
    /// `list`
    List,
    /// `set`
    Set,
    /// `hash`
    Hash,
    /// `sorted-set`
    SortedSet,
    /// `stream`
    Stream,
    /// `hyperloglog`
    Hyperloglog,
    /// `geo`
    Geo,
    /// `connection` (handled by the server)
    Connection,
    /// `server` (handled by the server)
    Server,
    /// `cluster` (handled by the server)
    Cluster,
    /// `transactions` (handled by the server)
    Transactions,
    /// `pubsub` (handled by the server)
    PubSub,
    /// `scripting`
    Scripting,
}

impl Group {
    /// Rows of this group.
    pub const fn rows<R: Copy, const N: usize>(self, mut rows: [Row<R>; N]) -> [Row<R>; N] {
        let mut at = 0;
        while let Some((row, _)) = rows.split_at_mut(at).1.split_first_mut() {
            row.meta.group = self;
            at += 1;
        }
        rows
    }
}

/// Facts about a command as a bit set, with Redis's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flags(pub u32);

impl Flags {
    /// Nothing special.
    pub const NONE: Flags = Flags(0);
    /// Constant or logarithmic time.
    pub const FAST: Flags = Flags(1);
    /// May grow memory: refused with `-OOM` when `maxmemory` is reached.
    pub const DENYOOM: Flags = Flags(1 << 1);
    /// For administrators.
    pub const ADMIN: Flags = Flags(1 << 2);
    /// Allowed before authentication.
    pub const NO_AUTH: Flags = Flags(1 << 3);
    /// Allowed while the data set loads.
    pub const LOADING: Flags = Flags(1 << 4);
    /// Allowed on a replica with stale data.
    pub const STALE: Flags = Flags(1 << 5);
    /// Names no keys but may touch any (FLUSHALL, SWAPDB): nothing may ride in front of it
    /// unguarded.
    pub const KEYSPACE_WIDE: Flags = Flags(1 << 6);
    /// Not recorded in SLOWLOG.
    pub const SKIP_SLOWLOG: Flags = Flags(1 << 7);
    /// Redis marks it `@dangerous`.
    pub const DANGEROUS: Flags = Flags(1 << 8);
    /// Its arguments are secrets: never shown in SLOWLOG, MONITOR or logs.
    pub const SECRET: Flags = Flags(1 << 9);

    /// Its keys may lie in another database too (MOVE, COPY … DB): sealing looks for due keys in
    /// all of them.
    pub const OTHER_DB: Flags = Flags(1 << 10);
    /// Made by the server, never taken from a client (`QUORATE.CONFIG`). For a client it does not
    /// exist.
    pub const INTERNAL: Flags = Flags(1 << 11);
    /// May wait for somebody else's write (BLPOP, XREAD).
    pub const BLOCKING: Flags = Flags(1 << 12);
    /// Runs only where `enable-debug-command` lets this client.
    pub const DEBUG: Flags = Flags(1 << 13);
    /// Refused between MULTI and EXEC.
    pub const NO_MULTI: Flags = Flags(1 << 14);
    /// Runs at once between MULTI and EXEC, where others are queued.
    pub const UNQUEUED: Flags = Flags(1 << 15);
    /// MONITOR is shown it behind what it carries out, not in front.
    pub const SKIP_MONITOR: Flags = Flags(1 << 16);
    /// About channels.
    pub const PUBSUB: Flags = Flags(1 << 17);
    /// No script may call it.
    pub const NO_SCRIPT: Flags = Flags(1 << 18);
    /// COMMAND calls it neither a read nor a write.
    pub const NEUTRAL: Flags = Flags(1 << 20);
    /// Runs although a script has run for long.
    pub const ALLOW_BUSY: Flags = Flags(1 << 19);

    /// Both sets.
    #[must_use]
    pub const fn and(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }

    /// This set without `other`.
    #[must_use]
    pub const fn without(self, other: Flags) -> Flags {
        Flags(self.0 & !other.0)
    }

    /// Whether all of `other` is set.
    pub const fn has(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }
}

/// What is known about a command whoever runs it (the engine or the server).
#[derive(Clone, Copy, Debug)]
pub struct Meta {
    /// Upper-case name; `PARENT|SUB` for a subcommand.
    pub name: &'static str,
    /// Bytes of `PARENT` in it; 0 for a command.
    parent: u8,
    /// What stands behind the name, as Redis's documentation writes it: `key [NX | XX] [GET]`.
    pub syntax: &'static str,
    /// Its place in [`cmd::all`](crate::cmd::all), and behind those the server's rows.
    pub number: u16,
    /// Arguments, name included.
    pub arity: Arity,
    /// Positions of keys.
    pub keys: Keys,
    /// Documentation group.
    pub group: Group,
    /// Facts.
    pub flags: Flags,
    /// One sentence.
    pub summary: &'static str,
    /// Version of Redis that introduced it.
    pub since: &'static str,
    /// How it treats its keys, in Redis's words: `RO`, `RW`, `OW` (the old value does not matter)
    /// or `RM`, and what is done with the data. One text for each of its key specifications, in
    /// their order. Empty: a read that gives data away, or a write that changes what is there.
    pub access: &'static [&'static str],
    /// The same for the key of one command that has these arguments, where options decide.
    pub access_by: Option<fn(Args<'_>) -> &'static str>,
    /// ACL categories that stand for the group's, where Redis files it otherwise.
    pub filed: Option<&'static [&'static str]>,
}

impl Meta {
    /// Whether this is a subcommand's row.
    pub const fn is_sub(&self) -> bool {
        self.parent > 0
    }

    /// The name of the command that this is a subcommand of.
    pub fn parent(&self) -> Option<&'static str> {
        self.name.get(..usize::from(self.parent)).filter(|_| self.is_sub())
    }

    /// Whether these arguments name this command, in capitals and without a subcommand.
    pub fn is_plainly(&self, args: Args<'_>) -> bool {
        !self.is_sub() && self.name.as_bytes() == args.at(0)
    }
}

/// Where a subcommand's name begins with a bar; 0 if it is none.
const fn bar(name: &str) -> u8 {
    let mut rest = name.as_bytes();
    let mut at = 0;
    while let Some((first, behind)) = rest.split_first() {
        if *first == b'|' {
            return at;
        }
        (rest, at) = (behind, at + 1);
    }
    0
}

/// One row of a table of commands: of the engine's ([`Spec`]) or the server's. `R` says how it is
/// run.
#[derive(Clone, Copy)]
pub struct Row<R> {
    /// What is known of it whoever runs it.
    pub meta: Meta,
    /// The function.
    pub run: R,
    /// The form in the log.
    pub logged: Logged,
    /// Estimated cost of one run, for commands that can be long (work above 1 ms leaves the event
    /// loop). `None`: cheap.
    pub cost_ns: Option<CostFn>,
    /// Whether these arguments may put another value at the command's keys than was there, or a
    /// greater last id into a stream. `None`: never. Sealing asks, for the commands behind it in
    /// its batch ([`Sealing::by_value`]).
    pub moves: Option<fn(Args<'_>) -> bool>,
}

/// The row of a data command.
pub type Spec = Row<Handler>;

impl<R: Copy> Row<R> {
    /// A command, what stands behind its name ([`Meta::syntax`]), and who runs it. What else must
    /// be known follows: [`Self::facts`], then [`Self::doc`]. The group stands once for all rows of
    /// a file ([`Group::rows`]).
    pub const fn new(name: &'static str, syntax: &'static str, run: R) -> Self {
        let meta = Meta {
            name,
            parent: bar(name),
            syntax,
            number: 0,
            arity: Arity::AtLeast(1),
            keys: Keys::None,
            group: Group::Server,
            flags: Flags::NONE,
            summary: "",
            since: "",
            access: &[],
            access_by: None,
            filed: None,
        };
        Self { meta, run, logged: Logged::NEVER, cost_ns: None, moves: None }
    }

    /// What routing, sealing, access rights and COMMAND go by.
    #[must_use]
    pub const fn facts(mut self, arity: Arity, keys: Keys, flags: Flags) -> Self {
        self.meta.arity = arity;
        self.meta.keys = keys;
        self.meta.flags = flags;
        self
    }

    /// What people read: the version of Redis that introduced it, and one sentence.
    #[must_use]
    pub const fn doc(mut self, since: &'static str, summary: &'static str) -> Self {
        self.meta.since = since;
        self.meta.summary = summary;
        self
    }

    /// The same row, which treats its keys like this ([`Meta::access`]).
    #[must_use]
    pub const fn access(mut self, access: &'static [&'static str]) -> Self {
        self.meta.access = access;
        self
    }

    /// The same row, whose options tell how it treats its key ([`Meta::access_by`]).
    #[must_use]
    pub const fn access_by(mut self, access: fn(Args<'_>) -> &'static str) -> Self {
        self.meta.access_by = Some(access);
        self
    }

    /// The same row in these ACL categories ([`Meta::filed`]).
    #[must_use]
    pub const fn filed(mut self, filed: &'static [&'static str]) -> Self {
        self.meta.filed = Some(filed);
        self
    }

    /// The same row in another group than the default, `server`; [`Group::rows`] does it for many.
    #[must_use]
    pub const fn group(mut self, group: Group) -> Self {
        self.meta.group = group;
        self
    }

    /// The same row with an estimate of its cost.
    #[must_use]
    pub const fn costing(mut self, cost_ns: CostFn) -> Self {
        self.cost_ns = Some(cost_ns);
        self
    }
}

impl Spec {
    /// A read.
    pub const fn read(name: &'static str, syntax: &'static str, run: ReadFn) -> Self {
        Self::new(name, syntax, Handler::Read(run))
    }

    /// A write, logged as it came unless more is said.
    pub const fn write(name: &'static str, syntax: &'static str, run: WriteFn) -> Self {
        let mut row = Self::new(name, syntax, Handler::Write(run));
        row.logged = Logged::PLAIN;
        row
    }

    /// A write that waits, logged as `forms` says.
    pub const fn waiting(
        name: &'static str,
        syntax: &'static str,
        forms: &'static str,
        wait: Wait,
    ) -> Self {
        let mut row = Self::new(name, syntax, Handler::Wait(wait));
        row.logged = Logged { forms, form: None };
        row
    }

    /// What runs scripts; `forms` says what is logged in its place.
    pub const fn script(
        name: &'static str,
        syntax: &'static str,
        forms: &'static str,
        way: Scripted,
    ) -> Self {
        let mut row = Self::new(name, syntax, Handler::Script { way, write: None });
        row.logged = Logged { forms, form: None };
        row
    }

    /// The same row, armoured in the log.
    #[must_use]
    pub const fn hidden(mut self) -> Self {
        self.logged = Logged::HIDDEN;
        self
    }

    /// The same row, logged as `form` says ([`Logged`]).
    #[must_use]
    pub const fn logged(mut self, forms: &'static str, form: LogFormFn) -> Self {
        self.logged = Logged { forms, form: Some(form) };
        self
    }

    /// The same row of a command that moves values ([`Row::moves`]) with these arguments.
    #[must_use]
    pub const fn moving(mut self, moves: fn(Args<'_>) -> bool) -> Self {
        self.moves = Some(moves);
        self
    }

    /// Whether the command may change the keyspace.
    pub const fn is_write(&self) -> bool {
        self.run.is_write()
    }

    /// Whether it is carried out like a write, and may not write (`EVAL_RO`).
    pub const fn only_reads(&self) -> bool {
        use Scripted::{Eval, EvalSha, Function};
        matches!(self.run, Handler::Script { way: Eval(true) | EvalSha(true) | Function(true), .. })
    }
}
