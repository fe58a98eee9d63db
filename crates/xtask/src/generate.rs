//! Regenerates what is committed but derived: the peer contract's Rust code and the list of
//! commands.
//!
//! They are committed so that nobody needs a generator to build or to read; the gate checks that
//! they are what contract and command table say. No `protoc` is needed: `protox` compiles.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// What stands above the generator's own code, which gives no reasons for its allowances.
const HEAD: &str = "\
// @generated from proto/peer.proto by `cargo xtask gen`: do not edit.
#![allow(clippy::allow_attributes_without_reason, reason = \"generated\")]
";

/// Generates everything into `root`, or with `check` only tells whether it is fresh.
pub(crate) fn run(root: &Path, check: bool) -> Result<(), String> {
    keep("crates/consensus/src/proto.rs", &peer_contract(root)?, root, check)?;
    keep("docs/commands.md", &quorate_engine::cmd::docs_markdown(), root, check)
}

/// Brings one file up to date, or tells whether it is.
fn keep(path: &str, fresh: &str, root: &Path, check: bool) -> Result<(), String> {
    let target = root.join(path);
    let old = std::fs::read_to_string(&target).unwrap_or_default();
    if old == fresh {
        return Ok(());
    }
    if check {
        return Err(format!("{path} is stale: run `cargo xtask gen`"));
    }
    std::fs::write(&target, fresh).map_err(|error| format!("{path}: {error}"))
}

fn peer_contract(root: &Path) -> Result<String, String> {
    let text = |error: &dyn std::fmt::Display| format!("proto/peer.proto: {error}");
    let descriptors =
        protox::compile(["peer.proto"], [root.join("proto")]).map_err(|e| text(&e))?;
    let out = std::env::temp_dir().join(format!("quorate-gen-{}", std::process::id()));
    std::fs::create_dir_all(&out).map_err(|e| text(&e))?;
    let made = tonic_prost_build::configure()
        .bytes(".")
        .out_dir(&out)
        .compile_fds(descriptors)
        .and_then(|()| std::fs::read_to_string(out.join("quorate.peer.v1.rs")))
        .map_err(|e| text(&e));
    let _ = std::fs::remove_dir_all(&out);
    formatted(root, &(HEAD.to_owned() + &made?))
}

/// As `cargo fmt` leaves it, for it visits generated modules too.
fn formatted(root: &Path, code: &str) -> Result<String, String> {
    let text = |error: std::io::Error| format!("rustfmt: {error}");
    let mut rustfmt = Command::new("rustfmt")
        .args(["--edition", "2024", "--config-path"])
        .arg(root)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(text)?;
    // rustfmt reads to the end before it writes, so one after the other cannot block.
    let written = rustfmt.stdin.take().map(|mut pipe| pipe.write_all(code.as_bytes()));
    written.transpose().map_err(text)?;
    let output = rustfmt.wait_with_output().map_err(text)?;
    if !output.status.success() {
        return Err("rustfmt refuses the generated code".to_owned());
    }
    String::from_utf8(output.stdout).map_err(|error| format!("rustfmt: {error}"))
}
