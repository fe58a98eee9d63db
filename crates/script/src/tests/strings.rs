//! Patterns, formats, and numbers as text.

use super::check;

#[test]
fn patterns_are_those_of_5_1() {
    check("return {string.find('hello', 'l+')}", "[3 4]");
    check("return {string.find('hello', '')}", "[1 0]");
    check("return {string.find('abc', '', 10)}", "[4 3]");
    check("return {string.find('a.b', '.', 1, true)}", "[2 2]");
    check("return {string.find('hello', '(l)(l)')}", "[3 4 'l' 'l']");
    check("return {string.match('key=value', '(%w+)=(%w+)')}", "['key' 'value']");
    check("return {string.match('  x  ', '^%s*(.-)%s*$')}", "['x']");
    check("return {string.match('abc', '()b()')}", "[2 3]");
    check("return {string.match('THE (quick) fox', '%((%a+)%)')}", "['quick']");
    check("return {string.match('f(a(b)c)d', '%b()')}", "['(a(b)c)']");
    check("return {string.gsub('THE (quick) fox', '%f[%a]%a+', 'x')}", "['x (x) x' 3]");
    check("return {string.gsub('hello', 'l', {l='L'})}", "['heLLo' 2]");
    check("return {string.gsub('hello world', '(%w+)', '<%1>')}", "['<hello> <world>' 2]");
    check("return {string.gsub('abc', '', '-')}", "['-a-b-c-' 4]");
    check("return {string.gsub('abc', '%w', '%0%0', 2)}", "['aabbc' 2]");
    check("return {string.gsub('abc', '^a', 'x')}", "['xbc' 1]");
    check(
        "return {(string.gsub('abc', '%w', function(c) if c == 'b' then return 1.5 end end))}",
        "['a1.5c']",
    );
    check(
        "local t = {} for k, v in string.gmatch('a=1, b=2', '(%w+)=(%w+)') do t[#t+1] = k .. v \
         end return t",
        "['a1' 'b2']",
    );
    check(
        "local t = {} for w in ('one two'):gfind('%a+') do t[#t+1] = w end return t",
        "['one' 'two']",
    );
    check("local n = 0 for _ in string.gmatch('abc', '') do n = n + 1 end return n", "4");
    check("return string.match('2024-01', '[%d-]+')", "'2024-01'");
    check("return string.match(']x', '[]]')", "']'");
    check("return string.match('a-z', '[a%-z]+')", "'a-z'");
    check("return string.match('abab', '(ab)%1')", "'ab'");
    check("return string.match('x', '[^%s]')", "'x'");
    check("return string.find('a', '(')", "-ERR user_script:1: unfinished capture*");
    check("return string.find('a', '%')", "-ERR user_script:1: malformed pattern (ends with '%')*");
    check("return string.find('a', '[a')", "-ERR user_script:1: malformed pattern (missing ']')*");
    check("return string.find('a', '%1')", "-ERR user_script:1: invalid capture index*");
    check(
        "return string.rep()",
        "-ERR user_script:1: bad argument #1 to 'rep' (string expected, got no value)*",
    );
    check(
        "local ok, e = pcall(string.gsub, 'abc', 'b', function() error({code=7}) end) return \
         e.code",
        "7",
    );
    check(
        "return select(2, pcall(string.gsub, 'abc', 'b', function() error('own', 0) end))",
        "'own'",
    );
    check("return ('x'):rep(3)", "'xxx'");
}

#[test]
fn formats_are_those_of_c() {
    check(
        "return string.format('%d|%5d|%-5d|%05d|%+d|% d', 1, 2, 3, 4, 5, 6)",
        "'1|    2|3    |00004|+5| 6'",
    );
    check(
        "return string.format('%x|%X|%#x|%o|%u|%c', 255, 255, 255, 8, 3, 65)",
        "'ff|FF|0xff|10|3|A'",
    );
    check(
        "return string.format('%.3f|%8.2f|%e|%g|%g', 1.5, 2.345, 12345, 1e20, 0.1)",
        "'1.500|    2.35|1.234500e+04|1e+20|0.1'",
    );
    check("return string.format('%s|%5s|%-5s|%.2s', 'a', 'b', 'c', 'def')", "'a|    b|c    |de'");
    check("return string.format('%q', 'a\"b') == '\"a\\\\\"b\"'", "1");
    check("return string.format('%5.1f%%', 99.55)", "' 99.5%'");
    check("return string.format('%d', 3.7)", "'3'");
    check("return string.format('%d', '10')", "'10'");
    check("return string.format('%s', 1/3)", "'0.33333333333333'");
    check("return string.format('%y', 1)", "-ERR user_script:1: invalid option '%y' to 'format'*");
    check(
        "return string.format('%d', 'x')",
        "-ERR user_script:1: bad argument #2 to 'format' (number expected, got string)*",
    );
}

#[test]
fn numbers_are_written_with_14_digits() {
    check("return tostring(1/3)", "'0.33333333333333'");
    check("return tostring(1e15)", "'1e+15'");
    check("return tostring(-0)", "'-0'");
    check("return tostring(100)", "'100'");
    check("return table.concat({1, 2.5, 'x'}, ',')", "'1,2.5,x'");
    check(
        "return table.concat({1, {}, 3})",
        "-ERR user_script:1: invalid value (table) at index 2 in table for 'concat'*",
    );
    check("return tostring(0/0)", "'-nan'");
}

#[test]
fn texts_become_code() {
    check("return loadstring('return 1 + 1')()", "2");
    check("local f, e = loadstring('x x') return e", "'[string \\\"x x\\\"]:1:*");
    check(
        "local p = {'return ', '7'} local i = 0 return load(function() i = i + 1 return p[i] \
         end)()",
        "7",
    );
    check("return loadstring('\\27Lua')", "nil");
    check("return loadstring('a = 1')()", "-ERR *");
}
