//! The string commands on a bare keyspace; the bench also checks each command's logged form.

use super::testing::{Bench, START_MS};
use std::format;
use std::string::String;
use std::vec::Vec;

#[test]
fn set_obeys_its_conditions() {
    Bench::new().check(&[
        ("SET k v", "OK"),
        ("SET k w NX", "nil"),
        ("SET k w nx GET", "\"v\""),
        ("SET k w XX", "OK"),
        ("SET k x XX GET", "\"w\""),
        ("GET k", "\"x\""),
        ("SET new y XX", "nil"),
        ("SET new y XX GET", "nil"),
        ("GET new", "nil"),
        ("SET new y NX GET", "nil"),
        ("GET new", "\"y\""),
        ("SET k a IFEQ b", "nil"),
        ("SET k a IFEQ x", "OK"),
        ("SET k b IFEQ nope GET", "\"a\""),
        ("SET k b ifeq a get", "\"a\""),
        ("GET k", "\"b\""),
        ("SET absent b IFEQ a", "nil"),
        ("SET absent b IFEQ \"\"", "nil"),
        ("SET absent b IFEQ a GET", "nil"),
        ("EXISTS absent", "0"),
        ("SETNX k v", "0"),
        ("SETNX n v", "1"),
        ("GETSET n w", "\"v\""),
        ("GETSET g w", "nil"),
        ("GETDEL g", "\"w\""),
        ("GETDEL g", "nil"),
    ]);
}

#[test]
fn set_refuses_options_that_do_not_go_together() {
    let mut bench = Bench::new();
    for options in [
        "NX XX",
        "XX NX",
        "NX IFEQ v",
        "XX IFEQ v",
        "IFEQ v NX",
        "IFEQ v IFEQ v",
        "IFEQ",
        "EX",
        "KEEPTTL EX 1",
        "EX 1 KEEPTTL",
        "EX 1 PX 1",
        "EXAT 1 PXAT 1",
        "EX 1 EXAT 1",
        "PERSIST",
        "EXX 1",
        "\"\"",
    ] {
        assert_eq!(bench.run(&format!("SET k v {options}")), "-ERR syntax error", "{options}");
        assert_eq!(bench.logged(), "as it came");
    }
    // An option may be repeated, and the last amount holds.
    assert_eq!(bench.run("SET k v NX NX GET GET EX 1 EX 7"), "nil");
    assert_eq!(bench.logged(), "SET k v NX GET PXAT 1700000007000");
}

#[test]
fn amounts_of_time_are_checked_before_anything_else() {
    let mut bench = Bench::new();
    let bad = [
        ("0", true),
        ("-1", true),
        ("9223372036854775807", true),
        ("9223372036854776", true),
        ("x", false),
        ("1.5", false),
        ("", false),
        ("9223372036854775808", false),
    ];
    for (amount, is_integer) in bad {
        let amount = if amount.is_empty() { "\"\"" } else { amount };
        for (command, line) in [
            ("set", format!("SET k v EX {amount}")),
            ("set", format!("SET k v NX GET EX {amount}")),
            ("setex", format!("SETEX k {amount} v")),
        ] {
            let expected = if is_integer {
                format!("-ERR invalid expire time in '{command}' command")
            } else {
                "-ERR value is not an integer or out of range".into()
            };
            assert_eq!(bench.run(&line), expected, "{line}");
            assert_eq!(bench.logged(), "as it came");
        }
    }
    let out_of_range = |name| format!("-ERR invalid expire time in '{name}' command");
    assert_eq!(bench.run("PSETEX k 9223372036854775807 v"), out_of_range("psetex"));
    assert_eq!(bench.run("GETEX k EX 0"), "nil");
    assert_eq!(bench.run("EXISTS k"), "0");
    assert_eq!(bench.run("SET k v EXAT 9223372036854775"), "OK");
    assert_eq!(bench.deadline_ms("k"), Some(9_223_372_036_854_775_000));
    assert_eq!(bench.run("GETEX k EX 0"), out_of_range("getex"));
    assert_eq!(bench.run("GETEX k PX 9223372036854775807"), out_of_range("getex"));
}

