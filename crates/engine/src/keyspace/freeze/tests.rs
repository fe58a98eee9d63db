//! What is written while the state changes is the state as it was, and the state does not feel it.

mod large;

use super::*;
use crate::keyspace::rehearsal::tests::rehearse;
use crate::keyspace::tests::{Fed, Step, any_collect, any_step, cases, feed};
use crate::snapshot::tests::{assert_same, facts};
use crate::snapshot::whole;
use crate::{Checksum, Deadline, Keyspace};
use alloc::{format, vec};
use proptest::prelude::*;

/// What happens to a keyspace.
#[derive(Clone, Debug)]
enum Act {
    Do(Step),
    /// Done, and undone.
    Rehearse(Vec<Step>),
    Freeze,
    Step(usize, u64),
    Abandon,
}

fn any_act() -> impl Strategy<Value = Act> {
    prop_oneof![
        40 => any_step().prop_map(Act::Do),
        15 => any_collect().prop_map(Act::Do),
        1 => prop::option::weighted(0.8, 0..3_u8).prop_map(|db| Act::Do(Step::Flush(db))),
        2 => (0..3_u8, 0..3_u8).prop_map(|(one, other)| Act::Do(Step::Swap(one, other))),
        4 => prop::collection::vec(any_step(), 1..30).prop_map(Act::Rehearse),
        2 => Just(Act::Freeze),
        8 => (1..30_usize, prop_oneof![Just(1), Just(2000), Just(200_000)])
            .prop_map(|(keys, bytes)| Act::Step(keys, bytes)),
        1 => prop::bool::weighted(0.2).prop_map(|yes| if yes { Act::Abandon } else { Act::Freeze }),
    ]
}

/// A snapshot being taken.
struct Taking {
    frozen: Frozen,
    file: Vec<u8>,
    checksum: Checksum,
    /// The state at the freeze, written while it stood still.
    expected: Vec<u8>,
    abandoned: bool,
}

impl Taking {
    fn begin(keyspace: &mut Keyspace) -> Self {
        let expected = whole(keyspace, &facts());
        let frozen = keyspace.freeze(&facts()).unwrap();
        assert_eq!(keyspace.frozen(), Some(frozen));
        assert_eq!(keyspace.freeze(&facts()), None, "one at a time");
        let (file, checksum) = (vec![], Checksum::default());
        Self { frozen, file, checksum, expected, abandoned: false }
    }

    /// Whether that was the last step.
    fn step(&mut self, keyspace: &mut Keyspace, limits: (usize, u64)) -> bool {
        self.step_until(keyspace, limits, &mut || false).1
    }

    /// Keys that are done, and whether that was the last step.
    fn step_until(
        &mut self,
        keyspace: &mut Keyspace,
        limits: (usize, u64),
        is_enough: &mut dyn FnMut() -> bool,
    ) -> (u64, bool) {
        let step = keyspace.freeze_step_within(self.frozen, limits, is_enough).unwrap();
        assert_eq!(keyspace.freeze_backlog(), 0, "a step hands out all there is");
        for piece in step.pieces {
            piece.write(&mut |bytes| {
                assert!(!bytes.is_empty());
                self.checksum.update(bytes);
                self.file.extend_from_slice(bytes);
            });
        }
        if step.done {
            assert_eq!(step.keys, self.frozen.keys, "each key is written once");
            self.check(keyspace);
        }
        (step.keys, step.done)
    }

    fn check(&mut self, keyspace: &Keyspace) {
        assert_eq!((keyspace.frozen(), keyspace.freeze_backlog()), (None, 0));
        for database in &keyspace.databases {
            for found in database.table.walk(0, 0) {
                assert_eq!(found.record.epoch(), keyspace.epoch);
            }
        }
        if self.abandoned {
            return;
        }
        self.file.extend(self.checksum.finish());
        let (read, read_facts) = Keyspace::read_snapshot(&self.file).unwrap();
        assert_eq!(read_facts, facts());
        assert!(whole(&read, &facts()) == self.expected, "the file is the state at the freeze");
    }
}

proptest! {
    #![proptest_config(cases(48))]
    #[test]
    fn a_frozen_view_is_exact_whatever_happens_meanwhile(
        acts in prop::collection::vec(any_act(), 1..800),
    ) {
        let (mut fed, mut twin) = (Fed::new(), Fed::new());
        let mut taking: Option<Taking> = None;
        for act in &acts {
            match (act, &mut taking) {
                (Act::Do(step), _) => {
                    feed(&mut fed, step);
                    feed(&mut twin, step);
                }
                (Act::Rehearse(steps), _) => rehearse(&mut fed, steps),
                (Act::Freeze, None) => taking = Some(Taking::begin(&mut fed.keyspace)),
                (Act::Step(keys, bytes), Some(running)) => {
                    let done = running.step(&mut fed.keyspace, (*keys, *bytes));
                    taking = taking.filter(|_| !done);
                }
                (Act::Abandon, Some(running)) => {
                    let given = fed.keyspace.freeze_abandon(running.frozen);
                    prop_assert_eq!(given.is_some(), !running.abandoned);
                    running.abandoned = true;
                    prop_assert_eq!(fed.keyspace.freeze_backlog(), 0);
                }
                _ => {}
            }
        }
        while let Some(running) = &mut taking {
            if running.step(&mut fed.keyspace, (50, 5000)) {
                taking = None;
            }
        }
        assert_same(&fed.keyspace, &twin.keyspace);
        prop_assert!(whole(&fed.keyspace, &facts()) == whole(&twin.keyspace, &facts()));
    }
}

