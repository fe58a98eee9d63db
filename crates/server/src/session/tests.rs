//! The client surface on real sockets, with the test backend behind it.
//!
//! Each test starts a server on a port of its own and speaks bytes to it, as a client would.

use crate::bind::bind;
use crate::command::registry;
use crate::listen;
use crate::settings::Settings;
use crate::shared::{Outside, Shared};
use crate::test_backend::TestBackend;
use quorate_consensus::{Answer, NotApplied, ReadError};
use std::fmt::Write as _;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A server of the test's own.
struct Server {
    port: u16,
    node: TestBackend,
    shared: Arc<Shared>,
}

impl Server {
    fn start(settings: &[(&str, &str)]) -> Self {
        let listeners = bind("127.0.0.1", 0, 128).expect("a free port");
        let address = listeners.first().and_then(|it| it.local_addr().ok());
        let port = address.expect("a bound listener has an address").port();
        let mut pairs = vec![("port".to_owned(), port.to_string())];
        pairs.extend(settings.iter().map(|(name, value)| ((*name).into(), (*value).into())));
        let settings = Settings::from_pairs(&pairs, None).expect("settings that are accepted");
        let (rebind, rebinds) = tokio::sync::mpsc::channel(1);
        let shared = Arc::new(Shared::new(settings, registry(), rebind, Outside::default()));
        let node = TestBackend::new(&shared.pubsub, &shared.watched, &shared.tracking);
        tokio::spawn(listen::accept_all(node.clone(), Arc::clone(&shared), listeners, rebinds));
        tokio::spawn(crate::cron::run(node.clone(), Arc::clone(&shared)));
        Self { port, node, shared }
    }

    async fn connect(&self) -> Client {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await;
        Client { stream: stream.expect("the server listens") }
    }

    fn next_answer(&self, answer: Answer) {
        let mut trouble = self.node.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        trouble.answer = Some(answer);
    }
}

struct Client {
    stream: TcpStream,
}

impl Client {
    async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("the server reads");
    }

    /// Reads exactly the expected bytes.
    async fn expect(&mut self, expected: impl AsRef<[u8]>) {
        let expected = expected.as_ref();
        let mut got = vec![0; expected.len()];
        let read = self.stream.read_exact(&mut got);
        let read = tokio::time::timeout(Duration::from_secs(20), read).await;
        let whole = read.is_ok_and(|it| it.is_ok());
        // Found by position, since an expectation may be megabytes.
        let same = got.iter().zip(expected).take_while(|(got, want)| got == want).count();
        let near = |text: &[u8]| {
            let from = same.saturating_sub(20);
            text.iter().copied().skip(from).take(200).map(char::from).collect::<String>()
        };
        assert!(
            whole && same == expected.len(),
            "at byte {same}: got {:?}, expected {:?}",
            near(&got),
            near(expected)
        );
    }

    async fn check(&mut self, request: &str, expected: &str) {
        self.send(request.as_bytes()).await;
        self.expect(expected).await;
    }

    /// Everything until the server closes.
    async fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        let read = self.stream.read_to_end(&mut rest);
        let read = tokio::time::timeout(Duration::from_secs(20), read).await;
        assert!(read.is_ok(), "the server does not close");
        String::from_utf8_lossy(&rest).into_owned()
    }

    /// One bulk reply's text.
    async fn bulk(&mut self, request: &str) -> String {
        self.send(request.as_bytes()).await;
        let mut head = String::new();
        while !head.ends_with("\r\n") {
            head.push(char::from(self.stream.read_u8().await.expect("a reply")));
        }
        let len: usize = head.trim_matches(['$', '\r', '\n']).parse().expect("a bulk reply");
        let mut body = vec![0; len + 2];
        self.stream.read_exact(&mut body).await.expect("the whole reply");
        String::from_utf8_lossy(&body).trim_end().to_owned()
    }
}

