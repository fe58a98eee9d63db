//! The bitmap commands: by example, and against a model that is an array of bits.

use crate::cmd::string::testing::Bench;
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

#[test]
fn single_bits() {
    let bad_offset = "-ERR bit offset is not an integer or out of range";
    let bad_bit = "-ERR bit is not an integer or out of range";
    let mut bench = Bench::new();
    bench.check(&[
        ("SETBIT k 7 1", "0"),
        ("GET k", "\"\\x01\""),
        ("SETBIT k 7 0", "1"),
        ("SETBIT k 17 1", "0"),
        ("GET k", "\"\\x00\\x00@\""),
        ("GETBIT k 17", "1"),
        ("GETBIT k 18", "0"),
        ("GETBIT k 8388607", "0"),
        ("GETBIT none 5", "0"),
        ("SETBIT none 9 0", "0"),
        ("GET none", "\"\\x00\\x00\""),
        ("SETBIT far 8388607 1", "0"),
        ("STRLEN far", "1048576"),
        ("SETBIT far 8388608 1", bad_offset),
        ("GETBIT far 8388608", bad_offset),
        ("SETBIT k -1 1", bad_offset),
        ("SETBIT k #1 1", bad_offset),
        ("SETBIT k x 2", bad_offset),
        ("GETBIT k 9223372036854775808", bad_offset),
        ("SETBIT k 0 2", bad_bit),
        ("SETBIT k 0 -1", bad_bit),
        ("SETBIT k 0 x", bad_bit),
        // An integer's bits are those of its digits.
        ("SET n 1", "OK"),
        ("GETBIT n 7", "1"),
        ("SETBIT n 6 1", "0"),
        ("GET n", "\"3\""),
    ]);
    // What a loading Redis would make room for does not stand in the log.
    for (line, form) in [
        ("SETBIT k 8388608 1", "SETBIT k -1 1"),
        ("SETBIT k 8388607 2", "as it came"),
        ("BITFIELD k SET u8 8388608 1", "BITFIELD k GET u8 -1"),
        ("BITFIELD k SET u8 #1152921504606846976 1", "BITFIELD k GET u8 -1"),
        ("BITFIELD k SET u8 0 x", "as it came"),
        ("BITFIELD k SET u8 0 0", "as it came"),
    ] {
        bench.run(line);
        assert_eq!(bench.logged(), form, "{line}");
    }
    bench.events();
    for (line, events) in [
        ("SETBIT k 17 1", ""),
        ("SETBIT k 17 0", "$:setbit:k"),
        ("SETBIT k 99 0", "$:setbit:k"),
        ("BITFIELD k SET u8 0 0", ""),
        ("BITFIELD k SET u8 0 1 INCRBY u8 0 1", "$:setbit:k"),
        ("BITFIELD k GET u8 0", ""),
        ("BITFIELD k OVERFLOW FAIL INCRBY u8 200 300", ""),
        ("BITOP NOT not k", "$:set:not"),
        ("BITOP AND not empty", "g:del:not"),
        ("BITOP AND not empty", ""),
    ] {
        bench.run(line);
        assert_eq!(bench.events(), events, "{line}");
    }
}

#[test]
fn counts_and_positions() {
    let not_an_integer = "-ERR value is not an integer or out of range";
    Bench::new().check(&[
        ("SET k foobar", "OK"),
        ("BITCOUNT k", "26"),
        ("BITCOUNT k 0 0", "4"),
        ("BITCOUNT k 1 1", "6"),
        ("BITCOUNT k 5 30 BIT", "17"),
        ("BITCOUNT k 0 -1 byte", "26"),
        ("BITCOUNT k -2 -3", "0"),
        ("BITCOUNT k 1", "-ERR syntax error"),
        ("BITCOUNT k 0 1 BITS", "-ERR syntax error"),
        ("BITCOUNT k 0 1 BIT 2", "-ERR syntax error"),
        ("BITCOUNT k x 1", not_an_integer),
        ("BITCOUNT none x 1", not_an_integer),
        ("BITCOUNT none", "0"),
        ("BITCOUNT k -9223372036854775808 9223372036854775807 BIT", "26"),
        ("SET k \\xff\\xf0\\x00", "OK"),
        ("BITPOS k 0", "12"),
        ("BITPOS k 1 2", "-1"),
        ("BITPOS k 1 0 -1 BIT", "0"),
        ("BITPOS k 0 3 10 BIT", "-1"),
        ("BITPOS k 1 7 15 bit", "7"),
        ("SET k \\xff\\xff", "OK"),
        ("BITPOS k 0", "16"),
        ("BITPOS k 0 0", "16"),
        ("BITPOS k 0 0 -1", "-1"),
        ("BITPOS k 0 5", "-1"),
        ("BITPOS none 0", "0"),
        ("BITPOS none 1", "-1"),
        ("SET empty \"\"", "OK"),
        ("BITPOS empty 0", "-1"),
        ("BITPOS k 2", "-ERR The bit argument must be 1 or 0."),
        ("BITPOS k x", not_an_integer),
        ("BITPOS k 1 x", not_an_integer),
        ("BITPOS k 1 0 x", not_an_integer),
        ("BITPOS k 1 0 1 x", "-ERR syntax error"),
        ("BITPOS k 1 0 1 BIT 1", "-ERR syntax error"),
    ]);
}

