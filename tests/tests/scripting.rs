//! Scripts on a cluster: they outlive leaders and restarts, and one that does not end is ended from
//! any node without anybody losing the leader.

use quorate_resp::Value;
use quorate_tests::client::{Client, is_ok, text};
use quorate_tests::cluster::Cluster;
use quorate_tests::wait::until;
use std::time::Duration;

const BODY: &str = "return redis.call('INCRBY', KEYS[1], ARGV[1])";
const LIBRARY: &str = "#!lua name=counters\nredis.register_function('add', function(keys, args) \
     return redis.call('INCRBY', keys[1], args[1]) end)";

fn client(cluster: &Cluster, at: usize) -> Client {
    cluster.replicas[at].client().expect("it answers")
}

/// Calls what must be answered by a number, as soon as somebody leads.
fn number(cluster: &Cluster, at: usize, words: &[&str]) -> i64 {
    until("somebody leads", || cluster.replicas[at].client()?.call(words).ok()?.as_int())
}

#[test]
fn scripts_and_functions_outlive_leaders_and_restarts() {
    let mut cluster = Cluster::start("scripting-kill", 3, &[]);
    let leader = cluster.leader();
    let loaded = client(&cluster, (leader + 1) % 3).call(&["SCRIPT", "LOAD", BODY]);
    let sha = text(&loaded.expect("an answer")).expect("a digest");
    let eval = "return redis.call('INCR', KEYS[1])";
    let kept = client(&cluster, leader).call(&["EVAL", eval, "1", "n"]).expect("an answer");
    assert_eq!(kept, Value::Int(1));
    let library = client(&cluster, leader).call(&["FUNCTION", "LOAD", LIBRARY]);
    assert_eq!(text(&library.expect("an answer")).as_deref(), Some("counters"));

    cluster.replicas[leader].kill();
    let other = (leader + 2) % 3;
    assert_eq!(number(&cluster, other, &["EVALSHA", &sha, "1", "n", "10"]), 11);
    assert_eq!(number(&cluster, other, &["FCALL", "add", "1", "n", "10"]), 21);
    cluster.replicas[leader].start();
    cluster.wait_writable();

    // From a snapshot, too.
    assert!(is_ok(&client(&cluster, leader).call(&["SAVE"]).expect("an answer")));
    for replica in &mut cluster.replicas {
        replica.kill();
    }
    for replica in &mut cluster.replicas {
        replica.start();
    }
    cluster.wait_writable();
    assert_eq!(number(&cluster, leader, &["EVALSHA", &sha, "1", "n", "-1"]), 20);
    assert_eq!(number(&cluster, leader, &["FCALL", "add", "1", "n", "-1"]), 19);
    cluster.wait_agreed();
}

#[test]
fn a_script_that_uses_up_its_memory_is_undone() {
    let cluster = Cluster::start("scripting-memory", 1, &[]);
    let mut client = client(&cluster, 0);
    let hungry = "redis.call('SET', 'gone', 1) local t = {} \
         while true do t[#t + 1] = string.rep('x', 100000) .. #t end";
    let told = client.call(&["EVAL", hungry, "0"]).expect("an answer");
    let told = matches!(&told, Value::Error(line) if line.contains("used up its memory"));
    assert!(told, "the script was not ended");
    // The next one finds what was there before, and everything in order.
    let next = client.call(&["EVAL", "return redis.call('INCR', 'gone')", "0"]);
    assert_eq!(next.expect("an answer"), Value::Int(1));
    // A command that waits does not, within a script.
    let pops = "return redis.call('BLPOP', KEYS[1], 0)";
    let push = "return redis.call('RPUSH', KEYS[1], 'x')";
    client.call(&["EVAL", push, "1", "queue"]).expect("an answer");
    let popped = client.call(&["EVAL", pops, "1", "queue"]).expect("an answer");
    assert_eq!(popped.as_items().map(<[Value]>::len), Some(2), "{popped:?}");
    let popped = client.call(&["EVAL", pops, "1", "queue"]).expect("an answer");
    assert!(matches!(popped, Value::Null | Value::NullArray), "{popped:?}");
}

#[test]
fn a_script_without_end_is_ended_from_any_node() {
    let cluster = Cluster::start("scripting-endless", 3, &["--busy-reply-threshold", "50"]);
    let leader = cluster.leader();
    let term = cluster.replicas[leader].info("raft_term");
    let endless = "redis.call('SET', 'gone', 1) while true do end";
    for at in [leader, (leader + 1) % 3] {
        let mut runner = client(&cluster, (leader + 2) % 3);
        runner.send(&[&["EVAL", endless, "0"]]).expect("sent");
        let mut other = client(&cluster, leader);
        until("others hear of it", || match other.call(&["PING"]).ok()? {
            Value::Error(line) => line.starts_with("BUSY").then_some(()),
            _ => None,
        });
        // Who leads is found out from the others meanwhile: heartbeats go on.
        let mut killer = client(&cluster, at);
        let killed = killer.call(&["SCRIPT", "KILL"]).expect("an answer");
        assert!(is_ok(&killed), "{killed:?}");
        let told = runner.receive().expect("an answer");
        let told = matches!(&told, Value::Error(line) if line.contains("killed by user"));
        assert!(told, "the script was not ended");
        assert_eq!(other.call(&["EXISTS", "gone"]).expect("an answer"), Value::Int(0));
    }
    assert_eq!(cluster.replicas[leader].info("raft_term"), term);
}

#[test]
fn a_script_that_takes_too_long_is_undone_and_nobody_loses_the_leader() {
    let cluster = Cluster::start("scripting-time", 3, &[]);
    let leader = cluster.leader();
    let term = cluster.replicas[leader].info("raft_term");
    let port = cluster.replicas[leader].port;
    let mut runner = Client::connect(port, Duration::from_mins(1)).expect("it connects");
    let endless = "redis.call('SET', 'gone', 1) while true do local f = function() end end";
    let told = runner.call(&["EVAL", endless, "0"]).expect("an answer");
    let ended = matches!(&told, Value::Error(line) if line.contains("ran too long"));
    assert!(ended, "{told:?}");
    assert_eq!(runner.call(&["EXISTS", "gone"]).expect("an answer"), Value::Int(0));
    assert_eq!(cluster.replicas[leader].info("raft_term"), term);
}
