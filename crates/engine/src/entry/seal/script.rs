//! Scripts within a rehearsal: what they write is logged, as one piece, in place of the command
//! that ran them.
//!
//! A script that is stopped is undone up to the mark where it began; what was due and removed for
//! its sake is removed again.

use super::stage::{Ran, Stage};
use super::{REHEARSED_BYTES_MAX, Sealer, rehearse_one};
use crate::cmd::script::{Policy, loaded, name_of, restored};
use crate::entry::replies::mix;
use crate::entry::script::{World, all_functions, call, function_stats, load, stopped};
use crate::script::{Function, ScriptFlags, Scripting, Stopped};
use crate::{Db, Handler, Keyspace, LEVEL_TRANSACTIONS, LogForm, Reader, Scripted, Spec, glob};
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::BytesMut;
use quorate_resp::{Args, Limits, Parser, Reply, write_command};

/// What scripts run with, and how they stand.
#[derive(Debug, Default)]
pub(super) struct Scripts<'a> {
    /// If they run at all. Nothing while one runs.
    pub(super) with: Option<Scripting<'a>>,
    /// What the one that runs may do,
    pub(super) allowed: Allowed,
    /// and how many bytes it may log.
    pub(super) payload_max: usize,
    /// What the next draws from.
    pub(super) drawn: u64,
    /// Within a transaction.
    pub(super) in_transaction: bool,
}

/// What the batch allows a script that runs.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Allowed {
    /// It has written, so that what follows is not refused.
    wrote: bool,
    /// It runs although memory is short.
    short: bool,
    /// One runs.
    runs: bool,
}

impl Allowed {
    /// Whether a refusal for want of memory does not count.
    pub(super) fn ignores_memory(self) -> bool {
        self.runs && (self.wrote || self.short)
    }

    /// Whether no refusal counts.
    pub(super) fn ignores_all(self) -> bool {
        self.runs && self.wrote
    }
}

type Found<T> = Result<T, Reply<'static>>;

impl<'a, S: Stage> Sealer<'a, S> {
    /// Carries out a command that has to do with scripts, and plans its answer.
    pub(super) fn script_of(
        &mut self,
        way: Scripted,
        db: Db,
        command: (&[u8], Args<'_>),
        is_alone: bool,
    ) {
        let reply = self.script(way, db, command);
        self.plan.known(reply);
        if is_alone {
            self.wake();
        }
    }

    /// Carries out a command that has to do with scripts; its reply.
    fn script(
        &mut self,
        way: Scripted,
        db: Db,
        (command, args): (&[u8], Args<'_>),
    ) -> Reply<'static> {
        if self.stage.keyspace().level() < LEVEL_TRANSACTIONS {
            return Reply::error(
                "CLUSTERDOWN scripts begin when every node of the cluster runs a version that \
                 has them: nothing was applied",
            );
        }
        let Some(mut scripting) = self.scripts.with.take() else {
            return Reply::error("ERR scripts do not run here");
        };
        let reply = match way {
            Scripted::Load => self.load_script(&mut scripting, db, args),
            Scripted::Library => self.load_library(&mut scripting, db, args),
            Scripted::Restore => self.restore(&mut scripting, db, args),
            Scripted::List => self.list(&mut scripting, args),
            Scripted::Stats => Ok(self.stats(&mut scripting)),
            _ => Ok(self.effects(&mut scripting, (db, way), (command, args))),
        };
        self.scripts.with = Some(scripting);
        reply.unwrap_or_else(|refusal| refusal)
    }

    /// Runs a script or a function, and logs what it wrote as one piece, or nothing if it was
    /// stopped.
    fn effects(
        &mut self,
        scripting: &mut Scripting<'a>,
        (db, way): (Db, Scripted),
        command: (&[u8], Args<'_>),
    ) -> Reply<'static> {
        let within = self.body.continued();
        let outside = core::mem::replace(&mut self.body, within);
        let (mark, place) = (self.stage.mark(), self.plan.mark());
        let inexact = self.inexact;
        self.scripts.payload_max = scripting.payload_bytes;
        let reply = call(self, scripting, (db, way), command);
        self.scripts.allowed = Allowed::default();
        let within = core::mem::replace(&mut self.body, outside);
        let why = match reply {
            Ok(reply) => {
                if self.scripts.in_transaction {
                    self.body.append(&within);
                } else {
                    self.body.transaction(&within);
                }
                return reply;
            }
            Err(why) => why,
        };
        self.inexact = inexact;
        self.plan.go_back(place);
        if let Some(mark) = mark {
            self.stage.go_back(mark);
            self.due.meet_again(&mut self.stage);
        }
        stopped(why, matches!(way, Scripted::Function(_)))
    }

    /// Runs and logs a command of our own, which answers nobody.
    fn log_words(&mut self, db: Db, words: &[&[u8]], hidden: bool) -> Reply<'static> {
        let mut command = BytesMut::new();
        write_command(&mut command, words.iter().copied());
        let mut parser = Parser::default();
        // It was written here.
        let _ = parser.parse(&command, &Limits::stored());
        let args = parser.args(&command);
        match rehearse_one(&mut self.stage, db, args) {
            Ran::Unseen => Reply::error("ERR internal: it did not run"),
            Ran::Unchanged(reply) => reply,
            Ran::Changed(_, reply) => {
                let form = if hidden { LogForm::Hidden } else { LogForm::Plain };
                self.write(db, form, (&command, args));
                self.plan.silent();
                reply
            }
        }
    }