#[test]
fn deadlines_are_logged_absolute() {
    let mut bench = Bench::new();
    bench.now_ms = START_MS + 5;
    for (line, form, deadline) in [
        ("SET k v EX 10", "SET k v PXAT 1700000010005", Some(START_MS + 10_005)),
        ("SET k w XX PX 10", "SET k w XX PXAT 1700000000015", Some(START_MS + 15)),
        // Armoured, and as it came: the entry's stamp says when.
        ("SET k x IFEQ w EX 1", "as it came", Some(START_MS + 1005)),
        ("SET k v KEEPTTL", "as it came", Some(START_MS + 1005)),
        ("APPEND k v", "as it came", Some(START_MS + 1005)),
        ("SETRANGE k 1 v", "as it came", Some(START_MS + 1005)),
        ("SET k 1 XX KEEPTTL", "as it came", Some(START_MS + 1005)),
        ("INCR k", "as it came", Some(START_MS + 1005)),
        ("INCRBYFLOAT k 1.5", "as it came", Some(START_MS + 1005)),
        ("SETBIT k 1 1", "as it came", Some(START_MS + 1005)),
        ("GETEX k", "as it came", Some(START_MS + 1005)),
        ("GETEX k PERSIST", "as it came", None),
        ("GETEX k EX 10", "GETEX k PXAT 1700000010005", Some(START_MS + 10_005)),
        ("GETEX k PX 10", "GETEX k PXAT 1700000000015", Some(START_MS + 15)),
        ("GETEX k EXAT 1800000000", "as it came", Some(1_800_000_000_000)),
        ("SET k v", "as it came", None),
        ("SETEX k 10 v", "SET k v PXAT 1700000010005", Some(START_MS + 10_005)),
        ("GETSET k v", "as it came", None),
        ("PSETEX k 10 v", "SET k v PXAT 1700000000015", Some(START_MS + 15)),
        ("MSET k v l w", "as it came", None),
        ("SET k v PXAT 1700000000999", "as it came", Some(START_MS + 999)),
        ("SET k v EXAT 1700000001", "as it came", Some(START_MS + 1000)),
        ("BITOP NOT k l", "as it came", None),
    ] {
        let reply = bench.run(line);
        assert!(!reply.starts_with('-') && reply != "nil", "{line}: {reply}");
        assert_eq!(bench.logged(), form, "{line}");
        assert_eq!(bench.deadline_ms("k"), deadline, "{line}");
    }
}

#[test]
fn a_deadline_that_is_past_leaves_no_key() {
    let mut bench = Bench::new();
    for line in ["SET k v EXAT 1", "SET k v PXAT 1699999999999", "SET k v GET PXAT 1"] {
        bench.run("SET k old");
        assert!(["OK", "\"old\""].contains(&bench.run(line).as_str()), "{line}");
        assert_eq!(bench.run("GET k"), "nil");
        assert_eq!(bench.run("SET k w XX"), "nil");
    }
    for line in ["GETEX k EXAT 1", "GETEX k PXAT 1700000000000"] {
        bench.run("SET k old");
        bench.events();
        assert_eq!(bench.run(line), "\"old\"");
        assert_eq!(bench.logged(), "GETDEL k");
        assert_eq!(bench.events(), "g:del:k");
        assert_eq!(bench.run("GET k"), "nil");
    }
    // A key whose time has come is absent for every condition.
    bench.run("SET k v PX 10");
    bench.now_ms += 11;
    bench.check(&[("SET k w XX", "nil"), ("SET k w IFEQ v", "nil"), ("GETEX k PERSIST", "nil")]);
    bench.check(&[("APPEND k w", "1"), ("GET k", "\"w\"")]);
    assert_eq!(bench.deadline_ms("k"), None);
}

#[test]
fn getex_refuses_what_set_takes() {
    let mut bench = Bench::new();
    bench.run("SET k v");
    for options in
        ["NX", "GET", "KEEPTTL", "EX", "PERSIST EX 1", "EX 1 PERSIST", "EX 1 PX 1", "PERSIST 1"]
    {
        assert_eq!(bench.run(&format!("GETEX k {options}")), "-ERR syntax error", "{options}");
        // Options are read before the key is looked at.
        assert_eq!(bench.run(&format!("GETEX none {options}")), "-ERR syntax error", "{options}");
    }
    bench.check(&[("GETEX k PERSIST persist", "\"v\""), ("GETEX k EX 1 ex 2", "\"v\"")]);
    assert_eq!(bench.deadline_ms("k"), Some(START_MS + 2000));
}

