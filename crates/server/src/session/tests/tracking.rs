//! Client-side caching as clients see it.

use super::{Client, Server};
use quorate_consensus::Answer;
use tokio::io::AsyncReadExt as _;

impl Client {
    /// It speaks RESP3 from here on.
    async fn speak_resp3(&mut self) {
        self.send(b"HELLO 3\r\nPING\r\n").await;
        let mut got = Vec::new();
        while !got.ends_with(b"+PONG\r\n") {
            got.push(self.stream.read_u8().await.expect("an answer"));
        }
    }
}

async fn tracker(server: &Server, options: &str) -> Client {
    let mut client = server.connect().await;
    client.speak_resp3().await;
    client.check(&format!("CLIENT TRACKING ON {options}\r\n"), "+OK\r\n").await;
    client
}

fn told(keys: &[&str]) -> String {
    let line = |key: &&str| format!(">2\r\n$10\r\ninvalidate\r\n*1\r\n${}\r\n{key}\r\n", key.len());
    keys.iter().map(line).collect::<Vec<_>>().concat()
}

const ALL: &str = ">2\r\n$10\r\ninvalidate\r\n_\r\n";

#[tokio::test]
async fn what_rides_along_with_writes_is_noted_and_told_behind_the_replies() {
    let server = Server::start(&[]);
    let (mut one, mut other) = (tracker(&server, "").await, server.connect().await);
    one.check("SET a 1\r\nGET b\r\nMGET c d\r\n", "+OK\r\n_\r\n*2\r\n_\r\n_\r\n").await;
    other.check("MSET a 1 b 2 d 3\r\n", "+OK\r\n").await;
    one.expect(told(&["b", "d"])).await;
    one.check("GET b\r\n", "$1\r\n2\r\n").await;
    one.check("INCR b\r\nGET c\r\nINCR x\r\n", ":3\r\n_\r\n:1\r\n").await;
    one.expect(told(&["b"])).await;
    one.check("GET b\r\nMULTI\r\nINCR b\r\nGET e\r\nEXEC\r\n", "$1\r\n3\r\n+OK\r\n").await;
    one.expect("+QUEUED\r\n+QUEUED\r\n*2\r\n:4\r\n_\r\n").await;
    one.expect(told(&["b"])).await;
    other.check("MSET c 1 e 2\r\n", "+OK\r\n").await;
    one.expect(told(&["c", "e"])).await;
    one.check("GET a\r\nFLUSHALL\r\nPING\r\n", "$1\r\n1\r\n+OK\r\n").await;
    one.expect([ALL, "+PONG\r\n"].concat()).await;
}

#[tokio::test]
async fn a_run_without_an_answer_leaves_nothing_to_be_kept() {
    let server = Server::start(&[]);
    let (mut one, mut other) = (tracker(&server, "NOLOOP").await, server.connect().await);
    one.check("GET a\r\n", "_\r\n").await;
    server.next_answer(Answer::Uncertain);
    one.send(b"SET a 1\r\nGET b\r\n").await;
    let mut lines = String::new();
    while lines.matches('\n').count() < 2 {
        lines.push(char::from(one.stream.read_u8().await.expect("an answer")));
    }
    assert!(lines.starts_with("-UNCERTAIN") && lines.contains("\n-CLUSTERDOWN"), "{lines}");
    other.check("MSET a 1 b 1\r\n", "+OK\r\n").await;
    one.expect(told(&["a"])).await;
    one.check("PING\r\n", "+PONG\r\n").await;
}

