//! What must hold, checked as answers come in: see [`Checks`].

use super::Report;
use super::env::now;
use super::queue::Seen;
use crate::replica::error::StartError;
use crate::snapshot::load::LoadError;
use quorate_engine::{Db, Keyspace, Reader};
use quorate_store::StoreError;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Lines of trace that are kept.
const TRACE_MAX: usize = 20_000;
/// How long a lock is taken for.
pub(crate) const LOCK_MS: u64 = 300;
/// What a lock may end early by: the clock's pull of 500 ppm, and rounding to milliseconds.
const EARLY_MAX: Duration = Duration::from_millis(3);

/// The key of the counter that clients raise.
pub(crate) const COUNTER: &str = "counter";

/// The counter as a state shows it.
pub(crate) fn counter(keyspace: &Keyspace) -> u64 {
    number(keyspace, COUNTER)
}

/// A number as a state shows it.
pub(crate) fn number(keyspace: &Keyspace, key: &str) -> u64 {
    let reader = Reader { keyspace, db: Db(0), seed: 0, clock_ms: 0 };
    let value = reader.string(key.as_bytes()).ok().flatten();
    let text = value.map(|value| value.bytes().into_owned()).unwrap_or_default();
    String::from_utf8_lossy(&text).parse().unwrap_or(0)
}

/// The clients' answers and the replicas' states against what a single correct server could have
/// given.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    state: Mutex<State>,
    /// Prints what happens as it happens.
    loud: bool,
}

#[derive(Debug, Default)]
struct State {
    report: Report,
    failed: Option<String>,
    /// INCRs begun, and the greatest value any answer showed.
    incrs_begun: u64,
    floor: u64,
    /// Every value an INCR was answered with.
    values: BTreeSet<u64>,
    /// Keys whose SET was acknowledged.
    acknowledged: BTreeSet<String>,
    /// When the last lock that was granted was asked for; `None` after a cold start.
    locked_since: Option<Duration>,
    leaders: BTreeMap<u64, String>,
    digests: BTreeMap<u64, (u64, String)>,
    queue: Seen,
}

/// What a client knew when it asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    pub(crate) at: Duration,
    floor: u64,
}

/// What a run shows to be wrong.
#[derive(Debug)]
pub(crate) enum Wrong {
    /// The directory of this host is refused.
    NotOpened(usize, StoreError),
    /// The replica on this host does not start.
    NotStarted(usize, StartError),
    /// Anything else, in the words of whoever saw it.
    Seen(String),
}

impl Wrong {
    /// Whether a host refuses to go on with what is on its disk, and says what to do.
    pub(crate) fn is_refusal(&self) -> bool {
        match self {
            Self::NotOpened(_, why) => {
                matches!(why, StoreError::Foreign(_) | StoreError::Corrupt(_))
            }
            Self::NotStarted(_, StartError::Load(why)) => {
                matches!(why, LoadError::NoneWhole | LoadError::NoBridge(_))
            }
            Self::NotStarted(..) | Self::Seen(_) => false,
        }
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotOpened(at, why) => write!(f, "n{at} does not open: {why}"),
            Self::NotStarted(at, why) => write!(f, "n{at} does not start: {why}"),
            Self::Seen(what) => f.write_str(what),
        }
    }
}

impl From<String> for Wrong {
    fn from(what: String) -> Self {
        Self::Seen(what)
    }
}

impl From<&str> for Wrong {
    fn from(what: &str) -> Self {
        Self::Seen(what.to_owned())
    }
}

impl Checks {
    pub(crate) fn new(loud: bool) -> Self {
        Self { state: Mutex::default(), loud }
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        let mut state: MutexGuard<'_, State> =
            self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let before = state.report.trace.len();
        let result = work(&mut state);
        if self.loud {
            state.report.trace.iter().skip(before).for_each(|line| eprintln!("{line}"));
        }
        result
    }

    pub(crate) fn note(&self, line: &str) {
        self.with(|state| state.note(line));
    }

    pub(crate) fn fail(&self, what: String) {
        self.with(|state| state.fail(what));
    }

    pub(crate) fn verdict(&self) -> Result<(), Wrong> {
        self.with(|state| state.failed.clone().map_or(Ok(()), |what| Err(Wrong::Seen(what))))
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.with(|state| state.failed.is_some())
    }

    pub(crate) fn trace(&self) -> Vec<String> {
        self.with(|state| state.report.trace.clone())
    }

    pub(crate) fn report(&self) -> Report {
        self.with(|state| Report { terms: state.leaders.len() as u64, ..state.report.clone() })
    }

    /// Offset and length of each snapshot that was sent.
    pub(crate) fn sent(&self, snapshots: &[(u64, u64)]) {
        let went_on = snapshots.iter().filter(|(offset, _)| *offset > 0).count() as u64;
        self.with(|state| state.report.snapshots = (snapshots.len() as u64, went_on));
    }

