//! A suite's source archive and the Python environment that runs it, both in `target/suites`.
//!
//! The archive comes from `PyPI` by pip, with its checksum; the packages beside it stand with exact
//! versions in `tests/clients/suites/<suite>.pip`, dependencies included.

use crate::shell::{Outcome, Shell};
use std::path::{Path, PathBuf};

/// A source archive that holds tests.
pub(super) struct Archive {
    /// As pip wants it.
    pub(super) wanted: &'static str,
    pub(super) sha256: &'static str,
    /// The folder of its tests.
    pub(super) tests: &'static str,
}

/// A suite that can run.
pub(super) struct Source {
    /// The unpacked archive.
    pub(super) dir: PathBuf,
    /// The interpreter that has what it needs.
    pub(super) python: PathBuf,
}

/// Makes sure that both are there.
pub(super) fn fetch(shell: &Shell, suite: &str, archive: &Archive) -> Result<Source, String> {
    let home = shell.root().join("target/suites").join(suite);
    std::fs::create_dir_all(&home).map_err(|error| format!("{}: {error}", home.display()))?;
    let python = environment(shell, suite, &home)?;
    let folder = archive.wanted.replace("==", "-");
    let dir = home.join(&folder);
    if !dir.join(archive.tests).exists() {
        download(shell, archive, &python, &home)?;
        let archive = home.join(format!("{folder}.tar.gz")).display().to_string();
        shell.run("tar", &["xzf", &archive, "-C", &home.display().to_string()])?;
    }
    Ok(Source { dir, python })
}

/// An environment with the packages of the list, made again when the list changes.
fn environment(shell: &Shell, suite: &str, home: &Path) -> Result<PathBuf, String> {
    let wanted = shell.root().join("tests/clients/suites").join(suite).with_extension("pip");
    let list = std::fs::read_to_string(&wanted)
        .map_err(|error| format!("{}: {error}", wanted.display()))?;
    let venv = home.join("python");
    let python = venv.join("bin/python");
    let installed = venv.join("installed");
    if std::fs::read_to_string(&installed).is_ok_and(|text| text == list) {
        return Ok(python);
    }
    shell.run("python3", &["-m", "venv", "--clear", &venv.display().to_string()])?;
    let wanted = wanted.display().to_string();
    pip(shell, &python, &["install", "--no-deps", "--requirement", &wanted])?;
    std::fs::write(&installed, list).map_err(|error| format!("{}: {error}", venv.display()))?;
    Ok(python)
}

/// Takes the archive if it has the checksum. pip asks an archive for its metadata with the build
/// tools that it names, in an environment of pip's own.
fn download(shell: &Shell, archive: &Archive, python: &Path, home: &Path) -> Outcome {
    let wanted = home.join("archive.pip");
    std::fs::write(&wanted, format!("{} --hash=sha256:{}\n", archive.wanted, archive.sha256))
        .map_err(|error| format!("{}: {error}", wanted.display()))?;
    let (wanted, to) = (wanted.display().to_string(), home.display().to_string());
    let source = ["download", "--no-deps", "--no-binary", ":all:", "--require-hashes"];
    pip(shell, python, &[&source[..], &["--requirement", &wanted, "--dest", &to]].concat())
}

fn pip(shell: &Shell, python: &Path, args: &[&str]) -> Outcome {
    let quiet = ["-m", "pip", "--quiet", "--disable-pip-version-check"];
    shell.run(&python.display().to_string(), &[&quiet[..], args].concat())
}
