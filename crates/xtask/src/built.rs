//! Debug builds: one set of features, so that nothing is compiled twice for one run of the gate.
//!
//! Cargo compiles a crate anew for every set of features that the chosen packages ask of it. Unit
//! tests, simulation and cluster tests chose different packages, and `quorate-consensus`, half of
//! openraft in it, was compiled for each. Everything here chooses the whole workspace with the
//! simulation in it. What ships (a release build of `quorate` alone) has neither.

use crate::shell::{Outcome, Shell};
use std::path::{Path, PathBuf};

/// What every debug build chooses. A call that adds `--lib` or `--bins` still shares the artefacts,
/// as long as it asks for a test, an example or a bench: dev-dependencies count then.
pub(crate) const ALL: [&str; 4] =
    ["--workspace", "--features", "quorate-consensus/sim", "--locked"];

/// An executable that holds tests.
pub(crate) struct Tests {
    /// Where the tests expect to run: the top of their package.
    pub(crate) folder: PathBuf,
    /// `lib`, or the name of the file in `tests/`.
    pub(crate) name: String,
    pub(crate) executable: PathBuf,
}

/// Builds the binaries and the examples.
pub(crate) fn binaries(shell: &Shell) -> Outcome {
    shell.cargo(&[&["build"][..], &ALL, &["--bins", "--examples"]].concat())
}

/// Where the binaries of [`binaries`] are.
pub(crate) fn folder(shell: &Shell) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| shell.root().join("target"), PathBuf::from)
        .join("debug")
}

/// Builds all tests and names those of one package, in order of their names.
pub(crate) fn tests(shell: &Shell, package: &str) -> Result<Vec<Tests>, String> {
    // Once for a person to see, once for us to read: the second finds all built.
    let call = [&["test", "--no-run"][..], &ALL].concat();
    shell.cargo(&call)?;
    let json = [&call[..], &["--quiet", "--message-format", "json"]].concat();
    let mut found = read(&shell.output("cargo", &json)?, package)?;
    if found.is_empty() {
        return Err(format!("no tests of `{package}` were built"));
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// The test executables of a package in cargo's messages, a JSON object a line.
fn read(messages: &str, package: &str) -> Result<Vec<Tests>, String> {
    let mut found = Vec::new();
    for line in messages.lines() {
        let message: serde_json::Value =
            serde_json::from_str(line).map_err(|error| format!("cargo's messages: {error}"))?;
        let text = |path: &str| message.pointer(path).and_then(|value| value.as_str());
        // `path+file:///…/tests#quorate-tests@0.1.0`, or `…/name#0.1.0` where both are the same.
        let id = text("/package_id").unwrap_or_default();
        let ours = id.contains(&format!("#{package}@")) || id.contains(&format!("/{package}#"));
        let test = message.pointer("/profile/test").and_then(serde_json::Value::as_bool);
        if !ours || test != Some(true) {
            continue;
        }
        let (Some(executable), Some(manifest)) = (text("/executable"), text("/manifest_path"))
        else {
            continue;
        };
        let kind = text("/target/kind/0").unwrap_or_default();
        let name = if kind == "lib" { kind } else { text("/target/name").unwrap_or_default() };
        found.push(Tests {
            folder: Path::new(manifest).parent().map(Path::to_path_buf).unwrap_or_default(),
            name: name.to_owned(),
            executable: executable.into(),
        });
    }
    Ok(found)
}

#[cfg(test)]
#[test]
fn tests_are_found_in_cargos_messages() {
    let line = |id: &str, kind: &str, name: &str, test: bool| {
        format!(
            r#"{{"reason":"compiler-artifact","package_id":"{id}",
            "manifest_path":"/q/tests/Cargo.toml","target":{{"kind":["{kind}"],"name":"{name}"}},
            "profile":{{"test":{test}}},"executable":"/t/{name}-1"}}"#
        )
        .replace('\n', "")
    };
    let messages = [
        line("path+file:///q/tests#quorate-tests@0.1.0", "lib", "quorate_tests", true),
        line("path+file:///q/tests#quorate-tests@0.1.0", "lib", "quorate_tests", false),
        line("path+file:///q/tests#quorate-tests@0.1.0", "test", "kill", true),
        line("path+file:///q/crates/store#quorate-store@0.1.0", "lib", "quorate_store", true),
        r#"{"reason":"build-finished","success":true}"#.to_owned(),
    ];
    let found = read(&messages.join("\n"), "quorate-tests").unwrap_or_default();
    let names: Vec<_> = found.iter().map(|tests| tests.name.as_str()).collect();
    assert_eq!(names, ["lib", "kill"]);
    assert!(found.iter().all(|tests| tests.folder == Path::new("/q/tests")));
    assert!(read("warning: no JSON", "quorate-tests").is_err());
}
