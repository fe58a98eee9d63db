//! Publish and subscribe as clients see it.

use super::{Client, Server};
use std::fmt::Write as _;

/// Answers to a SUBSCRIBE and its like.
fn confirmed(word: &str, names: &[&str], from: usize) -> String {
    names.iter().enumerate().fold(String::new(), |mut text, (at, name)| {
        let (w, n, count) = (word.len(), name.len(), from + at);
        let _ = write!(text, "*3\r\n${w}\r\n{word}\r\n${n}\r\n{name}\r\n:{count}\r\n");
        text
    })
}

fn message(channel: &str, payload: &str) -> String {
    let (c, p) = (channel.len(), payload.len());
    format!("*3\r\n$7\r\nmessage\r\n${c}\r\n{channel}\r\n${p}\r\n{payload}\r\n")
}

#[tokio::test]
async fn what_is_published_comes_to_those_who_listen() {
    let server = Server::start(&[]);
    let (mut listener, mut other) = (server.connect().await, server.connect().await);
    listener.check("SUBSCRIBE a b a\r\n", &confirmed("subscribe", &["a", "b"], 1)).await;
    listener.expect(confirmed("subscribe", &["a"], 2)).await;
    listener.check("PSUBSCRIBE a*\r\n", &confirmed("psubscribe", &["a*"], 3)).await;
    listener.check("SSUBSCRIBE a\r\n", &confirmed("ssubscribe", &["a"], 1)).await;
    other
        .check("PUBLISH a hello\r\nPUBLISH nobody x\r\nSPUBLISH a y\r\n", ":2\r\n:0\r\n:1\r\n")
        .await;
    listener.expect(message("a", "hello")).await;
    listener.expect("*4\r\n$8\r\npmessage\r\n$2\r\na*\r\n$1\r\na\r\n$5\r\nhello\r\n").await;
    listener.expect("*3\r\n$8\r\nsmessage\r\n$1\r\na\r\n$1\r\ny\r\n").await;
    other.check("PUBSUB CHANNELS\r\n", "*2\r\n$1\r\na\r\n$1\r\nb\r\n").await;
    other.check("PUBSUB CHANNELS [b-z]\r\n", "*1\r\n$1\r\nb\r\n").await;
    other.check("PUBSUB NUMSUB a c\r\n", "*4\r\n$1\r\na\r\n:1\r\n$1\r\nc\r\n:0\r\n").await;
    other.check("PUBSUB NUMPAT\r\nPUBSUB SHARDCHANNELS\r\n", ":1\r\n*1\r\n$1\r\na\r\n").await;
    other.check("PUBSUB SHARDNUMSUB a\r\n", "*2\r\n$1\r\na\r\n:1\r\n").await;
    listener.check("UNSUBSCRIBE\r\n", &confirmed("unsubscribe", &["a"], 2)).await;
    listener.expect(confirmed("unsubscribe", &["b"], 1)).await;
    listener.check("UNSUBSCRIBE z\r\n", &confirmed("unsubscribe", &["z"], 1)).await;
    listener.check("PUNSUBSCRIBE\r\n", &confirmed("punsubscribe", &["a*"], 0)).await;
    listener.check("UNSUBSCRIBE\r\n", "*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n").await;
    listener.check("SUNSUBSCRIBE\r\n", &confirmed("sunsubscribe", &["a"], 0)).await;
    listener.check("PING\r\n", "+PONG\r\n").await;
    other.check("PUBSUB CHANNELS\r\nPUBLISH a x\r\n", "*0\r\n:0\r\n").await;
}

