//! What must end, and leave nothing behind.

use super::{Small, check, eval_on, line};
use crate::Luau;
use quorate_engine::Stopped;

/// Runs a script, whatever it gives, and then one that must find everything as new.
fn survives(body: &str) -> String {
    survives_within(body, 0)
}

/// The same, with so many more seconds for the script.
fn survives_within(body: &str, seconds: u64) -> String {
    let (mut luau, mut host) = (Luau::new(), Small::new());
    host.until += std::time::Duration::from_secs(seconds);
    let began = std::time::Instant::now();
    let ended = eval_on(&mut luau, &mut host, body, (&[], &[]));
    if began.elapsed().as_millis() > 600 {
        println!("{:?} {body}", began.elapsed());
    }
    assert!(began.elapsed().as_secs() < 5 + seconds, "{body}: {:?}", began.elapsed());
    let probe = "
        local n = 0
        for _ in pairs(_G) do n = n + 1 end
        return {tostring(1), ('x'):rep(2), string.format('%d', 3), #KEYS, #ARGV, n > 30 and 1,
            cjson.encode({1}), pcall(function() return nothing end) == false and 1,
            select(2, pcall(error, 'x')), getmetatable('').__index == string and 1,
            math.floor(1.5), type(redis.call), next({}) == nil and 1,
            loadstring('return 5')(), (getfenv(1) == _G) and 1, x == nil and 0}
    "
    .replace(", x == nil and 0", "");
    let after = eval_on(&mut luau, &mut Small::new(), &probe, (&[], &[]));
    let expect = "['1' 'xx' '3' 0 0 1 '[1]' 1 'x' 1 1 'function' 1 5 1]";
    assert_eq!(after.map(|reply| line(&reply)), Ok(expect.to_owned()), "after {body}");
    ended.map_or_else(|stopped| format!("{stopped:?}"), |reply| line(&reply))
}

/// A script that must be stopped.
fn ends(body: &str, expect: Stopped) {
    assert_eq!(survives(body), format!("{expect:?}"), "{body}");
}

#[test]
fn loops_end() {
    for body in [
        "while true do end",
        "repeat until false",
        "for i = 1, math.huge do end",
        "local function f() return f() end while true do pcall(f) end",
        "while true do pcall(function() while true do end end) end",
        "while true do pcall(pcall, pcall, pcall, error) end",
        "repeat xpcall(function() while true do end end, function() while true do end end) until \
         false",
        "local function h() return xpcall(error, h) end while true do h() end",
        "local c = coroutine.wrap(function() while true do end end) while true do pcall(c) end",
        "while true do local c = coroutine.create(function() while true do end end)
            coroutine.resume(c) end",
        "local function f() return pcall(f) end while true do f() end",
        "while true do pcall(loadstring, 'while true do end') end",
        "local t = setmetatable({}, {__index = function(t, k) return t[k + 1] end})
            while true do pcall(function() return t[1] end) end",
        "local t = setmetatable({}, {__eq = function() while true do end end}) return t == \
         setmetatable({}, getmetatable(t))",
        "table.sort({1, 2, 3, 4}, function() while true do end end)",
        "string.gsub('abc', '.', function() while true do pcall(error) end end)",
        "for _ in function() return 1 end do end",
        "load(function() return ' ' end) while true do end",
        "redis.pcall('GET', 'x') while true do redis.pcall('GET', 'x') end",
    ] {
        ends(body, Stopped::Time);
    }
}

#[test]
fn patterns_end() {
    for body in [
        "return string.find(('a'):rep(28), ('a-'):rep(28) .. 'b')",
        "return string.find(('a'):rep(1e6), ('.-'):rep(150) .. 'b')",
        "while true do pcall(string.find, ('a'):rep(1e5), ('a*'):rep(100) .. 'b') end",
        "return string.match(('x'):rep(1e6), ('[' .. ('y'):rep(1e5) .. ']*'):rep(9) .. 'b')",
        "return string.gsub(('a'):rep(1e5), ('a-'):rep(50) .. 'b', '')",
        "for _ in string.gmatch(('a'):rep(1e5), ('a-'):rep(50) .. 'b') do end",
        "return string.find(('('):rep(1e6), '%b()' )",
    ] {
        let ended = survives(body);
        assert!(ended == "Time" || ended == "nil", "{body}: {ended}");
    }
    check(
        "return string.find(('x'):rep(1e6), ('x?'):rep(1e6))",
        "-ERR user_script:1: pattern too complex*",
    );
    check("return string.find(('a'):rep(3e6), ('a'):rep(1e6) .. 'b')", "nil");
}