#[test]
fn several_keys_at_once() {
    Bench::new().check(&[
        ("MSET a 1 b 2 a 3", "OK"),
        ("MGET a b c a", "[\"3\" \"2\" nil \"3\"]"),
        ("MSET a 1 b", "-ERR wrong number of arguments for 'mset' command"),
        ("MSETNX c 1 a 1", "0"),
        ("GET c", "nil"),
        ("MSETNX c 1 d 1 c 2", "1"),
        ("MGET c d", "[\"2\" \"1\"]"),
        ("MSETNX e 1 f", "-ERR wrong number of arguments for 'msetnx' command"),
    ]);
}

#[test]
fn counters_stop_at_their_ends() {
    let not_an_integer = "-ERR value is not an integer or out of range";
    let overflow = "-ERR increment or decrement would overflow";
    Bench::new().check(&[
        ("INCR n", "1"),
        ("DECR n", "0"),
        ("DECR n", "-1"),
        ("INCRBY n 11", "10"),
        ("DECRBY n -5", "15"),
        ("SET n 9223372036854775806", "OK"),
        ("INCR n", "9223372036854775807"),
        ("INCR n", overflow),
        ("INCRBY n 9223372036854775807", overflow),
        ("DECRBY n -9223372036854775807", overflow),
        ("INCRBY n -9223372036854775808", "-1"),
        ("INCRBY n -9223372036854775807", "-9223372036854775808"),
        ("DECR n", overflow),
        ("DECRBY n -9223372036854775808", "-ERR decrement would overflow"),
        ("INCRBY n x", not_an_integer),
        ("DECRBY n 1.0", not_an_integer),
        ("INCRBY n 9223372036854775808", not_an_integer),
        ("SET n 01", "OK"),
        ("INCR n", not_an_integer),
        ("SET n \\s1", "OK"),
        ("DECR n", not_an_integer),
        ("SET n 000000000000000000000000000001", "OK"),
        ("INCR n", not_an_integer),
        ("GET n", "\"000000000000000000000000000001\""),
    ]);
}

#[test]
fn fractions_add_up_as_in_redis() {
    let not_a_float = "-ERR value is not a valid float";
    Bench::new().check(&[
        ("SET f 10.50", "OK"),
        ("INCRBYFLOAT f 0.1", "\"10.6\""),
        ("INCRBYFLOAT f -5", "\"5.6\""),
        ("SET f 5.0e3", "OK"),
        ("INCRBYFLOAT f 2.0e2", "\"5200\""),
        ("INCR f", "5201"),
        ("INCRBYFLOAT absent 1.23", "\"1.23\""),
        ("INCRBYFLOAT f abc", not_a_float),
        ("INCRBYFLOAT f nan", not_a_float),
        ("INCRBYFLOAT f \\s1", not_a_float),
        ("INCRBYFLOAT f inf", "-ERR increment would produce NaN or Infinity"),
        ("INCRBYFLOAT f 1e4000000000", not_a_float),
        ("SET f x", "OK"),
        ("INCRBYFLOAT f 1", not_a_float),
        ("GET f", "\"x\""),
    ]);
}

