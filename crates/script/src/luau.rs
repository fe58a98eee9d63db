//! [`Luau`]: the interpreter as the engine sees it.
//!
//! It keeps a Lua heap and what is compiled in it from call to call, sets the budget of each call,
//! and throws the heap away when one used it up.

use crate::base::seeded;
use crate::convert::{Converter, error_text};
use crate::native::{Fault, Registered};
use crate::state::{Ended, State};
use crate::texts;
use mlua::Value;
use quorate_engine::{Budget, Call, Function, Host, Interpreter, Program, Stopped};
use quorate_resp::Reply;
use sha1::{Digest, Sha1};
use std::collections::{BTreeMap, VecDeque};

/// Scripts that stay compiled.
const SCRIPTS_MAX: usize = 1_000;
/// Libraries that stay loaded.
const LIBRARIES_MAX: usize = 200;
/// Bytes of source of what stays compiled, scripts and libraries apart.
const SOURCES_MAX: usize = 16 << 20;
/// Heap that may lie idle between two calls before it is collected at once.
const IDLE_BYTES_MAX: usize = 8 << 20;

/// Lua for the engine's scripts.
#[derive(Default)]
pub struct Luau {
    /// The heap, made when it is first needed, dropped when a call used up its budget.
    state: Option<State>,
    /// Compiled scripts by digest.
    scripts: Cache<mlua::Function>,
    /// Loaded libraries by name and digest of their text.
    libraries: Cache<Vec<Registered>>,
}

/// What stays compiled, by name; the oldest goes first.
struct Cache<T> {
    entries: BTreeMap<String, (T, usize)>,
    order: VecDeque<String>,
    bytes: usize,
}

impl<T> Default for Cache<T> {
    fn default() -> Self {
        Cache { entries: BTreeMap::new(), order: VecDeque::new(), bytes: 0 }
    }
}

impl<T> Cache<T> {
    fn get(&self, name: &str) -> Option<&T> {
        self.entries.get(name).map(|(entry, _)| entry)
    }

    fn put(&mut self, name: String, entry: T, bytes: usize, entries_max: usize) {
        while self.entries.len() >= entries_max
            || (self.bytes + bytes > SOURCES_MAX && !self.order.is_empty())
        {
            let oldest = self.order.pop_front();
            let gone = oldest.and_then(|oldest| self.entries.remove(&oldest));
            self.bytes -= gone.map_or(0, |(_, bytes)| bytes);
        }
        self.bytes += bytes;
        self.order.push_back(name.clone());
        if let Some((_, replaced)) = self.entries.insert(name, (entry, bytes)) {
            self.bytes -= replaced;
        }
    }
}

/// Why nothing ran.
enum Unready {
    /// The text behind `ERR `.
    Text(String),
    Stopped(Stopped),
}

impl From<mlua::Error> for Unready {
    fn from(error: mlua::Error) -> Self {
        match error {
            mlua::Error::MemoryError(_) => Unready::Stopped(Stopped::Memory),
            other => Unready::Text(other.to_string()),
        }
    }
}

impl Luau {
    /// An interpreter that has nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The state, set up for a call. Everything that holds one of its values goes with it.
    /// What the caller gives, of so many bytes, comes on top of its budget.
    fn state(&mut self, budget: Budget, given: usize) -> mlua::Result<&State> {
        if self.state.is_none() {
            self.state = Some(State::new()?);
        }
        let Some(state) = &self.state else { return Err(mlua::Error::runtime("no state")) };
        let end = state.lua.used_memory().saturating_add(budget.heap_bytes).saturating_add(given);
        state.lua.set_memory_limit(end)?;
        state.shared.begin(budget.heap_bytes, end);
        Ok(state)
    }

    fn drop_state(&mut self) {
        self.scripts = Cache::default();
        self.libraries = Cache::default();
        self.state = None;
    }

    /// Why the last run must be undone, if it must.
    fn stopped(&self) -> Option<Stopped> {
        self.state.as_ref().and_then(|state| state.shared.stopped.get())
    }

    /// The compiled script.
    fn script(&mut self, sha: &str, body: &[u8]) -> Result<mlua::Function, Unready> {
        let Some(state) = &self.state else { return Err(Unready::Text(String::new())) };
        if let Some(function) = self.scripts.get(sha) {
            // A script may have given itself another environment.
            function.set_environment(state.globals.clone())?;
            return Ok(function.clone());
        }
        let function = compile_script(state, body)?;
        self.scripts.put(sha.to_owned(), function.clone(), body.len(), SCRIPTS_MAX);
        Ok(function)
    }

