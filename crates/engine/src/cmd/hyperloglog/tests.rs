//! Sketches against numbers from Redis, and against bytes that no PFADD makes.

use super::estimate::{Histogram, Mark, REGISTERS, estimate};
use super::sketch::Sketch;
use super::sparse::{Corrupt, HEADER};
use crate::cmd::string::testing::Bench;
use alloc::borrow::Cow;
use alloc::format;
use alloc::vec::Vec;
use proptest::prelude::*;

fn numbers(count: u32) -> impl Iterator<Item = Mark> {
    (0..count).map(|number| Mark::of(format!("{number}").as_bytes()))
}

#[test]
fn elements_fall_where_redis_puts_them() {
    for (element, register, value) in KNOWN_MARKS {
        assert_eq!(Mark::of(element), Mark { register: *register, value: *value }, "{element:?}");
    }
}

/// From PFDEBUG GETREG of redis-server 7.0.15.
const KNOWN_MARKS: &[(&[u8], usize, u8)] = &[
    (b"", 5938, 2),
    (b"a", 12711, 2),
    (b"12345678", 10579, 3),
    (b"hello world, hello", 6368, 1),
    (b"\xff\x00\xfe", 8413, 1),
    (b"0", 13225, 4),
];

#[test]
fn counts_are_those_of_redis() {
    for (count, known) in KNOWN_COUNTS {
        let mut sketch = Sketch::empty();
        for mark in numbers(*count) {
            sketch.raise(mark, 3000).unwrap();
        }
        let found = sketch.histogram().map(|histogram| estimate(&histogram));
        assert_eq!(found, Ok(*known), "{count} elements");
        assert_eq!(sketch.is_sparse(), *count < 2000, "{count}");
    }
}

/// The numbers from 0 up as elements, and what PFCOUNT of redis-server 7.0.15 says.
const KNOWN_COUNTS: &[(u32, i64)] = &[
    (0, 0),
    (1, 1),
    (2, 2),
    (10, 10),
    (100, 100),
    (777, 778),
    (1_500, 1_512),
    (5_000, 4_985),
    (20_000, 19_891),
    (100_000, 99_565),
    (400_000, 399_963),
];

#[test]
fn a_count_of_nothing_real_is_still_a_number() {
    let with = |value: usize| {
        let mut histogram: Histogram = [0; _];
        histogram[value] = REGISTERS as u32;
        estimate(&histogram)
    };
    assert_eq!(with(0), 0);
    assert!(with(1) > 0 && with(50) > 1 << 60);
    // All registers are full, or hold what none can.
    assert_eq!([with(51), with(52), with(63)], [i64::MIN; 3]);
}

fn sparse(runs: &[u8]) -> Sketch<'static> {
    let mut bytes = Sketch::empty().bytes()[..HEADER].to_vec();
    bytes.extend_from_slice(runs);
    Sketch::of(Cow::Owned(bytes)).unwrap()
}

/// CVE-2025-32023: runs that give more registers than there are must not be followed beyond them.
#[test]
fn runs_beyond_the_last_register_are_refused() {
    let whole = [0x7f, 0xff];
    let beyond: [&[u8]; 8] = [
        &[&whole[..], &[0x00]].concat(),
        &[&whole[..], &[0x80]].concat(),
        &[&whole[..], &whole].concat(),
        &whole.repeat(1 << 18),
        &[&[0x7f, 0xfe][..], &[0x81]].concat(),
        // Too few, cut in a run of two bytes, none at all.
        &[0x7f, 0xfe],
        &[0x7f],
        &[],
    ];
    for runs in beyond {
        let mut sketch = sparse(runs);
        assert_eq!(sketch.each(&mut |_| {}), Err(Corrupt));
        assert_eq!(sketch.histogram(), Err(Corrupt));
        assert_eq!(sketch.make_dense(), Err(Corrupt));
        // A value that makes it dense, in a register that every one of them has or has not.
        let high = Mark { register: REGISTERS - 1, value: 40 };
        assert_eq!(sketch.raise(high, 3000), Err(Corrupt));
    }
    assert_eq!(sparse(&whole).each(&mut |_| {}), Ok(()));
}

