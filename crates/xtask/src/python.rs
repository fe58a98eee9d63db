//! A Python environment of our own with the clients that the tests drive, in `target/python`.
//!
//! Made once with `venv` and `pip`; the versions stand here. `QUORATE_PYTHON` names an interpreter
//! that has them already.

use crate::shell::Shell;
use std::path::PathBuf;

/// The clients, as pip wants them.
const CLIENTS: &[&str] = &["redis==8.1.0"];

/// The interpreter that has the clients.
pub(crate) fn ensure(shell: &Shell) -> Result<PathBuf, String> {
    if let Some(given) = std::env::var_os("QUORATE_PYTHON") {
        return Ok(given.into());
    }
    let home = shell.root().join("target/python");
    let python = home.join("bin/python");
    let program = python.display().to_string();
    let probe = "import redis, redis.asyncio; print(redis.__version__)";
    let wanted = CLIENTS.first().and_then(|client| client.split("==").nth(1)).unwrap_or_default();
    if shell.output(&program, &["-c", probe]).is_ok_and(|version| version.trim() == wanted) {
        return Ok(python);
    }
    shell.run("python3", &["-m", "venv", &home.display().to_string()])?;
    let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    shell.run(&program, &[&install[..], CLIENTS].concat())?;
    Ok(python)
}
