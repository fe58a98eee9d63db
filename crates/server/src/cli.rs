//! The command line: which tool is meant, and what it is told.
//!
//! What the words mean is [`arguments`](crate::arguments)'s part; every tool is a module of its
//! own.

use crate::arguments::{directory, environment, has, options, settings};
use crate::console::{complain, print};
use std::process::ExitCode;

const USAGE: &str =
    "Quorate: a Redis-compatible server. Every acknowledged write is on a majority's disks.

  quorate server [FILE] [--name value …]   run one node
  quorate dev [--port P] [--nodes N] [--dir D]
                                           run a cluster on this machine (3 nodes: 6379, 6380, 6381)
  quorate ping [--host H] [--port P] [--password PW] [--json]
                                           exit 0 when the node answers and serves: it hears a
                                           leader, or leads and is heard by a quorum
  quorate secret --file PATH               make a secret for the peer port, unless it is there
  quorate log print DIR [--json]           show the log of a stopped node, record by record
  quorate check DIR [--repair] [--json]    verify a stopped node's data directory
  quorate export --data DIR --out FILE     a stopped node's data as an RDB file
  quorate restore --from FILE --data DIR [--strict] [--skip-unsupported]
                                           a new cluster's first data directory from an RDB file
  quorate backup --from HOST:PORT [--auth PW] --out FILE
                                           an RDB file from a running node
  quorate help settings [markdown]         describe every setting
  quorate --version

A server's most wanted settings: --port 6379 --bind 127.0.0.1 --dir ./data --peer-port 16379
  --peers HOST1:PEERPORT,HOST2:PEERPORT,HOST3:PEERPORT   (the same list on every node)
Every setting may also come from the environment: QUORATE_MAXCLIENTS=500.
";

/// Runs what the words ask for.
pub(crate) fn run(words: &[String]) -> ExitCode {
    let outcome = match words.first().map(String::as_str) {
        Some("server") => server(words.get(1..).unwrap_or(&[])),
        Some("dev") => options(words).and_then(|pairs| crate::dev::run(&pairs)),
        Some("ping") => options(words).and_then(|pairs| crate::ping::run(&pairs)),
        Some("secret") => options(words).and_then(|pairs| crate::secret::run(&pairs)),
        Some("log") if words.get(1).is_some_and(|word| word == "print") => {
            let json = has(words, "--json");
            directory(words, 2).and_then(|dir| crate::tools::print_log(&dir, json))
        }
        Some("check") => {
            let (repair, json) = (has(words, "--repair"), has(words, "--json"));
            directory(words, 1).and_then(|dir| crate::tools::check(&dir, repair, json))
        }
        Some("export") => options(words).and_then(|pairs| crate::tools::export(&pairs)),
        Some("restore") => options(words).and_then(|pairs| crate::tools::restore(&pairs)),
        Some("backup") => options(words).and_then(|pairs| crate::tools::backup(&pairs)),
        Some("help") if words.get(1).is_some_and(|word| word == "settings") => {
            let markdown = words.get(2).is_some_and(|word| word == "markdown");
            let text = if markdown { crate::settings::page() } else { crate::settings::listing() };
            print(&text);
            Ok(())
        }
        Some("help" | "--help" | "-h") => {
            print(USAGE);
            Ok(())
        }
        Some("version" | "--version" | "-v" | "-V") => {
            let (version, redis) = (env!("CARGO_PKG_VERSION"), crate::command::REDIS_VERSION);
            print(&format!("quorate {version} (speaks Redis {redis})\n"));
            Ok(())
        }
        _ => Err(USAGE.to_owned()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            complain(&why);
            ExitCode::FAILURE
        }
    }
}

fn server(words: &[String]) -> Result<(), String> {
    let settings = settings(words, environment(std::env::vars()))?;
    crate::serve::run(settings).map_err(|why| why.to_string())
}
