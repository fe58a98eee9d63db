//! Clients cannot take the descriptors that the log needs.

use quorate_resp::Value;
use quorate_tests::client::{Client, is_ok, text};
use quorate_tests::cluster::{Cluster, Replica};
use quorate_tests::wait::until;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::net::TcpStream;

/// This process connects more often than is usual.
fn raise_own_limit() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).expect("it is allowed");
}

fn few_descriptors(name: &str, count: usize, extra: &[&str]) -> Cluster {
    let mut cluster = Cluster::prepare(name, count, extra);
    for replica in &mut cluster.replicas {
        "ulimit -n 256".clone_into(&mut replica.before);
        replica.start();
    }
    cluster.wait_writable();
    cluster
}

/// Connections that send nothing.
fn silent(port: u16, count: usize) -> Vec<TcpStream> {
    (0..count).map(|_| TcpStream::connect(("127.0.0.1", port)).expect("a connection")).collect()
}

/// Files of the log.
fn segments(replica: &Replica) -> usize {
    let dir = std::fs::read_dir(replica.dir.join("appendonlydir")).expect("it is there");
    let names = dir.filter_map(|item| item.ok()?.file_name().into_string().ok());
    names.filter(|name| name.ends_with(".incr.aof")).count()
}

#[test]
fn silent_connections_do_not_end_the_log() {
    raise_own_limit();
    let mut cluster = few_descriptors("silent", 3, &["--segment-bytes", "1mb"]);
    let mut clients: Vec<Client> =
        cluster.replicas.iter().map(|it| it.client().expect("it answers")).collect();
    let mut held = Vec::new();
    for replica in &cluster.replicas {
        held.extend(silent(replica.port, 300));
        held.extend(silent(replica.peer_port, 300));
    }
    for client in &mut clients {
        until("some are refused", || {
            let refused: u64 = client.info("rejected_connections")?.parse().ok()?;
            (refused >= 300 - 162).then_some(())
        });
    }
    let before: Vec<usize> = cluster.replicas.iter().map(segments).collect();
    let large = "x".repeat(200 << 10);
    for client in &mut clients {
        for number in 0..10 {
            let set = client.call(&["SET", &format!("key{number}"), &large]).expect("an answer");
            assert!(is_ok(&set), "{set:?}");
        }
        let saved = client.call(&["BGSAVE"]).expect("an answer");
        assert!(text(&saved).is_some(), "{saved:?}");
        until("it is saved", || {
            let busy = client.info("rdb_bgsave_in_progress")?;
            (busy == "0").then(|| client.info("rdb_last_bgsave_status")).flatten()
        });
        assert_eq!(client.info("rdb_last_bgsave_status").as_deref(), Some("ok"));
    }
    assert_ne!(before, cluster.replicas.iter().map(segments).collect::<Vec<_>>());
    for replica in &mut cluster.replicas {
        assert!(replica.is_running(), "{}", replica.output());
    }
    drop(held);
    cluster.wait_writable();
    cluster.wait_agreed();
    assert!(cluster.replicas.iter_mut().all(Replica::terminate));
}

#[test]
fn maxclients_is_what_the_limit_leaves() {
    let mut cluster = few_descriptors("maxclients", 1, &[]);
    let replica = &mut cluster.replicas[0];
    let mut client = replica.client().expect("it answers");
    assert_eq!(client.info("maxclients").as_deref(), Some("192"));
    let lowered =
        "maxclients 10000 is lowered to 192: the limit of open files ('ulimit -n') is 256";
    until("it is logged", || replica.output().contains(lowered).then_some(()));
    let mut set = |most: &str| client.call(&["CONFIG", "SET", "maxclients", most]).expect("one");
    let refused = "ERR CONFIG SET failed (possibly related to argument 'maxclients') - The \
                   operating system is not able to handle the specified number of clients, try \
                   with 192";
    assert_eq!(set("193"), Value::Error(refused.into()));
    assert!(is_ok(&set("192")));
    assert!(is_ok(&set("10")));
    // A limit below which nothing would go right.
    assert!(replica.terminate());
    "ulimit -n 60".clone_into(&mut replica.before);
    replica.start();
    assert_eq!(replica.wait_exit(), Some(1));
    assert!(replica.output().contains("is too low for a node"), "{}", replica.output());
}

#[test]
fn a_limit_that_may_be_raised_is_raised() {
    let mut cluster = Cluster::prepare("raised", 1, &["--maxclients", "300"]);
    let replica = &mut cluster.replicas[0];
    "ulimit -S -n 128; ulimit -H -n 1024".clone_into(&mut replica.before);
    replica.start();
    until("it starts", || replica.accepts_writes().then_some(()));
    let mut client = replica.client().expect("it answers");
    assert_eq!(client.info("maxclients").as_deref(), Some("300"));
    assert!(is_ok(&client.call(&["CONFIG", "SET", "maxclients", "960"]).expect("an answer")));
    let refused = client.call(&["CONFIG", "SET", "maxclients", "961"]).expect("an answer");
    assert!(matches!(refused, Value::Error(_)), "{refused:?}");
}
