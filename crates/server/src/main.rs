//! `quorate`: the server, and the tools around it.
//!
//! Everything runs on one current-thread runtime: clients, consensus, peers. Disk work has its own
//! threads in the rooms below.

mod anew;
mod arguments;
mod auth;
mod backend;
mod bind;
mod cli;
mod clients;
mod command;
mod console;
mod cron;
mod descriptors;
mod dev;
mod effects;
mod evict;
mod followers;
mod listen;
mod logging;
mod memory;
mod options;
mod ping;
mod process;
mod pubsub;
mod refusal;
mod registry;
mod secret;
mod serve;
mod session;
mod settings;
mod shared;
mod signals;
mod slowlog;
mod stats;
#[cfg(test)]
mod test_backend;
mod tools;
mod tracking;
mod transaction;
mod watched;

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    cli::run(&words)
}
