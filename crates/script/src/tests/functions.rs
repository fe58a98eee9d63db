//! Libraries: what registers, what is refused, and that functions run.

use super::{BUDGET, Small, line};
use crate::Luau;
use quorate_engine::{Call, Interpreter, Program, ScriptFlags};

/// What a library's text registers, by name; or the error.
fn load(code: &str) -> Result<Vec<String>, String> {
    let code = format!("#!lua name=test\n{code}");
    let loaded = Luau::new().library("test", code.as_bytes(), &mut Small::new());
    loaded.map(|functions| functions.into_iter().map(|function| function.name).collect())
}

fn refused(code: &str, expect: &str) {
    let error = load(code).unwrap_err();
    assert!(error.contains(expect), "{code}\n  gave   {error}\n  not    {expect}");
}

fn call(luau: &mut Luau, code: &str, name: &str, words: (&[&[u8]], &[&[u8]])) -> String {
    let code = format!("#!lua name=test\n{code}");
    let program = Program::Function { library: "test", code: code.as_bytes(), name };
    let call = Call { program, keys: words.0, args: words.1, seed: 1, budget: BUDGET };
    luau.call(&call, &mut Small::new())
        .map_or_else(|stop| format!("{stop:?}"), |reply| line(&reply))
}

#[test]
fn libraries_register_functions() {
    assert_eq!(load("redis.register_function('f', function() end)"), Ok(vec!["f".to_owned()]));
    let code = "#!lua name=test\nredis.register_function{function_name='f', description='says',
        callback=function() end, flags={'no-writes', 'allow-oom'}}";
    let loaded = Luau::new().library("test", code.as_bytes(), &mut Small::new()).unwrap();
    assert_eq!(loaded.len(), 1);
    assert_eq!(loaded[0].description.as_deref(), Some("says"));
    assert_eq!(loaded[0].flags, ScriptFlags::NO_WRITES.and(ScriptFlags::ALLOW_OOM));
}

#[test]
fn wrong_libraries_are_refused() {
    let f = "function() end";
    refused("return 1", "No functions registered");
    refused("return x(", "Error compiling function: user_function:2:");
    refused("redis.register_function()", "wrong number of arguments to redis.register_function");
    refused(
        "redis.register_function(1, 2, 3)",
        "wrong number of arguments to redis.register_function",
    );
    refused(
        "redis.register_function({}, function() end)",
        "first argument to redis.register_function must be a string",
    );
    refused(
        "redis.register_function('f', 1)",
        "second argument to redis.register_function must be a function",
    );
    refused(
        "redis.register_function('f')",
        "calling redis.register_function with a single argument is only applicable to Lua table \
         (representing named arguments).",
    );
    refused(
        &format!("redis.register_function('bad name', {f})"),
        "Library names can only contain letters, numbers, or underscores(_) and must be at least \
         one character long",
    );
    refused(
        &format!("redis.register_function('f', {f}) redis.register_function('f', {f})"),
        "Function already exists in the library",
    );
    refused(
        &format!("redis.register_function{{function_name='f', callback={f}, flags={{'bad'}}}}"),
        "unknown flag given",
    );
    refused(
        &format!("redis.register_function{{function_name='f', callback={f}, flags='x'}}"),
        "flags argument to redis.register_function must be a table representing function flags",
    );
    refused(
        &format!("redis.register_function{{function_name='f', callback={f}, x=1}}"),
        "unknown argument given to redis.register_function",
    );
    refused(
        &format!("redis.register_function{{[{{}}]=1, callback={f}}}"),
        "named argument key given to redis.register_function is not a string",
    );
    refused(
        &format!("redis.register_function{{callback={f}}}"),
        "redis.register_function must get a function name argument",
    );
    refused(
        "redis.register_function{function_name='f'}",
        "redis.register_function must get a callback argument",
    );
    refused(
        "redis.register_function{function_name='f', callback=1}",
        "callback argument given to redis.register_function must be a function",
    );
    refused(
        &format!("redis.register_function{{function_name={{}}, callback={f}}}"),
        "function_name argument given to redis.register_function must be a string",
    );
    refused(
        &format!("redis.register_function{{function_name='f', description={{}}, callback={f}}}"),
        "description argument given to redis.register_function must be a string",
    );
}

#[test]
fn a_library_that_is_loaded_sees_little() {
    refused("redis.call('GET', 'x')", "attempted to access nonexistent global variable 'call'");
    refused("return math.random()", "attempted to access nonexistent global variable 'math'");
    refused("redis.setresp(3)", "attempted to access nonexistent global variable 'setresp'");
    refused("a = 1", "Attempt to modify a readonly table");
    refused("redis.x = 1", "Attempt to modify a readonly table");
    refused("while true do end", "FUNCTION LOAD timeout");
    refused("local s = 'x' while true do s = s .. s end", "not enough memory");
}

#[test]
fn functions_run() {
    let mut luau = Luau::new();
    let code = "local function set(keys, args) return redis.call('SET', keys[1], args[1]) end
        redis.register_function('set', set)
        redis.register_function('get', function(keys) return redis.call('GET', keys[1]) end)
        redis.register_function('fails', function() return redis.call('WRONG') end)
        redis.register_function('global', function() x = 1 end)
        redis.register_function('unknown', function() return KEYS end)
        redis.register_function('inner', function() return {type(string.rep), \
        redis.register_function == nil and 1} end)
        redis.register_function('late', function() return redis.call('ECHO', \
        tostring(#{redis.sha1hex('')})) end)";
    assert_eq!(call(&mut luau, code, "set", (&[b"k"], &[b"v"])), "+OK");
    assert_eq!(call(&mut luau, code, "get", (&[b"k"], &[])), "nil");
    assert_eq!(call(&mut luau, code, "inner", (&[], &[])), "['function' 1]");
    assert_eq!(call(&mut luau, code, "late", (&[], &[])), "'1'");
    let failed = call(&mut luau, code, "fails", (&[], &[]));
    assert!(
        failed.ends_with("wrong kind of value script: fails, on @user_function:5."),
        "{failed}"
    );
    assert!(
        call(&mut luau, code, "global", (&[], &[])).contains("Attempt to modify a readonly table")
    );
    assert!(
        call(&mut luau, code, "unknown", (&[], &[])).contains("nonexistent global variable 'KEYS'")
    );
    assert_eq!(call(&mut luau, code, "none", (&[], &[])), "-ERR Function not found");
    let late =
        "redis.register_function('f', function() redis.register_function('g', function() end) end)";
    assert!(
        call(&mut luau, late, "f", (&[], &[]))
            .starts_with("-ERR user_function:2: attempt to call a nil value")
    );
}
