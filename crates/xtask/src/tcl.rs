//! `cargo xtask tcl`: Redis's own test suite (7.0.15, from Debian's source package) against a
//! three-node cluster.
//!
//! The suite runs in external mode. Every unit passes through the leader's port and through a
//! follower's; one run takes each unit through one of both ([`Through::Turns`]), or `--through`
//! says which. What cannot pass stands in `tests/tcl/skip.txt`, one line each with a reason from a
//! fixed list; the list only shrinks. A skip that names no test of the suite is an error, so that
//! the list cannot rot. Where the suite asks for what 7.2 says otherwise, `tests/tcl/start.tcl`
//! adapts it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

mod source;

use crate::bench::systems::System;

/// The units that must pass.
const UNITS: &[&str] = &[
    "unit/type/string",
    "unit/type/incr",
    "unit/type/list",
    "unit/type/list-2",
    "unit/type/list-3",
    "unit/type/set",
    "unit/type/zset",
    "unit/type/hash",
    "unit/type/stream",
    "unit/type/stream-cgroups",
    "unit/sort",
    "unit/geo",
    "unit/bitops",
    "unit/bitfield",
    "unit/hyperloglog",
    "unit/expire",
    "unit/keyspace",
    "unit/scan",
    "unit/protocol",
    "unit/querybuf",
    "unit/auth",
    "unit/quit",
    "unit/limits",
    "unit/dump",
    "unit/other",
    "unit/info",
    "unit/info-command",
    "unit/introspection",
    "unit/multi",
    "unit/pubsub",
    "unit/tracking",
    "unit/scripting",
    "unit/functions",
    // Leaves hash-max-listpack-value at a gigabyte, so nothing may come after it that counts on it.
    "unit/violations",
];

/// Units that ask, while a script takes long, the node that runs it: through the leader, but where
/// both ways are asked for.
const OF_THE_LEADER: &[&str] = &["unit/scripting", "unit/functions"];

/// Why a test is skipped. `type` names the issue, `later` the group that removes the line.
const REASONS: &[(&str, &str)] = &[
    ("type", "needs a data type that a later issue brings"),
    ("later", "needs a command group that a later issue brings"),
    ("process", "starts, configures or inspects a redis-server process of its own"),
    ("persistence", "about Redis's own persistence or fork, which a replicated log replaces"),
    ("replication", "about Redis's own replication, which consensus replaces"),
    ("allocator", "about jemalloc, dict or encoding internals of Redis"),
    ("local-config", "changes a setting that a replicated server does not have"),
];

/// One line of the skip list.
struct Skip {
    unit: String,
    reason: String,
    test: String,
}

/// Which nodes the units go through.
#[derive(Clone, Copy)]
enum Through {
    /// Every second unit of [`UNITS`], from the second on, through a follower and the others
    /// through the leader: both ways in the time of one. A unit has the same way in every run, so
    /// that what fails can be repeated.
    Turns,
    Leader,
    Follower,
    /// Each unit twice.
    Both,
}

impl Through {
    fn parse(args: &[String]) -> Result<Self, String> {
        let Some(at) = args.iter().position(|arg| arg == "--through") else {
            return Ok(Self::Turns);
        };
        match args.get(at + 1).map(String::as_str) {
            Some("leader") => Ok(Self::Leader),
            Some("follower") => Ok(Self::Follower),
            Some("both") => Ok(Self::Both),
            _ => Err("--through leader, follower or both".to_owned()),
        }
    }

    /// The ways of one unit.
    fn ways(self, unit: &str) -> &'static [Way] {
        let place = UNITS.iter().position(|it| *it == unit).unwrap_or(0);
        match self {
            Self::Turns if place % 2 == 0 || OF_THE_LEADER.contains(&unit) => &[Way::Leader],
            Self::Leader => &[Way::Leader],
            Self::Turns | Self::Follower => &[Way::Follower],
            Self::Both => &[Way::Leader, Way::Follower],
        }
    }
}

#[derive(Clone, Copy)]
enum Way {
    Leader,
    Follower,
}