    pub(crate) fn crashed(&self) {
        self.with(|state| state.report.crashes += 1);
    }

    /// Everything was down at once: wall clocks count, and they are seconds apart.
    pub(crate) fn cold_start(&self) {
        self.with(|state| state.locked_since = None);
    }

    /// A question is asked now.
    pub(crate) fn ask(&self, is_incr: bool) -> Asked {
        self.with(|state| {
            state.incrs_begun += u64::from(is_incr);
            Asked { at: now(), floor: state.floor }
        })
    }

    pub(crate) fn incremented(&self, asked: Asked, value: u64, who: &str) {
        self.with(|state| {
            state.report.operations.0 += 1;
            state.note(&format!("{who} INCR -> {value}"));
            if value <= asked.floor {
                state.fail(format!("{who}: INCR gave {value} after {} had been seen", asked.floor));
            }
            if !state.values.insert(value) {
                state.fail(format!("{who}: INCR gave {value} twice"));
            }
            state.see(value, who);
        });
    }

    pub(crate) fn read(&self, asked: Asked, value: u64, who: &str) {
        self.with(|state| {
            state.report.operations.1 += 1;
            state.note(&format!("{who} GET -> {value}"));
            if value < asked.floor {
                state.fail(format!("{who}: read {value} after {} had been seen", asked.floor));
            }
            state.see(value, who);
        });
    }

    pub(crate) fn set(&self, key: &str, who: &str) {
        self.with(|state| {
            state.report.operations.0 += 1;
            state.note(&format!("{who} SET {key}"));
            state.acknowledged.insert(key.to_owned());
        });
    }

    pub(crate) fn locked(&self, asked: Asked, who: &str) {
        self.with(|state| {
            state.note(&format!("{who} took the lock"));
            if let Some(since) = state.locked_since {
                let held = since + Duration::from_millis(LOCK_MS);
                if now() + EARLY_MAX < held {
                    state.fail(format!("{who}: the lock was taken again before its time was up"));
                }
            }
            state.locked_since = Some(asked.at);
        });
    }

    pub(crate) fn pushed(&self, element: &str, who: &str) {
        self.with(|state| {
            state.report.operations.0 += 1;
            state.note(&format!("{who} RPUSH {element}"));
            state.queue.pushed(element);
        });
    }

    pub(crate) fn popped(&self, element: &str, who: &str) {
        self.with(|state| {
            state.report.operations.0 += 1;
            state.note(&format!("{who} BLPOP -> {element}"));
            if !state.queue.popped(element) {
                state.fail(format!("{who}: BLPOP gave {element} a second time"));
            }
        });
    }

    /// A replica died, and so many elements that it may have held for its clients.
    pub(crate) fn died_with(&self, held: usize) {
        self.with(|state| state.queue.died_with(held));
    }

    /// What is wrong with the queue, if it holds this in the end.
    pub(crate) fn judge_queue(&self, left: &BTreeSet<String>) -> Result<(), String> {
        self.with(|state| state.queue.judge(left))
    }

    pub(crate) fn uncertain(&self, who: &str) {
        self.with(|state| {
            state.report.operations.2 += 1;
            state.note(&format!("{who} uncertain"));
        });
    }

    /// A replica says that it leads.
    pub(crate) fn leads(&self, term: u64, who: &str) {
        self.with(|state| {
            let first = state.leaders.entry(term).or_insert_with(|| who.to_owned()).clone();
            if first != who {
                state.fail(format!("{who} and {first} both lead term {term}"));
            }
        });
    }

    /// A replica's state after an entry.
    pub(crate) fn state(&self, index: u64, digest: u64, who: &str) {
        self.with(|state| {
            let entry = state.digests.entry(index).or_insert_with(|| (digest, who.to_owned()));
            if entry.0 != digest {
                let other = entry.1.clone();
                state.fail(format!("{who} and {other} differ after entry {index}"));
            }
        });
    }

    pub(crate) fn acknowledged(&self) -> BTreeSet<String> {
        self.with(|state| state.acknowledged.clone())
    }

    /// What was acknowledged is lost by an operator's hand: it is not asked for any more.
    #[cfg(test)]
    pub(crate) fn forget(&self) {
        self.with(|state| {
            state.acknowledged.clear();
            state.digests.clear();
        });
    }

    pub(crate) fn floor(&self) -> u64 {
        self.with(|state| state.floor)
    }
}

impl State {
    fn note(&mut self, line: &str) {
        if self.report.trace.len() < TRACE_MAX {
            let at = now().as_micros();
            self.report.trace.push(format!("{at:>10} {line}"));
        }
    }

    fn fail(&mut self, what: String) {
        self.note(&format!("VIOLATION {what}"));
        self.failed.get_or_insert(what);
    }

    fn see(&mut self, value: u64, who: &str) {
        self.floor = self.floor.max(value);
        if value > self.incrs_begun {
            self.fail(format!("{who}: saw {value}, but only {} were begun", self.incrs_begun));
        }
    }
}