#[test]
fn heaps_end() {
    for body in [
        "local s = 'x' while true do s = s .. s end",
        "local s = 'x' for i = 1, 1e9 do s = s .. s .. s end",
        "local t = {} while true do t[#t + 1] = {} end",
        "local t = {} for i = 1, 1e9 do t[i] = i end",
        "return ('x'):rep(1e9)",
        "return ('x'):rep(2^53)",
        "local t = {} for i = 1, 70 do t[i] = ('x'):rep(1e6) .. i end return table.concat(t)",
        "local s = ('x'):rep(1e6) return s:gsub('.', s)",
        "local t = {} for i = 1, 100 do t[i] = ('x'):rep(1e6) end return cjson.encode(t)",
        "local t = {} for i = 1, 100 do t[i] = ('x'):rep(1e6) end return cmsgpack.pack(t)",
        "return struct.pack('c2147483647', 'x')",
        "local c = {} while true do c[#c + 1] = coroutine.create(function() end) end",
    ] {
        assert_eq!(survives_within(body, 10), "Memory", "{body}");
    }
    // What Lua's own heap refuses can be caught; time ends it.
    let caught = survives("local s = 'x' while true do pcall(function() s = s .. s end) end");
    assert!(["Time", "Memory"].contains(&caught.as_str()), "{caught}");
}

#[test]
fn replies_end() {
    for body in [
        "local t = {} for i = 1, 30 do t = {t, t} end return t",
        "local t = {} for i = 1, 60 do t[i] = ('x'):rep(1e6) end return t",
    ] {
        assert_eq!(survives_within(body, 10), "Reply", "{body}");
    }
    let reply = survives("local a = {} local b = {a} a[1] = b return a");
    assert!(reply.contains("-ERR reached lua stack limit"));
}

#[test]
fn depth_ends() {
    for body in [
        "local function f() return 1 + f() end return f()",
        "local function f(n) return (pcall(f, n + 1)) end return tostring(f(1))",
        "local function f() return (string.gsub('a', 'a', f)) end return f()",
        "local function f() local ok, e = pcall(string.gsub, 'a', 'a', f) error(e, 0) end return \
         f()",
        "local function f() return table.sort({3, 2, 1}, f) end return f()",
        "local t = {} for i = 1, 1e5 do t = setmetatable({}, {__index = t}) end return t.x",
        "local c for i = 1, 1e5 do local p = c c = coroutine.wrap(function() if p then p() end \
         end) end return c()",
        "return loadstring('return ' .. ('('):rep(1e5) .. '1' .. (')'):rep(1e5))",
        "return loadstring('return ' .. ('{'):rep(1e5))",
        "return loadstring(('do '):rep(1e5))",
        "return loadstring('return ' .. ('-'):rep(1e5) .. '1')",
        "return loadstring('return 1' .. ('..1'):rep(1e5))",
        "return loadstring('local a = 1 ' .. ('a '):rep(1e5))",
        "return loadstring(('x'):rep(2e6))",
        "return tostring(setmetatable({}, {__tostring = function(t) return tostring(t) end}))",
    ] {
        survives(body);
    }
}

/// What mlua keeps of each value that Rust holds has an end, too, and not a hard one.
#[test]
fn many_values_in_rust_end() {
    for make in ["{}", "'x'"] {
        for count in ["1.2e6"] {
            let table = format!("local t = {{}} for i = 1, {count} do t[i] = {make} end ");
            for give in [
                "redis.call('ECHO', unpack(t))",
                "cmsgpack.pack(unpack(t))",
                "#cjson.encode(t)",
                "#cmsgpack.pack(t)",
                "string.format('x', unpack(t))",
                "bit.band(1, unpack(t))",
                "(string.gsub('a', 'a', function() return unpack(t) end))",
                "{unpack(t)}",
            ] {
                survives_within(&format!("{table} return {give}"), 10);
            }
        }
    }
    survives_within(
        "local t = {} pcall(function() while true do t[#t + 1] = 'x' .. #t end end) return \
         cjson.encode(t)",
        10,
    );
    survives_within(
        "local t = {} pcall(function() while true do t[#t + 1] = 'x' .. #t end end) return \
         bit.band(unpack(t, 1, 5e5))",
        10,
    );
    survives_within(
        "local s, n = {}, 1 pcall(function() while true do s = {s} n = n + 1 end end) return \
         redis.call('ECHO', s, 'x')",
        10,
    );
    survives_within(
        "local s = 'x' pcall(function() while true do s = s .. s end end) return \
         pcall(redis.call, 'ECHO', s)",
        10,
    );
}