#[test]
fn parts_are_read_and_written() {
    let no_integer = "-ERR value is not an integer or out of range";
    Bench::new().check(&[
        ("SET k Hello\\sWorld", "OK"),
        ("GETRANGE k 0 4", "\"Hello\""),
        ("GETRANGE k -5 -1", "\"World\""),
        ("SUBSTR k 3 -3", "\"lo Wor\""),
        ("GETRANGE k 5 2", "\"\""),
        ("GETRANGE k -1 -5", "\"\""),
        ("GETRANGE k 0 9223372036854775807", "\"Hello World\""),
        ("GETRANGE k -9223372036854775808 -9223372036854775808", "\"H\""),
        ("GETRANGE k 9223372036854775807 9223372036854775807", "\"\""),
        ("GETRANGE k x 1", no_integer),
        ("GETRANGE k 1 1.0", no_integer),
        ("GETRANGE none 0 -1", "\"\""),
        ("STRLEN k", "11"),
        ("STRLEN none", "0"),
        ("APPEND k !", "12"),
        ("APPEND new \"\"", "0"),
        ("EXISTS new", "1"),
        ("SETRANGE k 6 Redis", "12"),
        ("GET k", "\"Hello Redis!\""),
        ("SETRANGE gap 3 x", "4"),
        ("GET gap", "\"\\x00\\x00\\x00x\""),
        ("SETRANGE none 5 \"\"", "0"),
        ("EXISTS none", "0"),
        ("SETRANGE k 99 \"\"", "12"),
        ("SETRANGE k -1 x", "-ERR offset is out of range"),
        ("SETRANGE k -1 \"\"", "-ERR offset is out of range"),
        ("SETRANGE k x x", no_integer),
    ]);
}

#[test]
fn no_value_outgrows_the_limit() {
    let too_long = "-ERR string exceeds maximum allowed size (proto-max-bulk-len)";
    let mut bench = Bench::new();
    bench.check(&[
        ("SETRANGE k 1048575 x", "1048576"),
        ("SETRANGE k 1048576 x", too_long),
        ("SETRANGE k 1048575 xy", too_long),
        ("SETRANGE k 9223372036854775807 x", too_long),
        ("SETRANGE none 9223372036854775807 x", too_long),
        ("EXISTS none", "0"),
        ("APPEND k x", too_long),
        ("APPEND k \"\"", "1048576"),
        ("INCR k", "-ERR value is not an integer or out of range"),
        ("INCRBYFLOAT k 1", "-ERR value is not a valid float"),
        ("STRLEN k", "1048576"),
        ("GETRANGE k -2 -1", "\"\\x00x\""),
        // 256 * 1024 cells of four bytes would just be allowed.
        ("SETRANGE one 1023 x", "1024"),
        ("SETRANGE two 1023 x", "1024"),
        (
            "LCS one two LEN",
            "-ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len",
        ),
        ("SETRANGE three 254 x", "255"),
        (
            "LCS one three LEN",
            "-ERR Insufficient memory, transient memory for LCS exceeds \
          proto-max-bulk-len",
        ),
        ("SETRANGE four 253 x", "254"),
        ("LCS one four LEN", "254"),
    ]);
    assert!(bench.cost_ns("SETRANGE new 1000000 x") >= 100_000);
    assert!(bench.cost_ns("SETRANGE new 9223372036854775807 x") < 1_000_000);
    assert!(bench.cost_ns("LCS one two") > 1_000_000);
}

#[test]
fn what_redis_would_take_from_the_log_is_armoured() {
    let mut bench = Bench::new();
    bench.run("SETRANGE long 900000 x");
    for (line, hidden) in [
        ("SET k v", false),
        ("SET k v IFEQ w", true),
        ("SETRANGE k 1048575 x", false),
        ("SETRANGE k 1048576 x", true),
        ("SETRANGE k 9223372036854775807 x", true),
        ("SETRANGE k 9223372036854775807 \"\"", false),
        ("SETRANGE k -1 x", false),
        ("SETRANGE k x x", false),
        ("APPEND k x", false),
        // An eighth of 1 MiB is left for what the same batch may append before.
        ("APPEND long 1234567890", false),
        (&format!("APPEND long {}", "x".repeat(20_000)), true),
    ] {
        assert_eq!(bench.is_hidden(line), hidden, "{}", line.get(..20).unwrap_or(line));
    }
}

