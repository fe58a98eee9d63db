//! What the engine asks of a scripting language ([`Interpreter`]), and what a script may ask of the
//! engine ([`Host`]).
//!
//! A script runs once, on the leader, within a rehearsal; what it wrote goes into the log, command
//! by command. So nothing here has to be deterministic, and no language is part of a format. The
//! engine knows none: the server brings one.

use alloc::string::String;
use alloc::vec::Vec;
use quorate_resp::Reply;

/// A language. One belongs to one thread at a time; no call sees anything that an earlier one left.
pub trait Interpreter {
    /// Whether a script compiles. An error is the text behind `ERR `.
    fn check(&mut self, body: &[u8]) -> Result<(), String>;

    /// Runs a script or a function. An error that the script raised is its reply
    /// ([`Reply::Error`]), and what it did until then stays done, as in Redis; with
    /// [`Stopped`] all of it has to be undone.
    fn call(&mut self, call: &Call<'_>, host: &mut dyn Host) -> Result<Reply<'static>, Stopped>;

    /// Runs the text of a library (its first line, `#!`, included) for what it registers.
    /// Nothing in it may call a command. An error is the text behind `ERR `.
    fn library(
        &mut self,
        name: &str,
        code: &[u8],
        host: &mut dyn Host,
    ) -> Result<Vec<Function>, String>;
}

/// What runs.
#[derive(Clone, Copy, Debug)]
pub enum Program<'a> {
    /// The body of EVAL, with the SHA-1 of its bytes in 40 hexadecimal digits.
    Script {
        /// The digest.
        sha: &'a str,
        /// The whole text, a first line that begins with `#!` included.
        body: &'a [u8],
    },
    /// A function of a library.
    Function {
        /// The library's name,
        library: &'a str,
        /// and its whole text.
        code: &'a [u8],
        /// The function's name.
        name: &'a str,
    },
}

/// One call.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// What is called.
    pub program: Program<'a>,
    /// `KEYS`, or a function's first argument,
    pub keys: &'a [&'a [u8]],
    /// `ARGV`, or its second.
    pub args: &'a [&'a [u8]],
    /// What `math.random` begins with.
    pub seed: u64,
    /// What it may use.
    pub budget: Budget,
}

/// What a call may use. How long it may run, its host knows ([`Host::stop`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Bytes of the interpreter's heap that are this call's.
    pub heap_bytes: usize,
    /// Bytes of the reply.
    pub reply_bytes: usize,
}

/// Why a call ended before it was done. Nothing that it did may stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// Its heap was used up.
    Memory,
    /// Its reply was too large.
    Reply,
    /// What it wrote was too large for one entry.
    Payload,
    /// It ran too long.
    Time,
    /// SCRIPT KILL or FUNCTION KILL.
    Killed,
}

/// What a library registers with `redis.register_function`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// What it says of itself.
    pub description: Option<String>,
    /// Its flags.
    pub flags: ScriptFlags,
}

/// What a script's first line, or a function, says of it: a set, with Redis's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScriptFlags(pub u8);

impl ScriptFlags {
    /// It writes nothing.
    pub const NO_WRITES: ScriptFlags = ScriptFlags(1);
    /// It runs although memory is short.
    pub const ALLOW_OOM: ScriptFlags = ScriptFlags(1 << 1);
    /// It runs on a replica with stale data.
    pub const ALLOW_STALE: ScriptFlags = ScriptFlags(1 << 2);
    /// It does not run in a cluster.
    pub const NO_CLUSTER: ScriptFlags = ScriptFlags(1 << 3);
    /// Its keys may lie in several slots.
    pub const ALLOW_CROSS_SLOT_KEYS: ScriptFlags = ScriptFlags(1 << 4);

    /// Every flag with its name.
    pub const NAMES: [(&'static str, ScriptFlags); 5] = [
        ("no-writes", Self::NO_WRITES),
        ("allow-oom", Self::ALLOW_OOM),
        ("allow-stale", Self::ALLOW_STALE),
        ("no-cluster", Self::NO_CLUSTER),
        ("allow-cross-slot-keys", Self::ALLOW_CROSS_SLOT_KEYS),
    ];

    /// The flag of this name.
    pub fn named(name: &[u8]) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| known.as_bytes() == name).map(|(_, flag)| *flag)
    }

    /// Both sets.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` is set.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// How loud `redis.log` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// `redis.LOG_DEBUG`
    Debug,
    /// `redis.LOG_VERBOSE`
    Verbose,
    /// `redis.LOG_NOTICE`
    Notice,
    /// `redis.LOG_WARNING`
    Warning,
}

/// What a running script asks for.
pub trait Host {
    /// `redis.call` and `redis.pcall`: runs a command. What the script hears of a command that
    /// failed, or that it may not call, is a [`Reply::Error`], its code in front.
    fn call(&mut self, words: &[Vec<u8>]) -> Reply<'static>;

    /// `redis.acl_check_cmd`: whether the user may run this; an error if there is no such command.
    fn may_call(&mut self, words: &[Vec<u8>]) -> Result<bool, String>;

    /// `redis.log`.
    fn log(&mut self, level: LogLevel, message: &[u8]);

    /// Why the script must end now, if it must. It is asked every few thousand steps; whatever
    /// ends a script through it ends it for good, `pcall` or not.
    fn stop(&mut self) -> Option<Stopped>;
}

/// What scripts run with, on one occasion.
pub struct Scripting<'a> {
    /// The language.
    pub interpreter: &'a mut (dyn Interpreter + 'static),
    /// What each call may use.
    pub budget: Budget,
    /// Bytes that one call may log.
    pub payload_bytes: usize,
    /// The world around.
    pub watch: &'a dyn Watch,
}

/// What looks after a running script.
pub trait Watch {
    /// One begins: a function of this name, or a script with this digest; and its command.
    fn begins(&self, name: &str, is_function: bool, command: &[u8]);

    /// It has ended.
    fn ends(&self);

    /// So many libraries are there, with so many functions.
    fn counted(&self, libraries: usize, functions: usize);

    /// Why it must end now, if it must.
    fn stop(&self) -> Option<Stopped>;

    /// A command of the server's own that a script may call; `None`: it is none.
    fn server(&self, words: &[Vec<u8>]) -> Option<Reply<'static>>;

    /// It says something for the server's log.
    fn log(&self, level: LogLevel, message: &[u8]);
}

impl core::fmt::Debug for Scripting<'_> {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        out.debug_struct("Scripting").field("budget", &self.budget).finish_non_exhaustive()
    }
}

/// Hands out the language to whatever thread needs it.
pub trait Language: Send + Sync {
    /// Calls `work` with an interpreter that nobody else has meanwhile.
    fn with(&self, work: &mut dyn FnMut(&mut (dyn Interpreter + 'static)));
}
