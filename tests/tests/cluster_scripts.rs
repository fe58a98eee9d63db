//! Every transcript of `tests/scripts` against a cluster of three, through each replica's port in
//! turn: what the bare engine answers, clients see, and afterwards all replicas hold the same.

use quorate_resp::Value;
use quorate_tests::client::Client;
use quorate_tests::cluster::Cluster;
use quorate_tests::script::{self, Target};
use quorate_tests::wait::pause;
use std::path::Path;
use std::time::Duration;

/// A connection as the target of a script. Time passes by itself.
struct Connection(Client);

impl Target for Connection {
    fn call(&mut self, args: &[Vec<u8>]) -> Value {
        self.0.call_bytes(args).expect("the replica answers")
    }

    fn advance(&mut self, ms: u64) {
        pause(Duration::from_millis(ms));
    }
}

#[test]
fn a_cluster_answers_as_the_transcripts_say() {
    let cluster = Cluster::start("scripts", 3, &[]);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts");
    let mut scripts: Vec<_> = std::fs::read_dir(folder)
        .expect("the transcripts are there")
        .map(|entry| entry.expect("a file").path())
        .collect();
    scripts.sort();
    let mut failures = Vec::new();
    for (at, script) in scripts.iter().enumerate() {
        let replica = &cluster.replicas[at % cluster.replicas.len()];
        let mut client = replica.client().expect("it answers");
        client.call(&["FLUSHALL"]).expect("an answer");
        if let Err(difference) = script::check(script, &mut Connection(client)) {
            failures.push(difference);
        }
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
    cluster.wait_agreed();
}