#[tokio::test]
async fn a_pipeline_is_answered_in_order() {
    let server = Server::start(&[]);
    let mut client = server.connect().await;
    client
        .check(
            "GET a\r\nSET a 1\r\nGET a\r\nPING\r\nINCR a\r\nGET a\r\nNOSUCH x\r\n\
             GET a b\r\nSELECT 1\r\nGET a\r\n",
            "$-1\r\n+OK\r\n$1\r\n1\r\n+PONG\r\n:2\r\n$1\r\n2\r\n\
             -ERR unknown command 'NOSUCH', with args beginning with: 'x' \r\n\
             -ERR wrong number of arguments for 'get' command\r\n+OK\r\n$-1\r\n",
        )
        .await;
}

#[tokio::test]
async fn a_byte_at_a_time_is_the_same() {
    let server = Server::start(&[]);
    let mut client = server.connect().await;
    client.stream.set_nodelay(true).expect("an open socket");
    for byte in b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\na\r\nbc\r\nGET k\r\n*1\r\n$4\r\nPING\r\n" {
        client.send(&[*byte]).await;
        tokio::task::yield_now().await;
    }
    client.expect("+OK\r\n$5\r\na\r\nbc\r\n+PONG\r\n").await;
}

#[tokio::test]
async fn a_pipeline_larger_than_all_buffers_blocks_nobody() {
    const COUNT: usize = 100_000;
    let server = Server::start(&[]);
    let mut client = server.connect().await;
    let mut request = String::new();
    let mut expected = String::new();
    for number in 0..COUNT {
        let key = number % 100;
        let _ = write!(request, "SET k{key} v{number}\r\nGET k{key}\r\n");
        let value = format!("v{number}");
        let _ = write!(expected, "+OK\r\n${}\r\n{value}\r\n", value.len());
    }
    // Nothing is read before everything is written.
    client.send(request.as_bytes()).await;
    client.expect(&expected).await;
}

#[tokio::test]
async fn large_values_pass() {
    let server = Server::start(&[]);
    let mut client = server.connect().await;
    let value = "x".repeat(5 << 20);
    let request = format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n${}\r\n{value}\r\n", value.len());
    client.send(request.as_bytes()).await;
    client.send(b"GET k\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n").await;
    let once = format!("${}\r\n{value}\r\n", value.len());
    client.expect(&format!("+OK\r\n{once}{once}")).await;
}

#[tokio::test]
async fn hello_changes_the_protocol() {
    let server = Server::start(&[]);
    let mut client = server.connect().await;
    client.check("GET a\r\nHELLO 4\r\n", "$-1\r\n-NOPROTO unsupported protocol version\r\n").await;
    client
        .check(
            "HELLO 3 SETNAME me\r\n",
            "%7\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$5\r\n7.2.5\r\n\
             $5\r\nproto\r\n:3\r\n$2\r\nid\r\n:1\r\n$4\r\nmode\r\n\
             $10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\nmaster\r\n\
             $7\r\nmodules\r\n*0\r\n",
        )
        .await;
    client.check("GET a\r\nCLIENT GETNAME\r\n", "_\r\n$2\r\nme\r\n").await;
    client.check("SET a 1\r\nGET b\r\nRESET\r\nGET b\r\n", "+OK\r\n_\r\n+RESET\r\n$-1\r\n").await;
}

#[tokio::test]
async fn the_password_opens() {
    let server = Server::start(&[("requirepass", "sesame")]);
    let mut client = server.connect().await;
    let no = "-NOAUTH Authentication required.\r\n";
    client.check("GET a\r\nSET a 1\r\nPING\r\n", &no.repeat(3)).await;
    let wrong = "-WRONGPASS invalid username-password pair or user is disabled.\r\n";
    client
        .check("AUTH wrong\r\nAUTH eve sesame\r\nGET a\r\n", &format!("{wrong}{wrong}{no}"))
        .await;
    client.check("AUTH sesame\r\nGET a\r\nACL WHOAMI\r\n", "+OK\r\n$-1\r\n$7\r\ndefault\r\n").await;
    client.check("RESET\r\nGET a\r\n", &format!("+RESET\r\n{no}")).await;
    let mut other = server.connect().await;
    other.send(b"HELLO 3 AUTH default sesame\r\n").await;
    other.expect("%7\r\n").await;
}

