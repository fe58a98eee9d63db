//! Answering peers: a tonic server that hands every request to a [`Service`].
//!
//! It runs on the runtime it is called on. Every answer and every stream also ends with `stop`: an
//! append stream lives as long as its leader, so a server that waited for open streams would never
//! stop. Nothing is buffered here beyond what tonic holds of one message; back-pressure is
//! HTTP/2's.

use super::inbound::{Connection, Inbound};
use super::secret::{self, Gate};
use super::{
    ACCEPT_PAUSE, BUSY_KEEPALIVE_TIMEOUT, CONNECTION_WINDOW_BYTES, HEADER_BYTES_MAX,
    KEEPALIVE_INTERVAL, MESSAGE_BYTES_MAX, STOP_GRACE, STREAM_WINDOW_BYTES,
    STREAMS_PER_CONNECTION_MAX,
};
use crate::peer::transport::{
    Refused, Request as Ask, Response as Answer, Service, TransportError,
};
use crate::proto as pb;
use crate::proto::peer_server::{Peer, PeerServer};
use futures::channel::oneshot;
use futures::future::{BoxFuture, Either, Shared, select};
use futures::stream::BoxStream;
use futures::{FutureExt, Stream, StreamExt};
use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use tokio::net::TcpListener;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};

type Stop = Shared<BoxFuture<'static, ()>>;

/// Connections that are let in from so many other nodes at most: five of each, those once more
/// that it opens before the old ones are known to be dead, and a few of nobody's.
pub(crate) fn connections_max(others: usize) -> usize {
    10 * others + 8
}

/// Serves `service` on `listener`, of which no more than the given number of connections is taken,
/// until `stop` resolves, or until this future is dropped.
pub(crate) async fn serve<S: Service + ?Sized>(
    (listener, most): (TcpListener, usize),
    service: Arc<S>,
    secret: Option<&str>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), io::Error> {
    let (_alive, dropped) = oneshot::channel::<()>();
    let stop: Stop = async move {
        select(pin!(stop), dropped).await;
    }
    .boxed()
    .shared();
    let answering = Answering { service, stop: stop.clone() };
    let peer = PeerServer::new(answering).max_decoding_message_size(MESSAGE_BYTES_MAX);
    let gate = Gate::new(secret.and_then(secret::token));
    let serving = Server::builder()
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_concurrent_streams(STREAMS_PER_CONNECTION_MAX)
        .http2_max_header_list_size(HEADER_BYTES_MAX)
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(BUSY_KEEPALIVE_TIMEOUT))
        .serve_with_incoming_shutdown(
            InterceptedService::new(peer, gate),
            accepted(listener, Inbound::new(most), secret.is_some()),
            stop.clone(),
        );
    let limit = async {
        stop.await;
        tokio::time::sleep(STOP_GRACE).await;
    };
    match select(pin!(serving), pin!(limit)).await {
        Either::Left((result, _)) => result.map_err(io::Error::other),
        Either::Right(((), _)) => Ok(()),
    }
}

/// Whether somebody at this address is let in: without a secret only who is on this machine.
pub(super) fn is_let_in(from: IpAddr, has_secret: bool) -> bool {
    has_secret || from.to_canonical().is_loopback()
}