    /// Makes sure that a library is loaded, and says under which name.
    fn load(&mut self, name: &str, code: &[u8], host: &mut dyn Host) -> Result<String, Unready> {
        let key = format!("{name} {:x?}", Sha1::digest(code).as_slice());
        if self.libraries.get(&key).is_some() {
            return Ok(key);
        }
        let Some(state) = &self.state else { return Err(Unready::Text(String::new())) };
        let registered = run_library(state, code, host)?;
        self.libraries.put(key.clone(), registered, code.len(), LIBRARIES_MAX);
        Ok(key)
    }

    /// What is to run.
    fn program(
        &mut self,
        program: Program<'_>,
        host: &mut dyn Host,
    ) -> Result<mlua::Function, Unready> {
        match program {
            Program::Script { sha, body } => self.script(sha, body),
            Program::Function { library, code, name } => {
                let key = self.load(library, code, host)?;
                let registered = self.libraries.get(&key).into_iter().flatten();
                let mut found = registered.filter(|one| one.function.name == name);
                let callback = found.next().map(|one| one.callback.clone());
                callback.ok_or_else(|| Unready::Text("Function not found".to_owned()))
            }
        }
    }

    fn run(&mut self, call: &Call<'_>, host: &mut dyn Host) -> Result<Reply<'static>, Unready> {
        let words = call.keys.iter().chain(call.args);
        let given = words.map(|word| word.len().saturating_add(WORD_BYTES)).sum();
        self.state(call.budget, given)?;
        let function = self.program(call.program, host)?;
        let Some(state) = &self.state else { return Err(Unready::Text(String::new())) };
        state.shared.random.set(seeded(call.seed));
        let (keys, args) = (state.table_of(call.keys)?, state.table_of(call.args)?);
        let given = match call.program {
            Program::Script { .. } => {
                state.set_words(keys, args)?;
                (Value::Nil, Value::Nil)
            }
            Program::Function { .. } => (keys, args),
        };
        let ended = state.run(&function, given, host, true);
        state.set_words(Value::Nil, Value::Nil)?;
        let shared = &state.shared;
        match ended? {
            _ if shared.stopped.get().is_some() => Ok(Reply::Null),
            Ended::Done(value) => {
                let mut converter = Converter {
                    shared,
                    names: &state.names,
                    host,
                    values: 0,
                    room: call.budget.reply_bytes,
                };
                match converter.reply(&value, 0) {
                    Ok(reply) => Ok(reply),
                    Err(Fault::Lua(error)) => Err(error.into()),
                    Err(_) => Err(Unready::Text("the reply could not be read".to_owned())),
                }
            }
            Ended::Failed(error, place) => {
                if is_memory(&error, state) {
                    return Err(Unready::Stopped(Stopped::Memory));
                }
                let name = match call.program {
                    Program::Script { sha, .. } => sha,
                    Program::Function { name, .. } => name,
                };
                let mut text = failure(&error);
                if let Some((source, line)) = place {
                    text.extend_from_slice(
                        format!(" script: {name}, on @{source}:{line}.").as_bytes(),
                    );
                }
                Ok(Reply::error_of(&[&text]))
            }
        }
    }

    /// Leaves no more garbage behind than is cheap to carry.
    fn tidy(&mut self) {
        let Some(state) = &self.state else { return };
        let cached = self.scripts.bytes.saturating_add(self.libraries.bytes).saturating_mul(4);
        if state.lua.used_memory() > IDLE_BYTES_MAX + cached && state.lua.gc_collect().is_err() {
            self.drop_state();
        }
    }
}

impl Interpreter for Luau {
    fn check(&mut self, body: &[u8]) -> Result<(), String> {
        let unlimited = Budget { heap_bytes: CHECK_HEAP_BYTES, reply_bytes: 0 };
        let state = self.state(unlimited, 0).map_err(|error| error.to_string())?;
        match compile_script(state, body) {
            Ok(_) => Ok(()),
            Err(Unready::Text(text)) => Err(text),
            Err(Unready::Stopped(_)) => {
                self.drop_state();
                Err("Error compiling script (new function): not enough memory".to_owned())
            }
        }
    }