#[tokio::test]
async fn a_subscriber_that_speaks_resp2_may_do_little() {
    let server = Server::start(&[]);
    let mut client = server.connect().await;
    client.check("SUBSCRIBE a\r\n", &confirmed("subscribe", &["a"], 1)).await;
    let refused = |name: &str| {
        format!(
            "-ERR Can't execute '{name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / \
             RESET are allowed in this context\r\n"
        )
    };
    client.check("GET a\r\nSET a b\r\n", &format!("{}{}", refused("get"), refused("set"))).await;
    client.check("CLIENT ID\r\n", &refused("client|id")).await;
    client
        .check("NOSUCH\r\n", "-ERR unknown command 'NOSUCH', with args beginning with: \r\n")
        .await;
    client
        .check(
            "PING\r\nPING hi\r\n",
            "*2\r\n$4\r\npong\r\n$0\r\n\r\n*2\r\n$4\r\npong\r\n$2\r\nhi\r\n",
        )
        .await;
    client.check("RESET\r\nGET a\r\n", "+RESET\r\n$-1\r\n").await;
    client.check("PUBLISH a x\r\n", ":0\r\n").await;
    client.check("SSUBSCRIBE a\r\n", &confirmed("ssubscribe", &["a"], 1)).await;
    client.check("GET a\r\n", &refused("get")).await;
    client.check("QUIT\r\n", "+OK\r\n").await;
    assert_eq!(client.rest().await, "");
}

#[tokio::test]
async fn in_resp3_messages_are_pushes_beside_any_command() {
    let server = Server::start(&[]);
    let mut client = resp3(&server).await;
    client.check("SUBSCRIBE a\r\n", ">3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n").await;
    let push = ">3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nx\r\n";
    // The reply to one's own message comes first, and the message before the next reply.
    client
        .check("SET k v\r\nPUBLISH a x\r\nGET k\r\n", &format!("+OK\r\n:1\r\n{push}$1\r\nv\r\n"))
        .await;
    client.check("PING\r\n", "+PONG\r\n").await;
    client
        .check("UNSUBSCRIBE\r\nUNSUBSCRIBE\r\n", ">3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:0\r\n")
        .await;
    client.expect(">3\r\n$11\r\nunsubscribe\r\n_\r\n:0\r\n").await;
    // Back in RESP2 it is confined.
    client.check("SUBSCRIBE a\r\n", ">3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n").await;
    client.send(b"HELLO 2\r\nGET k\r\n").await;
    read_to(&mut client, b"$7\r\nmodules\r\n*0\r\n-ERR Can't execute 'get': only ").await;
}

async fn resp3(server: &Server) -> Client {
    let mut client = server.connect().await;
    client.check("HELLO 3\r\n", "%7\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n").await;
    // The rest of it ends with an empty list of modules.
    read_to(&mut client, b"$7\r\nmodules\r\n*0\r\n").await;
    client
}

/// Reads until this has come.
async fn read_to(client: &mut Client, end: &[u8]) {
    let mut seen = Vec::new();
    while !seen.ends_with(end) {
        let mut byte = [0];
        tokio::io::AsyncReadExt::read_exact(&mut client.stream, &mut byte).await.expect("a reply");
        seen.extend(byte);
    }
}

#[tokio::test]
async fn silence_is_not_for_messages() {
    let server = Server::start(&[]);
    let mut client = resp3(&server).await;
    let push = ">3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nx\r\n";
    let confirmed = ">3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n";
    client
        .check("CLIENT REPLY OFF\r\nSUBSCRIBE a\r\nPUBLISH a x\r\n", &format!("{confirmed}{push}"))
        .await;
    client.check("CLIENT REPLY ON\r\n", "+OK\r\n").await;
    client
        .check("CLIENT REPLY SKIP\r\nSUBSCRIBE a\r\nPING\r\n", &format!("{confirmed}+PONG\r\n"))
        .await;
    client.check("CLIENT REPLY SKIP\r\nPUBLISH a x\r\nPING\r\n", &format!("{push}+PONG\r\n")).await;
}

