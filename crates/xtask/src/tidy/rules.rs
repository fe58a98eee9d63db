//! The rules, one function each: what they look at, and what they say.
//!
//! A rule is pure: a [`Source`] in, findings out. A new one is a function and a row of [`RULES`].
//! The words that rules look for are put together from halves, so that this file may stay as it is.

use super::Source;
use super::functions::functions;
use std::collections::BTreeMap;

/// Where a rule puts a line's number and what is wrong with it.
type Report<'a> = &'a mut dyn FnMut(usize, String);

/// A rule's name, and what looks.
type Rule = (&'static str, fn(&Source, Report<'_>));

/// All rules that look at one file.
pub(super) const RULES: &[Rule] = &[
    ("file-length", file_length),
    ("inline-tests", inline_tests),
    ("function-length", function_length),
    ("width", width),
    ("opening", opening),
    ("issue", issue),
    ("ignored-test", ignored_test),
    ("sleep", sleep),
    ("blanks", blanks),
    ("architecture", architecture),
    ("top-level", top_level),
    ("vague-name", vague_name),
    ("metaphor", metaphor),
];

const FILE_LINES_MAX: usize = 800;
const INLINE_TEST_LINES_MAX: usize = 200;
const FUNCTION_LINES_MAX: usize = 70;
const WIDTH_MAX: usize = 100;
const ARCHITECTURE_LINES_MAX: usize = 300;

/// Everything that may lie at the top; besides, names that begin with a dot.
const TOP_LEVEL: &[&str] = &[
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "SECURITY.md",
    "clippy.toml",
    "crates",
    "deploy",
    "docs",
    "proto",
    "rust-toolchain.toml",
    "rustfmt.toml",
    "tests",
];

/// Names that say nothing of what a file holds.
const VAGUE: &[&str] = &["utils", "util", "common", "helpers", "helper", "manager", "misc"];

/// Metaphors of ours that files were named after; a reader guesses nothing from them.
const METAPHORS: &[&str] =
    &["office", "host", "double", "doors", "machine", "scribe", "wire", "armour"];

/// Test code that may sleep, and why: (path, reason).
const MAY_SLEEP: &[(&str, &str)] = &[
    ("tests/src/wait.rs", "polls other processes, which cannot be awaited; the only place in Rust"),
    ("tests/apps/journal.py", "the same in Python"),
];

fn file_length(source: &Source, report: Report<'_>) {
    let count = source.text.lines().count();
    if source.is_rust() && !source.is_generated() && count > FILE_LINES_MAX {
        report(0, format!("{count} lines; split it (at most {FILE_LINES_MAX})"));
    }
}

fn inline_tests(source: &Source, report: Report<'_>) {
    if !source.is_rust() || source.is_test() {
        return;
    }
    if let Some(start) = inline_tests_start(source) {
        let count = source.text.lines().count() - start;
        if count > INLINE_TEST_LINES_MAX {
            report(start, format!("{count} lines of tests; move them to a `tests.rs` of its own"));
        }
    }
}

/// The line before the first of an inline `mod tests`.
fn inline_tests_start(source: &Source) -> Option<usize> {
    source.lines().find(|(_, line)| *line == "mod tests {").map(|(at, _)| at - 1)
}

fn function_length(source: &Source, report: Report<'_>) {
    if source.is_rust() && !source.is_generated() {
        for long in functions(&source.text).iter().filter(|one| one.length > FUNCTION_LINES_MAX) {
            let (name, length) = (long.name, long.length);
            report(
                long.line,
                format!("`{name}` has {length} lines (at most {FUNCTION_LINES_MAX})"),
            );
        }
    }
}

fn width(source: &Source, report: Report<'_>) {
    if !source.is_rust() || source.is_generated() {
        return;
    }
    for (at, line) in source.lines() {
        let width = line.chars().count();
        // An address cannot be broken.
        if width > WIDTH_MAX && !line.contains("://") {
            report(at, format!("{width} columns (at most {WIDTH_MAX})"));
        }
    }
}

fn opening(source: &Source, report: Report<'_>) {
    if source.is_rust() && !source.is_generated() && !source.text.starts_with("//!") {
        report(1, "opens without `//!`: what is it for, what must it not know?".to_owned());
    }
}

fn issue(source: &Source, report: Report<'_>) {
    let words =
        [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("X", "XX"), concat!("HA", "CK")];
    if source.extension() == "lock" || source.path == "LICENSE" {
        return;
    }
    for (at, line) in source.lines() {
        for word in words.iter().filter(|word| has_word(line, word)) {
            if !cites_issue(line) {
                report(at, format!("{word} without an issue's number (#12)"));
            }
        }
    }
}

