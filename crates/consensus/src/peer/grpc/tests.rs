//! Client and server against each other on loopback, with a service that echoes, counts and
//! refuses.

use super::server::is_let_in;
use super::{GrpcTransport, MESSAGE_BYTES_MAX, serve};
use crate::peer::transport::{
    PeerId, Refused, Request, Response, Service, Transport, TransportError,
};
use crate::proto as pb;
use crate::raft::convert::Malformed;
use bytes::Bytes;
use futures::channel::mpsc;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, SinkExt, StreamExt};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

/// Long enough for a loaded machine, short enough to fail.
const PATIENCE: Duration = Duration::from_secs(20);

const STREAMED: u64 = 10_000;

/// Answers with what it was asked; refuses term 13.
#[derive(Default)]
struct Echo {
    /// How the input of the last stream ended: None while it runs.
    ended: watch::Sender<Option<Result<(), TransportError>>>,
    /// When set, streams answer one message and end.
    one_answer: bool,
}

fn refuse(term: u64) -> Result<(), Refused> {
    if term == 13 { Err(Malformed("node 7 belongs to another cluster").into()) } else { Ok(()) }
}

fn index(index: u64) -> pb::AppendRequest {
    pb::AppendRequest { prev: Some(pb::LogId { term: 1, index }), ..Default::default() }
}

fn accepted(index: u64) -> pb::AppendResponse {
    let id = pb::LogId { term: 1, index };
    let result = Some(pb::append_response::Result::Accepted(id));
    pb::AppendResponse { result, ..Default::default() }
}

impl Service for Echo {
    fn call(&self, request: Request) -> BoxFuture<'_, Result<Response, Refused>> {
        let answer = match request {
            Request::Heartbeat(it) => {
                let index = it.prev.map_or(0, |prev| prev.index);
                Ok(Response::Heartbeat(accepted(index)))
            }
            Request::Vote(it) => {
                let vote = it.vote.unwrap_or_default();
                let answer =
                    pb::VoteResponse { vote: Some(vote), granted: true, ..Default::default() };
                refuse(vote.term).map(|()| Response::Vote(answer))
            }
            Request::Transfer(_) => Ok(Response::Transfer(pb::TransferResponse {})),
            Request::ReadIndex(_) => {
                let answer = pb::ReadIndexResponse { clock_ms: 5, ..Default::default() };
                Ok(Response::ReadIndex(answer))
            }
            Request::Offer(it) => {
                let answer = pb::OfferResponse { bytes: it.bytes, crc: it.crc };
                Ok(Response::Offer(answer))
            }
            Request::Hello(it) => {
                Ok(Response::Hello(pb::HelloResponse { me: it.me, ..Default::default() }))
            }
            Request::Adopt(_) => Ok(Response::Adopt(pb::AdoptResponse { adopted: true })),
            Request::Join(it) => Ok(Response::Join(pb::JoinResponse {
                joined: true,
                reason: it.me.unwrap_or_default().name,
                ..Default::default()
            })),
            Request::Vouch(it) => Ok(Response::Vouch(pb::VouchResponse { member: it.node == 7 })),
            Request::Compare(it) => {
                let answer = pb::CompareResponse { digest: it.digest, ..Default::default() };
                Ok(Response::Compare(answer))
            }
            Request::Diverged(_) => Ok(Response::Diverged(pb::DivergedResponse {})),
        };
        futures::future::ready(answer).boxed()
    }

    fn append_stream(
        &self,
        mut input: BoxStream<'static, Result<pb::AppendRequest, TransportError>>,
    ) -> BoxFuture<'_, Result<BoxStream<'static, pb::AppendResponse>, Refused>> {
        async move {
            let (mut sender, answers) = mpsc::channel(4);
            let ended = self.ended.clone();
            let first = input.next().await;
            let first = first.and_then(Result::ok).unwrap_or_default();
            refuse(first.vote.unwrap_or_default().term)?;
            let one_answer = self.one_answer;
            tokio::spawn(async move {
                let mut next = Some(Ok(first));
                while let Some(Ok(message)) = &next {
                    let answer = accepted(message.prev.unwrap_or_default().index);
                    if sender.send(answer).await.is_err() || one_answer {
                        break;
                    }
                    next = input.next().await;
                }
                let how = match next {
                    Some(Err(error)) => Err(error),
                    _ => Ok(()),
                };
                ended.send_replace(Some(how));
            });
            Ok(answers.boxed())
        }
        .boxed()
    }

    fn forward_stream(
        &self,
        input: BoxStream<'static, Result<pb::ForwardRequest, TransportError>>,
    ) -> BoxFuture<'_, Result<BoxStream<'static, pb::ForwardResponse>, Refused>> {
        let answers = input.filter_map(|item| futures::future::ready(item.ok())).map(|request| {
            let answer = |run: pb::ForwardRun| pb::ForwardAnswer {
                id: run.id,
                result: Some(pb::forward_answer::Result::Replies(run.commands)),
                ..pb::ForwardAnswer::default()
            };
            pb::ForwardResponse { answers: request.runs.into_iter().map(answer).collect() }
        });
        futures::future::ready(Ok(answers.boxed())).boxed()
    }

    fn bus_stream(
        &self,
        input: BoxStream<'static, Result<pb::BusRequest, TransportError>>,
    ) -> BoxFuture<'_, Result<BoxStream<'static, pb::BusResponse>, Refused>> {
        let answers = input.filter_map(|item| futures::future::ready(item.ok()));
        let answers =
            answers.map(|request| pb::BusResponse { turn: request.messages.len() as u64 });
        futures::future::ready(Ok(answers.boxed())).boxed()
    }

    fn snapshot(
        &self,
        input: BoxStream<'static, Result<pb::SnapshotChunk, TransportError>>,
    ) -> BoxFuture<'_, Result<pb::SnapshotResponse, Refused>> {
        let count = |(mut term, mut bytes): (u64, u64), item: Result<pb::SnapshotChunk, _>| {
            match item.ok().and_then(|chunk| chunk.part) {
                Some(pb::snapshot_chunk::Part::Head(head)) => {
                    term = head.vote.unwrap_or_default().term;
                }
                Some(pb::snapshot_chunk::Part::Data(data)) => bytes += data.len() as u64,
                None => {}
            }
            futures::future::ready((term, bytes))
        };
        let done = input.fold((0, 0), count).map(|(term, bytes)| {
            refuse(term)?;
            let vote = pb::Vote { term, voted_for: bytes, committed: false };
            Ok(pb::SnapshotResponse { vote: Some(vote) })
        });
        done.boxed()
    }
}

