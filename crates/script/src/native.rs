//! Functions for scripts, written in Rust: how they get their arguments, and how they fail.
//!
//! mlua raises an error of Rust's as an object of its own, which no script of Redis expects. So a
//! function returns its error as a value, and its wrapper in `prelude.lua` raises that.

use crate::libs::json::config::Config;
use mlua::{Lua, LuaString, MultiValue, Table, Value, Variadic};
use quorate_engine::Stopped;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// A function that was registered, and its code.
pub(crate) struct Registered {
    pub(crate) function: quorate_engine::Function,
    pub(crate) callback: mlua::Function,
}

/// What all functions of one state share.
pub(crate) struct Shared {
    /// Why the running call must end. Once set, every interrupt fails until the state is dropped.
    pub(crate) stopped: Cell<Option<Stopped>>,
    /// Asks the running call's host whether to stop, and notes the answer in `stopped`; there
    /// while one runs.
    pub(crate) ask: RefCell<Option<mlua::Function>>,
    /// Luau's own `pcall`, and what looks a key up in a table: for what Rust calls of a script's.
    pub(crate) guards: RefCell<Option<(mlua::Function, mlua::Function)>>,
    /// What puts a Rust function into its wrapper.
    pub(crate) wrap: RefCell<Option<mlua::Function>>,
    /// What `cjson` is set to, for the running call.
    pub(crate) json: Rc<Cell<Config>>,
    /// Where the heap ends, in bytes of the whole state.
    pub(crate) heap_end: Cell<usize>,
    /// Bytes of the call's budget, for what Rust builds beside the heap.
    pub(crate) heap_bytes: Cell<usize>,
    /// Turns until the host is asked. Invariant: once `stopped` is set, the next question, which
    /// fails, leaves it at zero.
    pub(crate) turns: Cell<u32>,
    /// Steps of Rust loops since the host was asked.
    pub(crate) steps: Cell<u64>,
    /// What `math.random` is at.
    pub(crate) random: Cell<u64>,
    /// What the library that is being loaded registered so far.
    pub(crate) registered: RefCell<Option<Vec<Registered>>>,
    /// Whether the script hears replies in RESP3.
    pub(crate) resp3: Cell<bool>,
}

/// Interrupts (a call or a turn of a loop) between two questions to the host: some 20 µs.
const TURNS_BETWEEN_QUESTIONS: u32 = 1_000;
/// The same above so many bytes of heap: there, one call of Luau's own can take some
/// milliseconds (an insertion at the front of a table, a comparison of long strings).
const TURNS_WITH_MUCH: (u32, usize) = (50, 4 << 20);
/// Steps of a loop in Rust between two questions to the host: some 50 µs.
const STEPS_BETWEEN_QUESTIONS: u64 = 20_000;

impl Shared {
    pub(crate) fn new() -> Self {
        Shared {
            stopped: Cell::new(None),
            ask: RefCell::new(None),
            guards: RefCell::new(None),
            wrap: RefCell::new(None),
            json: Rc::default(),
            heap_end: Cell::new(0),
            heap_bytes: Cell::new(0),
            turns: Cell::new(0),
            steps: Cell::new(0),
            random: Cell::new(0),
            registered: RefCell::new(None),
            resp3: Cell::new(false),
        }
    }

    /// What each interrupt does.
    pub(crate) fn interrupt(&self, lua: &Lua) -> mlua::Result<()> {
        if let Some(turns) = self.turns.get().checked_sub(1) {
            self.turns.set(turns);
            return Ok(());
        }
        self.ask()?;
        let much = lua.used_memory() > TURNS_WITH_MUCH.1;
        let turns = if much { TURNS_WITH_MUCH.0 } else { TURNS_BETWEEN_QUESTIONS };
        self.turns.set(turns);
        Ok(())
    }

    /// Asks the host whether to go on.
    fn ask(&self) -> mlua::Result<()> {
        if self.stopped.get().is_none() {
            let ask = self.ask.borrow().clone();
            // Where nobody is there to ask, nothing of a script's may run.
            ask.ok_or_else(stop_error)?.call::<()>(())?;
        }
        self.stopped.get().map_or(Ok(()), |_| Err(stop_error()))
    }

    /// Sets everything for a new call.
    pub(crate) fn begin(&self, heap_bytes: usize, heap_end: usize) {
        self.heap_bytes.set(heap_bytes);
        self.heap_end.set(heap_end);
        self.stopped.set(None);
        self.resp3.set(false);
        self.json.set(Config::default());
        self.turns.set(TURNS_BETWEEN_QUESTIONS);
        self.steps.set(0);
    }

