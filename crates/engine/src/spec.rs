//! One command, one row: everything the server must know about a command stands in its [`Spec`].
//!
//! Legend. `arity` counts the command's name. `keys` says which arguments are keys, for routing,
//! ACL, sealing and COMMAND. `group` is Redis's documentation group. `run` is the function; its
//! type says whether it can write. `logged` is the form a write takes in the log, which must stay
//! an append-only file that Redis 7.0 replays exactly.

mod keys;
mod logged;

pub use keys::{Keys, Span};
pub(crate) use logged::hidden_if;
pub use logged::{LogForm, LogFormFn, Logged, Sealing};

use crate::{Reader, Writer};
use quorate_resp::{Args, Reply};

/// A read: it sees a shared keyspace and cannot change it.
pub type ReadFn = for<'a> fn(&Reader<'a>, Args<'a>) -> Reply<'a>;
/// A write: run at apply, on every replica, with the same inputs. Total: it never panics, whatever
/// the arguments.
pub type WriteFn = fn(&mut Writer<'_>, Args<'_>) -> Reply<'static>;
/// Estimates the cost of one run in nanoseconds from its arguments and the state.
pub type CostFn = fn(&Reader<'_>, Args<'_>) -> u64;

/// The function of a data command.
#[derive(Clone, Copy)]
pub enum Run {
    /// Served under a shared lock; never logged.
    Read(ReadFn),
    /// Logged and applied.
    Write(WriteFn),
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
}

impl Group {
    /// The facts about a command of this group; `since` and `summary` as in [`Meta`].
    pub const fn meta(
        self,
        name: &'static str,
        arity: Arity,
        keys: Keys,
        flags: Flags,
        (since, summary): (&'static str, &'static str),
    ) -> Meta {
        Meta { name, arity, keys, group: self, flags, summary, since }
    }
}

/// Facts about a command as a bit set, with Redis's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flags(pub u16);

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
}

/// One row of the table.
#[derive(Clone, Copy)]
pub struct Spec {
    /// Facts shared with server commands.
    pub meta: Meta,
    /// The function.
    pub run: Run,
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

impl Spec {
    /// The row of a read.
    pub const fn read(meta: Meta, run: ReadFn) -> Self {
        Self { meta, run: Run::Read(run), logged: Logged::NEVER, cost_ns: None, moves: None }
    }

    /// The row of a write.
    pub const fn write(meta: Meta, logged: Logged, run: WriteFn) -> Self {
        Self { meta, run: Run::Write(run), logged, cost_ns: None, moves: None }
    }

    /// The same row with an estimate of its cost.
    #[must_use]
    pub const fn costing(mut self, cost_ns: CostFn) -> Self {
        self.cost_ns = Some(cost_ns);
        self
    }

    /// The same row of a command that moves values ([`Spec::moves`]) with these arguments.
    #[must_use]
    pub const fn moving(mut self, moves: fn(Args<'_>) -> bool) -> Self {
        self.moves = Some(moves);
        self
    }

    /// Whether the command may change the keyspace.
    pub const fn is_write(&self) -> bool {
        matches!(self.run, Run::Write(_))
    }
}