#[test]
fn what_is_no_sketch_is_refused() {
    let dense = |length: usize| [b"HYLL\0\0\0\0".as_slice(), &alloc::vec![0; length - 8]].concat();
    let of = |bytes: &[u8]| Sketch::of(Cow::Borrowed(bytes)).is_some();
    assert!(of(&dense(12_304)) && of(b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\0"));
    for bytes in [
        b"".as_slice(),
        b"HYLL",
        b"HYLL\x01\0\0\0\0\0\0\0\0\0\0",
        b"hyll\x01\0\0\0\0\0\0\0\0\0\0\0",
    ] {
        assert!(!of(bytes), "{bytes:?}");
    }
    assert!(!of(&dense(12_303)) && !of(&dense(12_305)) && !of(&[b'H'; 12_304]));
    assert!(!of(b"HYLL\x02\0\0\0\0\0\0\0\0\0\0\0"));
}

#[test]
fn listeners_hear_of_additions_only() {
    let mut bench = Bench::new();
    for (line, events) in [
        ("PFADD k a b", "$:pfadd:k"),
        ("PFADD k a", ""),
        ("PFADD k", ""),
        ("PFCOUNT k", ""),
        ("PFMERGE k", "$:pfadd:k"),
        ("PFDEBUG TODENSE k", ""),
        ("PFADD k a", ""),
        ("PFADD k c", "$:pfadd:k"),
    ] {
        bench.run(line);
        assert_eq!(bench.events(), events, "{line}");
    }
}

/// Any mark, near ones and high ones more often.
fn marks() -> impl Strategy<Value = Vec<Mark>> {
    let register = prop_oneof![0..40_usize, REGISTERS - 40..REGISTERS, 0..REGISTERS];
    let value = prop_oneof![1..4_u8, 1..34_u8, 1..52_u8];
    let mark = (register, value).prop_map(|(register, value)| Mark { register, value });
    prop::collection::vec(mark, 0..400)
}

proptest! {
    /// Runs, registers and a plain array say the same, whatever is raised in which order.
    #[test]
    fn both_forms_are_the_same_registers(marks in marks(), bytes_max in 0..2000_u64) {
        let mut runs = Sketch::empty();
        let mut dense = Sketch::empty();
        dense.make_dense().unwrap();
        let mut plain = alloc::vec![0_u8; REGISTERS];
        for mark in marks {
            let raised = mark.value > plain[mark.register];
            plain[mark.register] = plain[mark.register].max(mark.value);
            let mut patched = dense.bytes().to_vec();
            if let Some((at, bytes)) = dense.patch(mark) {
                patched[at..at + bytes.len()].copy_from_slice(&bytes);
            }
            prop_assert_eq!(dense.raise(mark, 0), Ok(raised));
            prop_assert!(dense.bytes() == patched);
            prop_assert_eq!(runs.raise(mark, bytes_max), Ok(raised));
        }
        for sketch in [&runs, &dense] {
            let mut seen = alloc::vec![0_u8; REGISTERS];
            sketch.each(&mut |mark| seen[mark.register] = mark.value).unwrap();
            prop_assert!(seen == plain);
        }
        prop_assert_eq!(runs.histogram(), dense.histogram());
        if runs.is_sparse() {
            prop_assert!(runs.bytes().len() as u64 <= bytes_max.max(18));
            runs.make_dense().unwrap();
        }
        prop_assert!(runs.registers() == dense.registers());
    }

    /// Whatever a client stores under a key is served or refused.
    #[test]
    fn any_bytes_are_served(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        marks in marks(),
        is_long in any::<bool>(),
    ) {
        let mut whole = Sketch::empty().bytes()[..HEADER].to_vec();
        whole.extend_from_slice(&bytes);
        if is_long {
            whole.resize(12_304, 0xff);
            whole[4] = 0;
        }
        let mut sketch = Sketch::of(Cow::Owned(whole)).unwrap();
        let _ = sketch.histogram().map(|histogram| estimate(&histogram));
        for mark in marks {
            let _ = sketch.raise(mark, 3000);
        }
        let _ = super::sparse::text(sketch.registers());
        let _ = sketch.make_dense();
    }
}
