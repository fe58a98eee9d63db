//! Running a script or a function: what it is called with, and what its commands come to.
//!
//! What a command does to the state, and how it is logged, is the affair of where the script runs
//! ([`World`]): a rehearsal (`seal/script.rs`).

use crate::cmd::script::sha_named;
use crate::script::{Call, Function, Host, LogLevel, Program, ScriptFlags, Scripting, Stopped};
use crate::side::scripts::sha_of;
use crate::{Db, Flags, Handler, Keyspace, Scripted, Shebang, Spec, cmd, hex};
use alloc::string::String;
use alloc::vec::Vec;
use bytes::BytesMut;
use quorate_resp::{Args, Limits, Parser, Reply, int_text, parse_int, write_command};

/// Where a script runs.
pub(super) trait World {
    /// The state, as it shows what the script did.
    fn keyspace(&self) -> &Keyspace;

    /// The time that stands still for it, Unix milliseconds.
    fn now_ms(&self) -> u64;

    /// Something to draw from, another each time.
    fn seed(&mut self) -> u64;

    /// Whether memory is short.
    fn is_short(&self) -> bool;

    /// A script is about to run with these flags; a body that came with EVAL is told.
    fn begins(&mut self, flags: ScriptFlags, body: Option<&[u8]>);

    /// Carries a command out that the script may call. `command` is the same in RESP.
    fn command(
        &mut self,
        db: Db,
        spec: &'static Spec,
        command: (&[u8], Args<'_>),
    ) -> Result<Reply<'static>, Stopped>;
}

type Found<T> = Result<T, Reply<'static>>;

/// What stands behind the name of a script or a function.
struct Given<'a> {
    keys: Vec<&'a [u8]>,
    args: Vec<&'a [u8]>,
}

impl<'a> Given<'a> {
    fn parse(args: Args<'a>, refusal: &'static str) -> Found<Self> {
        let count = parse_int(args.at(2)).ok_or(Reply::error(refusal))?;
        let given = args.from(3);
        let Ok(count) = usize::try_from(count) else {
            return Err(Reply::error("ERR Number of keys can't be negative"));
        };
        if count > given.len() {
            return Err(Reply::error("ERR Number of keys can't be greater than number of args"));
        }
        let (keys, args) = (given.iter().take(count), given.iter().skip(count));
        Ok(Self { keys: keys.collect(), args: args.collect() })
    }
}

/// Runs what EVAL, FCALL and their like name. `Err`: it was stopped.
pub(super) fn call<W: World>(
    world: &mut W,
    scripting: &mut Scripting<'_>,
    (db, way): (Db, Scripted),
    (command, args): (&[u8], Args<'_>),
) -> Result<Reply<'static>, Stopped> {
    let refusal = match way {
        Scripted::Function(_) => "ERR Bad number of keys provided",
        _ => "ERR value is not an integer or out of range",
    };
    let given = match Given::parse(args, refusal) {
        Ok(given) => given,
        Err(refusal) => return Ok(refusal),
    };
    let (keeps, by_sha, reads) = match way {
        Scripted::Eval(reads) => (true, false, reads),
        Scripted::EvalSha(reads) => (false, true, reads),
        Scripted::Function(reads) => {
            return function(world, scripting, (db, reads), (command, args), &given);
        }
        _ => return Ok(Reply::error("ERR internal: not a script")),
    };
    let kept;
    let (sha, body) = if by_sha {
        let found = sha_named(args.at(1));
        let body = found.and_then(|sha| Some((sha, world.keyspace().scripts().body(&sha)?)));
        let Some((sha, body)) = body else {
            return Ok(Reply::error("NOSCRIPT No matching script. Please use EVAL."));
        };
        kept = body;
        (sha, &*kept)
    } else {
        (sha_of(args.at(1)), args.at(1))
    };
    let shebang = match Shebang::of_script(body) {
        Ok(shebang) => shebang,
        Err(why) => return Ok(Reply::error_of(&[b"ERR ", why.as_bytes()])),
    };
    let flags = shebang.as_ref().map(|shebang| shebang.flags);
    if let Some(refusal) = refused(world, flags, reads) {
        return Ok(refusal);
    }
    // Only what compiles is kept.
    let is_new = keeps && world.keyspace().scripts().body(&sha).is_none();
    if is_new && let Err(why) = scripting.interpreter.check(body) {
        return Ok(Reply::error_of(&[b"ERR ", why.as_bytes()]));
    }
    let reads = reads || flags.is_some_and(|flags| flags.has(ScriptFlags::NO_WRITES));
    world.begins(flags.unwrap_or_default(), is_new.then_some(body));
    let sha = hex::of(&sha);
    let program = Program::Script { sha: &sha, body };
    run(world, scripting, (program, &sha, command), (db, reads), &given)
}