    fn load_script(
        &mut self,
        scripting: &mut Scripting<'_>,
        db: Db,
        args: Args<'_>,
    ) -> Found<Reply<'static>> {
        let body = args.at(2);
        let said = |why: String| Reply::error_of(&[b"ERR ", why.as_bytes()]);
        crate::Shebang::of_script(body).map_err(said)?;
        scripting.interpreter.check(body).map_err(said)?;
        Ok(self.log_words(db, &[b"QUORATE.SCRIPT", b"LOADED", body], true))
    }

    fn load_library(
        &mut self,
        scripting: &mut Scripting<'_>,
        db: Db,
        args: Args<'_>,
    ) -> Found<Reply<'static>> {
        let (replace, text) = loaded(args)?;
        let name = name_of(text)?;
        let mut others: BTreeMap<String, Vec<Function>> =
            all_functions(self.stage.keyspace(), scripting).into_iter().collect();
        let is_there = self.stage.keyspace().libraries().code(&name).is_some();
        if is_there && !replace {
            return Err(Reply::error_of(&[b"ERR Library '", name.as_bytes(), b"' already exists"]));
        }
        others.remove(&name);
        check_library(scripting, (&name, text), &mut others)?;
        Ok(self.log_words(db, &args.iter().collect::<Vec<_>>(), false))
    }

    fn restore(
        &mut self,
        scripting: &mut Scripting<'_>,
        db: Db,
        args: Args<'_>,
    ) -> Found<Reply<'static>> {
        let (policy, texts) = restored(args)?;
        let mut others: BTreeMap<String, Vec<Function>> = match policy {
            Policy::Flush => BTreeMap::new(),
            _ => all_functions(self.stage.keyspace(), scripting).into_iter().collect(),
        };
        for text in &texts {
            let name = name_of(text)?;
            let is_there = self.stage.keyspace().libraries().code(&name).is_some();
            if is_there && policy == Policy::Append {
                let name = name.as_bytes();
                return Err(Reply::error_of(&[b"ERR Library ", name, b" already exists"]));
            }
            others.remove(&name);
            check_library(scripting, (&name, text), &mut others)?;
        }
        Ok(self.log_words(db, &args.iter().collect::<Vec<_>>(), false))
    }

    fn list(&self, scripting: &mut Scripting<'_>, args: Args<'_>) -> Found<Reply<'static>> {
        let (mut pattern, mut with_code) = (None, false);
        let mut words = args.from(2).iter();
        while let Some(word) = words.next() {
            if !with_code && word.eq_ignore_ascii_case(b"WITHCODE") {
                with_code = true;
            } else if pattern.is_none() && word.eq_ignore_ascii_case(b"LIBRARYNAME") {
                let name = words.next();
                pattern =
                    Some(name.ok_or(Reply::error("ERR library name argument was not given"))?);
            } else {
                return Err(Reply::error_of(&[b"ERR Unknown argument ", word]));
            }
        }
        let keyspace = self.stage.keyspace();
        let mut shown = Vec::new();
        for (name, functions) in all_functions(keyspace, scripting) {
            if pattern.is_some_and(|pattern| !glob::matches(pattern, name.as_bytes())) {
                continue;
            }
            let code = keyspace.libraries().code(&name).filter(|_| with_code);
            shown.push(library_shown(&name, &functions, code.map(|code| &**code)));
        }
        Ok(Reply::Array(shown))
    }

    fn stats(&self, scripting: &mut Scripting<'_>) -> Reply<'static> {
        let all = all_functions(self.stage.keyspace(), scripting);
        let functions = all.iter().map(|(_, functions)| functions.len()).sum();
        function_stats(None, (all.len(), functions))
    }
}