#[tokio::test]
async fn whoever_is_told_in_its_place_may_go() {
    let server = Server::start(&[]);
    let (mut one, mut other) = (server.connect().await, server.connect().await);
    let mut writer = server.connect().await;
    one.speak_resp3().await;
    let id = server.shared.clients.all().last().map(|peer| peer.id).expect("some") - 1;
    one.check(&format!("CLIENT TRACKING ON REDIRECT {id}\r\n"), "+OK\r\n").await;
    one.check("GET a\r\nCLIENT GETREDIR\r\n", &format!("_\r\n:{id}\r\n")).await;
    other.check("SUBSCRIBE x\r\n", "*3\r\n$9\r\nsubscribe\r\n$1\r\nx\r\n:1\r\n").await;
    writer.check("SET a 1\r\n", "+OK\r\n").await;
    other.expect("*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n*1\r\n$1\r\na\r\n").await;
    let listed = writer.bulk("CLIENT LIST\r\n").await;
    assert!(listed.contains(" flags=t ") && listed.contains(&format!(" redir={id} ")), "{listed}");
    one.check("GET a\r\n", "$1\r\n1\r\n").await;
    other.check("QUIT\r\n", "+OK\r\n").await;
    writer.check("SET a 2\r\n", "+OK\r\n").await;
    one.expect(format!(">2\r\n$21\r\ntracking-redir-broken\r\n:{id}\r\n")).await;
    one.check(
        "CLIENT TRACKINGINFO\r\n",
        &format!(
            "%3\r\n$5\r\nflags\r\n~2\r\n$2\r\non\r\n$15\r\nbroken_redirect\r\n$8\r\nredirect\r\n\
             :{id}\r\n$8\r\nprefixes\r\n*0\r\n"
        ),
    )
    .await;
    let listed = writer.bulk("CLIENT LIST\r\n").await;
    assert!(listed.contains(" flags=tR "), "{listed}");
}

#[tokio::test]
async fn its_end_and_reset_end_it() {
    let server = Server::start(&[]);
    let (mut one, two) = (tracker(&server, "").await, tracker(&server, "BCAST").await);
    let mut other = server.connect().await;
    one.check("MGET a b\r\n", "*2\r\n_\r\n_\r\n").await;
    let figures = |text: &str| {
        let value = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|it| it.strip_prefix(':')?.parse::<usize>().ok()).expect("a field")
        };
        let of = |kind: &str| value(&format!("tracking_total_{kind}"));
        (value("tracking_clients"), of("keys"), of("items"), of("prefixes"))
    };
    assert_eq!(figures(&other.bulk("INFO\r\n").await), (2, 2, 2, 1));
    let listed = other.bulk("CLIENT LIST\r\n").await;
    assert!(listed.contains(" flags=tB ") && listed.contains(" redir=0 "), "{listed}");
    drop(two);
    one.check("RESET\r\n", "+RESET\r\n").await;
    other.check("SET a 1\r\n", "+OK\r\n").await;
    one.check("PING\r\n", "+PONG\r\n").await;
    while server.shared.tracking.has_any() {
        tokio::task::yield_now().await;
    }
    assert_eq!(figures(&other.bulk("INFO\r\n").await), (0, 0, 0, 0));
}

#[tokio::test]
async fn what_is_told_is_no_reply() {
    let server = Server::start(&[]);
    let (mut one, mut other) = (tracker(&server, "").await, server.connect().await);
    one.check("GET a\r\n", "_\r\n").await;
    one.send(b"CLIENT REPLY OFF\r\nGET b\r\n").await;
    other.check("SET a 1\r\n", "+OK\r\n").await;
    one.expect(told(&["a"])).await;
    one.check("CLIENT REPLY ON\r\nPING\r\n", "+OK\r\n+PONG\r\n").await;
    other.check("SET b 1\r\n", "+OK\r\n").await;
    one.expect(told(&["b"])).await;
}

#[tokio::test]
async fn the_table_shrinks_when_it_is_told_to() {
    let server = Server::start(&[("tracking-table-max-keys", "2")]);
    let (mut one, mut other) = (tracker(&server, "").await, server.connect().await);
    one.check("MGET a b\r\n", "*2\r\n_\r\n_\r\n").await;
    one.check("GET c\r\n", "_\r\n").await;
    one.expect(told(&["a"])).await;
    other.check("CONFIG SET tracking-table-max-keys 1\r\n", "+OK\r\n").await;
    one.expect(told(&["b"])).await;
    other.check("SET c 1\r\n", "+OK\r\n").await;
    one.expect(told(&["c"])).await;
}

#[tokio::test]
async fn a_transaction_that_turns_it_on_keeps_nothing_of_what_it_read() {
    let server = Server::start(&[]);
    let mut one = server.connect().await;
    one.speak_resp3().await;
    one.check("MULTI\r\nCLIENT TRACKING ON\r\nGET a\r\n", "+OK\r\n+QUEUED\r\n+QUEUED\r\n").await;
    one.check("EXEC\r\n", "*2\r\n+OK\r\n_\r\n").await;
    one.expect(ALL).await;
    one.check("CLIENT GETREDIR\r\n", ":0\r\n").await;
}
