//! The same expressions here and on a real Redis, where one is installed.

use super::{Small, eval_on};
use crate::Luau;
use bytes::BytesMut;
use quorate_resp::{Proto, decode_reply};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A server that ends with the test.
struct Redis {
    child: Child,
    stream: TcpStream,
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Redis {
    /// `None`: there is none here.
    fn start() -> Option<Self> {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""])
            .stdout(Stdio::null())
            .spawn();
        let mut child = child.ok()?;
        let until = Instant::now() + Duration::from_secs(10);
        loop {
            if let Ok(stream) = TcpStream::connect(("127.0.0.1", port)) {
                return Some(Redis { child, stream });
            }
            if Instant::now() > until {
                let _ = child.kill();
                panic!("redis-server does not answer");
            }
            std::thread::yield_now();
        }
    }

    fn eval(&mut self, script: &str) -> Vec<u8> {
        let request = format!("*3\r\n$4\r\nEVAL\r\n${}\r\n{script}\r\n$1\r\n0\r\n", script.len());
        self.stream.write_all(request.as_bytes()).unwrap();
        let (mut reply, mut part) = (Vec::new(), [0; 4096]);
        loop {
            let read = self.stream.read(&mut part).unwrap();
            assert!(read > 0, "the server hung up at {script}");
            reply.extend_from_slice(&part[..read]);
            if decode_reply(&reply).unwrap().is_some() {
                return reply;
            }
        }
    }
}