#[test]
fn combinations() {
    Bench::new().check(&[
        ("MSET a \\xff\\x0f\\x55 b \\x0f", "OK"),
        ("BITOP AND d a b", "3"),
        ("GET d", "\"\\x0f\\x00\\x00\""),
        ("BITOP OR d a b", "3"),
        ("GET d", "\"\\xff\\x0fU\""),
        ("BITOP xor d a b", "3"),
        ("GET d", "\"\\xf0\\x0fU\""),
        ("BITOP NOT d a", "3"),
        ("GET d", "\"\\x00\\xf0\\xaa\""),
        ("BITOP AND d a none", "3"),
        ("GET d", "\"\\x00\\x00\\x00\""),
        ("BITOP XOR a a a", "3"),
        ("GET a", "\"\\x00\\x00\\x00\""),
        ("BITOP OR d none", "0"),
        ("EXISTS d", "0"),
        ("BITOP NOT d a b", "-ERR BITOP NOT must be called with a single source key."),
        ("BITOP NAND d a", "-ERR syntax error"),
    ]);
}

#[test]
fn fields_overflow_as_asked() {
    let bad_type = "-ERR Invalid bitfield type. Use something like i16 u8. \
                    Note that u64 is not supported but i64 is.";
    let bad_offset = "-ERR bit offset is not an integer or out of range";
    let mut bench = Bench::new();
    bench.check(&[
        ("BITFIELD k", "[]"),
        ("EXISTS k", "0"),
        ("BITFIELD k INCRBY i5 100 1 GET u4 0", "[1 0]"),
        ("STRLEN k", "14"),
        ("BITFIELD k SET u8 #0 255 OVERFLOW SAT INCRBY u8 #0 10 GET u8 #0", "[0 255 255]"),
        ("BITFIELD k OVERFLOW FAIL INCRBY u8 0 1 OVERFLOW WRAP INCRBY u8 0 2", "[nil 1]"),
        ("BITFIELD k SET i8 0 -129 GET i8 0", "[1 127]"),
        (
            "BITFIELD k OVERFLOW SAT SET i8 0 -129 GET i8 0 SET i8 0 200 GET i8 0",
            "[127 -128 -128 127]",
        ),
        ("BITFIELD k OVERFLOW FAIL SET u7 0 -1", "[nil]"),
        (
            "BITFIELD k OVERFLOW SAT SET u63 3 -1 GET u63 3",
            "[8935141660703064064 9223372036854775807]",
        ),
        ("BITFIELD k SET i64 5 -9223372036854775808 INCRBY i64 5 -1", "[-8 9223372036854775807]"),
        ("BITFIELD k OVERFLOW SAT INCRBY i64 5 1", "[9223372036854775807]"),
        ("BITFIELD_RO k GET i64 5 get u1 #5", "[9223372036854775807 0]"),
        ("BITFIELD_RO none GET u8 0", "[0]"),
        ("BITFIELD_RO k SET u8 0 1", "-ERR BITFIELD_RO only supports the GET subcommand"),
        // Redis takes the very lowest arguments of a saturating SET for too large ones.
        ("BITFIELD low OVERFLOW SAT SET i8 0 -9223372036854775808 GET i8 0", "[0 127]"),
        ("BITFIELD low OVERFLOW SAT SET i8 0 -9223372036854775680 GET i8 0", "[127 -128]"),
        ("BITFIELD k GET u64 0", bad_type),
        ("BITFIELD k GET i65 0", bad_type),
        ("BITFIELD k GET u0 0", bad_type),
        ("BITFIELD k GET 8 x", bad_type),
        ("BITFIELD k GET u8 -1", bad_offset),
        ("BITFIELD k GET u8 #", bad_offset),
        ("BITFIELD k GET u8 8388608", bad_offset),
        ("BITFIELD k GET u8 #1152921504606846976", bad_offset),
        ("BITFIELD k SET u8 0 x", "-ERR value is not an integer or out of range"),
        ("BITFIELD k OVERFLOW NONE", "-ERR Invalid OVERFLOW type specified"),
        ("BITFIELD k GET u8", "-ERR syntax error"),
        ("BITFIELD k SET u8 0", "-ERR syntax error"),
        ("BITFIELD k OVERFLOW", "-ERR syntax error"),
        // An error anywhere leaves everything as it was.
        ("BITFIELD new SET u8 0 1 GET u8 x", bad_offset),
        ("EXISTS new", "0"),
        ("BITFIELD new OVERFLOW FAIL INCRBY u8 0 300", "[nil]"),
        ("GET new", "\"\\x00\""),
    ]);
    assert!(bench.cost_ns("BITFIELD k SET u8 8000000 1") > 200_000);
}

