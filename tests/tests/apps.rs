//! Applications as PyPI has them, each doing its work on three nodes while the leader is killed
//! twice.
//!
//! Of each node one worker takes jobs, as its package starts it; jobs are given through all nodes
//! until both kills are over. `tests/apps/giver.py` sees that every job is done.

use quorate_tests::cluster::Cluster;
use quorate_tests::wait::until;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// An application.
struct App {
    /// Its module in `tests/apps`.
    module: &'static str,
    /// What its package calls a worker, behind `python -m`; `PORT` is its node's.
    worker: &'static [&'static str],
    /// The kinds of jobs that are given.
    kinds: &'static str,
}

const HUEY: App = App {
    module: "huey_work",
    worker: &["huey.bin.huey_consumer", "huey_work.huey", "--no-periodic"],
    kinds: "plain,retry,pipeline",
};

/// Lines of the journal that are waited for between one blow and the next.
const MORE: usize = 25;

#[test]
fn huey_does_every_job() {
    works(&HUEY);
}

fn works(app: &App) {
    let mut cluster = Cluster::start(app.module, 3, &[]);
    let mut crew = Crew::start(app, &cluster);
    for _ in 0..2 {
        crew.wait_for_more(MORE);
        let leader = cluster.leader();
        cluster.replicas[leader].kill();
        crew.wait_for_more(MORE);
        cluster.replicas[leader].start();
        until("the killed node is back", || {
            crew.keep_up();
            cluster.replicas[leader].accepts_writes().then_some(())
        });
    }
    crew.wait_for_more(MORE);
    let said = crew.finish();
    eprintln!("{}: {said}", app.module);
    cluster.wait_agreed();
}

/// The processes of one application. They end with it.
struct Crew<'a> {
    app: &'a App,
    dir: PathBuf,
    giver: Child,
    workers: Vec<Worker>,
    /// How often a worker ended and was started again.
    restarts: usize,
}

struct Worker {
    port: u16,
    child: Child,
}

impl<'a> Crew<'a> {
    fn start(app: &'a App, cluster: &Cluster) -> Self {
        let dir = cluster.scratch.path().to_owned();
        File::create(dir.join("journal")).expect("the journal can be made");
        let ports = cluster.ports();
        let workers = ports.iter().map(|&port| Worker { port, child: app.worker(&dir, port) });
        let workers = workers.collect();
        let mut command = python(&dir);
        command.arg(folder().join("giver.py")).args([app.module, app.kinds]);
        command.args(ports.iter().map(u16::to_string)).stdin(Stdio::piped());
        let log = File::create(dir.join("giver.log")).expect("a log can be made");
        command.stdout(log.try_clone().expect("a descriptor can be copied")).stderr(log);
        let giver = command.spawn().expect("python runs");
        Self { app, dir, giver, workers, restarts: 0 }
    }

    /// Starts again what ended, as a supervisor of workers does.
    fn keep_up(&mut self) {
        for worker in &mut self.workers {
            if worker.child.try_wait().expect("it is our child").is_some() {
                worker.child = self.app.worker(&self.dir, worker.port);
                self.restarts += 1;
            }
        }
    }

    fn journal_lines(&self) -> usize {
        fs::read_to_string(self.dir.join("journal")).map_or(0, |text| text.lines().count())
    }

    fn wait_for_more(&mut self, more: usize) {
        let from = self.journal_lines();
        until("jobs are done", || {
            self.keep_up();
            let ended = self.giver.try_wait().expect("it is our child");
            assert!(ended.is_none(), "the giver ended: {}", self.giver_said());
            (self.journal_lines() >= from + more).then_some(())
        });
    }

    /// Lets the giver end, and returns what it says of the whole work.
    fn finish(mut self) -> String {
        drop(self.giver.stdin.take());
        let ended = until("every job is done", || {
            self.keep_up();
            self.giver.try_wait().expect("it is our child")
        });
        let said = self.giver_said();
        assert!(ended.success(), "{said}");
        format!("{}, {} restarts of workers", said.lines().last().unwrap_or_default(), self.restarts)
    }

    fn giver_said(&self) -> String {
        fs::read_to_string(self.dir.join("giver.log")).unwrap_or_default()
    }
}

impl Drop for Crew<'_> {
    fn drop(&mut self) {
        let workers = self.workers.iter_mut().map(|worker| &mut worker.child);
        for child in workers.chain([&mut self.giver]) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl App {
    fn worker(&self, dir: &std::path::Path, port: u16) -> Child {
        let log = File::options()
            .create(true)
            .append(true)
            .open(dir.join(format!("worker-{port}.log")))
            .expect("a log can be made");
        let mut command = python(dir);
        command.arg("-m");
        command.args(self.worker.iter().map(|word| word.replace("PORT", &port.to_string())));
        command.env("APP_NODE", port.to_string()).stdin(Stdio::null());
        command.stdout(log.try_clone().expect("a descriptor can be copied")).stderr(log);
        command.spawn().expect("python runs")
    }
}

/// An interpreter that finds the programs.
fn python(dir: &std::path::Path) -> Command {
    let python = std::env::var("QUORATE_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let mut command = Command::new(python);
    command.env("PYTHONPATH", folder()).env("PYTHONDONTWRITEBYTECODE", "1");
    command.env("APP_JOURNAL", dir.join("journal")).current_dir(dir);
    command
}

fn folder() -> PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("apps")
}