#[tokio::test]
async fn strangers_may_send_little() {
    let server = Server::start(&[("requirepass", "sesame")]);
    for (request, answer) in [
        ("*11\r\n", "-ERR Protocol error: unauthenticated multibulk length\r\n"),
        ("*1\r\n$20000\r\n", "-ERR Protocol error: unauthenticated bulk length\r\n"),
    ] {
        let mut client = server.connect().await;
        client.send(request.as_bytes()).await;
        assert_eq!(client.rest().await, answer);
    }
    // A stranger who never takes what is answered is closed, and costs no more than that.
    let mut client = server.connect().await;
    let flood = "PING\r\n".repeat(1000);
    let mut sent = true;
    for _ in 0..100_000 {
        sent &= client.stream.write_all(flood.as_bytes()).await.is_ok();
        if !sent {
            break;
        }
    }
    assert!(!sent, "half a gigabyte of refused commands is not taken from a stranger");
}

#[tokio::test]
async fn broken_requests_are_told_and_closed() {
    let server = Server::start(&[]);
    for (request, answer) in [
        ("SET a 1\r\n*1\r\nfoo\r\n", "+OK\r\n-ERR Protocol error: expected '$', got 'f'\r\n"),
        ("*3000000000\r\n", "-ERR Protocol error: invalid multibulk length\r\n"),
        ("GET \"a\r\nPING\r\n", "-ERR Protocol error: unbalanced quotes in request\r\n"),
        ("POST / HTTP/1.1\r\nHost: x\r\n\r\n", ""),
        ("PING\r\nQUIT\r\nPING\r\n", "+PONG\r\n+OK\r\n"),
    ] {
        let mut client = server.connect().await;
        client.send(request.as_bytes()).await;
        assert_eq!(client.rest().await, answer, "{request:?}");
    }
}

#[tokio::test]
async fn clients_beyond_the_limit_are_told() {
    let server = Server::start(&[("maxclients", "2")]);
    let mut one = server.connect().await;
    one.check("PING\r\n", "+PONG\r\n").await;
    let mut two = server.connect().await;
    two.check("PING\r\n", "+PONG\r\n").await;
    let mut three = server.connect().await;
    assert_eq!(three.rest().await, "-ERR max number of clients reached\r\n");
    drop(two);
    // Room again as soon as the server has noticed.
    loop {
        let mut again = server.connect().await;
        again.send(b"PING\r\n").await;
        let mut first = [0];
        if again.stream.read_exact(&mut first).await.is_ok() && first == *b"+" {
            break;
        }
    }
}

#[tokio::test]
async fn trouble_is_an_answer_and_never_a_closed_connection() {
    let server = Server::start(&[]);
    let mut client = server.connect().await;
    server.next_answer(Answer::Uncertain);
    client.send(b"SET a 1\r\nGET a\r\nPING\r\n").await;
    client
        .expect(
            "-UNCERTAIN the command may or may not have been applied: leadership or time ran out \
             before its outcome was known\r\n\
             -CLUSTERDOWN the read was not answered: leadership or time ran out\r\n+PONG\r\n",
        )
        .await;
    server.next_answer(Answer::NotApplied(NotApplied::NoLeader));
    client
        .check(
            "SET a 1\r\n",
            "-CLUSTERDOWN no leader was found in time: the command was not applied\r\n",
        )
        .await;
    let set_read = |read| {
        server.node.trouble.lock().unwrap_or_else(PoisonError::into_inner).read = read;
    };
    set_read(Some(ReadError::NoQuorum));
    let refused = "-CLUSTERDOWN no quorum confirmed the read in time\r\n";
    client.check("GET a\r\nGET a\r\nPING\r\n", &format!("{refused}{refused}+PONG\r\n")).await;
    // What is read without asking a quorum is still there for who asked for it.
    client.check("READONLY\r\nGET a\r\nREADWRITE\r\n", "+OK\r\n$-1\r\n+OK\r\n").await;
    set_read(None);
    client.check("SET a 1\r\nGET a\r\n", "+OK\r\n$1\r\n1\r\n").await;
    let info = client.bulk("INFO stats errorstats\r\n").await;
    assert!(info.contains("uncertain_replies:2\r\n"), "{info}");
    assert!(info.contains("errorstat_UNCERTAIN:count=1"), "{info}");
    assert!(info.contains("errorstat_CLUSTERDOWN:count=4\r\n"), "{info}");
}

