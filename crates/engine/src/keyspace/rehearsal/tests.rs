//! A rehearsal leaves nothing behind, whatever was done. With a freeze running: see `freeze`.

use super::Journal;
use crate::Keyspace;
use crate::keyspace::tests::{Fed, Step, any_step, cases, feed};
use crate::rdb::SnapshotFacts;
use alloc::boxed::Box;
use alloc::vec::Vec;
use proptest::prelude::*;

/// Does all this, and undoes it.
pub(in crate::keyspace) fn rehearse(fed: &mut Fed, steps: &[Step]) {
    let journal = Journal::of(&fed.keyspace);
    fed.keyspace.journal = Some(Box::new(journal));
    for step in steps {
        feed(fed, step);
    }
    let mut garbage = Vec::new();
    fed.keyspace.undo(&mut garbage);
}

fn file(keyspace: &Keyspace) -> Vec<u8> {
    let mut file = Vec::new();
    keyspace.write_snapshot(&SnapshotFacts::default(), &mut |piece| file.extend_from_slice(piece));
    file
}

/// What shows of a state besides its file.
fn figures(keyspace: &Keyspace) -> impl PartialEq + core::fmt::Debug {
    let due = keyspace.due(u64::MAX).map(|(at, db, key)| (at, db, key.to_vec()));
    let fields = keyspace.due_fields(u64::MAX).map(|(at, db, key)| (at, db, key.to_vec()));
    let (due, fields): (Vec<_>, Vec<_>) = (due.collect(), fields.collect());
    let counts = (keyspace.changes(), keyspace.expired(), keyspace.used_bytes(), keyspace.keys());
    (keyspace.digest(), keyspace.now_ms(), keyspace.applied_index(), counts, due, fields)
}

proptest! {
    #![proptest_config(cases(64))]
    #[test]
    fn what_was_rehearsed_has_not_happened(
        acts in prop::collection::vec(
            (any_step(), prop::option::weighted(0.2, prop::collection::vec(any_step(), 1..40))),
            1..200,
        ),
    ) {
        let (mut fed, mut twin) = (Fed::new(), Fed::new());
        for (step, rehearsed) in &acts {
            feed(&mut fed, step);
            feed(&mut twin, step);
            if let Some(steps) = rehearsed {
                rehearse(&mut fed, steps);
                prop_assert_eq!(figures(&fed.keyspace), figures(&twin.keyspace));
                fed.check_slots();
                if steps.len() > 20 {
                    prop_assert!(file(&fed.keyspace) == file(&twin.keyspace));
                }
            }
        }
        prop_assert!(file(&fed.keyspace) == file(&twin.keyspace));
    }

    #[test]
    fn a_part_of_a_rehearsal_can_be_undone(
        before in prop::collection::vec(any_step(), 1..60),
        parts in prop::collection::vec(
            (prop::collection::vec(any_step(), 1..20), any::<bool>()),
            1..6,
        ),
    ) {
        let (mut fed, mut twin) = (Fed::new(), Fed::new());
        for step in &before {
            feed(&mut fed, step);
            feed(&mut twin, step);
        }
        for it in [&mut fed, &mut twin] {
            it.keyspace.journal = Some(Box::new(Journal::of(&it.keyspace)));
        }
        for (steps, stays) in &parts {
            let mark = fed.keyspace.mark();
            for step in steps {
                feed(&mut fed, step);
                if *stays {
                    feed(&mut twin, step);
                }
            }
            if !stays && let Some(mark) = mark {
                fed.keyspace.go_back(mark, &mut Vec::new());
            }
            prop_assert_eq!(figures(&fed.keyspace), figures(&twin.keyspace));
        }
        prop_assert!(file(&fed.keyspace) == file(&twin.keyspace));
        for it in [&mut fed, &mut twin] {
            it.keyspace.undo(&mut Vec::new());
        }
        prop_assert_eq!(figures(&fed.keyspace), figures(&twin.keyspace));
        prop_assert!(file(&fed.keyspace) == file(&twin.keyspace));
    }
}
