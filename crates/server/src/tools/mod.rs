//! Tools beside the server: looking at the data directory of a stopped node, and carrying data in
//! and out. They never start a replica.
//!
//! Each is a function of words to an outcome; the command line calls it.

mod backup;
mod check;
mod export;
mod file;
mod log;
mod progress;

pub(crate) use backup::backup;
pub(crate) use check::check;
pub(crate) use export::{export, restore};
pub(crate) use log::print_log;
