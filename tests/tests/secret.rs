//! The peer port believes whoever has the secret, and without one only this machine.

use quorate_tests::cluster::{Cluster, Scratch, binary};
use quorate_tests::port::free_port;
use quorate_tests::wait::until;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command, Stdio};

/// Stops the process when the test ends, however it does.
struct Stopped(Child);

impl Drop for Stopped {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.0);
        // Not killed: it stops its children.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.0.wait();
    }
}

#[test]
fn a_node_does_not_listen_beyond_this_machine_without_a_secret() {
    let scratch = Scratch::new("no-secret");
    // An address of nobody: where the node is wrong, it still cannot be reached.
    let started = Command::new(binary())
        .args(["server", "--port", &free_port().to_string(), "--peer-bind", "192.0.2.1"])
        .arg("--dir")
        .arg(scratch.path())
        .output()
        .expect("the binary runs");
    assert!(!started.status.success());
    let said = String::from_utf8_lossy(&started.stderr).into_owned();
    for part in ["without a secret", "peer-secret-file", "QUORATE_PEER_SECRET", "peer-bind"] {
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn nodes_take_their_secret_from_a_file() {
    let mut cluster = Cluster::prepare("secret-file", 3, &[]);
    let path = cluster.scratch.path().join("peer-secret");
    let path = path.to_str().expect("test paths are UTF-8").to_owned();
    let made = Command::new(binary()).args(["secret", "--file", &path]).output();
    let made = made.expect("the binary runs");
    assert!(made.status.success() && made.stdout.is_empty(), "{made:?}");
    let secret = fs::read_to_string(&path).expect("it was made");
    let again = Command::new(binary()).args(["secret", "--file", &path]).status();
    assert!(again.expect("the binary runs").success());
    assert_eq!(fs::read_to_string(&path).expect("it is there"), secret, "it stays as it is");
    for replica in &mut cluster.replicas {
        replica.extra = vec!["--peer-secret-file".to_owned(), path.clone()];
        replica.start();
    }
    cluster.wait_writable();
    // One with another secret is a stranger.
    cluster.replicas[2].kill();
    cluster.replicas[2].extra = vec!["--peer-secret".to_owned(), "another".to_owned()];
    cluster.replicas[2].start();
    until("the others refuse it", || {
        let said = cluster.replicas[0].output() + &cluster.replicas[1].output();
        said.contains("without the right peer secret").then_some(())
    });
    let shown = cluster.replicas[2].info("raft_leader");
    assert!(shown.is_none_or(|leader| leader.is_empty()));
}

#[test]
fn dev_makes_a_secret_that_nobody_sees() {
    let scratch = Scratch::new("dev-secret");
    // One node: further ones would take the ports beside its own, which other tests may have.
    let peer = free_port().to_string();
    let mut dev = Command::new(binary());
    dev.args(["dev", "--nodes", "1", "--port", &free_port().to_string()]);
    dev.args(["--peer-port", &peer, "--peers", &format!("127.0.0.1:{peer}"), "--dir"]);
    dev.arg(scratch.path()).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut dev = Stopped(dev.spawn().expect("the binary runs"));
    let mut output = dev.0.stdout.take().expect("it is piped");
    let (mut said, mut piece) = (String::new(), [0; 512]);
    while !said.contains("Ready.") {
        let got = output.read(&mut piece).expect("it can be read");
        assert!(got > 0, "it ended: {said}");
        said += &String::from_utf8_lossy(&piece[..got]);
    }
    let path = scratch.path().join("peer-secret");
    let mode = fs::metadata(&path).expect("it was made").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let secret = fs::read_to_string(&path).expect("it can be read");
    assert_eq!(secret.trim().len(), 64, "32 bytes in hexadecimal");
    let tasks = format!("/proc/{0}/task/{0}/children", dev.0.id());
    let children = fs::read_to_string(tasks).expect("its children are listed");
    assert_eq!(children.split_whitespace().count(), 1, "{children}");
    for child in children.split_whitespace() {
        let words = fs::read(format!("/proc/{child}/cmdline")).expect("it runs");
        let words = String::from_utf8_lossy(&words).into_owned();
        assert!(words.contains("peer-secret-file") && !words.contains(secret.trim()), "{words}");
        let variables = fs::read(format!("/proc/{child}/environ")).expect("it runs");
        assert!(!String::from_utf8_lossy(&variables).contains(secret.trim()));
    }
}