/// Says what a value is, tables in the order of their keys.
const SHOW: &str = "local function show(v)
        if type(v) ~= 'table' then
            if type(v) == 'userdata' or type(v) == 'function' then return type(v) end
            return type(v) .. ':' .. tostring(v)
        end
        local parts = {}
        for k, w in pairs(v) do parts[#parts + 1] = show(k) .. '=' .. show(w) end
        table.sort(parts)
        return '{' .. table.concat(parts, ' ') .. '}'
    end
    local function all(...)
        local parts = {}
        for i = 1, select('#', ...) do parts[i] = show((select(i, ...))) end
        return table.concat(parts, ' ')
    end ";

const VALUES: &[&str] = &[
    "nil",
    "true",
    "0",
    "1",
    "-1",
    "2",
    "3.7",
    "''",
    "'abc'",
    "'10'",
    "' 7 '",
    "'a b c'",
    "'%d'",
    "'(%w)'",
    "{}",
    "{1,2,3}",
    "{a=1}",
    "{1,nil,3}",
];

const ONE: &[&str] = &[
    "type",
    "tostring",
    "tonumber",
    "string.len",
    "string.upper",
    "string.lower",
    "string.reverse",
    "string.byte",
    "string.char",
    "math.abs",
    "math.ceil",
    "math.floor",
    "math.sqrt",
    "math.exp",
    "math.log10",
    "math.modf",
    "math.frexp",
    "table.getn",
    "table.maxn",
    "table.concat",
    "unpack",
    "cjson.encode",
    "cjson.decode",
    "cmsgpack.pack",
    "cmsgpack.unpack",
    "struct.size",
    "bit.tobit",
    "bit.bnot",
    "bit.tohex",
    "bit.bswap",
    "redis.sha1hex",
    "redis.error_reply",
    "redis.status_reply",
    "next",
    "string.format",
    "loadstring",
    "#",
];

const TWO: &[&str] = &[
    "string.find",
    "string.match",
    "string.rep",
    "string.sub",
    "string.format",
    "string.byte",
    "table.concat",
    "rawget",
    "rawequal",
    "select",
    "tonumber",
    "math.max",
    "math.fmod",
    "math.pow",
    "math.mod",
    "struct.pack",
    "struct.unpack",
    "bit.band",
    "bit.lshift",
    "bit.rol",
    "bit.tohex",
    "cmsgpack.unpack_one",
];

const OTHERS: &[&str] = &[
    "string.gsub('hello world', '(o)', '<%1>')",
    "string.gsub('abc', '%w', '%%%0')",
    "string.gsub('abc', 'b', {b=false})",
    "string.gsub('abc', '', 'x')",
    "string.find('a\\nb', '.-b')",
    "string.match('x=1,y=2', '(%w)=(%w),(%w)')",
    "string.match('  trim  ', '^%s*(.-)%s*$')",
    "string.find('abc', 'b', -1)",
    "string.find('', '')",
    "string.find('abc', '', 4)",
    "string.find('abc', '', 5)",
    "string.gsub('abc', '.', '%1')",
    "string.gsub('a.b', '%.', '%')",
    "string.format('%5.2f|%-8s|%+d|%x|%e|%g|%c', 3.14159, 'ab', 7, 255, 1e10, 1e-10, 65)",
    "string.format('%q', 'a\\n\\0\"\\\\')",
    "string.format('%10.4s|', 'abcdefgh')",
    "string.format('%#o %#x %05d %-5d| % d', 8, 255, -42, 42, 5)",
    "string.format('%i %u', 3.9, 7)",
    "string.format('%s %s', 1, 1.5)",
    "string.format('%.3g %.10g %G', 1234567, 0.1, 1e-20)",
    "pcall(error)",
    "pcall(error, {err='x'})",
    "pcall(error, {code=1})",
    "pcall(error, 'x', 0)",
    "select('#')",
    "select('#', nil, nil)",
    "select(-1, 1, 2)",
    "tostring(2^53)",
    "2^63",
    "-2^63",
    "1e100",
    "tostring(1e14)",
    "tostring(123456789012345)",
    "10 % 3",
    "-10 % 3",
    "10 % -3",
    "5.5 % 2",
    "'10' + 5",
    "'0x10' + 0",
    "10 .. 20",
    "#'abc'",
    "1 < 2",
    "'a' < 'b'",
    "math.random(1, 1)",
    "math.log(8)",
    "math.log(8, 2)",
    "tonumber('1e1')",
    "tonumber('z', 36)",
    "tonumber('7', 8)",
    "tonumber('8', 8)",
    "tonumber('')",
    "tonumber('0x')",
    "table.concat({1, 2, 3}, ', ', 2, 3)",
    "unpack({1, 2, 3}, 2)",
    "unpack({1, 2, 3}, -1, 1)",
    "cjson.encode({1, 2, {a = {}}})",
    "cjson.encode('\\0\\1\\31 /\"')",
    "cjson.encode(1e20)",
    "cjson.decode('{\"a\":[1,2.5,null,true],\"b\":\"\\\\u0041\"}')",
    "cjson.decode('[1e400]')",
    "cjson.decode('[nan]')",
    "cjson.decode('[0x1F, +1]')",
    "cjson.decode('[01]')",
    "cjson.decode('{\"a\":1')",
    "cjson.decode('[1,,2]')",
    "cjson.decode('\"\\\\x\"')",
    "cjson.decode('\"\\\\ud800\"')",
    "cjson.encode_sparse_array()",
    "cjson.encode_max_depth()",
    "cjson.encode_invalid_numbers()",
    "cjson.encode_number_precision(20)",
    "cjson.encode()",
    "cmsgpack.unpack(cmsgpack.pack({1, {a = 'b'}, 1.5, -70000, 2^40, true}))",
];

#[test]
fn redis_says_the_same() {
    let Some(mut redis) = Redis::start() else { return };
    let mut expressions: Vec<String> = OTHERS.iter().map(ToString::to_string).collect();
    for function in ONE {
        expressions.extend(VALUES.iter().map(|value| format!("{function}({value})")));
        expressions.push(format!("{function}()"));
    }
    for function in TWO {
        for one in VALUES {
            expressions.extend(VALUES.iter().map(|other| format!("{function}({one}, {other})")));
        }
    }
    let mut luau = Luau::new();
    let (mut texts, mut differ) = (0, Vec::new());
    for expression in &expressions {
        let script = format!("{SHOW} return all({expression})");
        let theirs = redis.eval(&script);
        let ours = eval_on(&mut luau, &mut Small::new(), &script, (&[], &[]));
        let mut encoded = BytesMut::new();
        // Redis cuts a count to 32 bits; here too large a one ends the script.
        let Ok(ours) = ours else { continue };
        ours.encode(Proto::Resp2, &mut encoded);
        // An address, and what a compiler says, are their own.
        let own = [&b"string:table: 0x"[..], b"string:[string "];
        let is_own = own.iter().any(|own| memchr::memmem::find(&theirs, own).is_some());
        if encoded == theirs || is_own {
            continue;
        }
        let [ours, theirs] = [&encoded[..], &theirs].map(|reply| reply.escape_ascii().to_string());
        if ours.starts_with('-') && theirs.starts_with('-') {
            texts += 1;
            continue;
        }
        differ.push(format!("{expression}\n  ours   {ours}\n  theirs {theirs}"));
    }
    println!("{} of {}, and {texts} in their error's text", differ.len(), expressions.len());
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}

/// Draws from a list, always the same.
struct Draw(u64);

impl Draw {
    fn number(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) as usize % below
    }

    /// Some pieces, one behind the other, as a literal of Lua's.
    fn text(&mut self, pieces: &[&str], most: usize) -> String {
        let count = self.number(most) + 1;
        let text: String = (0..count).map(|_| pieces[self.number(pieces.len())]).collect();
        let text = text.replace('\\', "\\\\").replace('\n', "\\n").replace('\'', "\\'");
        format!("'{text}'")
    }
}

