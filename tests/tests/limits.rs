//! What is too large is answered in its place and never by a closed connection, and what clients
//! hold together is bounded.

use quorate_resp::Value;
use quorate_tests::client::{Client, is_ok, text};
use quorate_tests::cluster::Cluster;
use quorate_tests::wait::until;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

const MIB: usize = 1 << 20;
const ARGUMENT: &str = "ERR argument too large: the limit is 67108864 bytes (proto-max-bulk-len)";
const COMMAND: &str = "ERR command too large: the limit is 134217728 bytes";
const ARGUMENTS: &str = "ERR too many arguments: the limit is 1048576";

fn client(cluster: &Cluster) -> Client {
    cluster.replicas[0].client().expect("it answers")
}

/// A connection for bytes of any kind.
fn raw(cluster: &Cluster) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", cluster.replicas[0].port)).expect("it answers");
    stream.set_read_timeout(Some(Duration::from_mins(1))).expect("an open socket");
    stream
}

fn error(line: &str) -> Value {
    Value::Error(line.to_owned())
}

/// Sends a request between two others, and checks that all three are answered in order.
fn check(client: &mut Client, request: &[&[u8]], expected: &str) {
    client.send(&[&["SET", "before", "1"]]).expect("it reads");
    for piece in request {
        client.send_bytes(piece).expect("it reads");
    }
    client.send(&[&["INCR", "before"], &["PING"]]).expect("it reads");
    assert!(is_ok(&client.receive().expect("an answer")));
    assert_eq!(client.receive().expect("an answer"), error(expected));
    assert_eq!(client.receive().expect("an answer"), Value::Int(2));
    assert_eq!(text(&client.receive().expect("an answer")).as_deref(), Some("PONG"));
}

#[test]
fn what_is_too_large_is_answered_in_its_place() {
    let cluster = Cluster::start("too-large", 1, &[]);
    let value = vec![b'v'; 65 * MIB];
    let part = value.get(..60 * MIB).expect("it is longer");
    let mut client = client(&cluster);
    let set = format!("*3\r\n$3\r\nSET\r\n$5\r\nlarge\r\n${}\r\n", value.len());
    check(&mut client, &[set.as_bytes(), &value, b"\r\n"], ARGUMENT);
    // Each of its arguments might be, and all of them may not.
    let three = (0..3).flat_map(|_| [&b"$1\r\nk\r\n$62914560\r\n"[..], part, b"\r\n"]);
    let request: Vec<&[u8]> = [&b"*7\r\n$4\r\nMSET\r\n"[..]].into_iter().chain(three).collect();
    check(&mut client, &request, COMMAND);
    let many = b"$1\r\nk\r\n".repeat(MIB);
    check(&mut client, &[b"*1048577\r\n$3\r\nDEL\r\n", &many], ARGUMENTS);
    nothing_is_refused_at_the_limits(&mut client, &many);
    assert_eq!(client.call(&["EXISTS", "large", "k"]).expect("an answer"), Value::Int(0));
    let limit = client.call(&["CONFIG", "GET", "proto-max-bulk-len"]).expect("an answer");
    let pair = ["proto-max-bulk-len", "67108864"].map(|word| Value::Bulk(word.into()));
    assert_eq!(limit, Value::Array(pair.to_vec()));
}

fn nothing_is_refused_at_the_limits(client: &mut Client, many: &[u8]) {
    client.send_bytes(b"*1048576\r\n$3\r\nDEL\r\n").expect("it reads");
    client.send_bytes(many.get(..7 * (MIB - 1)).expect("it is longer")).expect("it reads");
    assert_eq!(client.receive().expect("an answer"), Value::Int(0));
    let largest = vec![b'v'; 64 * MIB];
    let words = [b"SET".to_vec(), b"largest".to_vec(), largest];
    assert!(is_ok(&client.call_bytes(&words).expect("an answer")));
    assert_eq!(client.call(&["DEL", "largest"]).expect("an answer"), Value::Int(1));
}

#[test]
fn the_greatest_argument_can_be_lowered_and_not_raised() {
    let cluster = Cluster::start("bulk-len", 1, &[]);
    let mut client = client(&cluster);
    let mut set = |value: &str| {
        client.call(&["CONFIG", "SET", "proto-max-bulk-len", value]).expect("an answer")
    };
    assert_eq!(
        set("512mb"),
        error(
            "ERR CONFIG SET failed (possibly related to argument 'proto-max-bulk-len') - argument \
             must be between 1048576 and 67108864 inclusive"
        )
    );
    assert!(is_ok(&set("1mb")));
    let value = vec![b'v'; MIB + 1];
    let words = [b"SET".to_vec(), b"key".to_vec(), value];
    let refused = client.call_bytes(&words).expect("an answer");
    let expected = "ERR argument too large: the limit is 1048576 bytes (proto-max-bulk-len)";
    assert_eq!(refused, error(expected));
    let grown = client.call(&["SETRANGE", "key", "1048576", "x"]).expect("an answer");
    assert!(matches!(grown, Value::Error(_)), "{grown:?}");
    let back = client.call(&["CONFIG", "SET", "proto-max-bulk-len", "64mb"]).expect("an answer");
    assert!(is_ok(&back));
    assert!(is_ok(&client.call_bytes(&words).expect("an answer")));
    // Strings may be longer than what is sent at once.
    let grown = client.call(&["SETRANGE", "key", "104857600", "x"]).expect("an answer");
    assert_eq!(grown, Value::Int(104_857_601));
}

