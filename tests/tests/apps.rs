//! Applications as `PyPI` has them, each doing its work on three nodes while the leader is killed
//! twice.
//!
//! Each node has one worker, as its package starts it; work is given through all nodes until both
//! kills are over. The programs in `tests/apps` then see that every job is done, once nothing is in
//! anybody's hands. Of publish and subscribe they see that no connection that lasted missed any.

use quorate_tests::cluster::Cluster;
use quorate_tests::wait::{until, within};
use std::fs::{self, File};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Whether the server runs scripts. What applications do with them waits for that.
const SCRIPTS: bool = true;

/// An application.
struct App {
    name: &'static str,
    /// What gives the work, in `tests/apps`, and what it is told before kinds and ports.
    giver: &'static [&'static str],
    /// Kinds of jobs.
    kinds: &'static [&'static str],
    /// More kinds, where the server runs scripts.
    scripted: &'static [&'static str],
    /// What its package calls a worker, behind `python -m`; `PORT` is its node's.
    worker: &'static [&'static str],
    /// What a worker is told besides, where the server runs scripts.
    scripted_worker: &'static [&'static str],
}

const CELERY: App = App {
    name: "celery",
    giver: &["giver.py", "celery_work"],
    kinds: &["plain", "retry", "countdown", "chord"],
    scripted: &[],
    worker: &[
        "celery",
        "-A",
        "celery_work",
        "worker",
        "--pool=solo",
        "--hostname=PORT@localhost",
        "--without-gossip",
        "--without-mingle",
    ],
    scripted_worker: &[],
};

const HUEY: App = App {
    name: "huey",
    giver: &["giver.py", "huey_work"],
    kinds: &["plain", "retry", "pipeline"],
    scripted: &["later"],
    worker: &["huey.bin.huey_consumer", "huey_work.huey", "--no-periodic"],
    scripted_worker: &[],
};

const RQ: App = App {
    name: "rq",
    giver: &["giver.py", "rq_work"],
    kinds: &["plain", "retry", "depends"],
    scripted: &["later"],
    worker: &["rq.cli", "worker", "--url", "redis://127.0.0.1:PORT", "work"],
    // A scheduler ends with its connection. Its worker starts it again when it looks, which by
    // default is every ten minutes and not before it waits no longer for a job (seven minutes).
    scripted_worker: &["--with-scheduler", "--maintenance-interval=2", "--worker-ttl=20"],
};

const PUBSUB: App = App {
    name: "pubsub",
    giver: &["pubsub_work.py"],
    kinds: &[],
    scripted: &[],
    worker: &[],
    scripted_worker: &[],
};

/// How long the last jobs may take on a loaded machine: RQ's lock on its schedule outlives the
/// worker that has it by a minute.
const PATIENCE: Duration = Duration::from_mins(3);

/// What is done, or heard of each publisher, between one blow and the next.
const MORE: usize = 20;

/// Celery starts no worker without scripts: kombu's lock on what it redelivers is released by one.
#[test]
fn celery_does_every_job_once_the_server_runs_scripts() {
    if SCRIPTS {
        return works(&CELERY, jobs_done);
    }
    let cluster = Cluster::start("scripts", 1, &[]);
    let mut client = cluster.replicas[0].client().expect("it takes connections");
    let said = client.call(&["EVAL", "return 1", "0"]).expect("it answers");
    let refused = format!("{said:?}").contains("unknown command");
    assert!(refused, "the server runs scripts ({said:?}): SCRIPTS can be true");
}

#[test]
fn huey_does_every_job() {
    works(&HUEY, jobs_done);
}

#[test]
fn rq_does_every_job() {
    works(&RQ, jobs_done);
}

#[test]
fn subscribers_miss_nothing_while_they_are_connected() {
    works(&PUBSUB, heard_least);
}

/// Kills the leader twice and starts it again. `progress` tells from the journal's lines how far
/// those are whose nodes have these ports.
fn works(app: &App, progress: fn(&[Line], &[u16]) -> usize) {
    let mut cluster = Cluster::start(app.name, 3, &[]);
    let mut crew = Crew::start(app, &cluster, progress);
    let all = cluster.ports();
    crew.wait_for_more(&all);
    for _ in 0..2 {
        let leader = cluster.leader();
        cluster.replicas[leader].kill();
        let others: Vec<u16> = all.iter().copied().filter(|&port| port != all[leader]).collect();
        crew.wait_for_more(&others);
        cluster.replicas[leader].start();
        until("the killed node is back", || {
            crew.keep_up();
            cluster.replicas[leader].accepts_writes().then_some(())
        });
        crew.wait_for_more(&all);
    }
    eprintln!("{}: {}", app.name, crew.finish());
    cluster.wait_agreed();
}

/// A line of the journal: what happened, and to what.
type Line<'a> = (&'a str, &'a str);

fn jobs_done(journal: &[Line], _living: &[u16]) -> usize {
    journal.iter().filter(|(what, _)| *what == "done").count()
}

/// Messages of the publisher that is heard least, by the subscriber that hears least.
fn heard_least(journal: &[Line], living: &[u16]) -> usize {
    let living: Vec<String> = living.iter().map(u16::to_string).collect();
    let pairs = living.iter().flat_map(|one| living.iter().map(move |other| (one, other)));
    pairs
        .map(|(subscriber, publisher)| {
            journal.iter().filter(|line| **line == (subscriber, publisher)).count()
        })
        .min()
        .unwrap_or(0)
}