fn has_word(line: &str, word: &str) -> bool {
    line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|found| found == word)
}

fn cites_issue(line: &str) -> bool {
    line.split('#').skip(1).any(|behind| behind.starts_with(|c: char| c.is_ascii_digit()))
}

fn ignored_test(source: &Source, report: Report<'_>) {
    let attribute = concat!("#[", "ignore");
    for (at, line) in source.lines().filter(|_| source.is_rust()) {
        if line.trim_start().starts_with(attribute) {
            report(at, "an ignored test: assert what holds today instead".to_owned());
        }
    }
}

fn sleep(source: &Source, report: Report<'_>) {
    let calls =
        [concat!("thread::sl", "eep"), concat!("time::sl", "eep"), concat!("time.sl", "eep")];
    if MAY_SLEEP.iter().any(|(path, _)| *path == source.path) {
        return;
    }
    let test_from = match inline_tests_start(source) {
        _ if source.is_test() => 0,
        Some(start) => start,
        None => return,
    };
    for (at, line) in source.lines().filter(|(at, _)| *at > test_from) {
        if calls.iter().any(|call| calls_it(line, call)) {
            report(at, "a test that sleeps: wait for the condition".to_owned());
        }
    }
}

/// Whether the line names `call`, and not a longer word that ends like it.
fn calls_it(line: &str, call: &str) -> bool {
    let ends_a_word =
        |at: usize| line.get(..at).is_some_and(|front| front.ends_with(char::is_alphanumeric));
    line.match_indices(call).any(|(at, _)| !ends_a_word(at))
}

fn blanks(source: &Source, report: Report<'_>) {
    let is_transcript = source.path.starts_with("tests/scripts/");
    if is_transcript || source.is_generated() || source.path == "LICENSE" {
        return;
    }
    for (before, line) in source.text.split('\n').enumerate() {
        if line.contains('\t') {
            report(before + 1, "a tab".to_owned());
        }
        if line.ends_with([' ', '\r']) {
            report(before + 1, "trailing blanks".to_owned());
        }
    }
    if !source.text.is_empty() && !source.text.ends_with('\n') {
        report(0, "the last line has no end".to_owned());
    }
}

fn architecture(source: &Source, report: Report<'_>) {
    let count = source.text.lines().count();
    if source.path == "docs/ARCHITECTURE.md" && count > ARCHITECTURE_LINES_MAX {
        report(0, format!("{count} lines; a map is short (at most {ARCHITECTURE_LINES_MAX})"));
    }
}

fn top_level(source: &Source, report: Report<'_>) {
    let top = source.path.split('/').next().unwrap_or_default();
    if !top.starts_with('.') && !TOP_LEVEL.contains(&top) {
        report(0, format!("`{top}` has no place at the top of the repository"));
    }
}

fn vague_name(source: &Source, report: Report<'_>) {
    let mut parts = source.path.split(['/', '.']);
    if let Some(part) = parts.find(|part| source.is_rust() && VAGUE.contains(part)) {
        report(0, format!("`{part}` says nothing: name it after what it holds"));
    }
}

fn metaphor(source: &Source, report: Report<'_>) {
    for part in source.path.split(['/', '.']).filter(|_| source.is_rust()) {
        let word = part.strip_suffix("_tests").unwrap_or(part);
        if METAPHORS.contains(&word) {
            report(
                0,
                format!("`{word}` is a metaphor of ours: use the word that a newcomer knows"),
            );
        }
    }
}

/// A module's file that no `mod` names is never compiled, and nobody notices.
pub(super) fn unlinked(source: &Source, all: &BTreeMap<String, Source>) -> Option<String> {
    let (directory, file) = source.path.rsplit_once('/')?;
    let stem = file.strip_suffix(".rs")?;
    let is_root = matches!(stem, "lib" | "main") || directory.ends_with("/src/bin");
    if is_root || !format!("{directory}/").contains("/src/") {
        return None;
    }
    let (directory, module) = match stem {
        "mod" => directory.rsplit_once('/')?,
        _ => (directory, stem),
    };
    let parents = ["mod.rs", "lib.rs", "main.rs"].map(|name| format!("{directory}/{name}"));
    let parents = parents.into_iter().chain([format!("{directory}.rs")]);
    let names_it = |parent: &Source| {
        let declaration = format!("mod {module};");
        parent.text.lines().any(|line| {
            line.trim() == declaration || line.trim().ends_with(&format!(" {declaration}"))
        })
    };
    let linked = parents.filter_map(|path| all.get(&path)).any(names_it);
    (!linked).then(|| format!("no `mod {module};` names it, so it is never compiled"))
}
