//! Tools beside the server: looking at the data directory of a stopped node, and carrying data in
//! and out. They never start a replica.

mod backup;
mod check;
mod doors;
mod file;
mod log;
mod progress;

pub(crate) use backup::backup;
pub(crate) use check::check;
pub(crate) use doors::{export, restore};
pub(crate) use log::print_log;
