//! `cjson`, `cmsgpack`, `struct`, `bit`.

use super::check;

#[test]
fn json_is_written() {
    check(
        "return cjson.encode({1, 2.5, 'x', true, {}})",
        r"'[1,2.5,\'x\',true,{}]'".replace(r"\'x\'", "\\\"x\\\"").as_str(),
    );
    check("return cjson.encode({a=cjson.null})", "'{\\\"a\\\":null}'");
    check(
        "return cjson.encode('a/b\\n\\1\\127\"')",
        "'\\\"a\\\\/b\\\\n\\\\u0001\\\\u007f\\\\\\\"\\\"'",
    );
    check("return cjson.encode({[1]=1, [3]=3})", "'[1,null,3]'");
    check(
        "return cjson.encode({[1]=1, [100]=3})",
        "-ERR user_script:1: Cannot serialise table: excessively sparse array*",
    );
    check("cjson.encode_sparse_array(true) return cjson.encode({[100]=3})", "'{\\\"100\\\":3}'");
    check(
        "return cjson.encode(1/0)",
        "-ERR user_script:1: Cannot serialise number: must not be NaN or Inf*",
    );
    check(
        "return cjson.encode(function() end)",
        "-ERR user_script:1: Cannot serialise function: type not supported*",
    );
    check("return cjson.encode(1/3)", "'0.33333333333333'");
    check("cjson.encode_number_precision(3) return cjson.encode(1/3)", "'0.333'");
    check("return cjson.encode(9007199254740991)", "'9.007199254741e+15'");
    check(
        "local t = {} for i = 1, 2000 do t = {t} end return cjson.encode(t)",
        "-ERR user_script:1: Cannot serialise, excessive nesting (1001)*",
    );
    check(
        "local t = {} t[1] = t cjson.encode_max_depth(2147483647) return cjson.encode(t)",
        "-ERR user_script:1: Cannot serialise, excessive nesting (2601)*",
    );
    check(
        "local j = cjson.new() j.encode_number_precision(2) return {cjson.encode(1/3), \
         j.encode(1/3)}",
        "['0.33333333333333' '0.33']",
    );
}

#[test]
fn json_is_read() {
    check("return cjson.decode('[1, 2, [3, \"x\"], 1e2]')", "[1 2 [3 'x'] 100]");
    check("return cjson.decode('{\"a\": {\"b\": [true]}}').a.b", "[1]");
    check("return cjson.decode('null') == cjson.null", "1");
    check("return cjson.decode('[]')", "[]");
    check("return cjson.decode('{}')", "[]");
    check(
        "return cjson.decode('\"\\\\u00e9\\\\ud83d\\\\ude00\\\\n\"')",
        "'\\xc3\\xa9\\xf0\\x9f\\x98\\x80\\n'",
    );
    check("return tostring(cjson.decode('-1.5e3'))", "'-1500'");
    check("return cjson.decode('0x10')", "16");
    check("return cjson.decode('[0x1.8p2, -0x1f1.]')", "[6 -497]");
    check(
        "return cjson.decode('[1,]')",
        "-ERR user_script:1: Expected value but found T_ARR_END at character 4*",
    );
    check(
        "return cjson.decode('{1:2}')",
        "-ERR user_script:1: Expected object key string but found T_NUMBER at character 2*",
    );
    check(
        "return cjson.decode('{\"a\" 1}')",
        "-ERR user_script:1: Expected colon but found T_NUMBER at character 6*",
    );
    check(
        "return cjson.decode('[1 2]')",
        "-ERR user_script:1: Expected comma or array end but found T_NUMBER at character 4*",
    );
    check(
        "return cjson.decode('x')",
        "-ERR user_script:1: Expected value but found invalid token at character 1*",
    );
    check(
        "return cjson.decode('\"abc')",
        "-ERR user_script:1: Expected value but found unexpected end of string at character 5*",
    );
    check(
        "return cjson.decode('1 2')",
        "-ERR user_script:1: Expected the end but found T_NUMBER at character 3*",
    );
    check(
        "return cjson.decode(('['):rep(2000))",
        "-ERR user_script:1: Found too many nested data structures (1001) at character 1001*",
    );
    check(
        "cjson.decode_max_depth(1e9) return cjson.decode(('['):rep(200000))",
        "-ERR user_script:1: Found too many nested data structures (2601)*",
    );
    check(
        "return cjson.encode(cjson.decode('{\"a\":[1,{\"b\":null},\"c\"]}'))",
        "'{\\\"a\\\":[1,{\\\"b\\\":null},\\\"c\\\"]}'",
    );
}