/// Runs the suite. `args`: unit names to run instead of all; `--through` as in [`Through`];
/// `--port P` uses a running server.
pub(crate) fn run(root: &Path, binary: Option<&Path>, args: &[String]) -> Result<(), String> {
    let suite = source::fetch(root)?;
    let skips = read_skips(&root.join("tests/tcl/skip.txt"), &suite)?;
    let through = Through::parse(args)?;
    let target = Target::new(binary, args)?;
    let named: Vec<&str> =
        args.iter().map(String::as_str).filter(|arg| arg.starts_with("unit/")).collect();
    let units: Vec<&str> = if named.is_empty() { UNITS.to_vec() } else { named };
    let mut failed = Vec::new();
    let (mut passed, mut skipped) = (0, 0);
    for (unit, way) in
        units.iter().flat_map(|unit| target.ways(through, unit).map(|it| (*unit, it)))
    {
        let start = Instant::now();
        let (port, name) = target.port(way);
        let outcome = run_unit(root, &suite, unit, port, &skips)?;
        println!(
            "{unit:<24} {name:<8} {:>4} passed, {:>3} failed, {:>3} skipped, {:>3} not for \
             external mode, {:>4} s",
            outcome.passed,
            outcome.failures.len(),
            outcome.skipped,
            outcome.ignored,
            start.elapsed().as_secs()
        );
        outcome.check_share(unit, &skips)?;
        passed += outcome.passed;
        skipped += outcome.skipped;
        failed.extend(outcome.failures.into_iter().map(|text| format!("{unit} ({name}): {text}")));
    }
    println!("{passed} passed, {} failed, {skipped} skipped", failed.len());
    if failed.is_empty() { Ok(()) } else { Err(failed.join("\n")) }
}

/// What the suite speaks to.
enum Target {
    /// Somebody else's server.
    Port(u16),
    /// A cluster of ours, and where its data lies.
    Cluster(System, #[expect(dead_code, reason = "removed when dropped")] ScratchDir),
}

impl Target {
    fn new(binary: Option<&Path>, args: &[String]) -> Result<Self, String> {
        if let Some(at) = args.iter().position(|arg| arg == "--port") {
            let port = args
                .get(at + 1)
                .and_then(|text| text.parse().ok())
                .ok_or("--port needs a number")?;
            return Ok(Self::Port(port));
        }
        let binary = binary.ok_or("neither a binary nor --port")?;
        let scratch = ScratchDir::new("tcl");
        let debug = ["--enable-debug-command", "yes"];
        let cluster = System::quorate_with("cluster", binary, &scratch.0, 3, &debug)?;
        Ok(Self::Cluster(cluster, scratch))
    }

    /// The ways of one unit; a server of somebody else's has one.
    fn ways(&self, through: Through, unit: &str) -> std::iter::Copied<std::slice::Iter<'_, Way>> {
        match self {
            Self::Port(_) => [Way::Leader].iter().copied(),
            Self::Cluster(..) => through.ways(unit).iter().copied(),
        }
    }

    /// The port of this way, and its name. Asked before each unit: leadership may have moved.
    fn port(&self, way: Way) -> (u16, &'static str) {
        match (self, way) {
            (Self::Port(port), _) => (*port, "port"),
            (Self::Cluster(cluster, _), Way::Leader) => (cluster.target(), "leader"),
            (Self::Cluster(cluster, _), Way::Follower) => (cluster.follower(), "follower"),
        }
    }
}

struct ScratchDir(PathBuf);

impl ScratchDir {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("quorate-{name}-{}", std::process::id())))
    }
}

