//! Every transcript of `tests/sessions` against a cluster of three, through each of its replicas,
//! and against Redis: what clients do to each other is the same.

use quorate_tests::client::Client;
use quorate_tests::cluster::{Cluster, Scratch};
use quorate_tests::redis::Redis;
use quorate_tests::sessions;
use std::path::{Path, PathBuf};
use std::time::Duration;

fn transcripts() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sessions");
    let files = std::fs::read_dir(folder).expect("the transcripts are there");
    let mut found: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
    found.sort();
    assert!(!found.is_empty());
    found
}

fn check(connect: &mut dyn FnMut() -> Client) {
    let differences: Vec<String> =
        transcripts().iter().filter_map(|path| sessions::check(path, connect).err()).collect();
    assert!(differences.is_empty(), "\n{}", differences.join("\n"));
}

#[test]
fn a_cluster_answers_as_the_transcripts_of_sessions_say() {
    let cluster = Cluster::start("sessions", 3, &[]);
    for replica in &cluster.replicas {
        check(&mut || replica.client().expect("it answers"));
    }
}

#[test]
fn redis_answers_as_the_transcripts_of_sessions_say() {
    let scratch = Scratch::new("sessions-redis");
    let redis = Redis::start(scratch.path(), &[]);
    let limit = Duration::from_secs(20);
    check(&mut || Client::connect(redis.port, limit).expect("it answers"));
}