    fn call(&mut self, call: &Call<'_>, host: &mut dyn Host) -> Result<Reply<'static>, Stopped> {
        let reply = self.run(call, host);
        let stopped = match &reply {
            Err(Unready::Stopped(stopped)) => Some(*stopped),
            _ => None,
        };
        if let Some(stopped) = self.stopped().or(stopped) {
            self.drop_state();
            return Err(stopped);
        }
        self.tidy();
        match reply {
            Ok(reply) => Ok(reply),
            Err(Unready::Text(text)) => Ok(Reply::error_of(&[b"ERR ", text.as_bytes()])),
            Err(Unready::Stopped(stopped)) => Err(stopped),
        }
    }

    fn library(
        &mut self,
        name: &str,
        code: &[u8],
        host: &mut dyn Host,
    ) -> Result<Vec<Function>, String> {
        let budget = Budget { heap_bytes: CHECK_HEAP_BYTES, reply_bytes: 0 };
        self.state(budget, 0).map_err(|error| error.to_string())?;
        let loaded = self.load(name, code, host);
        let stopped = self.stopped();
        if stopped.is_some() || matches!(loaded, Err(Unready::Stopped(_))) {
            self.drop_state();
        }
        match (stopped, loaded) {
            (Some(Stopped::Time), _) => {
                Err("Error registering functions: FUNCTION LOAD timeout".to_owned())
            }
            (Some(_), _) | (_, Err(Unready::Stopped(_))) => {
                Err("Error registering functions: not enough memory".to_owned())
            }
            (None, Err(Unready::Text(text))) => Err(text),
            (None, Ok(key)) => {
                let registered = self.libraries.get(&key).into_iter().flatten();
                Ok(registered.map(|one| one.function.clone()).collect())
            }
        }
    }
}

/// What a word in `KEYS` or `ARGV` takes besides its bytes.
const WORD_BYTES: usize = 64;

/// Heap for compiling alone, and for loading a library.
const CHECK_HEAP_BYTES: usize = 64 << 20;

/// The text without its first line, if that begins with `#!`; the line's end stays, so that lines
/// keep their numbers.
fn without_shebang(text: &[u8]) -> Option<&[u8]> {
    if !text.starts_with(b"#!") {
        return Some(text);
    }
    memchr::memchr(b'\n', text).and_then(|end| text.get(end..))
}

fn compile_script(state: &State, body: &[u8]) -> Result<mlua::Function, Unready> {
    let Some(text) = without_shebang(body) else {
        return Err(Unready::Text("Invalid script shebang".to_owned()));
    };
    match state.compile(text, "=user_script", &state.globals) {
        Err(mlua::Error::SyntaxError { message, .. }) => {
            Err(Unready::Text(format!("Error compiling script (new function): {message}")))
        }
        compiled => Ok(compiled?),
    }
}

/// Runs a library's text for what it registers.
fn run_library(
    state: &State,
    code: &[u8],
    host: &mut dyn Host,
) -> Result<Vec<Registered>, Unready> {
    let Some(text) = without_shebang(code) else {
        return Err(Unready::Text("Invalid library metadata".to_owned()));
    };
    let function = match state.compile(text, "=user_function", &state.library_globals) {
        Err(mlua::Error::SyntaxError { message, .. }) => {
            return Err(Unready::Text(format!("Error compiling function: {message}")));
        }
        compiled => compiled?,
    };
    state.set_loading(true)?;
    *state.shared.registered.borrow_mut() = Some(Vec::new());
    let ended = state.run(&function, (Value::Nil, Value::Nil), host, false);
    let registered = state.shared.registered.borrow_mut().take().unwrap_or_default();
    state.set_loading(false)?;
    match ended? {
        Ended::Failed(error, _) if is_memory(&error, state) => {
            Err(Unready::Stopped(Stopped::Memory))
        }
        Ended::Failed(error, _) => {
            let text = failure(&error);
            let text = String::from_utf8_lossy(&text).into_owned();
            Err(Unready::Text(format!("Error registering functions: {text}")))
        }
        Ended::Done(_) if registered.is_empty() => {
            Err(Unready::Text("No functions registered".to_owned()))
        }
        Ended::Done(_) => Ok(registered),
    }
}

/// Whether an error is that the heap is used up, or hides that it was: then nothing the script
/// holds says so.
fn is_memory(error: &Value, state: &State) -> bool {
    match error {
        Value::String(text) => text.as_bytes() == *b"not enough memory",
        Value::Error(error) => matches!(**error, mlua::Error::MemoryError(_)),
        _ => state.lua.used_memory() >= state.shared.heap_end.get(),
    }
}

/// The reply's text for an error that nothing caught.
fn failure(error: &Value) -> Vec<u8> {
    if let Value::Table(table) = error {
        // Raw: nothing of the script's runs any more.
        let text = table.raw_get::<Value>("err").ok();
        return text.as_ref().and_then(error_text).unwrap_or_else(|| b"ERR unknown error".to_vec());
    }
    let text = error_text(error).unwrap_or_else(|| match error {
        Value::Error(error) => error.to_string().into_bytes(),
        other => other.type_name().as_bytes().to_vec(),
    });
    let text = texts::as_redis(&text).unwrap_or(text);
    [b"ERR ", text.as_slice()].concat()
}
