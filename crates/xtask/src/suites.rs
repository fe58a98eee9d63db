//! `cargo xtask suites`: the test suites of Redis clients, as `PyPI` has them, against a cluster.
//!
//! Each runs through one node of three, the leader or a follower. What fails must stand in
//! `tests/clients/suites/<suite>.txt` with a reason of a fixed list, and what stands there must
//! fail ([`list`]): the list only shrinks. No test is tried twice. Archive and Python packages have
//! exact versions ([`source`]). What a suite finds changed stands in
//! `tests/clients/suites/outcomes.py`: where it believes Redis to be, and of which version.

use crate::bench::systems::System;
use crate::shell::{Outcome, Shell};
use std::path::Path;
use std::process::Command;
use std::time::Instant;

mod list;
mod source;

use list::List;
use source::Archive;

/// One client's tests.
struct Suite {
    name: &'static str,
    archive: Archive,
    /// What pytest is told beside; `PORT` becomes the server's.
    options: &'static [&'static str],
    /// Where it believes Redis to be.
    fixed_port: u16,
    through: Through,
}

/// The node that a suite speaks to.
#[derive(Clone, Copy)]
enum Through {
    Leader,
    Follower,
}

const SUITES: &[Suite] = &[
    Suite {
        name: "redis-py-8",
        archive: Archive {
            wanted: "redis==8.1.0",
            sha256: "6e1a19beef9225c83efd689c7e6b7da2d5215b1f42cd13b7fc3714d0a09c7b25",
            tests: "tests",
        },
        options: &["--redis-url", "redis://127.0.0.1:PORT/0", "-m", STANDALONE],
        fixed_port: 6379,
        through: Through::Leader,
    },
    Suite {
        name: "redis-py-5",
        archive: Archive {
            wanted: "redis==5.3.1",
            sha256: "ca49577a531ea64039b5a36db3d6cd1a0c7a60c34124d46924a45b956e8cf14c",
            tests: "tests",
        },
        // Without the pytest.ini that its archive lacks.
        options: &[
            "--redis-url",
            "redis://127.0.0.1:PORT/0",
            "-m",
            STANDALONE,
            "--asyncio-mode",
            "auto",
        ],
        fixed_port: 6379,
        through: Through::Follower,
    },
    Suite {
        name: "fakeredis",
        archive: Archive {
            wanted: "fakeredis==2.41.0",
            sha256: "a10d97197e6c6e9e98affc10abba9fb0efa9bc5671bbc425dca7f47063c2c577",
            tests: "test",
        },
        // Each of its tests runs on its fake and on a real server: the latter.
        options: &["-m", "real and not fake"],
        fixed_port: 6390,
        through: Through::Follower,
    },
];

/// redis-py's marks of tests that need more than one server without modules.
const STANDALONE: &str = "not onlycluster and not redismod and not cp_integration and not ssl";

/// The newest version that a suite asks for: nothing is skipped for being too new.
const CLAIM: &str = "8.9.0";

/// A test that hangs is given up, in seconds: the longest that passes takes five.
const TEST_SECONDS: &str = "20";

/// Runs the named suites or all. `--port P` uses a running server; what comes behind `--` is passed
/// to pytest to choose tests, and then the list may name more than what fails.
pub(crate) fn run(shell: &Shell, binary: Option<&Path>, args: &[String]) -> Outcome {
    let behind = args.iter().position(|arg| arg == "--").unwrap_or(args.len());
    let (args, chosen) = args.split_at(behind);
    let chosen = chosen.get(1..).unwrap_or_default();
    let (suites, port) = read_args(args)?;
    let mut failed = Vec::new();
    for suite in suites {
        let outcome = match (port, binary) {
            (Some(port), _) => suite.run(shell, port, chosen),
            (None, Some(binary)) => suite.run_on_cluster(shell, binary, chosen),
            (None, None) => Err("neither a binary nor --port".to_owned()),
        };
        failed.extend(outcome.err());
    }
    if failed.is_empty() { Ok(()) } else { Err(failed.join("\n")) }
}

