//! Wall clocks that lie: no TTL ends early, and nothing expired comes back.

use quorate_resp::Value;
use quorate_tests::client::{Client, is_ok, text};
use quorate_tests::cluster::Cluster;
use quorate_tests::shim::Shim;
use quorate_tests::wait::until;
use std::time::{Duration, Instant};

/// Starts three replicas whose wall clocks are shifted by so many milliseconds.
fn cluster_with_walls(name: &str, shifts: [i64; 3]) -> Cluster {
    let mut cluster = Cluster::prepare(name, 3, &[]);
    for (replica, shift) in cluster.replicas.iter_mut().zip(shifts) {
        Shim::attach(replica).set("wall_ms", shift);
    }
    for replica in &mut cluster.replicas {
        replica.start();
    }
    cluster.wait_writable();
    cluster
}

/// Makes the replica at `wanted` lead.
fn make_leader(cluster: &mut Cluster, wanted: usize) {
    let port = cluster.replicas[wanted].port.to_string();
    until("the wanted replica leads", || {
        let leader = cluster.leader();
        if leader == wanted {
            return Some(());
        }
        let mut client = cluster.replicas[leader].client()?;
        // It is refused while the wanted replica lags; then the next try counts.
        let _ = client.call(&["FAILOVER", "TO", "127.0.0.1", &port]);
        None
    });
    cluster.wait_writable();
}

#[test]
fn a_leader_whose_clock_is_ahead_ends_no_ttl_early() {
    let mut cluster = cluster_with_walls("clock-ahead", [0, 0, 10_000]);
    if cluster.leader() == 2 {
        make_leader(&mut cluster, 0);
    }
    let leader = cluster.leader();
    let mut client = cluster.replicas[leader].client().expect("it answers");
    let set = Instant::now();
    assert!(is_ok(&client.call(&["SET", "lease", "held", "PX", "60000"]).expect("an answer")));
    make_leader(&mut cluster, 2);
    let mut client = cluster.replicas[2].client().expect("it answers");
    let Value::Int(left) = client.call(&["PTTL", "lease"]).expect("an answer") else {
        panic!("no TTL: the key is gone")
    };
    let passed = set.elapsed();
    let least = Duration::from_mins(1).saturating_sub(passed).as_millis() as i64;
    // The clocks' rates are equal here; 200 ms is what stamping and rounding may differ by.
    assert!(left + 200 >= least, "{left} ms left, but only {passed:?} passed");
}

#[test]
fn a_leader_whose_clock_is_behind_revives_nothing() {
    let mut cluster = cluster_with_walls("clock-behind", [0, 0, -10_000]);
    if cluster.leader() == 2 {
        make_leader(&mut cluster, 0);
    }
    let leader = cluster.leader();
    let mut client = cluster.replicas[leader].client().expect("it answers");
    assert!(is_ok(&client.call(&["SET", "lease", "held", "PX", "300"]).expect("an answer")));
    until("it expires", || {
        matches!(client.call(&["GET", "lease"]).expect("an answer"), Value::Null).then_some(())
    });
    make_leader(&mut cluster, 2);
    let mut client = cluster.replicas[2].client().expect("it answers");
    assert_eq!(client.call(&["GET", "lease"]).expect("an answer"), Value::Null);
    // And its clock goes on: a new TTL still ends.
    assert!(is_ok(&client.call(&["SET", "second", "held", "PX", "200"]).expect("an answer")));
    assert_eq!(text(&client.call(&["GET", "second"]).expect("an answer")).as_deref(), Some("held"));
    until("the second one expires", || {
        matches!(client.call(&["GET", "second"]).expect("an answer"), Value::Null).then_some(())
    });
}

/// Reads once at this time past each deadline, where the leader's own tick may be on its way.
fn read_past_deadlines(port: u16, key: &str) {
    let mut client = Client::connect(port, Duration::from_secs(10)).expect("it answers");
    for turn in 0..120 {
        assert!(is_ok(&client.call(&["SET", key, "held", "PX", "20"]).expect("an answer")));
        let set = Instant::now();
        while set.elapsed() < Duration::from_millis(21 + turn % 40) {
            client.call(&["PING"]).expect("an answer");
        }
        let seen = client.call(&["GET", key]).expect("an answer");
        assert_eq!(seen, Value::Null, "{key}, turn {turn}");
    }
}

#[test]
fn a_follower_shows_no_key_past_its_deadline() {
    let cluster = Cluster::start("clock-deadlines", 3, &[]);
    let port = cluster.replicas[(cluster.leader() + 1) % 3].port;
    std::thread::scope(|scope| {
        for key in ["a", "b", "c"] {
            scope.spawn(move || read_past_deadlines(port, key));
        }
    });
}