#[test]
fn nothing_is_left_behind() {
    for body in [
        "setfenv(0, {})",
        "setfenv(1, {}) x = 1",
        "rawset(getfenv(0), 'tostring', nil)",
        "rawset(getfenv(1), 'x', 1)",
        "rawset(_G, 'x', 1)",
        "_G.x = 1",
        "setmetatable(_G, {})",
        "getmetatable(_G).__index = nil",
        "setfenv(tostring, {})",
        "setfenv(pcall, {})",
        "setfenv(string.gsub, {})",
        "setfenv(redis.call, {})",
        "string.gsub('a', 'a', function() for i = 1, 9 do pcall(setfenv, i, {}) end end)",
        "pcall(function() for i = 1, 9 do pcall(setfenv, i, {}) end end)",
        "for i = 1, 9 do pcall(rawset, getfenv(i), 'x', 1) end",
        "string.rep = nil",
        "rawset(string, 'rep', nil)",
        "getmetatable('').__index = {}",
        "setmetatable('', {})",
        "rawset(getmetatable(''), '__index', nil)",
        "table.insert(redis, 1)",
        "table.remove(_G)",
        "table.sort(_G)",
        "for k in pairs(_G) do pcall(rawset, _G, k, nil) end",
        "for _, t in pairs(_G) do if type(t) == 'table' then for k in pairs(t) do
            pcall(rawset, t, k, nil) end pcall(setmetatable, t, {}) end end",
        "cjson.encode_number_precision(1) cjson.encode_max_depth(1) cjson.decode_max_depth(1)",
        "redis.setresp(3)",
        "math.randomseed(5)",
        "KEYS = 1",
        "KEYS.x = 1 ARGV.y = 2",
        "local f = newproxy(true) getmetatable(f).__gc = function() while true do end end f = nil
            for i = 1, 1e5 do local t = {} end",
        "setmetatable({}, {__gc = function() while true do end end}) collectgarbage()",
        "coroutine.wrap(function() setfenv(0, {}) end)()",
        "coroutine.wrap(function() setfenv(1, {}) end)()",
        "error(setmetatable({}, {__index = function() while true do end end}))",
        "error(setmetatable({}, {__tostring = function() error('x') end}))",
        "xpcall(error, error)",
    ] {
        survives(body);
    }
    for body in [
        "setfenv(0, {})",
        "setfenv(tostring, {})",
        "rawset(getfenv(0), 'x', 1)",
        "setmetatable(_G, {})",
        "string.x = 1",
        "rawset(string, 'rep', nil)",
        "getmetatable('').__index = 1",
        "table.insert(redis, 1)",
        "cjson.encode = 1",
        "table.sort(setmetatable(_G, nil))",
        "KEYS = {}",
    ] {
        check(body, "-ERR *");
    }
}

#[test]
fn a_script_finds_its_environment_anew() {
    let (mut luau, mut host) = (Luau::new(), Small::new());
    let script = "
        local seen = rawget(getfenv(1), 'mark')
        local function inner() return rawget(getfenv(1), 'mark') end
        local also = inner()
        setfenv(inner, {mark = 'inner', getfenv = getfenv, rawget = rawget})
        setfenv(1, {mark = 'left', setfenv = setfenv})
        return {seen or 'none', also or 'none'}
    ";
    for _ in 0..3 {
        let reply = eval_on(&mut luau, &mut host, script, (&[], &[]));
        assert_eq!(line(&reply.unwrap()), "['none' 'none']");
    }
}