#[tokio::test]
async fn replies_are_silenced_on_wish() {
    let server = Server::start(&[]);
    let mut client = server.connect().await;
    client
        .check(
            "CLIENT REPLY SKIP\r\nSET a 1\r\nGET a\r\nCLIENT REPLY OFF\r\nSET a 2\r\n\
             GET a\r\nPING\r\nCLIENT REPLY ON\r\nGET a\r\nCLIENT REPLY SKIP\r\nPING\r\nPING\r\n",
            "$1\r\n1\r\n+OK\r\n$1\r\n2\r\n+PONG\r\n",
        )
        .await;
}

#[tokio::test]
async fn clients_are_listed_and_killed() {
    let server = Server::start(&[]);
    let mut one = server.connect().await;
    let mut two = server.connect().await;
    two.check("CLIENT SETNAME two\r\n", "+OK\r\n").await;
    let list = one.bulk("*2\r\n$6\r\nCLIENT\r\n$4\r\nLIST\r\n").await;
    assert_eq!(list.lines().count(), 2, "{list}");
    assert!(list.contains("name=two "), "{list}");
    assert!(list.contains(" qbuf=26 "), "{list}");
    assert!(list.contains(" cmd=client|list "), "{list}");
    one.check("CLIENT KILL ID 2\r\nCLIENT KILL ID 2\r\n", ":1\r\n:0\r\n").await;
    // It is closed when the answer comes, not a moment later.
    let mut two = two.stream.into_std().expect("a socket");
    assert_eq!(std::io::Read::read(&mut two, &mut [0]).expect("closed already"), 0);
    one.check("CLIENT KILL SKIPME no\r\n", ":1\r\n").await;
    assert_eq!(one.rest().await, "");
    assert_eq!(server.shared.clients.count(), 0);
}

#[tokio::test]
async fn a_pause_holds_writes_back() {
    let server = Server::start(&[]);
    let mut one = server.connect().await;
    let mut two = server.connect().await;
    one.check("CLIENT PAUSE 60000 WRITE\r\nGET a\r\n", "+OK\r\n$-1\r\n").await;
    two.check("GET a\r\n", "$-1\r\n").await;
    two.send(b"SET a 1\r\n").await;
    one.check("GET a\r\nCLIENT UNPAUSE\r\n", "$-1\r\n+OK\r\n").await;
    two.expect("+OK\r\n").await;
}

#[tokio::test]
async fn a_client_is_killed_while_it_waits() {
    let server = Server::start(&[]);
    let mut one = server.connect().await;
    let mut paused = server.connect().await;
    one.check("CLIENT PAUSE 60000 WRITE\r\n", "+OK\r\n").await;
    paused.send(b"SET a 1\r\n").await;
    one.check("CLIENT KILL ID 2\r\nCLIENT UNPAUSE\r\n", ":1\r\n+OK\r\n").await;
    assert_eq!(paused.rest().await, "");
    server.node.trouble.lock().expect("no test panicked").stuck = true;
    let mut stuck = server.connect().await;
    stuck.send(b"GET a\r\nSET a 1\r\nSET a 2\r\n").await;
    while server.node.trouble.lock().expect("no test panicked").waiting == 0 {
        tokio::task::yield_now().await;
    }
    // KILL answers when the connection is closed.
    one.check("CLIENT KILL ID 3\r\n", ":1\r\n").await;
    stuck.rest().await;
    assert_eq!(server.shared.clients.count(), 1);
}

#[tokio::test]
async fn monitors_see_commands_but_no_secrets() {
    let server = Server::start(&[]);
    let mut one = server.connect().await;
    let mut two = server.connect().await;
    two.check("MONITOR\r\n", "+OK\r\n").await;
    one.check("SET a \"b c\"\r\nAUTH secret\r\n", "+OK\r\n-ERR").await;
    let mut seen = Vec::new();
    for _ in 0..2 {
        while seen.last() != Some(&b'\n') {
            seen.push(two.stream.read_u8().await.expect("two lines"));
        }
        seen.push(b' ');
    }
    let seen = String::from_utf8_lossy(&seen).into_owned();
    assert!(seen.contains("] \"SET\" \"a\" \"b c\"\r\n"), "{seen}");
    assert!(seen.contains("] \"AUTH\" \"(redacted)\"\r\n"), "{seen}");
}