fn read_args(args: &[String]) -> Result<(Vec<&'static Suite>, Option<u16>), String> {
    let (mut suites, mut port) = (Vec::new(), None);
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        if arg == "--port" {
            let number = args.next().and_then(|text| text.parse().ok());
            port = Some(number.ok_or("--port needs a number")?);
        } else if arg != "--debug" {
            let suite = SUITES.iter().find(|suite| suite.name == arg);
            suites.push(suite.ok_or_else(|| format!("no suite `{arg}`; {}", names()))?);
        }
    }
    Ok((if suites.is_empty() { SUITES.iter().collect() } else { suites }, port))
}

fn names() -> String {
    let names: Vec<&str> = SUITES.iter().map(|suite| suite.name).collect();
    format!("suites: {}", names.join(", "))
}

impl Suite {
    fn run_on_cluster(&self, shell: &Shell, binary: &Path, chosen: &[String]) -> Outcome {
        let folder = format!("quorate-{}-{}", self.name, std::process::id());
        let scratch = std::env::temp_dir().join(folder);
        let debug = ["--enable-debug-command", "yes"];
        let cluster = System::quorate_with("cluster", binary, &scratch, 3, &debug)?;
        let port = match self.through {
            Through::Leader => cluster.target(),
            Through::Follower => cluster.follower(),
        };
        let outcome = self.run(shell, port, chosen);
        drop(cluster);
        let _ = std::fs::remove_dir_all(&scratch);
        outcome
    }

    fn run(&self, shell: &Shell, port: u16, chosen: &[String]) -> Outcome {
        let start = Instant::now();
        let lists = shell.root().join("tests/clients/suites");
        let list = List::read(&lists.join(self.name).with_extension("txt"))?;
        let source = source::fetch(shell, self.name, &self.archive)?;
        let outcomes = shell.root().join("target/suites").join(self.name).join("outcomes");
        let said = outcomes.with_extension("log");
        let log = std::fs::File::create(&said)
            .and_then(|log| Ok((log.try_clone()?, log)))
            .map_err(|error| format!("{}: {error}", said.display()))?;
        for file in list.files() {
            if !source.dir.join(file).exists() {
                return Err(format!("{}: the suite has no {file}", self.name));
            }
        }
        let status = Command::new(&source.python)
            .args(["-m", "pytest", "-q", "--tb", "native", "-p", "outcomes"])
            .args(["-p", "no:warnings", "-p", "no:cacheprovider"])
            .args(["--timeout", TEST_SECONDS, "--continue-on-collection-errors"])
            .args(self.options.iter().map(|option| option.replace("PORT", &port.to_string())))
            .args(list.files().map(|file| format!("--ignore={file}")))
            .args(list.unsteady().map(|test| format!("--deselect={test}")))
            .args(chosen)
            .arg(self.archive.tests)
            .env("PYTHONPATH", &lists)
            .env("QUORATE_OUTCOMES", &outcomes)
            .env("QUORATE_PORT", port.to_string())
            .env("QUORATE_FIXED_PORT", self.fixed_port.to_string())
            .env("QUORATE_CLAIM", CLAIM)
            .current_dir(&source.dir)
            .stdout(log.0)
            .stderr(log.1)
            .status()
            .map_err(|error| format!("{}: {error}", source.python.display()))?;
        // 0 and 1 are what pytest says of tests that passed and failed.
        if !matches!(status.code(), Some(0 | 1)) {
            return Err(format!("{} broke off: see {}", self.name, said.display()));
        }
        let text = std::fs::read_to_string(&outcomes)
            .map_err(|error| format!("{}: {error}", outcomes.display()))?;
        let verdict = list.judge(&text, chosen.is_empty());
        println!("{:<12} {}, {} s", self.name, verdict.counts, start.elapsed().as_secs());
        if verdict.wrong.is_empty() {
            return Ok(());
        }
        Err(format!("{}:\n{}\n(see {})", self.name, verdict.wrong.join("\n"), said.display()))
    }
}
