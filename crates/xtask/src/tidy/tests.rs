//! Each rule meets a file that breaks it and one that just does not.
//!
//! A file is judged by `rules_broken`, which is the whole of tidy but for git and the disk.

use super::{Source, check};
use std::collections::BTreeMap;

fn rules_broken(files: &[(&str, &str)]) -> Vec<&'static str> {
    let source = |(path, text): &(&str, &str)| {
        ((*path).to_owned(), Source { path: (*path).to_owned(), text: (*text).to_owned() })
    };
    let sources: BTreeMap<_, _> = files.iter().map(source).collect();
    check(&sources).iter().map(|finding| finding.rule).collect()
}

fn check_one(path: &str, text: &str, expect: &[&str]) {
    assert_eq!(rules_broken(&[(path, text)]), expect, "{path}: {text}");
}

/// A file of a kind that only the rule at hand looks at.
fn check_test_file(text: &str, expect: &[&str]) {
    check_one("tests/tests/a.rs", &format!("//! A test.\n{text}\n"), expect);
}

#[test]
fn sizes() {
    let file = |lines: usize| "//! A file.\n".repeat(lines);
    check_one("tests/a.rs", &file(800), &[]);
    check_one("tests/a.rs", &file(801), &["file-length"]);
    check_one("tests/a.rs", &format!("// @generated\n{}", file(900)), &[]);
    let function = |lines: usize| format!("fn long() {{\n{}}}", "    ();\n".repeat(lines - 2));
    check_test_file(&function(70), &[]);
    check_test_file(&function(71), &["function-length"]);
    check_test_file(&"é".repeat(100), &[]);
    check_test_file(&"é".repeat(101), &["width"]);
    check_test_file(&format!("// https://{}", "x".repeat(100)), &[]);
    check_one("docs/ARCHITECTURE.md", &"x\n".repeat(300), &[]);
    check_one("docs/ARCHITECTURE.md", &"x\n".repeat(301), &["architecture"]);
    let inline = |lines: usize| {
        let body = "    ();\n".repeat(lines - 2);
        format!("//! A file.\n#[cfg(test)]\nmod tests {{\n{body}}}\n")
    };
    check_one("crates/a/build.rs", &inline(200), &[]);
    check_one("crates/a/build.rs", &inline(201), &["inline-tests"]);
}

#[test]
fn openings_and_leftovers() {
    check_one("tests/a.rs", "fn a() {}\n", &["opening"]);
    check_one("tests/a.py", "import os\n", &[]);
    let word = concat!("TO", "DO");
    check_test_file(&format!("// {word}: later"), &["issue"]);
    check_test_file(&format!("// {word}(#12): later"), &[]);
    check_test_file(&format!("const {word}S: u8 = 1;"), &[]);
    check_test_file(concat!("#[", "ignore = \"slow\"]"), &["ignored-test"]);
    check_test_file("// nothing to ignore here", &[]);
}

#[test]
fn tests_do_not_sleep() {
    let sleep = concat!("    std::thread::sl", "eep(delay);");
    check_test_file(sleep, &["sleep"]);
    check_test_file(concat!("SimRuntime::sl", "eep(time).await;"), &[]);
    check_one("tests/a.py", concat!("time.sl", "eep(1)\n"), &["sleep"]);
    check_one("crates/a/build.rs", &format!("//! A file.\n{sleep}\n"), &[]);
    let inline = format!("//! A file.\n{sleep}\n#[cfg(test)]\nmod tests {{\n{sleep}\n}}\n");
    check_one("crates/a/build.rs", &inline, &["sleep"]);
}

#[test]
fn blanks() {
    check_one("docs/a.md", "a\tb\n", &["blanks"]);
    check_one("docs/a.md", "a \n", &["blanks"]);
    check_one("docs/a.md", "a\r\n", &["blanks"]);
    check_one("docs/a.md", "a", &["blanks"]);
    check_one("tests/scripts/a.txt", "a \t\n", &[]);
}

#[test]
fn places_and_names() {
    check_one("scratch.txt", "x\n", &["top-level"]);
    check_one("notes/a.md", "x\n", &["top-level"]);
    check_one(".github/a.yaml", "x\n", &[]);
    check_one("crates/a/build/utils.rs", "//! A file.\n", &["vague-name"]);
    check_one("crates/a/build/office.rs", "//! A file.\n", &["metaphor"]);
    check_one("tests/wire_tests.rs", "//! A file.\n", &["metaphor"]);
    check_one("tests/state_machine.rs", "//! A file.\n", &[]);
    let linked = |parent: (&str, &str), file: &str, expect: &[&str]| {
        assert_eq!(rules_broken(&[parent, (file, "//! A file.\n")]), expect, "{parent:?} {file}");
    };
    linked(("crates/a/src/lib.rs", "//! x\nmod b;\n"), "crates/a/src/b.rs", &[]);
    linked(("crates/a/src/main.rs", "//! x\npub(crate) mod b;\n"), "crates/a/src/b/mod.rs", &[]);
    linked(("crates/a/src/lib.rs", "//! x\nmod bb;\n"), "crates/a/src/b.rs", &["linked"]);
    linked(("crates/a/src/lib.rs", "//! x\nmod c;\n"), "crates/a/src/b/c.rs", &["linked"]);
}