/// Accepted connections. An error of `accept` (no descriptors left) never ends the stream.
fn accepted(
    listener: TcpListener,
    inbound: Inbound,
    has_secret: bool,
) -> impl Stream<Item = Result<Connection, io::Error>> {
    futures::stream::unfold((listener, inbound), move |(listener, inbound)| async move {
        loop {
            match listener.accept().await {
                Ok((_, from)) if !is_let_in(from.ip(), has_secret) => {
                    tracing::warn!(%from, "peer port: closed, since there is no peer secret");
                }
                Ok((stream, from)) => {
                    if let Err(error) = stream.set_nodelay(true) {
                        tracing::debug!(%error, "peer port: TCP_NODELAY");
                    }
                    if let Some(connection) = inbound.admit(stream, from) {
                        return Some((Ok(connection), (listener, inbound)));
                    }
                    tracing::warn!(%from, "peer port: closed, there are too many");
                }
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    tracing::warn!(%error, "peer port: cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    })
}

/// The generated service, handed on.
struct Answering<S: ?Sized> {
    stop: Stop,
    service: Arc<S>,
}

impl<S: Service + ?Sized> Answering<S> {
    /// Waits for the service's answer, but not beyond `stop`.
    async fn answer<T>(
        &self,
        answer: BoxFuture<'_, Result<T, Refused>>,
    ) -> Result<Response<T>, Status> {
        match select(answer, self.stop.clone()).await {
            Either::Left((Ok(value), _)) => Ok(Response::new(value)),
            Either::Left((Err(why), _)) => Err(Status::failed_precondition(why.to_string())),
            Either::Right(((), _)) => Err(Status::unavailable("this replica is stopping")),
        }
    }

    /// One unary call; `pick` takes the answer out of its variant.
    async fn unary<T>(
        &self,
        ask: Ask,
        pick: impl FnOnce(Answer) -> Option<T>,
    ) -> Result<Response<T>, Status> {
        let answer = self.answer(self.service.call(ask)).await?.into_inner();
        pick(answer).map(Response::new).ok_or_else(|| Status::internal("answer to another request"))
    }

    /// What the peer sends, until it ends, breaks or `stop`.
    fn input<T: Send + 'static>(
        &self,
        request: Request<Streaming<T>>,
    ) -> BoxStream<'static, Result<T, TransportError>> {
        let messages = request.into_inner().map(|item| {
            item.map_err(|status| TransportError::Unreachable(status.message().to_owned()))
        });
        messages.take_until(self.stop.clone()).boxed()
    }

    /// What the service sends, until it ends or `stop`.
    fn output<T: Send + 'static>(
        &self,
        answers: Response<BoxStream<'static, T>>,
    ) -> Response<Output<T>> {
        Response::new(answers.into_inner().map(Ok).take_until(self.stop.clone()).boxed())
    }
}

type Output<T> = BoxStream<'static, Result<T, Status>>;

#[tonic::async_trait]
impl<S: Service + ?Sized> Peer for Answering<S> {
    type AppendStreamStream = Output<pb::AppendResponse>;
    type ForwardStream = Output<pb::ForwardResponse>;
    type BusStream = Output<pb::BusResponse>;

    async fn append_stream(
        &self,
        request: Request<Streaming<pb::AppendRequest>>,
    ) -> Result<Response<Self::AppendStreamStream>, Status> {
        let answers = self.answer(self.service.append_stream(self.input(request))).await?;
        Ok(self.output(answers))
    }

    async fn forward(
        &self,
        request: Request<Streaming<pb::ForwardRequest>>,
    ) -> Result<Response<Self::ForwardStream>, Status> {
        let answers = self.answer(self.service.forward_stream(self.input(request))).await?;
        Ok(self.output(answers))
    }

    async fn bus(
        &self,
        request: Request<Streaming<pb::BusRequest>>,
    ) -> Result<Response<Self::BusStream>, Status> {
        let answers = self.answer(self.service.bus_stream(self.input(request))).await?;
        Ok(self.output(answers))
    }

    async fn install_snapshot(
        &self,
        request: Request<Streaming<pb::SnapshotChunk>>,
    ) -> Result<Response<pb::SnapshotResponse>, Status> {
        self.answer(self.service.snapshot(self.input(request))).await
    }

    async fn heartbeat(
        &self,
        request: Request<pb::AppendRequest>,
    ) -> Result<Response<pb::AppendResponse>, Status> {
        let pick = |answer| if let Answer::Heartbeat(it) = answer { Some(it) } else { None };
        self.unary(Ask::Heartbeat(request.into_inner()), pick).await
    }

    async fn request_vote(
        &self,
        request: Request<pb::VoteRequest>,
    ) -> Result<Response<pb::VoteResponse>, Status> {
        let pick = |answer| if let Answer::Vote(it) = answer { Some(it) } else { None };
        self.unary(Ask::Vote(request.into_inner()), pick).await
    }

    async fn transfer_leader(
        &self,
        request: Request<pb::TransferRequest>,
    ) -> Result<Response<pb::TransferResponse>, Status> {
        let pick = |answer| if let Answer::Transfer(it) = answer { Some(it) } else { None };
        self.unary(Ask::Transfer(request.into_inner()), pick).await
    }

    async fn read_index(
        &self,
        request: Request<pb::ReadIndexRequest>,
    ) -> Result<Response<pb::ReadIndexResponse>, Status> {
        let pick = |answer| if let Answer::ReadIndex(it) = answer { Some(it) } else { None };
        self.unary(Ask::ReadIndex(request.into_inner()), pick).await
    }

    async fn offer_snapshot(
        &self,
        request: Request<pb::OfferRequest>,
    ) -> Result<Response<pb::OfferResponse>, Status> {
        let pick = |answer| if let Answer::Offer(it) = answer { Some(it) } else { None };
        self.unary(Ask::Offer(request.into_inner()), pick).await
    }

    async fn hello(
        &self,
        request: Request<pb::HelloRequest>,
    ) -> Result<Response<pb::HelloResponse>, Status> {
        let pick = |answer| if let Answer::Hello(it) = answer { Some(it) } else { None };
        self.unary(Ask::Hello(request.into_inner()), pick).await
    }

    async fn adopt(
        &self,
        request: Request<pb::AdoptRequest>,
    ) -> Result<Response<pb::AdoptResponse>, Status> {
        let pick = |answer| if let Answer::Adopt(it) = answer { Some(it) } else { None };
        self.unary(Ask::Adopt(request.into_inner()), pick).await
    }

    async fn join(
        &self,
        request: Request<pb::JoinRequest>,
    ) -> Result<Response<pb::JoinResponse>, Status> {
        let pick = |answer| if let Answer::Join(it) = answer { Some(it) } else { None };
        self.unary(Ask::Join(request.into_inner()), pick).await
    }

    async fn vouch(
        &self,
        request: Request<pb::VouchRequest>,
    ) -> Result<Response<pb::VouchResponse>, Status> {
        let pick = |answer| if let Answer::Vouch(it) = answer { Some(it) } else { None };
        self.unary(Ask::Vouch(request.into_inner()), pick).await
    }

    async fn compare(
        &self,
        request: Request<pb::CompareRequest>,
    ) -> Result<Response<pb::CompareResponse>, Status> {
        let pick = |answer| if let Answer::Compare(it) = answer { Some(it) } else { None };
        self.unary(Ask::Compare(request.into_inner()), pick).await
    }

    async fn diverged(
        &self,
        request: Request<pb::DivergedRequest>,
    ) -> Result<Response<pb::DivergedResponse>, Status> {
        let pick = |answer| if let Answer::Diverged(it) = answer { Some(it) } else { None };
        self.unary(Ask::Diverged(request.into_inner()), pick).await
    }
}
