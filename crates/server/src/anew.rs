//! Beginning anew: a replica that holds something else than the others sets its directory aside and
//! starts again as a new node, which the leader lets in and sends a snapshot.
//!
//! The process becomes its own successor: same arguments, same pid, so that whoever watches over it
//! (a container, `quorate dev`, a service manager) sees no end and needs no rule for this.

use crate::logging::Log;
use crate::shared::unix_micros;
use quorate_store::set_aside;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// Sets the directory aside and replaces this process; comes back only where that fails, with the
/// reason.
pub(crate) fn begin(dir: &Path, log: &Log) -> String {
    let aside = match set_aside(dir, "diverged", unix_micros() / 1_000_000) {
        Ok(aside) => aside,
        Err(why) => {
            return format!(
                "{} cannot be set aside ({why}): move it aside, then start the node again",
                dir.display()
            );
        }
    };
    tracing::error!(
        aside = %aside.display(),
        "the directory was set aside and is kept; starting again as a new node"
    );
    let this = match std::env::current_exe() {
        Ok(this) => this,
        Err(why) => return format!("start the node again: {why}"),
    };
    log.flush();
    // What this process has open closes with it, the directory's lock included.
    let why = Command::new(this).args(std::env::args_os().skip(1)).exec();
    format!("start the node again: {why}")
}