#[test]
fn who_sends_the_rest_too_slowly_is_closed() {
    let cluster = Cluster::start("slow-rest", 1, &[]);
    let mut watcher = client(&cluster);
    let mut stuck = raw(&cluster);
    stuck.write_all(b"PING\r\n*2\r\n$3\r\nGET\r\n$500000000\r\nand no more").expect("it reads");
    let mut answer = [0; 7];
    stuck.read_exact(&mut answer).expect("an answer");
    assert_eq!(&answer, b"+PONG\r\n");
    // Nothing was promised, so nothing more is said.
    assert_eq!(stuck.read(&mut answer).expect("the end"), 0);
    let closed = watcher.info("client_query_buffer_limit_disconnections");
    assert_eq!(closed.as_deref(), Some("1"));
    // A client that merely waits within a command is left alone.
    let mut slow = raw(&cluster);
    slow.write_all(b"*2\r\n$4\r\nECHO\r\n$3\r\n").expect("it reads");
    let mut stuck = raw(&cluster);
    stuck.write_all(b"*2\r\n$3\r\nGET\r\n$500000000\r\n").expect("it reads");
    assert_eq!(stuck.read(&mut answer).expect("the end"), 0);
    slow.write_all(b"yes\r\n").expect("it reads");
    let mut answer = [0; 9];
    slow.read_exact(&mut answer).expect("an answer");
    assert_eq!(&answer, b"$3\r\nyes\r\n");
}

fn number(client: &mut Client, field: &str) -> usize {
    let figure = client.info(field).expect("a figure");
    figure.parse().expect("a number")
}

fn resident_bytes(client: &mut Client) -> usize {
    number(client, "used_memory_rss")
}

/// Unfinished arguments of so many bytes, all but one of which have come; the sockets stay open.
fn unfinished(cluster: &Cluster, count: usize, bytes: usize) -> Vec<TcpStream> {
    let body = vec![b'v'; bytes];
    let begin = |_| {
        let mut stream = raw(cluster);
        let header = format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n${}\r\n", bytes + 1);
        // It may be closed meanwhile.
        let _ = stream.write_all(header.as_bytes()).and_then(|()| stream.write_all(&body));
        stream
    };
    (0..count).map(begin).collect()
}

#[test]
fn clients_that_hold_most_are_closed() {
    let most = 200 * MIB;
    let cluster = Cluster::start("evicted", 1, &["--maxmemory-clients", "200mb"]);
    let mut watcher = client(&cluster);
    let before = resident_bytes(&mut watcher);
    let held = unfinished(&cluster, 24, 60 * MIB);
    until("enough are closed", || {
        let evicted = number(&mut watcher, "evicted_clients");
        let bytes = number(&mut watcher, "mem_clients_normal");
        assert!(bytes <= most + 2 * MIB, "{bytes}");
        (evicted >= 20).then_some(())
    });
    // Twice, since an allocator does not give back at once what a closed client had.
    let grown = resident_bytes(&mut watcher).saturating_sub(before);
    assert!(grown <= 2 * most, "{grown}");
    assert!(is_ok(&watcher.call(&["SET", "others", "are served"]).expect("an answer")));
    let line = "closing the client that holds most";
    until("it is logged", || cluster.replicas[0].output().contains(line).then_some(()));
    drop(held);
    until("what they held is given back", || {
        (number(&mut watcher, "mem_clients_normal") < MIB).then_some(())
    });
}

#[test]
fn who_asked_not_to_be_closed_is_not() {
    let cluster = Cluster::start("no-evict", 1, &[]);
    let mut watcher = client(&cluster);
    let mut kept = client(&cluster);
    assert!(is_ok(&kept.call(&["CLIENT", "NO-EVICT", "on"]).expect("an answer")));
    kept.send_bytes(b"*2\r\n$4\r\nECHO\r\n$10485760\r\n").expect("it reads");
    let body = vec![b'v'; 10 * MIB];
    kept.send_bytes(&body).expect("it reads");
    let small = unfinished(&cluster, 1, MIB);
    until("all of it has come", || {
        let list = text(&watcher.call(&["CLIENT", "LIST"]).ok()?)?;
        let waits = |bytes: usize| {
            let waiting = list.lines().filter_map(|line| line.split(" qbuf=").nth(1));
            let mut waiting = waiting.filter_map(|rest| rest.split(' ').next()?.parse().ok());
            waiting.any(|waiting: usize| waiting >= bytes)
        };
        (waits(10 * MIB) && list.matches(" qbuf=10").count() >= 2).then_some(())
    });
    let set = watcher.call(&["CONFIG", "SET", "maxmemory-clients", "2mb"]).expect("an answer");
    assert!(is_ok(&set));
    until("the other one is closed", || {
        (number(&mut watcher, "evicted_clients") == 1).then_some(())
    });
    drop(small);
    kept.send_bytes(b"\r\n").expect("it reads");
    let echoed = kept.receive().expect("an answer");
    assert!(matches!(&echoed, Value::Bulk(bytes) if bytes.len() == body.len()));
    assert_eq!(number(&mut watcher, "evicted_clients"), 1);
}