#[test]
fn a_state_that_stands_still_is_written_alike_both_ways() {
    let mut fed = Fed::new();
    for number in 0..20_000_u32 {
        let key = format!("{{tag}}{number}");
        let mut writer = fed.entry(number as u8 % 3, 0);
        writer.set_string(key.as_bytes(), &[b'v'; 30], Deadline::Clear);
    }
    fed.entry(5, 0).set_string(b"large", &vec![1; 1_000_000], Deadline::At(9));
    let mut taking = Taking::begin(&mut fed.keyspace);
    let mut steps = 0;
    while !taking.step(&mut fed.keyspace, (1024, STEP_BYTES)) {
        steps += 1;
    }
    assert!(taking.file == taking.expected);
    assert!((20..40).contains(&steps), "{steps} steps: each is short, though one tag holds all");
}

#[test]
fn a_large_value_is_kept_and_not_copied() {
    let mut fed = Fed::new();
    fed.entry(0, 0).set_string(b"large", &vec![1; 100 << 20], Deadline::Clear);
    let mut taking = Taking::begin(&mut fed.keyspace);
    fed.entry(0, 0).write_at(b"large", 70 << 20, b"new").unwrap();
    assert_eq!(fed.keyspace.freeze_backlog() >> 20, 100);
    let Some(freeze) = &fed.keyspace.freeze else { panic!("the freeze runs") };
    assert_eq!(freeze.keys, 1, "the spine is kept before the chunk is copied");
    assert!(taking.step(&mut fed.keyspace, (10, 1)));
    assert_eq!(fed.reader(0).string(b"large").unwrap().unwrap().byte(70 << 20), b'n');
}

fn with_keys(count: u32) -> Fed {
    let mut fed = Fed::new();
    for number in 0..count {
        fed.entry(1, 0).set_string(format!("{number}").as_bytes(), b"", Deadline::Clear);
    }
    fed
}

#[test]
fn an_emptied_database_is_written_and_then_given_away() {
    let mut fed = with_keys(100);
    let mut taking = Taking::begin(&mut fed.keyspace);
    assert!(!taking.step(&mut fed.keyspace, (10, 1 << 20)));
    assert_eq!(fed.entry(1, 0).flush(None), 100);
    assert!(fed.effects.garbage.is_empty(), "the freeze still needs it");
    fed.entry(1, 0).set_string(b"new", b"", Deadline::Clear);
    let step =
        fed.keyspace.freeze_step_within(taking.frozen, (10, 1 << 20), &mut || false).unwrap();
    assert!(step.garbage.is_empty() && !step.done);
    fed.keyspace.freeze_abandon(taking.frozen);
    taking.abandoned = true;
    let step =
        fed.keyspace.freeze_step_within(taking.frozen, (1000, 1 << 20), &mut || false).unwrap();
    assert_eq!((step.garbage.len(), step.done, step.keys), (1, true, 100));
    assert!(step.pieces.is_empty());
    taking.check(&fed.keyspace);
}

#[test]
fn a_step_ends_when_it_is_told_to() {
    let mut fed = with_keys(1000);
    let mut taking = Taking::begin(&mut fed.keyspace);
    let limits = (1000, 1 << 20);
    for steps in 1..=3 {
        let stands = taking.step_until(&mut fed.keyspace, limits, &mut || true);
        assert_eq!(stands, (steps * KEYS_ASKED as u64, false));
    }
    assert!(taking.step(&mut fed.keyspace, limits), "one step takes all that is left");
}

#[test]
fn a_large_sorted_set_is_written_as_it_was() {
    use crate::types::Open;
    use crate::types::zset::ZsetTree;

    fn change(fed: &mut Fed, key: &[u8], work: impl FnOnce(&mut Open<ZsetTree>)) {
        fed.entry(0, 0).edit_or_create(key, work).unwrap();
    }
    let mut fed = Fed::new();
    for key in [&b"small"[..], b"large"] {
        let count = if key == b"small" { 100 } else { 20_000_u32 };
        change(&mut fed, key, |zset| {
            for number in 0..count {
                let score = f64::from(number.wrapping_mul(0x9e37_79b9) >> 20);
                zset.set(format!("member:{number}").as_bytes(), score);
            }
        });
    }
    // Packed it would be plainly zero.
    change(&mut fed, b"few", |zset| {
        zset.set(&[b'x'; 65], -0.0);
    });
    let mut taking = Taking::begin(&mut fed.keyspace);
    change(&mut fed, b"small", |zset| (0..200).for_each(|n| zset.set(&[n], 0.25)));
    change(&mut fed, b"large", |zset| {
        for number in (0..20_000).step_by(3) {
            assert!(zset.remove(format!("member:{number}").as_bytes()));
        }
        zset.remove_ranks(100..1000);
        zset.set(b"member:1", -1.0);
    });
    assert!(fed.keyspace.freeze_backlog() > 0);
    while !taking.step(&mut fed.keyspace, (1, 1000)) {}
    let (read, _) = Keyspace::read_snapshot(&whole(&fed.keyspace, &facts())).unwrap();
    assert!(whole(&read, &facts()) == whole(&fed.keyspace, &facts()));
    let few = crate::Reader { keyspace: &read, db: crate::Db(0), seed: 0, clock_ms: 0 };
    let few = few.view::<ZsetTree>(b"few").unwrap().unwrap();
    assert_eq!(few.get(0).map(|(_, score)| score.to_bits()), Some((-0.0_f64).to_bits()));
    // Where leaves begin does not show, though what was read was built anew.
    change(&mut fed, b"large", |zset| zset.remove_ranks(50..7000));
    let mut other = Fed { keyspace: read, effects: crate::Effects::default() };
    change(&mut other, b"large", |zset| zset.remove_ranks(50..7000));
    assert_same(&fed.keyspace, &other.keyspace);
    assert!(whole(&fed.keyspace, &facts()) == whole(&other.keyspace, &facts()));
}