/// Why a script or a function does not begin, by what it says of itself.
fn refused<W: World>(world: &W, flags: Option<ScriptFlags>, reads: bool) -> Option<Reply<'static>> {
    let flags = flags?;
    let no_writes = flags.has(ScriptFlags::NO_WRITES);
    if reads && !no_writes {
        return Some(Reply::error(
            "ERR Can not execute a script with write flag using *_ro command.",
        ));
    }
    let allows = flags.has(ScriptFlags::ALLOW_OOM);
    (world.is_short() && !no_writes && !allows).then(|| {
        Reply::error(
            "OOM allow-oom flag is not set on the script, can not run it when used memory > \
             'maxmemory'",
        )
    })
}

fn function<W: World>(
    world: &mut W,
    scripting: &mut Scripting<'_>,
    (db, reads): (Db, bool),
    (command, args): (&[u8], Args<'_>),
    given: &Given<'_>,
) -> Result<Reply<'static>, Stopped> {
    let name = String::from_utf8_lossy(args.at(1)).into_owned();
    let found =
        all_functions(world.keyspace(), scripting).into_iter().find_map(|(library, all)| {
            let function = all.into_iter().find(|it| it.name.eq_ignore_ascii_case(&name))?;
            Some((library, function))
        });
    let Some((library, function)) = found else {
        return Ok(Reply::error("ERR Function not found"));
    };
    if let Some(refusal) = refused(world, Some(function.flags), reads) {
        return Ok(refusal);
    }
    let code = world.keyspace().libraries().code(&library).cloned();
    let Some(code) = code else { return Ok(Reply::error("ERR Function not found")) };
    let reads = reads || function.flags.has(ScriptFlags::NO_WRITES);
    world.begins(function.flags, None);
    let name = function.name;
    let program = Program::Function { library: &library, code: &code, name: &name };
    run(world, scripting, (program, &name, command), (db, reads), given)
}

/// The functions of each library that can be loaded here, in order of the libraries' names.
pub(super) fn all_functions(
    keyspace: &Keyspace,
    scripting: &mut Scripting<'_>,
) -> Vec<(String, Vec<Function>)> {
    let mut all = Vec::new();
    for (name, code) in keyspace.libraries().iter() {
        if let Ok(functions) = load(scripting, name, code) {
            all.push((String::from(name), functions));
        }
    }
    scripting.watch.counted(all.len(), all.iter().map(|(_, functions)| functions.len()).sum());
    all
}

/// Runs the text of a library for what it registers.
pub(super) fn load(
    scripting: &mut Scripting<'_>,
    name: &str,
    code: &[u8],
) -> Result<Vec<Function>, String> {
    let mut host = Loading(scripting.watch);
    scripting.watch.begins(name, true, b"FUNCTION LOAD");
    let functions = scripting.interpreter.library(name, code, &mut host);
    scripting.watch.ends();
    functions
}

fn run<W: World>(
    world: &mut W,
    scripting: &mut Scripting<'_>,
    (program, name, command): (Program<'_>, &str, &[u8]),
    (db, reads): (Db, bool),
    given: &Given<'_>,
) -> Result<Reply<'static>, Stopped> {
    let seed = world.seed();
    let call =
        Call { program, keys: &given.keys, args: &given.args, seed, budget: scripting.budget };
    let mut running = Running { world, db, reads, over: None, watch: scripting.watch };
    let is_function = matches!(program, Program::Function { .. });
    scripting.watch.begins(name, is_function, command);
    let reply = scripting.interpreter.call(&call, &mut running);
    scripting.watch.ends();
    match running.over {
        Some(over) => Err(over),
        None => reply,
    }
}

