//! Values, errors, and what is there.

use super::{Small, check, eval_on, line};
use crate::Luau;

#[test]
fn results_become_replies() {
    check("return 1", "1");
    check("return 3.99", "3");
    check("return -3.99", "-3");
    check("return 'a'", "'a'");
    check("return true", "1");
    check("return false", "nil");
    check("return nil", "nil");
    check("return", "nil");
    check("return {1, 'a', {2}, nil, 3}", "[1 'a' [2]]");
    check("return {ok='fine'}", "+fine");
    check("return {err='My Err'}", "-My Err");
    check("return {double=1.5}", "Double(1.5)");
    check("return {map={a=1}}", "map('a'=1)");
    check("return {set={a=true}}", "set('a')");
    check("return {big_number='12\\r\\n3'}", "BigNumber(\"12  3\")");
    check("redis.setresp(3); return true", "Bool(true)");
    check("return function() end", "nil");
}

#[test]
fn replies_become_values() {
    check("return redis.call('ECHO', 1.5)", "'1.5'");
    check("return redis.call('ECHO', 10)", "'10'");
    check("return redis.call('ECHO', 0.1)", "'0.1'");
    check("return redis.call('SET', 'a', 'b').ok", "'OK'");
    check("return redis.call('INT') + 1", "8");
    check("return redis.call('NIL') == false", "1");
    check("redis.setresp(3); return redis.call('NIL') == nil", "Bool(true)");
    check("return redis.call('DOUBLE')", "'1.5'");
    check("redis.setresp(3); return redis.call('DOUBLE').double * 2", "3");
    check("redis.setresp(3); return redis.call('BOOL')", "Bool(true)");
    check("return redis.call('BOOL')", "1");
    check("redis.setresp(3); return redis.call('BIG').big_number", "'123'");
    check("redis.setresp(3); return redis.call('TEXT').verbatim_string.format", "'txt'");
    check("return redis.call('SETOF')", "['a']");
    check("redis.setresp(3); return redis.call('SETOF').set.a", "Bool(true)");
    check("return redis.call('MAP')", "['a' 1]");
    check("redis.setresp(3); return redis.call('MAP').map.a", "1");
    check("return redis.call('PAIRS')", "['a' '2']");
    check(
        "local l = redis.call('LIST'); return {#l, l[1], tostring(l[2]), l[3]}",
        "[3 1 'false' 'x']",
    );
}

#[test]
fn errors_look_as_in_redis() {
    check(
        "return redis.call('WRONG')",
        "-WRONGTYPE Operation against a key holding the wrong kind of value script: *",
    );
    check(
        "return redis.pcall('WRONG')",
        "-WRONGTYPE Operation against a key holding the wrong kind of value",
    );
    check("local ok, e = pcall(redis.call, 'WRONG'); return e", "'WRONGTYPE Operation against*");
    check("return redis.pcall('WRONG').err", "'WRONGTYPE Operation against*");
    check(
        "return redis.call()",
        "-ERR Please specify at least one argument for this redis lib call script: *",
    );
    check(
        "return redis.call('ECHO', {})",
        "-ERR Lua redis lib command arguments must be strings or integers script: *",
    );
    check("\n\nerror('x')", "-ERR user_script:3: x script: *");
    check("error({err='CODE x'})", "-CODE x script: *");
    check(
        "return a",
        "-ERR user_script:1: Script attempted to access nonexistent global variable 'a' script: *",
    );
    check("a = 1", "-ERR user_script:1: Attempt to modify a readonly table script: *");
    check("return x(", "-ERR Error compiling script (new function): user_script:1: *");
    check("return redis.error_reply('MY_ERR_CODE custom msg')", "-MY_ERR_CODE custom msg");
    check("return redis.error_reply('')", "-ERR ");
    check("return redis.error_reply('oops')", "-ERR oops");
    check("error(redis.error_reply('X\\r\\n+INJECTED'))", "-ERR X  +INJECTED*");
    check("return redis.status_reply('fine')", "+fine");
    check("return redis.acl_check_cmd('set','yy',1)", "nil");
    check(
        "return redis.acl_check_cmd('nope')",
        "-ERR Invalid command passed to redis.acl_check_cmd()*",
    );
}

#[test]
fn keys_and_arguments_are_globals() {
    let (mut luau, mut host) = (Luau::new(), Small::new());
    let script = "redis.call('SET', KEYS[1], ARGV[1]); return redis.call('GET', KEYS[1])";
    for value in [&b"one"[..], b"two\0"] {
        let reply = eval_on(&mut luau, &mut host, script, (&[b"k"], &[value]));
        assert_eq!(reply, Ok(quorate_resp::Reply::bulk(value)));
    }
    let reply = eval_on(&mut luau, &mut host, "return {#KEYS, #ARGV}", (&[b"k"], &[]));
    assert_eq!(line(&reply.unwrap()), "[1 0]");
}

#[test]
fn what_a_caller_gives_is_not_of_the_budget() {
    let large = vec![b'x'; 80 << 20];
    let script = "return #ARGV[1]";
    let reply = eval_on(&mut Luau::new(), &mut Small::new(), script, (&[], &[&large]));
    assert_eq!(reply.map(|reply| line(&reply)), Ok((80 << 20).to_string()));
}

#[test]
fn logs_reach_the_host() {
    let mut host = Small::new();
    let script = "redis.log(redis.LOG_NOTICE, 'a', 1, 'b')";
    eval_on(&mut Luau::new(), &mut host, script, (&[], &[])).unwrap();
    assert_eq!(host.logged, [(quorate_engine::LogLevel::Notice, b"a 1 b".to_vec())]);
}