fn library_shown(name: &str, functions: &[Function], code: Option<&[u8]>) -> Reply<'static> {
    let text = |text: &str| Reply::owned(text.as_bytes().to_vec());
    let shown = |function: &Function| {
        let flags = ScriptFlags::NAMES.iter().filter(|(_, flag)| function.flags.has(*flag));
        Reply::Map(
            [
                (text("name"), text(&function.name)),
                (text("description"), function.description.as_deref().map_or(Reply::Null, text)),
                (
                    text("flags"),
                    Reply::Set(flags.map(|(name, _)| Reply::Simple((*name).into())).collect()),
                ),
            ]
            .into(),
        )
    };
    let mut facts = Vec::from([
        (text("library_name"), text(name)),
        (text("engine"), text("LUA")),
        (text("functions"), Reply::Array(functions.iter().map(shown).collect())),
    ]);
    if let Some(code) = code {
        facts.push((text("library_code"), Reply::owned(code.to_vec())));
    }
    Reply::Map(facts)
}

/// Loads a library beside others, none of which may have a function of the same name.
fn check_library(
    scripting: &mut Scripting<'_>,
    (name, text): (&str, &[u8]),
    others: &mut BTreeMap<String, Vec<Function>>,
) -> Found<()> {
    let functions = load(scripting, name, text);
    let functions = functions.map_err(|why| Reply::error_of(&[b"ERR ", why.as_bytes()]))?;
    for function in &functions {
        let mut known = others.values().flatten();
        if known.any(|known| known.name.eq_ignore_ascii_case(&function.name)) {
            let name = function.name.as_bytes();
            return Err(Reply::error_of(&[b"ERR Function ", name, b" already exists"]));
        }
    }
    others.insert(String::from(name), functions);
    Ok(())
}

impl<S: Stage> World for Sealer<'_, S> {
    fn keyspace(&self) -> &Keyspace {
        self.stage.keyspace()
    }

    fn now_ms(&self) -> u64 {
        self.stamp.now_ms
    }

    fn seed(&mut self) -> u64 {
        self.scripts.drawn = mix(self.scripts.drawn);
        self.scripts.drawn
    }

    fn is_short(&self) -> bool {
        self.over_memory
    }

    fn begins(&mut self, flags: ScriptFlags, body: Option<&[u8]>) {
        if let Some(body) = body {
            self.log_words(Db(0), &[b"QUORATE.SCRIPT", b"RAN", body], true);
            // It takes memory, too.
            self.over_memory |= self.stage.keyspace().is_over_memory();
        }
        let short = flags.has(ScriptFlags::ALLOW_OOM);
        self.scripts.allowed = Allowed { wrote: false, short, runs: true };
    }

    fn command(
        &mut self,
        db: Db,
        spec: &'static Spec,
        (command, args): (&[u8], Args<'_>),
    ) -> Result<Reply<'static>, Stopped> {
        let Some(form) = self.judge(db, args) else {
            let seed = self.seed();
            let now_ms = self.stamp.now_ms;
            let reader = Reader { keyspace: self.stage.keyspace(), db, seed, clock_ms: now_ms };
            let Handler::Read(read) = spec.run.of(args) else { return Ok(Reply::Null) };
            return Ok(read(&reader, args).unwrap_or_else(|refusal| refusal).into_owned());
        };
        if let LogForm::Refused(reply) = form {
            return Ok(reply);
        }
        let is_flat = matches!(form, LogForm::Flat(_));
        let reply = match self.run_as(&form, db, args) {
            Ran::Unseen => return Ok(Reply::error("ERR internal: it did not run")),
            Ran::Unchanged(reply) => reply,
            Ran::Changed(seed, reply) => {
                if let Some(seed) = seed {
                    self.body.seed(seed);
                    self.inexact = true;
                }
                self.write(db, form, (command, args));
                self.plan.silent();
                self.scripts.allowed.wrote = true;
                if self.body.bytes() > self.scripts.payload_max
                    || self.stage.bytes() > REHEARSED_BYTES_MAX
                {
                    return Err(Stopped::Payload);
                }
                reply
            }
        };
        Ok(if is_flat { reply.flattened() } else { reply })
    }
}
