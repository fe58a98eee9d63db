//! A Python environment of our own with what the tests drive, in `target/python`: redis-py, and
//! applications.
//!
//! Made with `venv` and `pip`, and again when the versions change, which stand here.
//! `QUORATE_PYTHON` names an interpreter that has them already.

use crate::shell::Shell;
use std::path::PathBuf;

/// The packages, as pip wants them, with all that they need.
const PACKAGES: &[&str] = &[
    // What the tests drive.
    "celery==5.7.0",
    "huey==3.5.4",
    "redis==8.1.0",
    "rq==3.0.0",
    // What these need.
    "amqp==5.4.2",
    "async-timeout==5.0.1",
    "billiard==4.3.2",
    "click==8.5.1",
    "click-didyoumean==0.3.1",
    "click-plugins==1.1.1.2",
    "click-repl==0.4.1",
    "croniter==7.0.0",
    "kombu==5.7.0",
    "packaging==26.3",
    "prompt_toolkit==3.0.53",
    "python-dateutil==2.9.0.post0",
    "six==1.17.0",
    "typing_extensions==4.16.0",
    "tzlocal==5.4.5",
    "vine==5.1.0",
    "wcwidth==0.9.4",
];

/// The interpreter that has the packages.
pub(crate) fn ensure(shell: &Shell) -> Result<PathBuf, String> {
    if let Some(given) = std::env::var_os("QUORATE_PYTHON") {
        return Ok(given.into());
    }
    let home = shell.root().join("target/python");
    let python = home.join("bin/python");
    let installed = home.join("installed");
    let wanted = PACKAGES.join("\n");
    if std::fs::read_to_string(&installed).is_ok_and(|text| text == wanted) {
        return Ok(python);
    }
    shell.run("python3", &["-m", "venv", "--clear", &home.display().to_string()])?;
    let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"];
    shell.run(&python.display().to_string(), &[&install[..], PACKAGES].concat())?;
    std::fs::write(&installed, wanted).map_err(|error| format!("{}: {error}", home.display()))?;
    Ok(python)
}