/// The processes of one application. They end with it.
struct Crew<'a> {
    app: &'a App,
    dir: PathBuf,
    ports: Vec<u16>,
    progress: fn(&[Line], &[u16]) -> usize,
    giver: Child,
    workers: Vec<(u16, Child)>,
    /// How often a worker ended and was started again.
    restarts: usize,
}

impl<'a> Crew<'a> {
    fn start(app: &'a App, cluster: &Cluster, progress: fn(&[Line], &[u16]) -> usize) -> Self {
        let dir = cluster.scratch.path().to_owned();
        File::create(dir.join("journal")).expect("the journal can be made");
        let ports = cluster.ports();
        let crew = ports.iter().filter(|_| !app.worker.is_empty());
        let workers = crew.map(|&port| (port, app.worker(&dir, port, &ports))).collect();
        let giver = app.giver(&dir, &ports);
        Self { app, dir, ports, progress, giver, workers, restarts: 0 }
    }

    /// Starts a worker again that has ended, once its node takes connections.
    fn keep_up(&mut self) {
        for (port, child) in &mut self.workers {
            let ended = child.try_wait().expect("it is our child").is_some();
            if ended && TcpStream::connect(("127.0.0.1", *port)).is_ok() {
                *child = self.app.worker(&self.dir, *port, &self.ports);
                self.restarts += 1;
            }
        }
    }

    fn progress(&self, living: &[u16]) -> usize {
        let text = fs::read_to_string(self.dir.join("journal")).expect("there is a journal");
        let lines: Vec<Line> = text
            .lines()
            .filter_map(|line| {
                let mut words = line.split(' ');
                Some((words.next()?, words.next()?))
            })
            .collect();
        (self.progress)(&lines, living)
    }

    fn wait_for_more(&mut self, living: &[u16]) {
        let from = self.progress(living);
        until("the work goes on", || {
            self.keep_up();
            let ended = self.giver.try_wait().expect("it is our child");
            assert!(ended.is_none(), "the giver ended: {}", self.giver_said());
            (self.progress(living) >= from + MORE).then_some(())
        });
    }

    /// Lets the giver end, and returns what it says of the whole work.
    fn finish(mut self) -> String {
        drop(self.giver.stdin.take());
        let ended = within(PATIENCE, || {
            self.keep_up();
            self.giver.try_wait().expect("it is our child")
        });
        let ended = ended.expect("all is done");
        let said = self.giver_said();
        assert!(ended.success(), "{said}");
        let result = fs::read_to_string(self.dir.join("giver.said")).expect("it says something");
        format!("{}, {} restarts of workers", result.trim(), self.restarts)
    }

    fn giver_said(&self) -> String {
        fs::read_to_string(self.dir.join("giver.log")).unwrap_or_default()
    }
}

impl Drop for Crew<'_> {
    fn drop(&mut self) {
        self.workers.iter_mut().for_each(|(_, child)| end(child));
        end(&mut self.giver);
    }
}

/// Ends a process and what it has started.
fn end(child: &mut Child) {
    let group = rustix::process::Pid::from_child(child);
    let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    let _ = child.wait();
}

impl App {
    fn giver(&self, dir: &Path, ports: &[u16]) -> Child {
        let (program, told) = self.giver.split_first().expect("a giver has a program");
        let mut command = python(dir, "giver");
        command.arg(folder().join(program)).args(told);
        let besides = if SCRIPTS { self.scripted } else { &[] };
        let kinds = [self.kinds, besides].concat();
        command.args((!kinds.is_empty()).then(|| kinds.join(",")));
        let said = File::create(dir.join("giver.said")).expect("a file can be made");
        command.args(ports.iter().map(u16::to_string)).stdin(Stdio::piped()).stdout(said);
        command.spawn().expect("python runs")
    }

    fn worker(&self, dir: &Path, port: u16, ports: &[u16]) -> Child {
        let besides = if SCRIPTS { self.scripted_worker } else { &[] };
        let words = self.worker.iter().chain(besides);
        let words = words.map(|word| word.replace("PORT", &port.to_string()));
        let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
        let mut command = python(dir, &format!("worker-{port}"));
        command.arg("-m").args(words).stdin(Stdio::null());
        command.env("APP_NODE", port.to_string()).env("APP_NODES", ports.join(","));
        command.spawn().expect("python runs")
    }
}

/// An interpreter that finds the programs, and leads a group of its own; its output goes to a log.
fn python(dir: &Path, name: &str) -> Command {
    let log = File::options()
        .create(true)
        .append(true)
        .open(dir.join(name).with_extension("log"))
        .expect("a log can be made");
    let python = std::env::var("QUORATE_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let mut command = Command::new(python);
    command.process_group(0).current_dir(dir);
    command.env("PYTHONPATH", folder()).env("PYTHONDONTWRITEBYTECODE", "1");
    command.env("APP_JOURNAL", dir.join("journal"));
    command.stdout(log.try_clone().expect("a descriptor can be copied")).stderr(log);
    command
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("apps")
}