/// What a client hears of a script that was stopped.
pub(super) fn stopped(why: Stopped, is_function: bool) -> Reply<'static> {
    Reply::error(match (why, is_function) {
        (Stopped::Memory, _) => "ERR the script used up its memory: nothing it did stays",
        (Stopped::Reply, _) => "ERR the script's reply is too large: nothing it did stays",
        (Stopped::Payload, _) => "ERR the script wrote too much at once: nothing it did stays",
        (Stopped::Time, _) => "ERR the script ran too long: nothing it did stays",
        (Stopped::Killed, false) => {
            "ERR Error running script: Script killed by user with SCRIPT KILL."
        }
        (Stopped::Killed, true) => {
            "ERR Error running script: Script killed by user with FUNCTION KILL."
        }
    })
}

/// What FUNCTION STATS tells: what runs (its name, its command, and for how many milliseconds), and
/// how many libraries and functions there are.
pub fn function_stats(
    running: Option<(&str, Vec<Vec<u8>>, u64)>,
    (libraries, functions): (usize, usize),
) -> Reply<'static> {
    let text = |text: &'static str| Reply::bulk(text.as_bytes());
    let shown = |(name, command, age_ms): (&str, Vec<Vec<u8>>, u64)| {
        Reply::Map(
            [
                (text("name"), Reply::owned(name.as_bytes().to_vec())),
                (text("command"), Reply::Array(command.into_iter().map(Reply::owned).collect())),
                (text("duration_ms"), Reply::Int(age_ms.cast_signed())),
            ]
            .into(),
        )
    };
    let counts = Reply::Map(
        [
            (text("libraries_count"), Reply::len(libraries)),
            (text("functions_count"), Reply::len(functions)),
        ]
        .into(),
    );
    Reply::Map(
        [
            (text("running_script"), running.map_or(Reply::Null, shown)),
            (text("engines"), Reply::Map([(text("LUA"), counts)].into())),
        ]
        .into(),
    )
}

/// A script that runs.
struct Running<'a, W> {
    world: &'a mut W,
    db: Db,
    /// It may not write.
    reads: bool,
    /// It has to end.
    over: Option<Stopped>,
    watch: &'a dyn crate::script::Watch,
}

impl<W: World> Running<'_, W> {
    /// What the server would answer itself, and PUBLISH, in a form that can be logged.
    fn own(&mut self, words: &[Vec<u8>]) -> Option<Reply<'static>> {
        let is = |name: &str, len: core::ops::RangeInclusive<usize>| {
            let first =
                words.first().is_some_and(|word| word.eq_ignore_ascii_case(name.as_bytes()));
            first && len.contains(&words.len())
        };
        let word = |at: usize| words.get(at).map_or(&[][..], Vec::as_slice);
        if is("SELECT", 2..=2) {
            let db = Db::parse(word(1));
            self.db = db.unwrap_or(self.db);
            let refusal = || match parse_int(word(1)) {
                Some(_) => Reply::error("ERR DB index is out of range"),
                None => Reply::error("ERR invalid DB index"),
            };
            return Some(db.map_or_else(refusal, |_| Reply::OK));
        }
        if is("PING", 1..=2) {
            let pong = || Reply::Simple("PONG".into());
            return Some(words.get(1).map_or_else(pong, |text| Reply::owned(text.clone())));
        }
        if is("ECHO", 2..=2) {
            return Some(Reply::owned(word(1).to_vec()));
        }
        if is("TIME", 1..=1) {
            let now_ms = self.world.now_ms().cast_signed();
            let text = |number| Reply::owned(int_text(number).as_bytes().to_vec());
            return Some(Reply::Array([text(now_ms / 1000), text(now_ms % 1000 * 1000)].into()));
        }
        for (name, to) in [("PUBLISH", "ALL"), ("SPUBLISH", "SHARD")] {
            if is(name, 3..=3) {
                let words = [b"QUORATE.PUBLISH", word(1), word(2), to.as_bytes()];
                return Some(self.carry_out(&words.map(<[u8]>::to_vec), true));
            }
        }
        self.watch.server(words)
    }

    /// Carries a command out, if a script may call it. `own`: it is the server's form of one.
    fn carry_out(&mut self, words: &[Vec<u8>], own: bool) -> Reply<'static> {
        let mut command = BytesMut::new();
        write_command(&mut command, words.iter().map(Vec::as_slice));
        let mut parser = Parser::default();
        // It was written here.
        let _ = parser.parse(&command, &Limits::stored());
        let args = parser.args(&command);
        let spec = match callable(args, own) {
            Ok(spec) => spec,
            Err(refusal) => return refusal,
        };
        if self.reads && spec.run.of(args).is_write() {
            return Reply::error("ERR Write commands are not allowed from read-only scripts.");
        }
        match self.world.command(self.db, spec, (&command, args)) {
            Ok(reply) => reply,
            Err(over) => {
                self.over = Some(over);
                Reply::error("ERR the script has to end")
            }
        }
    }
}

