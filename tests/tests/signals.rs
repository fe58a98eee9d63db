//! What signals do to a node.

use quorate_tests::client::is_ok;
use quorate_tests::cluster::{Cluster, Replica};
use quorate_tests::shim::Shim;
use quorate_tests::wait::until;
use rustix::process::Signal;

/// Whether Redis would replay the log differently.
fn is_inexact(replica: &Replica) -> bool {
    let path = replica.dir.join("appendonlydir/quorate.aof.manifest");
    std::fs::read_to_string(path).expect("a manifest").contains("# inexact since")
}

/// A write that Redis 7.0 does not know.
fn write_inexact(replica: &Replica) {
    let mut client = replica.client().expect("it answers");
    assert!(is_ok(&client.call(&["SET", "key", "first"]).expect("an answer")));
    let set = client.call(&["SET", "key", "second", "IFEQ", "first"]).expect("an answer");
    assert!(is_ok(&set), "{set:?}");
    assert!(is_inexact(replica));
}

#[test]
fn signals_that_mean_nothing_end_nothing() {
    let mut cluster = Cluster::start("signals", 3, &[]);
    let leader = cluster.leader();
    let term = cluster.replicas[leader].info("raft_term");
    let meant_for_others = [
        Signal::HUP,
        Signal::USR1,
        Signal::USR2,
        Signal::ALARM,
        Signal::VTALARM,
        Signal::PROF,
        Signal::IO,
        Signal::XFSZ,
        Signal::PIPE,
    ];
    for signal in meant_for_others {
        cluster.replicas[leader].signal(signal);
        assert!(cluster.replicas[leader].accepts_writes(), "{signal:?}");
    }
    assert!(cluster.replicas[leader].is_running());
    assert_eq!(cluster.replicas[leader].info("raft_term"), term, "its office went");
}

#[test]
fn every_signal_to_stop_stops_cleanly() {
    let mut cluster = Cluster::start("stops", 1, &[]);
    for signal in [Signal::TERM, Signal::INT, Signal::QUIT] {
        let replica = &mut cluster.replicas[0];
        write_inexact(replica);
        replica.signal(signal);
        assert_eq!(replica.wait_exit(), Some(0), "{signal:?}");
        assert!(!is_inexact(replica), "{signal:?}: no last snapshot");
        replica.start();
        cluster.wait_writable();
    }
}

#[test]
fn a_second_interrupt_ends_a_stop_that_hangs() {
    let mut cluster = Cluster::prepare("insists", 1, &[]);
    let shim = Shim::attach(&mut cluster.replicas[0]);
    cluster.replicas[0].start();
    cluster.wait_writable();
    let replica = &mut cluster.replicas[0];
    write_inexact(replica);
    shim.set("fsync_ms", 50_000);
    let mut client = replica.client().expect("it answers");
    client.send(&[&["SET", "key", "third"]]).expect("it is sent");
    for (signal, said) in [
        (Signal::TERM, "signal=\"SIGTERM\""),
        // To these it is no news.
        (Signal::TERM, "stopping"),
        (Signal::HUP, "stopping"),
    ] {
        replica.signal(signal);
        until(said, || replica.output().contains(said).then_some(()));
        assert!(replica.is_running());
    }
    replica.signal(Signal::INT);
    assert_eq!(replica.wait_exit(), Some(1));
    assert!(replica.output().contains("interrupted again"), "{}", replica.output());
}