    /// Counts steps of a loop in Rust, and asks the host now and then.
    pub(crate) fn step(&self, steps: u64) -> Result<(), Fault> {
        let steps = self.steps.get().saturating_add(steps);
        if steps < STEPS_BETWEEN_QUESTIONS {
            self.steps.set(steps);
            return Ok(());
        }
        self.steps.set(0);
        Ok(self.ask()?)
    }
}

/// What unwinds a script that must end. No script can keep it away: each interrupt raises it anew.
pub(crate) fn stop_error() -> mlua::Error {
    mlua::Error::runtime("the script was stopped")
}

/// Why a function failed.
pub(crate) enum Fault {
    /// A text, which gets the caller's position in front.
    Text(Vec<u8>),
    /// A text behind `ERR `, as a table of Redis's.
    Redis(Vec<u8>),
    /// An error of the script's own, which goes on as it came.
    Raised(Value),
    /// The heap is used up, or the script must end.
    Lua(mlua::Error),
}

impl Fault {
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Fault::Text(text.into().into_bytes())
    }

    pub(crate) fn redis(text: impl Into<String>) -> Self {
        Fault::Redis(text.into().into_bytes())
    }

    /// As Lua's `luaL_argerror`.
    pub(crate) fn argument(at: usize, function: &str, what: &str) -> Self {
        Fault::text(format!("bad argument #{at} to '{function}' ({what})"))
    }
}

impl From<mlua::Error> for Fault {
    fn from(error: mlua::Error) -> Self {
        Fault::Lua(error)
    }
}

/// One call of a function.
pub(crate) struct Cx<'a> {
    pub(crate) lua: &'a Lua,
    pub(crate) shared: &'a Rc<Shared>,
    /// What scripts know it as, for its errors.
    pub(crate) name: &'static str,
    pub(crate) args: &'a [Value],
    /// What it returns, behind the nil that says it did not fail.
    out: &'a mut Vec<Value>,
}

impl Cx<'_> {
    /// Returns one more value.
    pub(crate) fn put(&mut self, value: Value) {
        self.out.push(value);
    }

    /// Returns one more string.
    pub(crate) fn put_bytes(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let string = self.lua.create_string(bytes)?;
        self.out.push(Value::String(string));
        Ok(())
    }

    /// Returns one more number.
    pub(crate) fn put_number(&mut self, number: f64) {
        self.out.push(Value::Number(number));
    }

    /// An argument; nil if there is none. The first is number 1.
    pub(crate) fn arg(&self, at: usize) -> &Value {
        self.args.get(at - 1).unwrap_or(&Value::Nil)
    }

    /// An argument has the wrong type.
    pub(crate) fn wrong(&self, at: usize, expected: &str) -> Fault {
        let got = self.args.get(at - 1).map_or("no value", Value::type_name);
        let got = if matches!(got, "integer") { "number" } else { got };
        Fault::argument(at, self.name, &format!("{expected} expected, got {got}"))
    }

    /// An argument is wrong.
    pub(crate) fn fault(&self, at: usize, what: &str) -> Fault {
        Fault::argument(at, self.name, what)
    }

    /// An argument as a string; a number is written as Lua writes it.
    pub(crate) fn string(&self, at: usize) -> Result<LuaString, Fault> {
        match self.arg(at) {
            Value::String(string) => Ok(string.clone()),
            Value::Integer(number) => Ok(self.lua.create_string(lua_number(*number as f64))?),
            Value::Number(number) => Ok(self.lua.create_string(lua_number(*number))?),
            _ => Err(self.wrong(at, "string")),
        }
    }

    /// An argument as a number; a string that is one counts.
    pub(crate) fn number(&self, at: usize) -> Result<f64, Fault> {
        match self.arg(at) {
            Value::Integer(number) => Ok(*number as f64),
            Value::Number(number) => Ok(*number),
            other => match self.lua.coerce_number(other.clone())? {
                Some(number) if other.is_string() => Ok(number),
                _ => Err(self.wrong(at, "number")),
            },
        }
    }

    /// An argument as an integer, cut off as C does.
    pub(crate) fn integer(&self, at: usize) -> Result<i64, Fault> {
        self.number(at).map(truncated)
    }

    /// An argument as an integer, or what stands for a missing one.
    pub(crate) fn integer_or(&self, at: usize, default: i64) -> Result<i64, Fault> {
        if self.arg(at).is_nil() { Ok(default) } else { self.integer(at) }
    }

    /// An argument as a table.
    pub(crate) fn table(&self, at: usize) -> Result<&Table, Fault> {
        match self.arg(at) {
            Value::Table(table) => Ok(table),
            _ => Err(self.wrong(at, "table")),
        }
    }

    /// Whether Rust may build so many bytes for the script beside its heap.
    pub(crate) fn room(&self, bytes: usize) -> Result<(), Fault> {
        room(self.shared, bytes)
    }
}

