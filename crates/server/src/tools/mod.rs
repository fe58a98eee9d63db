//! Tools that look at the data directory of a stopped node. They never start a replica.

mod check;
mod log;

pub(crate) use check::check;
pub(crate) use log::print_log;
