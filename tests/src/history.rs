//! A linearizability checker for registers, and the recorder that feeds it.
//!
//! The search is that of Wing & Gong (1993) with Lowe's memory of visited configurations (2017): an
//! order of all operations that respects real time and explains every read. A write without a known
//! outcome stays open to the end: it may take effect at any time after it began, or never.
//! Histories are checked key by key (linearizability is local).

use std::collections::{BTreeMap, HashSet};
use std::sync::Mutex;
use std::time::Instant;

/// What an operation did to its register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Wrote this value.
    Write(u64),
    /// Read this value, or found nothing.
    Read(Option<u64>),
}

/// One operation of one client.
#[derive(Clone, Debug)]
pub struct Operation {
    /// When it was called, nanoseconds on the recorder's clock.
    pub called: u64,
    /// When it returned; `None` when its outcome is unknown.
    pub returned: Option<u64>,
    /// What it did.
    pub action: Action,
}

/// Operations by key.
#[derive(Debug)]
pub struct History {
    start: Instant,
    keys: Mutex<BTreeMap<String, Vec<Operation>>>,
}

impl Default for History {
    fn default() -> Self {
        Self { start: Instant::now(), keys: Mutex::default() }
    }
}

impl History {
    /// Nanoseconds since the history began.
    pub fn now(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }

    /// Notes an operation. A read without an answer says nothing and is not noted.
    pub fn note(&self, key: &str, operation: Operation) {
        self.keys
            .lock()
            .expect("no recorder panics")
            .entry(key.to_owned())
            .or_default()
            .push(operation);
    }

    /// How many operations were noted.
    pub fn len(&self) -> usize {
        self.keys.lock().expect("no recorder panics").values().map(Vec::len).sum()
    }

    /// Whether none was.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Checks every key; the first one without a legal order is the error.
    pub fn check(&self) -> Result<(), String> {
        for (key, operations) in &*self.keys.lock().expect("no recorder panics") {
            if !is_linearizable(operations) {
                return Err(format!("no legal order for {key}: {operations:#?}"));
            }
        }
        Ok(())
    }
}

/// Whether some order of `operations` on one register (empty at first) respects real time and
/// explains every read.
pub fn is_linearizable(operations: &[Operation]) -> bool {
    let mut sorted: Vec<&Operation> = operations.iter().collect();
    sorted.sort_by_key(|operation| operation.called);
    let mut search = Search { operations: sorted, seen: HashSet::new() };
    let words = search.operations.len().div_ceil(64);
    search.explains(vec![0; words], None)
}

struct Search<'a> {
    operations: Vec<&'a Operation>,
    /// Configurations that lead nowhere: which operations are placed, and the register's value.
    seen: HashSet<(Vec<u64>, Option<u64>)>,
}

impl Search<'_> {
    /// Depth-first with an explicit stack: from `placed` and `value`, can the rest be placed?
    fn explains(&mut self, placed: Vec<u64>, value: Option<u64>) -> bool {
        let mut stack = vec![(placed, value)];
        while let Some((placed, value)) = stack.pop() {
            if !self.seen.insert((placed.clone(), value)) {
                continue;
            }
            if self.only_open_writes_left(&placed) {
                return true;
            }
            for at in self.candidates(&placed) {
                let Ok(next) = step(&self.operations[at].action, value) else { continue };
                let mut more = placed.clone();
                more[at / 64] |= 1 << (at % 64);
                stack.push((more, next));
            }
        }
        false
    }

    /// A write that was never answered need not have happened.
    fn only_open_writes_left(&self, placed: &[u64]) -> bool {
        self.left(placed).all(|at| self.operations[at].returned.is_none())
    }

    fn left<'b>(&'b self, placed: &'b [u64]) -> impl Iterator<Item = usize> + 'b {
        (0..self.operations.len()).filter(|at| placed[at / 64] & (1 << (at % 64)) == 0)
    }

    /// Operations that may come next: called before any operation that is left has returned.
    fn candidates(&self, placed: &[u64]) -> Vec<usize> {
        let first_return = self
            .left(placed)
            .filter_map(|at| self.operations[at].returned)
            .min()
            .unwrap_or(u64::MAX);
        self.left(placed).take_while(|&at| self.operations[at].called <= first_return).collect()
    }
}

/// The register after the action; an error when a read does not fit.
fn step(action: &Action, value: Option<u64>) -> Result<Option<u64>, Misfit> {
    match action {
        Action::Write(new) => Ok(Some(*new)),
        Action::Read(seen) if *seen == value => Ok(value),
        Action::Read(_) => Err(Misfit),
    }
}

/// The read does not show what the register holds.
struct Misfit;

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(called: u64, returned: Option<u64>, action: Action) -> Operation {
        Operation { called, returned, action }
    }

    fn check(operations: &[Operation], expect: bool) {
        assert_eq!(is_linearizable(operations), expect, "{operations:?}");
    }

    #[test]
    fn reads_in_order_pass() {
        check(
            &[
                operation(0, Some(1), Action::Read(None)),
                operation(2, Some(5), Action::Write(1)),
                operation(3, Some(4), Action::Read(Some(1))),
                operation(6, Some(7), Action::Read(Some(1))),
            ],
            true,
        );
    }

    #[test]
    fn a_planted_stale_read_is_found() {
        check(
            &[
                operation(0, Some(1), Action::Write(1)),
                operation(2, Some(3), Action::Write(2)),
                operation(4, Some(5), Action::Read(Some(1))),
            ],
            false,
        );
    }

    #[test]
    fn a_value_may_not_come_back() {
        check(
            &[
                operation(0, Some(1), Action::Write(1)),
                operation(2, Some(9), Action::Write(2)),
                operation(3, Some(4), Action::Read(Some(2))),
                operation(5, Some(6), Action::Read(Some(1))),
            ],
            false,
        );
    }

    #[test]
    fn an_open_write_may_happen_late_or_never() {
        let open = operation(2, None, Action::Write(2));
        let first = operation(0, Some(1), Action::Write(1));
        check(&[first.clone(), open.clone(), operation(8, Some(9), Action::Read(Some(1)))], true);
        check(&[first.clone(), open.clone(), operation(8, Some(9), Action::Read(Some(2)))], true);
        let back = [
            first,
            open,
            operation(4, Some(5), Action::Read(Some(2))),
            operation(8, Some(9), Action::Read(Some(1))),
        ];
        check(&back, false);
    }
}