/// Connections that a server here takes.
const MOST: usize = 16;

/// A server on a runtime and thread of its own; dropping it kills it without a goodbye.
struct Running {
    address: SocketAddr,
    kill: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Running {
    fn start(at: &str, service: Arc<Echo>, secret: Option<&'static str>) -> Self {
        let listener = std::net::TcpListener::bind(at).expect("a free port");
        listener.set_nonblocking(true).expect("a socket");
        let address = listener.local_addr().expect("a bound socket");
        let (kill, killed) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async move {
                let listener = TcpListener::from_std(listener).expect("a listener");
                let serving = serve((listener, MOST), service, secret, std::future::pending());
                tokio::select! {
                    _ = killed => {}
                    result = serving => panic!("the server ended by itself: {result:?}"),
                }
            });
        });
        Self { address, kill: Some(kill), thread: Some(thread) }
    }

    fn peer(&self) -> PeerId {
        PeerId { node: 7, address: self.address.to_string() }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.kill.take());
        if let Some(thread) = self.thread.take() {
            assert!(thread.join().is_ok() || std::thread::panicking());
        }
    }
}

fn started() -> Running {
    Running::start("127.0.0.1:0", Arc::default(), None)
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.expect("it does not hang")
}

async fn vote(transport: &GrpcTransport, to: &PeerId, term: u64) -> Result<bool, TransportError> {
    let vote = Some(pb::Vote { term, ..Default::default() });
    let request = Request::Vote(pb::VoteRequest { vote, ..Default::default() });
    match within(transport.call(to, request)).await? {
        Response::Vote(answer) => Ok(answer.granted),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn every_unary_request_gets_the_answer_of_its_kind() {
    let server = started();
    let transport = GrpcTransport::new(None);
    let me = Some(pb::Member { name: "a:1".to_owned(), ..Default::default() });
    for (request, expect) in [
        (
            Request::Heartbeat(index(9)),
            "Heartbeat(AppendResponse { incarnation: 0, start: 0, disk_full: false, max_level: 0, \
             takes_pieces: false, received: 0, \
             result: Some(Accepted(LogId { term: 1, index: 9 })) })",
        ),
        (Request::Transfer(pb::TransferRequest::default()), "Transfer(TransferResponse)"),
        (
            Request::ReadIndex(pb::ReadIndexRequest::default()),
            "ReadIndex(ReadIndexResponse { clock_ms: 5, result: None })",
        ),
        (Request::Adopt(pb::AdoptRequest::default()), "Adopt(AdoptResponse { adopted: true })"),
        (
            Request::Vouch(pb::VouchRequest { node: 7, ..Default::default() }),
            "Vouch(VouchResponse { member: true })",
        ),
        (Request::Diverged(pb::DivergedRequest::default()), "Diverged(DivergedResponse)"),
        (
            Request::Join(pb::JoinRequest { me: me.clone(), ..Default::default() }),
            "Join(JoinResponse { joined: true, leader: 0, cluster: b\"\", reason: \"a:1\" })",
        ),
    ] {
        let answer = within(transport.call(&server.peer(), request)).await;
        assert_eq!(format!("{:?}", answer.expect("an answer")), expect);
    }
    let hello = Request::Hello(pb::HelloRequest { me: me.clone(), ..Default::default() });
    match within(transport.call(&server.peer(), hello)).await {
        Ok(Response::Hello(answer)) => assert_eq!(answer.me, me),
        other => panic!("{other:?}"),
    }
    assert_eq!(vote(&transport, &server.peer(), 3).await, Ok(true));
}

#[tokio::test]
async fn an_append_stream_keeps_order_both_ways() {
    let server = started();
    let transport = GrpcTransport::new(None);
    let input = futures::stream::iter(0..STREAMED).map(index).boxed();
    let answers = within(transport.append_stream(&server.peer(), input)).await.expect("a stream");
    let answers: Vec<_> = within(answers.collect()).await;
    let expect: Vec<_> = (0..STREAMED).map(|index| Ok(accepted(index))).collect();
    assert!(answers == expect, "{} answers", answers.len());
}

#[tokio::test]
async fn a_bus_stream_carries_messages_and_acknowledgements() {
    let server = started();
    let transport = GrpcTransport::new(None);
    let request = |count: u64| pb::BusRequest {
        messages: vec![pb::BusMessage::default(); usize::try_from(count).expect("a few")],
        ..Default::default()
    };
    let input = futures::stream::iter(0..9).map(request).boxed();
    let answers = within(transport.bus_stream(&server.peer(), input)).await.expect("a stream");
    let answers: Vec<_> = within(answers.collect()).await;
    let expect: Vec<_> = (0..9).map(|turn| Ok(pb::BusResponse { turn })).collect();
    assert_eq!(answers, expect);
}

#[tokio::test]
async fn a_forward_stream_carries_runs_and_replies() {
    let server = started();
    let transport = GrpcTransport::new(None);
    let (mut sender, input) = mpsc::channel(1);
    let input = input.boxed();
    let mut answers =
        within(transport.forward_stream(&server.peer(), input)).await.expect("a stream");
    let feeding = async {
        for id in 0..STREAMED {
            let run = pb::ForwardRun { id, commands: id.to_string().into(), ..Default::default() };
            let message = pb::ForwardRequest { runs: vec![run], ..Default::default() };
            sender.send(message).await.expect("the stream lives");
        }
    };
    let reading = async {
        for id in 0..STREAMED {
            let answer = answers.next().await.expect("an answer").expect("no error");
            let replies = pb::forward_answer::Result::Replies(id.to_string().into());
            let expect =
                pb::ForwardAnswer { id, result: Some(replies), ..pb::ForwardAnswer::default() };
            assert_eq!(answer.answers, vec![expect]);
        }
    };
    within(async { tokio::join!(feeding, reading) }).await;
}

#[tokio::test]
async fn a_large_snapshot_arrives_whole() {
    const CHUNKS: u64 = 48;
    let server = started();
    let transport = GrpcTransport::new(None);
    let chunk = Bytes::from(vec![7_u8; 1 << 20]);
    let head = |term| pb::SnapshotHead {
        vote: Some(pb::Vote { term, ..Default::default() }),
        ..Default::default()
    };
    let part = |part| pb::SnapshotChunk { part: Some(part), crc: 0 };
    for (term, expect) in [
        (2, Ok(CHUNKS << 20)),
        (13, Err(TransportError::Refused("node 7 belongs to another cluster".to_owned()))),
    ] {
        let data = chunk.clone();
        let chunks = (0..CHUNKS).map(move |_| pb::snapshot_chunk::Part::Data(data.clone()));
        let parts = std::iter::once(pb::snapshot_chunk::Part::Head(head(term))).chain(chunks);
        let input = futures::stream::iter(parts.map(part)).boxed();
        let answer = within(transport.snapshot(&server.peer(), input)).await;
        assert_eq!(answer.map(|it| it.vote.unwrap_or_default().voted_for), expect);
    }
}

#[tokio::test]
async fn a_refusal_is_told_apart_from_an_unreachable_peer() {
    let server = started();
    let transport = GrpcTransport::new(None);
    let refused = TransportError::Refused("node 7 belongs to another cluster".to_owned());
    assert_eq!(vote(&transport, &server.peer(), 13).await, Err(refused.clone()));
    let vote_13 = Some(pb::Vote { term: 13, ..Default::default() });
    let input = futures::stream::iter([pb::AppendRequest { vote: vote_13, ..Default::default() }]);
    let stream = within(transport.append_stream(&server.peer(), input.boxed())).await;
    assert_eq!(stream.err(), Some(refused));
    for address in ["127.0.0.1:1", "nowhere.invalid:7000", "not an address"] {
        let to = PeerId { node: 7, address: address.to_owned() };
        let answer = vote(&transport, &to, 1).await;
        assert!(matches!(answer, Err(TransportError::Unreachable(_))), "{address}: {answer:?}");
    }
}

#[test]
fn without_a_secret_only_this_machine_is_let_in() {
    for (from, expect) in [
        ("127.0.0.1", true),
        ("127.8.9.1", true),
        ("::1", true),
        ("::ffff:127.0.0.1", true),
        ("10.0.0.1", false),
        ("::ffff:10.0.0.1", false),
        ("fe80::1", false),
    ] {
        let from = from.parse().expect("an address");
        assert_eq!(is_let_in(from, false), expect, "{from}");
        assert!(is_let_in(from, true), "{from}");
    }
}

#[tokio::test]
async fn the_peer_secret_is_checked() {
    let server = Running::start("127.0.0.1:0", Arc::default(), Some("open sesame"));
    for (secret, expect) in [
        (Some("open sesame"), Ok(true)),
        (Some("open sesamE"), Err(TransportError::Refused("wrong peer secret".to_owned()))),
        (None, Err(TransportError::Refused("wrong peer secret".to_owned()))),
    ] {
        let transport = GrpcTransport::new(secret);
        assert_eq!(vote(&transport, &server.peer(), 1).await, expect, "{secret:?}");
        let stream = transport.append_stream(&server.peer(), futures::stream::empty().boxed());
        assert_eq!(within(stream).await.is_ok(), expect.is_ok(), "{secret:?}");
    }
}

#[tokio::test]
async fn a_message_beyond_the_limit_is_not_decoded() {
    let server = started();
    let transport = GrpcTransport::new(None);
    let payload = Bytes::from(vec![0_u8; MESSAGE_BYTES_MAX]);
    let entry = pb::Entry { payload, ..Default::default() };
    let request = pb::AppendRequest { entries: vec![entry], ..Default::default() };
    let answer = within(transport.call(&server.peer(), Request::Heartbeat(request))).await;
    match answer {
        Err(TransportError::Unreachable(text)) => assert!(text.contains("too large"), "{text}"),
        other => panic!("{other:?}"),
    }
    // Copying the message may have taken so long that the keepalive gave the connection up.
    let lives_on = async { while vote(&transport, &server.peer(), 1).await != Ok(true) {} };
    within(lives_on).await;
}

#[tokio::test]
async fn a_restarted_peer_is_reached_with_the_first_call() {
    for called_while_down in [false, true] {
        let transport = GrpcTransport::new(None);
        let server = started();
        let (peer, address) = (server.peer(), server.address.to_string());
        assert_eq!(vote(&transport, &peer, 1).await, Ok(true));
        let input = futures::stream::iter([index(1)]).chain(futures::stream::pending());
        let mut answers = within(transport.append_stream(&peer, input.boxed())).await.expect("one");
        assert_eq!(within(answers.next()).await, Some(Ok(accepted(1))));
        drop(server);
        let broken = within(answers.next()).await;
        assert!(matches!(broken, Some(Err(TransportError::Unreachable(_)))), "{broken:?}");
        if called_while_down {
            let down = vote(&transport, &peer, 1).await;
            assert!(matches!(down, Err(TransportError::Unreachable(_))), "{down:?}");
        }
        let _server = Running::start(&address, Arc::default(), None);
        let since = Instant::now();
        assert_eq!(vote(&transport, &peer, 1).await, Ok(true));
        let input = futures::stream::iter([index(2)]).boxed();
        let answers = within(transport.append_stream(&peer, input)).await.expect("a new stream");
        assert_eq!(within(answers.collect::<Vec<_>>()).await, vec![Ok(accepted(2))]);
        assert!(since.elapsed() < Duration::from_secs(1), "{:?}", since.elapsed());
    }
}

#[tokio::test]
async fn a_peer_that_never_answers_is_given_up() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = silent.local_addr().expect("a bound socket").to_string();
    let transport = GrpcTransport::new(None);
    let since = Instant::now();
    let answer = vote(&transport, &PeerId { node: 7, address }, 1).await;
    assert!(matches!(answer, Err(TransportError::Unreachable(_))), "{answer:?}");
    assert!(since.elapsed() < Duration::from_secs(10), "{:?}", since.elapsed());
}

#[tokio::test]
async fn silent_strangers_do_not_keep_peers_out() {
    use std::io::Read as _;
    let server = started();
    let transport = GrpcTransport::new(None);
    let silent = |count| {
        let connect = || std::net::TcpStream::connect(server.address).expect("a connection");
        (0..count).map(|_| connect()).collect::<Vec<_>>()
    };
    let before = silent(3 * MOST);
    assert_eq!(vote(&transport, &server.peer(), 1).await, Ok(true));
    // The peer is known by now: whoever comes later does not push it out.
    let _after = silent(3 * MOST);
    assert_eq!(vote(&transport, &server.peer(), 2).await, Ok(true));
    // The oldest were closed.
    for mut stream in before {
        stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
        let end = stream.read_to_end(&mut Vec::new()).map_err(|error| error.kind());
        assert_ne!(end, Err(std::io::ErrorKind::WouldBlock));
    }
}

/// One message, then nothing for ever. The receiver errs when the stream is dropped.
fn endless<T: Send + 'static>(first: T) -> (BoxStream<'static, T>, oneshot::Receiver<()>) {
    let (guard, dropped) = oneshot::channel::<()>();
    let input = futures::stream::iter([first]).chain(futures::stream::pending());
    let input = input.map(move |message| {
        let _held = &guard;
        message
    });
    (input.boxed(), dropped)
}

