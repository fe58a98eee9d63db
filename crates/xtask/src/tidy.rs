//! The house style as far as a program can check it: sizes, openings, names, leftovers.
//!
//! A rule looks at one file and says what is wrong with which line. Rules are ratchets: what is
//! let off stands in [`EXCEPTIONS`] with its reason, and an exception nothing needs any more is an
//! error itself. rustfmt and clippy judge the code; this judges what they do not see. What is
//! counted for each crate, circles of files and short openings, has its list where it is counted.

mod circles;
mod functions;
mod map;
mod openings;
mod paths;
mod rules;
mod tokens;

use crate::shell::{Outcome, Shell};
use std::collections::{BTreeMap, BTreeSet};

/// One thing that is wrong.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    rule: &'static str,
    path: String,
    /// From 1; 0 for the file as a whole.
    line: usize,
    why: String,
}

/// A text file of the repository.
struct Source {
    /// From the top of the repository, with `/`.
    path: String,
    text: String,
}

impl Source {
    /// Written by `cargo xtask gen`: it is as its generator makes it.
    fn is_generated(&self) -> bool {
        self.text.lines().take(3).any(|line| line.contains("@generated"))
    }

    fn is_rust(&self) -> bool {
        self.extension() == "rs"
    }

    fn extension(&self) -> &str {
        self.path.rsplit_once('.').map_or("", |(_, extension)| extension)
    }

    /// Whether the whole file is a test.
    fn is_test(&self) -> bool {
        let path = &self.path;
        path.starts_with("tests/") || path.contains("/tests/") || path.ends_with("/tests.rs")
    }

    /// Lines with their numbers, from 1.
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(at, line)| (at + 1, line))
    }
}

/// (rule, path, reason): what a rule does not apply to.
const EXCEPTIONS: &[(&str, &str, &str)] = &[];

/// Whether it is meant to be read; the fuzzers' seeds are not, though some are UTF-8.
fn is_text(text: &str) -> bool {
    !text.contains(|letter: char| letter.is_ascii_control() && !"\t\r\n".contains(letter))
}

/// Checks every file that git knows or would know; `--circles` shows who imports whom in circles.
pub(crate) fn run(shell: &Shell, args: &[String]) -> Outcome {
    let listed = shell.output("git", &["ls-files", "-co", "--exclude-standard", "-z"])?;
    let paths: BTreeSet<&str> = listed.split('\0').filter(|path| !path.is_empty()).collect();
    let mut sources = BTreeMap::new();
    for path in paths {
        // Not there: deleted, and not committed yet. Not text: no business of ours.
        let Ok(bytes) = std::fs::read(shell.root().join(path)) else { continue };
        let text = String::from_utf8(bytes).unwrap_or_default();
        let text = if is_text(&text) { text } else { String::new() };
        sources.insert(path.to_owned(), Source { path: path.to_owned(), text });
    }
    let mut findings = check(&sources);
    findings.extend(openings::judge(&sources));
    findings.extend(map::judge(&sources));
    let circles = circles::find(&sources);
    print_circles(&circles, args.iter().any(|arg| arg == "--circles"));
    findings.extend(circles::judge(&circles));
    findings.extend(unneeded(&findings));
    findings.retain(|finding| !excepted(finding));
    for finding in &findings {
        println!("{}:{}: {} ({})", finding.path, finding.line, finding.why, finding.rule);
    }
    match findings.len() {
        0 => Ok(()),
        count => Err(format!("tidy: {count} findings in {} files", sources.len())),
    }
}

/// One line a circle; with `whole`, another for each file and what it imports of the circle.
fn print_circles(found: &[circles::Circles], whole: bool) {
    let without = found.iter().filter(|one| one.circles.is_empty());
    let without: Vec<&str> = without.map(|one| one.of.as_str()).collect();
    println!("no circles of files: {}", without.join(", "));
    for (of, circle) in found.iter().flat_map(|one| one.circles.iter().map(|it| (&one.of, it))) {
        let names: Vec<&str> = circle.iter().map(|member| member.module.as_str()).collect();
        println!("a circle of {} files in {of}: {}", circle.len(), names.join(" "));
        for member in circle.iter().filter(|_| whole) {
            println!("  {} → {}", member.module, member.imports.join(" "));
        }
    }
}

fn check(sources: &BTreeMap<String, Source>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in sources.values() {
        for (rule, look) in rules::RULES {
            look(source, &mut |line, why| {
                findings.push(Finding { rule, path: source.path.clone(), line, why });
            });
        }
        if let Some(why) = rules::unlinked(source, sources) {
            findings.push(Finding { rule: "linked", path: source.path.clone(), line: 0, why });
        }
    }
    findings
}

fn excepted(finding: &Finding) -> bool {
    EXCEPTIONS.iter().any(|(rule, path, _)| *rule == finding.rule && *path == finding.path)
}

fn unneeded(findings: &[Finding]) -> Vec<Finding> {
    let idle = |(rule, path, _): &&(&str, &str, &str)| {
        !findings.iter().any(|finding| finding.rule == *rule && finding.path == *path)
    };
    let report = |(rule, path, _): &(&str, &str, &str)| Finding {
        rule: "exceptions",
        path: (*path).to_owned(),
        line: 0,
        why: format!("no longer needs its exception from `{rule}`"),
    };
    EXCEPTIONS.iter().filter(idle).map(report).collect()
}

#[cfg(test)]
mod tests;