const TEXTS: &[&str] = &["a", "b", "ab", "(", ")", "1", "12", " ", "x", "=", "-", "\n", "A"];
const PATTERNS: &[&str] = &[
    "a", "b", ".", "%a", "%d", "%w", "%s", "%S", "%p", "[ab]", "[^a]", "[a-c]", "[%d%a]", "[]a]",
    "(", ")", "()", "(a)", "(.-)", "*", "+", "-", "?", "^", "$", "%1", "%b()", "%f[%w]", "%", "[",
    "]", "%%", "%z", "%u", "%x",
];
const REPLACEMENTS: &[&str] = &["%1", "%0", "x", "%%", "%2", "%", "-", "%a"];
const JSONS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "\"a\"",
    "\"b\":",
    "1",
    "-2.5e3",
    "true",
    "null",
    " ",
    "nul",
    "01",
    "\"\\u00e9\"",
    "0x1f",
    "inf",
    "nan",
    "+1",
    "1.",
    ".5",
    "\"\\",
    "\"",
    "-",
    "[1]",
    "{}",
    "\"\\ud800\\udc00\"",
    "\"\\udc00\"",
    "1e5",
    "1e",
    "-inf",
    "false",
    "\n",
];
const FORMATS: &[&str] = &[
    "%d", "%5d", "%-5d", "%05d", "%+d", "% d", "%.3d", "%x", "%#X", "%o", "%u", "%c", "%e", "%.0e",
    "%f", "%8.2f", "%-8.1f", "%+f", "%08.3f", "%g", "%.3g", "%#g", "%G", "%s", "%5s", "%.2s", "%q",
    "%%", "%i", "a", "%123d", "%.123f", "%-+ #0d", "%#.3x", "%#08x", "%+.3d", "%E",
];
const STRUCTS: &[&str] = &[
    "<", ">", "!", "!4", "!8", "b", "B", "h", "H", "i", "I", "i3", "I5", "l", "L", "T", "f", "d",
    "x", "s", "c0", "c2", " ", "i16", "bc0",
];
const PACKED: &[&str] = &[
    "\\0", "\\1", "\\127", "\\129", "\\145", "\\146", "\\161", "a", "\\192", "\\194", "\\195",
    "\\202", "\\203", "\\204", "\\205", "\\208", "\\209", "\\210", "\\211", "\\217", "\\220",
    "\\222", "\\224", "\\255", "\\193",
];

#[test]
fn redis_says_the_same_of_what_is_drawn() {
    let Some(mut redis) = Redis::start() else { return };
    let (mut draw, mut luau, mut differ) = (Draw(1), Luau::new(), Vec::new());
    for _ in 0..1_500 {
        let text = draw.text(TEXTS, 8);
        let pattern = draw.text(PATTERNS, 6);
        let replacement = draw.text(REPLACEMENTS, 3);
        let packed = draw.text(PACKED, 6).replace("\\\\", "\\");
        let (format, number) = (draw.text(FORMATS, 2), draw.number(100_000) as f64 / 7.0 - 5e3);
        let (layout, json) = (draw.text(STRUCTS, 5), draw.text(JSONS, 7));
        for call in [
            format!("string.find, {text}, {pattern}"),
            format!("string.match, {text}, {pattern}, 2"),
            format!("string.gsub, {text}, {pattern}, {replacement}"),
            format!("string.gsub, {text}, {pattern}, function(...) return select('#', ...) end"),
            format!(
                "function() local t = {{}} for a, b in string.gmatch({text}, {pattern}) do \
                     t[#t + 1] = show(a) .. show(b) end return table.concat(t, ',') end"
            ),
            format!("cjson.decode, {json}"),
            format!("string.format, {format}, {number}, {text}"),
            format!("string.format, {format}, {text}, {number}"),
            format!("struct.pack, {layout}, {number}, 2, -3, 'ab', 'cdef', 1.5"),
            format!(
                "struct.unpack, {layout}, '\\1\\2\\3\\0\\5\\255\\254\\9ab\\0\\1\\2\\3\\4\\5\\6'"
            ),
            format!("struct.size, {layout}"),
            format!("cmsgpack.unpack, {packed}"),
        ] {
            let script = format!("{SHOW} return all(pcall({call}))");
            let theirs = redis.eval(&script);
            let ours = eval_on(&mut luau, &mut Small::new(), &script, (&[], &[]));
            let mut encoded = BytesMut::new();
            ours.unwrap().encode(Proto::Resp2, &mut encoded);
            let [ours, theirs] =
                [&encoded[..], &theirs].map(|reply| reply.escape_ascii().to_string());
            let failed = |reply: &str| reply.contains("boolean:false string:");
            if ours != theirs && !(failed(&ours) && failed(&theirs)) {
                differ.push(format!("{call}\n  ours   {ours}\n  theirs {theirs}"));
            }
        }
    }
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}