/// A plain array of bits.
#[derive(Default)]
struct Model {
    bits: Vec<bool>,
}

impl Model {
    fn get(&self, at: usize) -> bool {
        self.bits.get(at).copied().unwrap_or(false)
    }

    fn set(&mut self, at: usize, on: bool) {
        if self.bits.len() <= at {
            self.bits.resize((at / 8 + 1) * 8, false);
        }
        if let Some(bit) = self.bits.get_mut(at) {
            *bit = on;
        }
    }

    fn field(&self, at: usize, width: usize) -> u64 {
        (at..at + width).fold(0, |value, bit| value << 1 | u64::from(self.get(bit)))
    }
}

/// A small deterministic source of numbers below `end`.
fn draw(state: &mut u64, end: usize) -> usize {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) as usize % end
}

#[test]
fn random_bits_agree_with_the_model() {
    // Once within one page, once over several chunks of a large value.
    for (end, steps) in [(2_000, 3_000), (1_600_000, 300)] {
        let (mut bench, mut model, mut state) = (Bench::new(), Model::default(), end as u64);
        for _ in 0..steps {
            let at = draw(&mut state, end);
            let on = draw(&mut state, 2) == 1;
            let was = model.get(at);
            model.set(at, on);
            let line = format!("SETBIT k {at} {}", u8::from(on));
            assert_eq!(bench.run(&line), u8::from(was).to_string(), "{line}");

            let at = draw(&mut state, end);
            let width = 1 + draw(&mut state, 63);
            let value = draw(&mut state, usize::MAX) as u64 & ((1 << width) - 1);
            let old = model.field(at, width);
            (0..width).for_each(|bit| model.set(at + bit, value >> (width - 1 - bit) & 1 == 1));
            let line = format!("BITFIELD k SET u{width} {at} {value} GET u{width} {at}");
            assert_eq!(bench.run(&line), format!("[{old} {value}]"), "{line}");

            let (first, last) = (draw(&mut state, end), draw(&mut state, end));
            let inside = first..=last.min(model.bits.len() - 1);
            let count = inside.clone().filter(|&bit| model.get(bit)).count();
            let line = format!("BITCOUNT k {first} {last} BIT");
            assert_eq!(bench.run(&line), count.to_string(), "{line}");
            for wanted in [false, true] {
                let found = inside.clone().find(|&bit| model.get(bit) == wanted);
                let found = found.map_or(String::from("-1"), |found| found.to_string());
                let line = format!("BITPOS k {} {first} {last} BIT", u8::from(wanted));
                assert_eq!(bench.run(&line), found, "{line}");
            }
        }
        let whole = model.bits.iter().filter(|&&bit| bit).count();
        assert_eq!(bench.run("BITCOUNT k"), whole.to_string());
        assert_eq!(bench.run("BITOP NOT d k"), (model.bits.len() / 8).to_string());
        assert_eq!(bench.run("BITOP XOR d d k"), (model.bits.len() / 8).to_string());
        assert_eq!(bench.run("BITCOUNT d"), model.bits.len().to_string());
    }
}