#[tokio::test]
async fn errors_repeat_a_clients_bytes_as_they_came() {
    let server = Server::start(&[]);
    let mut client = server.connect().await;
    let cases: [(&str, &[u8]); 8] = [
        (
            r#""\xff\xfe" "\x80""#,
            b"-ERR unknown command '\xff\xfe', with args beginning with: '\x80' \r\n",
        ),
        (r#"CLIENT "\xff""#, b"-ERR unknown subcommand '\xff'. Try CLIENT HELP.\r\n"),
        (r#"HELLO 2 "\xff""#, b"-ERR Syntax error in HELLO option '\xff'\r\n"),
        (
            r#"CONFIG SET "\xff" 1"#,
            b"-ERR Unknown option or number of arguments for CONFIG SET - '\xff'\r\n",
        ),
        (r#"EXPIRE k 9 "\xff\x00a""#, b"-ERR Unsupported option \xff\r\n"),
        (
            r#"XREADGROUP GROUP "\xff" c STREAMS "\xfe" >"#,
            b"-NOGROUP No such key '\xfe' or consumer group '\xff' in XREADGROUP with GROUP \
              option\r\n",
        ),
        (r#"ACL CAT "\xff""#, b"-ERR Unknown category '\xff'\r\n"),
        (r#"LATENCY GRAPH "\xff""#, b"-ERR No samples available for event '\xff'\r\n"),
    ];
    for (line, expected) in cases {
        client.send(format!("{line}\r\n").as_bytes()).await;
        client.expect(expected).await;
    }
    // They count as any other.
    let stats = client.bulk("INFO errorstats\r\n").await;
    assert!(stats.contains("errorstat_ERR:count=7") && stats.contains("errorstat_NOGROUP:count=1"));
}

#[tokio::test]
async fn settings_change_all_or_none() {
    let server = Server::start(&[]);
    let mut client = server.connect().await;
    client
        .check(
            "CONFIG SET maxclients 77 timeout 5\r\nCONFIG GET timeout\r\n",
            "+OK\r\n*2\r\n$7\r\ntimeout\r\n$1\r\n5\r\n",
        )
        .await;
    client
        .check(
            "CONFIG SET timeout 6 maxclients none\r\nCONFIG GET timeout\r\n",
            "-ERR CONFIG SET failed (possibly related to argument 'maxclients') - argument \
             couldn't be parsed into an integer\r\n*2\r\n$7\r\ntimeout\r\n$1\r\n5\r\n",
        )
        .await;
    // A port that is taken undoes what was set with it.
    let taken = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let port = taken.local_addr().expect("a bound listener has an address").port();
    client
        .check(
            &format!("CONFIG SET timeout 7 port {port} maxmemory 1mb\r\nCONFIG GET timeout\r\n"),
            "-ERR CONFIG SET failed (possibly related to argument 'port') - Unable to listen on \
             this port. Check server logs.\r\n*2\r\n$7\r\ntimeout\r\n$1\r\n5\r\n",
        )
        .await;
    client.check("CONFIG GET maxmemory\r\n", "*2\r\n$9\r\nmaxmemory\r\n$1\r\n0\r\n").await;
    client
        .check(
            "CONFIG SET maxmemory 2mb\r\nCONFIG GET maxmemory\r\nCONFIG SET maxmemory 0\r\n",
            "+OK\r\n*2\r\n$9\r\nmaxmemory\r\n$7\r\n2097152\r\n+OK\r\n",
        )
        .await;
    // Every replicated setting is shown as it is in the state, also after its old name was used.
    client
        .check(
            "CONFIG SET zset-max-ziplist-entries 1\r\nCONFIG GET zset-max-listpack-entries\r\n\
             CONFIG SET zset-max-listpack-entries 128\r\nZADD z 1 a 2 b\r\n\
             OBJECT ENCODING z\r\n",
            "+OK\r\n*2\r\n$25\r\nzset-max-listpack-entries\r\n$1\r\n1\r\n+OK\r\n:2\r\n\
             $8\r\nlistpack\r\n",
        )
        .await;
    client
        .check(
            "CONFIG SET daemonize yes\r\n",
            "-ERR CONFIG SET failed (possibly related to argument 'daemonize') - can't set \
             immutable config\r\n",
        )
        .await;
}

#[tokio::test]
async fn remaining_times_run_while_nothing_is_written() {
    let server = Server::start(&[]);
    let mut client = server.connect().await;
    client.check("SET a 1 EX 100\r\nTTL a\r\n", "+OK\r\n:100\r\n").await;
    server.node.trouble.lock().unwrap_or_else(PoisonError::into_inner).idle_ms = 40_000;
    client.check("TTL a\r\nEXISTS a\r\n", ":60\r\n:1\r\n").await;
}

#[tokio::test]
async fn a_bit_of_a_value_is_flipped_on_wish() {
    let server = Server::start(&[("enable-debug-command", "yes")]);
    let mut client = server.connect().await;
    client.check("SET key abc\r\nSADD set a\r\n", "+OK\r\n:1\r\n").await;
    client.check("DEBUG FLIP-BIT key\r\nGET key\r\n", "+OK\r\n$3\r\n`bc\r\n").await;
    client.check("DEBUG FLIP-BIT key 17\r\nGET key\r\n", "+OK\r\n$3\r\n`ba\r\n").await;
    let none = "-ERR no such key, or its value has no bytes that could be others\r\n";
    client.check("DEBUG FLIP-BIT none\r\n", none).await;
    client.check("DEBUG FLIP-BIT set\r\n", none).await;
    let not_an_integer = "-ERR value is not an integer or out of range\r\n";
    client.check("DEBUG FLIP-BIT key -1\r\n", not_an_integer).await;
}

/// What Redis answers while it loads, and nothing else.
#[tokio::test]
async fn commands_wait_for_the_state_as_in_redis() {
    let server = Server::start(&[]);
    let mut client = server.connect().await;
    client.check("SET a 1\r\n", "+OK\r\n").await;
    let set = |loading| {
        server.node.trouble.lock().unwrap_or_else(PoisonError::into_inner).loading = loading;
    };
    set(true);
    let refused = "-LOADING Redis is loading the dataset in memory\r\n";
    let waiting = [
        "PING",
        "GET a",
        "SET a 2",
        "WAIT 0 0",
        "BGSAVE",
        "SAVE",
        "LOLWUT",
        "MEMORY STATS",
        "FUNCTION LIST",
        "CLUSTER INFO",
    ];
    for command in waiting {
        client.check(&format!("{command}\r\n"), refused).await;
    }
    client.check("ECHO x\r\nSELECT 0\r\nREADONLY\r\n", "$1\r\nx\r\n+OK\r\n+OK\r\n").await;
    // What is applied here now is not the state.
    client.check("GET a\r\n", refused).await;
    assert!(client.bulk("INFO server\r\n").await.contains("redis_version:"));
    set(false);
    client.check("PING\r\nGET a\r\n", "+PONG\r\n$1\r\n1\r\n").await;
}

#[tokio::test]
async fn info_counts_reads_writes_and_rates() {
    let server = Server::start(&[]);
    let mut client = server.connect().await;
    client.check("PING\r\n", "+PONG\r\n").await;
    let info = client.bulk("INFO everything\r\n").await;
    for field in [
        "expired_keys",
        "instantaneous_input_kbps",
        "instantaneous_output_kbps",
        "rdb_saves",
        "rdb_last_load_keys_loaded",
        "rdb_last_load_keys_expired",
        "aof_rewrites",
        "aof_rewrites_consecutive_failures",
    ] {
        assert!(info.contains(&format!("\r\n{field}:")), "{field}: {info}");
    }
    for field in ["total_reads_processed", "total_writes_processed"] {
        assert!(!info.contains(&format!("{field}:0")) && info.contains(field), "{info}");
    }
}
mod pubsub;
mod tracking;
