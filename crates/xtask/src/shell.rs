//! Runs other programs for a task, from the top of the repository.
//!
//! Their output goes straight to the console. An error names the command as one would type it, so
//! that a failed step can be repeated by hand. The environment (`CARGO_TARGET_DIR` too) is passed
//! on.

use std::path::{Path, PathBuf};
use std::process::Command;

/// What a task answers: nothing, or the text of its failure.
pub(crate) type Outcome = Result<(), String>;

/// Where the repository is, and how programs are started there.
pub(crate) struct Shell {
    root: PathBuf,
}

impl Shell {
    /// Finds the repository that this tool belongs to.
    pub(crate) fn new() -> Self {
        let here = std::env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = here.join("../..");
        Self { root: root.canonicalize().unwrap_or(root) }
    }

    /// The top of the repository.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Runs cargo.
    pub(crate) fn cargo(&self, args: &[&str]) -> Outcome {
        self.run("cargo", args)
    }

    /// Runs a program to its end; anything but success is an error.
    pub(crate) fn run(&self, program: &str, args: &[&str]) -> Outcome {
        let status = Command::new(program)
            .args(args)
            .current_dir(&self.root)
            .status()
            .map_err(|error| format!("{program}: {error}"))?;
        let call = || format!("`{program} {}`", args.join(" "));
        if status.success() { Ok(()) } else { Err(format!("{} failed: {status}", call())) }
    }

    /// Runs a program and returns what it prints.
    pub(crate) fn output(&self, program: &str, args: &[&str]) -> Result<String, String> {
        let output = Command::new(program)
            .args(args)
            .current_dir(&self.root)
            .output()
            .map_err(|error| format!("{program}: {error}"))?;
        if !output.status.success() {
            let why = String::from_utf8_lossy(&output.stderr);
            return Err(format!("`{program} {}` failed: {}", args.join(" "), why.trim()));
        }
        String::from_utf8(output.stdout).map_err(|_| format!("{program}: output is not UTF-8"))
    }
}