#[test]
fn msgpack_goes_both_ways() {
    check(
        "return cmsgpack.pack(1, -1, 200, 70000, 1.5, 'a', true, nil)",
        "'\\x01\\xff\\xcc\\xc8\\xce\\x00\\x01\\x11p\\xca?\\xc0\\x00\\x00\\xa1a\\xc3\\xc0'",
    );
    check("return cmsgpack.pack({1, 2, {a=1}})", "'\\x93\\x01\\x02\\x81\\xa1a\\x01'");
    check("return cmsgpack.pack({})", "'\\x90'");
    check(
        "return {cmsgpack.unpack(cmsgpack.pack(1, -1, 200, 70000, -40000, -3e9, 3e9, 9e15, 'a', \
         true))}",
        "[1 -1 200 70000 -40000 -3000000000 3000000000 9000000000000000 'a' 1]",
    );
    check("return cmsgpack.unpack(cmsgpack.pack({1, {x={2}}}))[2].x", "[2]");
    check("return tostring(cmsgpack.unpack(cmsgpack.pack(0.1)))", "'0.1'");
    check("return {cmsgpack.unpack_one(cmsgpack.pack(1, 2, 3), 1)}", "[2 2]");
    check("return {cmsgpack.unpack_limit(cmsgpack.pack(1, 2, 3), 2)}", "[2 1 2]");
    check("return {cmsgpack.unpack_limit(cmsgpack.pack(1, 2, 3), 5)}", "[-1 1 2 3]");
    check(
        "return cmsgpack.unpack('\\219\\255\\255\\255\\255x')",
        "-ERR user_script:1: Missing bytes in input.*",
    );
    check("return cmsgpack.unpack('\\193')", "-ERR user_script:1: Bad data format in input.*");
    check(
        "return cmsgpack.unpack_one('a', 10)",
        "-ERR user_script:1: Start offset 10 greater than input length 1.*",
    );
    check(
        "return cmsgpack.unpack_one('a', -1)",
        "-ERR user_script:1: Invalid request to unpack with offset of -1 and limit of 1.*",
    );
    check(
        "return cmsgpack.pack()",
        "-ERR user_script:1: bad argument #0 to 'pack' (MessagePack pack needs input.)*",
    );
    check("local t = {} t[1] = t return #cmsgpack.pack(t)", "17");
    check("return cmsgpack.unpack(('\\145'):rep(100000))", "-ERR user_script:1: stack overflow*");
    check("return cmsgpack.unpack(('a'):rep(100000))", "-ERR user_script:1: stack overflow*");
    check("return cmsgpack.unpack('\\129\\192\\1')", "-ERR user_script:1: table index is nil*");
}

#[test]
fn structs_go_both_ways() {
    check("return struct.pack('HH', 1, 2)", "'\\x01\\x00\\x02\\x00'");
    check("return struct.pack('>HH', 1, 2)", "'\\x00\\x01\\x00\\x02'");
    check("return struct.pack('!4bi', 1, 2)", "'\\x01\\x00\\x00\\x00\\x02\\x00\\x00\\x00'");
    check("return struct.pack('sc2', 'ab', 'xyz')", "'ab\\x00xy'");
    check("return {struct.unpack('>Hbs', '\\1\\2\\255ab\\0')}", "[258 -1 'ab' 7]");
    check("return {struct.unpack('bc0', '\\2abc')}", "['ab' 4]");
    check("return tostring(struct.unpack('d', struct.pack('d', 0.1)))", "'0.1'");
    check("return struct.size('!8bd')", "16");
    check(
        "return struct.size('s')",
        "-ERR user_script:1: bad argument #1 to 'size' (option 's' has no fixed size)*",
    );
    check(
        "return struct.pack('c5', 'abc')",
        "-ERR user_script:1: bad argument #3 to 'pack' (string too short)*",
    );
    check(
        "return struct.unpack('i', 'abc')",
        "-ERR user_script:1: bad argument #2 to 'unpack' (data string too short)*",
    );
    check(
        "return struct.unpack('b', 'abc', 0)",
        "-ERR user_script:1: bad argument #3 to 'unpack' (offset must be 1 or greater)*",
    );
    check("return struct.pack('!3i', 1)", "-ERR user_script:1: alignment 3 is not a power of 2*");
    check(
        "return struct.pack('q', 1)",
        "-ERR user_script:1: bad argument #1 to 'pack' (invalid format option 'q')*",
    );
    check("return #struct.pack('i32', -1)", "32");
}

#[test]
fn bits_are_32() {
    check("return bit.tobit(0xffffffff)", "-1");
    check("return bit.bnot(0)", "-1");
    check("return {bit.band(12, 10, 8), bit.bor(1, 2, 4), bit.bxor(5, 3)}", "[8 7 6]");
    check(
        "return {bit.lshift(1, 31), bit.rshift(-1, 28), bit.arshift(-256, 4), bit.lshift(1, 33)}",
        "[-2147483648 15 -16 2]",
    );
    check(
        "return {bit.rol(0x12345678, 12), bit.ror(1, 1), bit.bswap(1)}",
        "[1164411171 -2147483648 16777216]",
    );
    check(
        "return {bit.tohex(255), bit.tohex(255, 2), bit.tohex(-1, -4), bit.tohex(1, -2147483648)}",
        "['000000ff' 'ff' 'FFFF' '00000001']",
    );
    check(
        "return bit.band('x')",
        "-ERR user_script:1: bad argument #1 to 'band' (number expected, got string)*",
    );
}