impl Drop for ScratchDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn read_skips(path: &Path, suite: &Path) -> Result<Vec<Skip>, String> {
    let text =
        std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut sources = BTreeMap::new();
    let mut skips = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let at = format!("tests/tcl/skip.txt:{}", number + 1);
        let fields: Vec<&str> = line.splitn(3, " | ").collect();
        let [unit, reason, test] = fields[..] else {
            return Err(format!("{at}: unit | reason | test"));
        };
        let kind = reason.split(' ').next().unwrap_or_default();
        if !REASONS.iter().any(|(name, _)| *name == kind) {
            return Err(format!("{at}: {kind} is no reason of the fixed list"));
        }
        if kind == "type" && !reason.contains('#') {
            return Err(format!("{at}: name the issue that brings the type, as in `type #4`"));
        }
        if kind == "later" && reason == kind {
            return Err(format!("{at}: name the group, as in `later scripting`"));
        }
        let source = sources.entry(unit.to_owned()).or_insert_with(|| {
            std::fs::read_to_string(suite.join(format!("tests/{unit}.tcl"))).unwrap_or_default()
        });
        // Names made with variables cannot be found literally: they are written as a /pattern.
        if !test.starts_with('/') && !source.contains(test) {
            return Err(format!("{at}: the suite has no such test in {unit}"));
        }
        skips.push(Skip {
            unit: unit.to_owned(),
            reason: reason.to_owned(),
            test: test.to_owned(),
        });
    }
    Ok(skips)
}

#[derive(Default)]
struct Outcome {
    passed: usize,
    skipped: usize,
    ignored: usize,
    failures: Vec<String>,
}

impl Outcome {
    /// What cannot apply to a replicated server may be at most a tenth of a unit.
    fn check_share(&self, unit: &str, skips: &[Skip]) -> Result<(), String> {
        let forever = skips
            .iter()
            .filter(|skip| {
                skip.unit == unit
                    && !skip.reason.starts_with("type")
                    && !skip.reason.starts_with("later")
            })
            .count();
        let all = self.passed + self.skipped + self.failures.len();
        if forever * 10 > all && forever > 1 {
            return Err(format!(
                "{unit}: {forever} of {all} tests skipped for good, more than a tenth"
            ));
        }
        Ok(())
    }
}

fn run_unit(
    root: &Path,
    suite: &Path,
    unit: &str,
    port: u16,
    skips: &[Skip],
) -> Result<Outcome, String> {
    let list = std::env::temp_dir().join(format!("quorate-skip-{}.txt", std::process::id()));
    let names: Vec<&str> =
        skips.iter().filter(|skip| skip.unit == unit).map(|skip| skip.test.as_str()).collect();
    // The suite treats an empty line as a name, so an empty list is one name that no test has.
    let text = if names.is_empty() { "no test has this name".to_owned() } else { names.join("\n") };
    std::fs::write(&list, text).map_err(|error| error.to_string())?;
    let done = Command::new("tclsh")
        .arg(root.join("tests/tcl/start.tcl"))
        .args(["--host", "127.0.0.1", "--port", &port.to_string()])
        .args(["--single", unit, "--skipfile"])
        .arg(&list)
        .args(["--tags", "-needs:repl", "--timeout", "600"])
        .current_dir(suite)
        .output()
        .map_err(|error| format!("tclsh (package tcl): {error}"))?;
    let _ = std::fs::remove_file(&list);
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    let mut outcome = Outcome::default();
    for line in said.lines().map(strip_colour) {
        if line.starts_with("[ok]") {
            outcome.passed += 1;
        } else if line.starts_with("[skip]") {
            outcome.skipped += 1;
        } else if line.starts_with("[ignore]") {
            outcome.ignored += 1;
        } else if line.starts_with("[err]") || line.starts_with("[exception]") {
            outcome.failures.push(line);
        }
    }
    if !done.status.success() && outcome.failures.is_empty() {
        let tail: Vec<&str> = said.lines().rev().take(15).collect();
        outcome.failures.push(format!(
            "the suite broke off: {}",
            tail.into_iter().rev().collect::<Vec<_>>().join("\n")
        ));
    }
    if outcome.passed == 0 && outcome.ignored == 0 && outcome.failures.is_empty() {
        outcome.failures.push("no test ran".to_owned());
    }
    Ok(outcome)
}

/// The line without terminal colours.
fn strip_colour(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line.chars();
    while let Some(c) = rest.next() {
        if c == '\u{1b}' {
            rest.by_ref().find(|c| *c == 'm');
        } else {
            out.push(c);
        }
    }
    out
}
