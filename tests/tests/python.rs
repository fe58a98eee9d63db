//! redis-py as it comes: the seed program runs unchanged against every replica, sync and asyncio,
//! db 0 and db 3.

use quorate_tests::cluster::Cluster;
use std::path::Path;
use std::process::Command;

#[test]
fn redis_py_works_unchanged() {
    let cluster = Cluster::start("redis-py", 3, &[]);
    let python = std::env::var("QUORATE_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/redis_py.py");
    let ports: Vec<String> = cluster.ports().iter().map(u16::to_string).collect();
    let done = Command::new(&python).arg(script).args(&ports).output().expect("python runs");
    assert!(
        done.status.success(),
        "{python}: {}{}",
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr)
    );
}