/// The row of a command that a script may call.
fn callable(args: Args<'_>, own: bool) -> Found<&'static Spec> {
    let spec = cmd::resolve(args).filter(|spec| own || !spec.meta.flags.has(Flags::INTERNAL));
    let Some(spec) = spec else {
        let name = args.at(0);
        let is_server =
            OF_THE_SERVER.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()));
        return Err(Reply::error(if is_server {
            "ERR This Redis command is not allowed from script"
        } else {
            "ERR Unknown Redis command called from script"
        }));
    };
    if spec.meta.flags.has(Flags::NO_SCRIPT) || matches!(spec.run.of(args), Handler::Script { .. })
    {
        return Err(Reply::error("ERR This Redis command is not allowed from script"));
    }
    if !spec.meta.arity.fits(args.len()) {
        return Err(Reply::error("ERR Wrong number of args calling Redis command from script"));
    }
    Ok(spec)
}

/// Commands that the server runs itself, and no script.
const OF_THE_SERVER: [&str; 42] = [
    "ACL",
    "ASKING",
    "AUTH",
    "BGREWRITEAOF",
    "BGSAVE",
    "CLIENT",
    "CLUSTER",
    "COMMAND",
    "CONFIG",
    "DEBUG",
    "DISCARD",
    "EXEC",
    "FAILOVER",
    "HELLO",
    "INFO",
    "LASTSAVE",
    "LATENCY",
    "LOLWUT",
    "MEMORY",
    "MODULE",
    "MONITOR",
    "MULTI",
    "PSUBSCRIBE",
    "PSYNC",
    "PUBSUB",
    "PUNSUBSCRIBE",
    "QUIT",
    "READONLY",
    "READWRITE",
    "REPLCONF",
    "REPLICAOF",
    "RESET",
    "ROLE",
    "SAVE",
    "SHUTDOWN",
    "SLOWLOG",
    "SSUBSCRIBE",
    "SUBSCRIBE",
    "SYNC",
    "UNSUBSCRIBE",
    "UNWATCH",
    "WATCH",
];

impl<W: World> Host for Running<'_, W> {
    fn call(&mut self, words: &[Vec<u8>]) -> Reply<'static> {
        if self.over.is_some() {
            return Reply::error("ERR the script has to end");
        }
        self.own(words).unwrap_or_else(|| self.carry_out(words, false))
    }

    fn may_call(&mut self, words: &[Vec<u8>]) -> Result<bool, String> {
        let mut command = BytesMut::new();
        write_command(&mut command, words.iter().map(Vec::as_slice));
        let mut parser = Parser::default();
        let _ = parser.parse(&command, &Limits::stored());
        let args = parser.args(&command);
        let known = cmd::resolve(args).is_some()
            || OF_THE_SERVER.iter().any(|name| args.at(0).eq_ignore_ascii_case(name.as_bytes()));
        if known {
            return Ok(true);
        }
        Err(String::from("ERR Invalid command passed to redis.acl_check_cmd()"))
    }

    fn log(&mut self, level: LogLevel, message: &[u8]) {
        self.watch.log(level, message);
    }

    fn stop(&mut self) -> Option<Stopped> {
        self.over = self.over.or_else(|| self.watch.stop());
        self.over
    }
}

/// A library that is loaded: it calls nothing.
struct Loading<'a>(&'a dyn crate::script::Watch);

impl Host for Loading<'_> {
    fn call(&mut self, _: &[Vec<u8>]) -> Reply<'static> {
        Reply::error("ERR redis.call is not available while a library is loaded")
    }

    fn may_call(&mut self, _: &[Vec<u8>]) -> Result<bool, String> {
        Ok(false)
    }

    fn log(&mut self, level: LogLevel, message: &[u8]) {
        self.0.log(level, message);
    }

    fn stop(&mut self) -> Option<Stopped> {
        self.0.stop()
    }
}