/// Whether Rust may build so many bytes for the script beside its heap.
pub(crate) fn room(shared: &Shared, bytes: usize) -> Result<(), Fault> {
    if bytes <= shared.heap_bytes.get() {
        return Ok(());
    }
    Err(Fault::Lua(mlua::Error::MemoryError("not enough memory".to_owned())))
}

/// A number as Lua 5.1 writes it.
pub(crate) fn lua_number(number: f64) -> String {
    crate::number::general(number, 14)
}

/// A double as a C cast to `long long` makes it on x86.
pub(crate) fn truncated(number: f64) -> i64 {
    if (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&number) {
        number as i64
    } else {
        i64::MIN
    }
}

/// A function as it is written here.
pub(crate) type Native = fn(&mut Cx<'_>) -> Result<(), Fault>;

/// A Lua function that returns nil and its results, or an error value.
pub(crate) fn function(
    lua: &Lua,
    shared: &Rc<Shared>,
    name: &'static str,
    native: impl Fn(&mut Cx<'_>) -> Result<(), Fault> + 'static,
) -> mlua::Result<mlua::Function> {
    let shared = Rc::clone(shared);
    lua.create_function(move |lua, args: Variadic<Value>| {
        answer(lua, &shared, |out| native(&mut Cx { lua, shared: &shared, name, args: &args, out }))
    })
}

/// What a Rust function gives its wrapper.
pub(crate) fn answer(
    lua: &Lua,
    shared: &Shared,
    run: impl FnOnce(&mut Vec<Value>) -> Result<(), Fault>,
) -> mlua::Result<MultiValue> {
    let mut out = vec![Value::Nil];
    match run(&mut out) {
        Ok(()) => Ok(MultiValue::from_vec(out)),
        Err(Fault::Text(text)) => {
            Ok(MultiValue::from_vec(vec![Value::String(lua.create_string(text)?)]))
        }
        Err(Fault::Redis(text)) => {
            let table = error_table(lua, &[b"ERR ", &text])?;
            Ok(MultiValue::from_vec(vec![Value::Table(table)]))
        }
        Err(Fault::Raised(value)) => Ok(MultiValue::from_vec(vec![Value::Boolean(true), value])),
        Err(Fault::Lua(error)) => {
            // What Rust could not build for want of room ends the script; what Lua's own heap
            // refuses it may catch, and time ends it.
            if matches!(error, mlua::Error::MemoryError(_)) && shared.stopped.get().is_none() {
                shared.stopped.set(Some(Stopped::Memory));
            }
            Err(error)
        }
    }
}

/// An error as Redis shows it to scripts.
pub(crate) fn error_table(lua: &Lua, parts: &[&[u8]]) -> mlua::Result<Table> {
    let table = lua.create_table_with_capacity(0, 2)?;
    table.raw_set("err", lua.create_string(parts.concat())?)?;
    Ok(table)
}

/// Makes a table read-only, and all that it leads to.
pub(crate) fn seal(table: &Table) -> mlua::Result<()> {
    if table.is_readonly() {
        return Ok(());
    }
    table.set_readonly(true);
    for pair in table.pairs::<Value, Value>() {
        if let (_, Value::Table(inner)) = pair? {
            seal(&inner)?;
        }
    }
    table.metatable().map_or(Ok(()), |meta| seal(&meta))
}

/// Puts a function of Rust's, in its wrapper, into a table.
pub(crate) fn put(
    lua: &Lua,
    shared: &Rc<Shared>,
    wrappers: &Table,
    table: &Table,
    (name, native): (&'static str, Native),
) -> mlua::Result<()> {
    let wrap: mlua::Function = wrappers.raw_get("wrap")?;
    let wrapped: mlua::Function = wrap.call(function(lua, shared, name, native)?)?;
    table.raw_set(name, wrapped)
}