#[test]
fn a_value_in_chunks_reads_as_one() {
    let mut bench = Bench::new();
    let text: Vec<u8> = (0..300_000u32).map(|at| b'a' + (at % 23) as u8).collect();
    let words = [b"SET".to_vec(), b"k".to_vec(), text.clone()];
    assert_eq!(bench.run_words(&words), "OK");
    assert_eq!(bench.run("SET k v IFEQ a"), "nil");
    for (start, end) in [(0, 0), (65_530, 65_545), (131_071, 131_072), (200_000, 299_999)] {
        let expected = String::from_utf8_lossy(text.get(start..=end).unwrap());
        assert_eq!(bench.run(&format!("GETRANGE k {start} {end}")), format!("\"{expected}\""));
    }
    let mut same = words.to_vec();
    same.extend([b"IFEQ".to_vec(), text]);
    assert_eq!(bench.run_words(&same), "OK");
    assert_eq!(bench.run("STRLEN k"), "300000");
}

#[test]
fn lcs_finds_what_redis_finds() {
    Bench::new().check(&[
        ("MSET one ohmytext two mynewtext empty \"\"", "OK"),
        ("LCS one two", "\"mytext\""),
        ("LCS one two LEN", "6"),
        ("LCS one two IDX", "{\"matches\": [[[4 7] [5 8]] [[2 3] [0 1]]] \"len\": 6}"),
        (
            "LCS one two IDX MINMATCHLEN 4 WITHMATCHLEN",
            "{\"matches\": [[[4 7] [5 8] 4]] \"len\": 6}",
        ),
        (
            "LCS one two idx MinMatchLen -4 withmatchlen MINMATCHLEN 0",
            "{\"matches\": [[[4 7] [5 8] 4] [[2 3] [0 1] 2]] \"len\": 6}",
        ),
        ("LCS one two IDX MINMATCHLEN 9223372036854775807", "{\"matches\": [] \"len\": 6}"),
        ("LCS one none", "\"\""),
        ("LCS none empty LEN", "0"),
        ("LCS none one IDX", "{\"matches\": [] \"len\": 0}"),
        ("LCS one one IDX", "{\"matches\": [[[0 7] [0 7]]] \"len\": 8}"),
        (
            "LCS one two LEN IDX",
            "-ERR If you want both the length and indexes, please just use IDX.",
        ),
        ("LCS one two MINMATCHLEN", "-ERR syntax error"),
        ("LCS one two MINMATCHLEN x", "-ERR value is not an integer or out of range"),
        ("LCS one two SHORT", "-ERR syntax error"),
    ]);
}

#[test]
fn listeners_hear_what_redis_tells_them() {
    let mut bench = Bench::new();
    for (line, events) in [
        ("SET k v", "$:set:k"),
        ("SET k v NX", ""),
        ("SET k v EX 9", "$:set:k g:expire:k"),
        ("SETEX k 9 v", "$:set:k g:expire:k"),
        ("SETNX n v", "$:set:n"),
        ("SETNX n v", ""),
        ("GETSET n v", "$:set:n"),
        ("MSET a 1 b 2", "$:set:a $:set:b"),
        ("MSETNX a 1 c 2", ""),
        ("GET k", ""),
        ("GETEX k", ""),
        ("GETEX k PERSIST", "g:persist:k"),
        ("GETEX k PERSIST", ""),
        ("GETEX k EX 9", "g:expire:k"),
        ("GETDEL k", "g:del:k"),
        ("GETDEL k", ""),
        ("INCR a", "$:incrby:a"),
        ("DECRBY a 3", "$:incrby:a"),
        ("INCRBYFLOAT a 3", "$:incrbyfloat:a"),
        ("INCREX a", "$:incrby:a"),
        ("INCREX a UBOUND 1", ""),
        ("INCREX a BYFLOAT 1 EX 9", "$:incrbyfloat:a g:expire:a"),
        ("INCREX a EX 9 ENX", "$:incrby:a"),
        ("INCREX a PERSIST", "$:incrby:a g:persist:a"),
        ("INCREX a PERSIST", "$:incrby:a"),
        ("INCREX n2 EXAT 1", ""),
        ("INCREX a EXAT 1", "g:del:a"),
        ("INCR a", "$:incrby:a"),
        ("APPEND a \"\"", "$:append:a"),
        ("SETRANGE a 1 x", "$:setrange:a"),
        ("SETRANGE a 1 \"\"", ""),
    ] {
        bench.run(line);
        assert_eq!(bench.events(), events, "{line}");
    }
}
