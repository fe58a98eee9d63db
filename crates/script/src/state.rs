//! The Lua heap: its globals, sealed, and how something is run in it.
//!
//! Built once and used for many calls. What a call could leave behind has no place: every table
//! that scripts reach is read-only, `KEYS` and `ARGV` are set anew each time, and so are the
//! environments that `setfenv` can change.

use crate::convert::Names;
use crate::native::{Shared, answer, seal};
use crate::source::compile;
use crate::{api, base, library};
use mlua::chunk::Compiler;
use mlua::{Function, Lua, LuaOptions, LuaString, StdLib, Table, Value, Variadic, VmState};
use quorate_engine::Host;
use std::cell::RefCell;
use std::rc::Rc;

/// The Lua heap.
pub(crate) struct State {
    pub(crate) lua: Lua,
    pub(crate) shared: Rc<Shared>,
    /// What scripts see.
    pub(crate) globals: Table,
    /// What functions of libraries see: nothing of its own.
    pub(crate) library_globals: Table,
    /// The metatable of that. Invariant: while a library is loaded it leads to `loading`, and to
    /// `globals` at all other times.
    library_meta: Table,
    /// What a library sees while it is loaded: `redis`, with less in it.
    loading: Table,
    /// Where wrappers find the host while a call runs.
    slot: Table,
    /// What a reply's tables are asked for.
    pub(crate) names: Names,
    /// Runs a function, and says where it failed.
    run: Function,
}

/// How a run ended.
pub(crate) enum Ended {
    /// With its first result.
    Done(Value),
    /// With an error, raised at a line of a source if that is known.
    Failed(Value, Option<(String, usize)>),
}

impl State {
    pub(crate) fn new() -> mlua::Result<Self> {
        let libraries = StdLib::COROUTINE
            | StdLib::TABLE
            | StdLib::OS
            | StdLib::STRING
            | StdLib::MATH
            | StdLib::DEBUG;
        let lua = Lua::new_with(libraries, LuaOptions::new())?;
        lua.set_compiler(Compiler::new().set_optimization_level(1).set_debug_level(1));
        let shared = Rc::new(Shared::new());
        let slot = lua.create_table()?;
        let globals = lua.create_table()?;
        let wrappers = base::prelude(&lua, &shared, &slot, &globals)?;
        base::fill(&lua, &shared, &wrappers, &globals)?;
        let redis = api::table(&lua, &shared, &wrappers)?;
        globals.raw_set("redis", &redis)?;
        seal(&redis)?;
        let meta = base::missing(&lua, &wrappers)?;
        globals.set_metatable(Some(meta.clone()))?;
        globals.raw_set("_G", &globals)?;
        seal(&globals)?;
        lua.set_globals(globals.clone())?;

        let register = library::register(&lua, &shared, &wrappers)?;
        let loading = library::loading(&lua, &wrappers, register, meta)?;
        let library_meta = lua.create_table()?;
        library_meta.raw_set("__index", &globals)?;
        let library_globals = lua.create_table()?;
        library_globals.set_metatable(Some(library_meta.clone()))?;
        library_meta.set_readonly(true);
        library_globals.set_readonly(true);

        let counting = Rc::clone(&shared);
        lua.set_interrupt(move |lua| counting.interrupt(lua).map(|()| VmState::Continue));
        let run = wrappers.raw_get("run")?;
        let names = Names::new(&lua)?;
        Ok(State { lua, shared, globals, library_globals, library_meta, loading, slot, names, run })
    }

    /// Compiles a text.
    pub(crate) fn compile(
        &self,
        source: &[u8],
        name: &str,
        environment: &Table,
    ) -> mlua::Result<Function> {
        compile(&self.lua, source, name, environment)
    }

    /// Sets what scripts see as `KEYS` and `ARGV`; functions of libraries get them as arguments.
    pub(crate) fn set_words(&self, keys: Value, args: Value) -> mlua::Result<()> {
        self.globals.set_readonly(false);
        let set = self.globals.raw_set("KEYS", keys);
        let set = set.and(self.globals.raw_set("ARGV", args));
        self.globals.set_readonly(true);
        set
    }

    /// Whether a library is being loaded.
    pub(crate) fn set_loading(&self, loading: bool) -> mlua::Result<()> {
        self.library_meta.set_readonly(false);
        let index = if loading { &self.loading } else { &self.globals };
        let set = self.library_meta.raw_set("__index", index);
        self.library_meta.set_readonly(true);
        set
    }

    /// Words as a table.
    pub(crate) fn table_of(&self, words: &[&[u8]]) -> mlua::Result<Value> {
        let table = self.lua.create_table_with_capacity(words.len(), 0)?;
        for (at, word) in (1..).zip(words) {
            table.raw_seti(at, self.lua.create_string(word)?)?;
        }
        Ok(Value::Table(table))
    }

    /// Runs a function. Commands go to the host, but not while a library is loaded.
    pub(crate) fn run(
        &self,
        function: &Function,
        args: (Value, Value),
        host: &mut dyn Host,
        commands: bool,
    ) -> mlua::Result<Ended> {
        let host = RefCell::new(host);
        let shared = &*self.shared;
        let door = |lua: &Lua, args: Variadic<Value>| {
            let mut host = host.try_borrow_mut().map_err(mlua::Error::external)?;
            if args.is_empty() {
                if shared.stopped.get().is_none() {
                    shared.stopped.set(host.stop());
                }
                return Ok(mlua::MultiValue::new());
            }
            answer(lua, shared, |out| api::ask(lua, shared, &mut **host, &args, out))
        };
        let ended: (bool, Value) = self.lua.scope(|scope| {
            let door = scope.create_function(door)?;
            if commands {
                self.slot.raw_set("host", &door)?;
            }
            self.slot.raw_set("log", &door)?;
            *shared.ask.borrow_mut() = Some(door);
            let ended = self.run.call((function, args.0, args.1));
            *shared.ask.borrow_mut() = None;
            self.slot.raw_set("host", Value::Nil)?;
            self.slot.raw_set("log", Value::Nil)?;
            ended
        })?;
        match ended {
            (true, value) => Ok(Ended::Done(value)),
            (false, Value::Table(traced)) => {
                let source: Option<LuaString> = traced.raw_get(2)?;
                let line: Option<usize> = traced.raw_get(3)?;
                let place = source.map(|source| source.to_string_lossy()).zip(line);
                Ok(Ended::Failed(traced.raw_get(1)?, place))
            }
            (false, error) => Ok(Ended::Failed(error, None)),
        }
    }
}