/// One per published flaw of Redis's scripting.
#[test]
fn published_flaws_are_not_here() {
    // CVE-2014-5461, CVE-2021-32626: varargs, many arguments, deep results.
    survives("local function f(...) return select('#', ...) end return f(unpack({}, 1, 1e5))");
    survives("return {unpack({}, 1, 1e7)}");
    survives("return redis.call('GET', unpack({}, 1, 1e5))");
    survives(
        "local t = {} for i = 1, 250000 do t[i] = 'x' end return redis.call('ECHO', unpack(t))",
    );
    // CVE-2015-4335: bytecode.
    check(
        "return loadstring(string.dump(function() return 1 end))()",
        "-ERR user_script:1: attempt to call a nil value script: *",
    );
    check("return tostring(loadstring('\\27Lua\\81\\0'))", "'nil'");
    check("return tostring(loadstring('\\3\\0\\0\\0\\0'))", "'nil'");
    // CVE-2015-8080, CVE-2018-11219, CVE-2020-14147: sizes.
    check("return struct.pack('I2147483648', 1)", "-ERR user_script:1: integral size overflow*");
    check(
        "return struct.pack('I2147483647', 1)",
        "-ERR user_script:1: integral size 2147483647 is larger than limit of 32*",
    );
    check(
        "return struct.unpack('c0', 'x')",
        "-ERR user_script:1: format 'c0' needs a previous size*",
    );
    check(
        "return struct.unpack('bc0', '\\255')",
        "-ERR user_script:1: bad argument #2 to 'unpack' (data string too short)*",
    );
    check(
        "return struct.unpack('c2147483647', 'x', 2147483647)",
        "-ERR user_script:1: bad argument #2*",
    );
    check(
        "return struct.unpack('b', 'x', -9223372036854775808)",
        "-ERR user_script:1: bad argument #3*",
    );
    // CVE-2018-11218, CVE-2022-24834: many arguments, huge strings, nesting.
    survives("local t = {} for i = 1, 7000 do t[i] = i end return #cmsgpack.pack(unpack(t))");
    survives("return #cjson.encode(('\\1'):rep(1e7))");
    survives("local t = {} for i = 1, 1e5 do t = {t} end return cmsgpack.pack(t)");
}

#[test]
fn more_published_flaws_are_not_here() {
    // CVE-2022-0543: what leads out.
    for name in [
        "package", "require", "io", "debug", "dofile", "loadfile", "print", "buffer", "bit32",
        "utf8", "vector", "typeof",
    ] {
        check(
            &format!("return {name}"),
            &format!(
                "-ERR user_script:1: Script attempted to access nonexistent global variable \
                 '{name}' script: *"
            ),
        );
    }
    check("return os.execute", "nil");
    check("local n = 0 for k in pairs(os) do n = n + 1 end return n", "1");
    for name in [
        "table.move",
        "table.create",
        "table.clear",
        "table.freeze",
        "table.clone",
        "table.find",
        "table.pack",
        "table.unpack",
        "string.split",
        "string.pack",
        "string.dump",
        "math.clamp",
        "math.round",
        "math.noise",
        "math.sign",
        "coroutine.close",
    ] {
        check(&format!("return {name}"), "nil");
    }
    // CVE-2022-24735, CVE-2025-46818: `nothing_is_left_behind`.
    // CVE-2022-24736: crafted source; `sources_do_no_harm`.
    // CVE-2024-31449
    check("return bit.tohex(1, -2147483648)", "'00000001'");
    // CVE-2024-46981, CVE-2025-49844: the collector; there are no finalizers.
    survives("for i = 1, 200 do loadstring('return \"' .. ('x'):rep(1000) .. i .. '\"') end");
    // CVE-2025-46817
    for bounds in [
        "0, 2147483647",
        "-2147483648, 2147483647",
        "-2, 2147483647",
        "1, 1e9",
        "2147483647, 2147483647",
        "-2147483648, -2",
    ] {
        survives(&format!("return {{unpack({{}}, {bounds})}}"));
    }
    // CVE-2025-46819: long brackets.
    survives("return loadstring('return [' .. ('='):rep(1e6) .. '[x')");
    survives("return loadstring('--[' .. ('='):rep(1e6) .. '[')");
}

#[test]
fn sources_do_no_harm() {
    use quorate_engine::Interpreter;
    // Pieces of Lua in an order that a small generator chooses; what they mean is all one.
    let pieces = [
        "local ",
        "function ",
        "end ",
        "(",
        ")",
        "{",
        "}",
        "[[",
        "]]",
        "\"",
        "x",
        "= ",
        "1e",
        "0x",
        "..",
        "...",
        "--",
        "--[[",
        "\\",
        "\n",
        "\0",
        "if ",
        "then ",
        "for ",
        "in ",
        "do ",
        "return ",
        "goto ",
        "::",
        "%",
        "#",
        "`",
        "é",
        "~=",
        "<",
        "continue ",
    ];
    let mut luau = Luau::new();
    let mut random = 1_u64;
    for _ in 0..3_000 {
        let mut source = String::new();
        for _ in 0..20 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            source.push_str(pieces[(random >> 33) as usize % pieces.len()]);
        }
        let _ = luau.check(source.as_bytes());
    }
    assert_eq!(luau.check(b"return 1"), Ok(()));
}
