//! Runs many trials, two at a time, and collects what came of them.
//!
//! Every worker has prepared directories of its own, because the ports of a cluster are part of its
//! state; cases are dealt out in turn.

use super::prepared::Prepared;
use super::table::Outcome;
use super::{Case, Extent, Mode, cases, trial};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// Trials at the same time; a trial of three is three processes, and a small machine has two cores.
const WORKERS: usize = 2;

/// Failures whose directories are kept to be looked at; those of a cluster have some 20 MiB.
const KEPT_MAX: usize = 10;

/// What to run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What is damaged.
    pub mode: Mode,
    /// How many cases of each file.
    pub extent: Extent,
    /// Where random places come from.
    pub seed: u64,
    /// Only the case of this name; if there is none, those that have it in their name.
    pub only: Option<String>,
}

impl Plan {
    fn cases(&self, prepared: &Prepared) -> Vec<Case> {
        let mut all = cases(prepared.sources(), self.extent, self.seed);
        if let Some(only) = &self.only {
            let is_one = all.iter().any(|case| case.to_string() == *only);
            let fits = |name: String| if is_one { name == *only } else { name.contains(only) };
            all.retain(|case| fits(case.to_string()));
        }
        all
    }
}

/// Runs a plan below `root`. Prepared directories that are there already are used again.
pub fn run(plan: &Plan, root: &Path) -> Vec<Outcome> {
    // What an earlier run left beside its prepared directories.
    for name in [KEPT.to_owned()].into_iter().chain((0..WORKERS).map(trial_place)) {
        let _ = fs::remove_dir_all(place(root, plan.mode, &name));
    }
    let outcomes = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for number in 0..WORKERS {
            let worker = Worker { number, plan, root, outcomes: &outcomes };
            scope.spawn(move || worker.work());
        }
    });
    outcomes.into_inner().unwrap_or_default()
}

/// The place below the root for the failures of a mode.
const KEPT: &str = "kept";

fn trial_place(worker: usize) -> String {
    format!("trial-{worker}")
}

/// A place below the root that belongs to this mode.
fn place(root: &Path, mode: Mode, name: &str) -> PathBuf {
    root.join(format!("{}-{name}", mode.word()))
}

struct Worker<'a> {
    number: usize,
    plan: &'a Plan,
    root: &'a Path,
    outcomes: &'a Mutex<Vec<Outcome>>,
}

impl Worker<'_> {
    fn work(&self) {
        let mode = self.plan.mode;
        let prepared = self.prepare();
        if self.number == 0 {
            eprint!("{}: {}", mode.word(), super::describe(prepared.sources().whole));
        }
        let mine = self.plan.cases(&prepared).into_iter().skip(self.number).step_by(WORKERS);
        for case in mine {
            let dir = self.place(&trial_place(self.number));
            fs::create_dir_all(&dir).expect("a directory can be made");
            let verdict = trial::run(&prepared, &case, &dir);
            self.clear(&dir, verdict.is_failure().then_some(&case));
            if verdict.is_failure() {
                eprintln!("{} {case}: {verdict:?}", mode.word());
            }
            let mut outcomes = self.outcomes.lock().expect("no worker panics with it");
            outcomes.push(Outcome { mode, case, verdict });
            if outcomes.len().is_multiple_of(100) {
                eprintln!("{}: {} cases done", mode.word(), outcomes.len());
            }
        }
    }

    fn prepare(&self) -> Prepared {
        let place = self.place(&format!("prepared-{}", self.number));
        Prepared::open(&place).unwrap_or_else(|| {
            fs::create_dir_all(&place).expect("a directory can be made");
            Prepared::make(&place, self.plan.mode)
        })
    }

    fn place(&self, name: &str) -> PathBuf {
        place(self.root, self.plan.mode, name)
    }

    /// Makes room for the next trial; the first failures are kept, by the name of the case.
    fn clear(&self, dir: &Path, failure: Option<&Case>) {
        let kept = self.place(KEPT);
        let count = fs::read_dir(&kept).map_or(0, Iterator::count);
        match failure.filter(|_| count < KEPT_MAX) {
            Some(case) => {
                fs::create_dir_all(&kept).expect("a directory can be made");
                let name = case.to_string().replace(['/', ' '], "-");
                fs::rename(dir, kept.join(name)).expect("a directory can be renamed");
            }
            None => fs::remove_dir_all(dir).expect("a directory can be removed"),
        }
    }
}