#[tokio::test]
async fn dropping_the_answers_ends_the_stream_at_both_ends() {
    let service = Arc::new(Echo::default());
    let mut ended = service.ended.subscribe();
    let server = Running::start("127.0.0.1:0", service, None);
    let transport = GrpcTransport::new(None);
    let (input, dropped) = endless(index(1));
    let mut answers = within(transport.append_stream(&server.peer(), input)).await.expect("one");
    assert_eq!(within(answers.next()).await, Some(Ok(accepted(1))));
    drop(answers);
    assert!(within(dropped).await.is_err(), "nothing was ever sent");
    within(ended.wait_for(Option::is_some)).await.expect("the service lives");
}

#[tokio::test]
async fn a_stream_the_service_ends_is_over_at_the_client() {
    let service = Echo { one_answer: true, ..Echo::default() };
    let server = Running::start("127.0.0.1:0", Arc::new(service), None);
    let transport = GrpcTransport::new(None);
    let (input, dropped) = endless(index(1));
    let answers = within(transport.append_stream(&server.peer(), input)).await.expect("one");
    assert_eq!(within(answers.collect::<Vec<_>>()).await, vec![Ok(accepted(1))]);
    assert!(within(dropped).await.is_err(), "nothing was ever sent");
}

#[tokio::test]
async fn an_abandoned_snapshot_lets_go_of_its_input() {
    let server = started();
    let transport = GrpcTransport::new(None);
    let (input, dropped) = endless(pb::SnapshotChunk::default());
    let abandoned = timeout(Duration::from_millis(50), transport.snapshot(&server.peer(), input));
    assert!(abandoned.await.is_err(), "the echo answers at the end of the input only");
    assert!(within(dropped).await.is_err(), "nothing was ever sent");
}

#[tokio::test]
async fn stop_ends_open_streams_and_frees_the_port() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("a bound socket");
    let service: Arc<dyn Service> = Arc::new(Echo::default());
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(serve((listener, MOST), service, None, stopped.map(|_| ())));
    let transport = GrpcTransport::new(None);
    let peer = PeerId { node: 7, address: address.to_string() };
    let (input, _dropped) = endless(index(1));
    let mut answers = within(transport.append_stream(&peer, input)).await.expect("a stream");
    assert_eq!(within(answers.next()).await, Some(Ok(accepted(1))));
    stop.send(()).expect("the server lives");
    within(serving).await.expect("no panic").expect("no error");
    let rest: Vec<_> = within(answers.collect()).await;
    assert!(rest.iter().all(Result::is_err), "{rest:?}");
    TcpListener::bind(address).await.expect("the port is free");
}