#[tokio::test]
async fn events_come_before_answers_and_misses_are_told() {
    let server = Server::start(&[]);
    let mut client = resp3(&server).await;
    client.check("CONFIG SET notify-keyspace-events KEAm\r\n", "+OK\r\n").await;
    client
        .check("PSUBSCRIBE __key*\r\n", ">3\r\n$10\r\npsubscribe\r\n$6\r\n__key*\r\n:1\r\n")
        .await;
    let event = |channel: &str, payload: &str| {
        let (c, p) = (channel.len(), payload.len());
        format!(
            ">4\r\n$8\r\npmessage\r\n$6\r\n__key*\r\n${c}\r\n{channel}\r\n${p}\r\n{payload}\r\n"
        )
    };
    let both = |event_name: &str, key: &str| {
        let by_key = event(&format!("__keyspace@0__:{key}"), event_name);
        by_key + &event(&format!("__keyevent@0__:{event_name}"), key)
    };
    client.send(b"SET k v\r\n").await;
    let mut came = vec![0; both("set", "k").len() + 5];
    tokio::io::AsyncReadExt::read_exact(&mut client.stream, &mut came).await.expect("it answers");
    let came = String::from_utf8_lossy(&came).into_owned();
    assert!(came.contains(&both("set", "k")) && came.contains("+OK\r\n"), "{came}");
    // The miss is told behind the reply to the read, and before the next.
    client.check("GET none\r\n", &format!("_\r\n{}", both("keymiss", "none"))).await;
    client.check("GET k\r\nOBJECT ENCODING none\r\n", "$1\r\nv\r\n_\r\n").await;
}

#[tokio::test]
async fn lists_show_who_listens() {
    let server = Server::start(&[]);
    let (mut listener, mut other) = (server.connect().await, server.connect().await);
    listener.check("SUBSCRIBE a b\r\n", &confirmed("subscribe", &["a", "b"], 1)).await;
    listener.check("PSUBSCRIBE c\r\n", &confirmed("psubscribe", &["c"], 3)).await;
    let listed = other.bulk("CLIENT LIST TYPE pubsub\r\n").await;
    assert_eq!(listed.lines().count(), 1, "{listed}");
    assert!(listed.contains(" flags=P db=0 sub=2 psub=1 ssub=0 "), "{listed}");
    assert!(other.bulk("CLIENT LIST TYPE normal\r\n").await.contains(" sub=0 psub=0 ssub=0 "));
    let stats = other.bulk("INFO\r\n").await;
    for field in ["pubsub_channels:2", "pubsub_patterns:1", "pubsub_clients:1"] {
        assert!(stats.contains(field), "{field}");
    }
    other
        .check("CLIENT KILL TYPE pubsub\r\nPUBSUB NUMSUB a\r\n", ":1\r\n*2\r\n$1\r\na\r\n:0\r\n")
        .await;
    assert_eq!(listener.rest().await, "");
}

#[tokio::test]
async fn a_slow_subscriber_is_closed_and_nobody_else() {
    let server = Server::start(&[("client-output-buffer-limit", "pubsub 1048576 0 0")]);
    let (mut slow, mut quick) = (server.connect().await, server.connect().await);
    for client in [&mut slow, &mut quick] {
        client.check("SUBSCRIBE a\r\n", &confirmed("subscribe", &["a"], 1)).await;
    }
    let mut publisher = server.connect().await;
    let payload = "x".repeat(100_000);
    let request = format!("*3\r\n$7\r\nPUBLISH\r\n$1\r\na\r\n$100000\r\n{payload}\r\n");
    let expected = message("a", &payload);
    // Far more than the system's buffers take.
    let mut left = 0;
    for _ in 0..2000 {
        publisher.send(request.as_bytes()).await;
        publisher.expect(if left > 0 { ":1\r\n" } else { ":2\r\n" }).await;
        quick.expect(&expected).await;
        left = usize::from(server.shared.clients.count() == 2);
        if left > 0 {
            break;
        }
    }
    assert_eq!(left, 1, "the slow one is closed");
    publisher.check("PUBSUB NUMSUB a\r\n", "*2\r\n$1\r\na\r\n:1\r\n").await;
    let stats = publisher.bulk("INFO stats\r\n").await;
    assert!(stats.contains("client_output_buffer_limit_disconnections:1"), "{stats}");
}
