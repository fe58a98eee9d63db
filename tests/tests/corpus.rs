//! Data directories that older binaries wrote open with this one and serve the same.
//!
//! `tests/corpus` holds them, made by `examples/corpus.rs` with the binary of the commit that the
//! name tells: the directory, and a transcript of what that binary answered.

use quorate_resp::Value;
use quorate_tests::client::Client;
use quorate_tests::cluster::{Cluster, Replica, binary};
use quorate_tests::script::{self, Target};
use quorate_tests::wait::until;
use std::path::{Path, PathBuf};
use std::process::Command;

struct Connection(Client);

impl Target for Connection {
    fn call(&mut self, args: &[Vec<u8>]) -> Value {
        self.0.call_bytes(args).expect("the node answers")
    }

    fn advance(&mut self, _: u64) {
        panic!("no time passes in these transcripts")
    }
}

fn archives() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let files = std::fs::read_dir(folder).expect("the corpus is there");
    let mut files: Vec<_> = files.map(|entry| entry.expect("a file").path()).collect();
    files.retain(|path| path.extension().is_some_and(|it| it == "xz"));
    files.sort();
    files
}

fn serves(replica: &Replica, transcript: &Path) {
    until("the node serves", || replica.accepts_writes().then_some(()));
    let client = replica.client().expect("it answers");
    script::check(transcript, &mut Connection(client)).expect("what the older binary answered");
}

#[test]
fn directories_of_older_binaries_open() {
    let archives = archives();
    assert!(archives.len() >= 3, "{archives:?}");
    for archive in archives {
        let mut cluster = Cluster::prepare("corpus", 1, &[]);
        let folder = cluster.scratch.path().to_path_buf();
        let transcript = folder.join("transcript.txt");
        let unpack = Command::new("tar").arg("-xJf").arg(&archive).arg("-C").arg(folder).status();
        assert!(unpack.is_ok_and(|status| status.success()), "{}", archive.display());
        let replica = &mut cluster.replicas[0];
        let checked = Command::new(binary()).arg("check").arg(&replica.dir).output();
        let checked = checked.expect("the binary runs");
        assert!(checked.status.success(), "{checked:?}");
        replica.start();
        serves(replica, &transcript);
        // What it holds goes through a snapshot and a start of this binary unharmed, too.
        assert!(replica.terminate());
        replica.start();
        serves(replica, &transcript);
    }
}
