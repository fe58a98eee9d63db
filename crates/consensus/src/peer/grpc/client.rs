//! Calling peers: a few kept connections per address, one for each kind of traffic.
//!
//! HTTP/2 shares one flow-control window and one TCP stream between everything on a connection, so
//! a snapshot or a burst of entries would delay a heartbeat, and a late heartbeat costs the leader
//! its office. Hence five lanes. Connections open with the first call and again with the first call
//! after they broke; nothing here waits between tries.

use super::secret;
use super::{
    BUSY_KEEPALIVE_TIMEOUT, CONNECT_TIMEOUT, CONNECTION_WINDOW_BYTES, HEADER_BYTES_MAX,
    KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT, MESSAGE_BYTES_MAX, STREAM_WINDOW_BYTES,
    UNACKNOWLEDGED_TIMEOUT,
};
use crate::peer::transport::{PeerId, Request, Response, Transport, TransportError};
use crate::proto as pb;
use crate::proto::peer_client::PeerClient;
use futures::channel::oneshot;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, Stream, StreamExt};
use hyper_util::client::legacy::connect::HttpConnector;
use std::collections::BTreeMap;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

/// The transport over tonic. Clones share the connections.
#[derive(Clone)]
pub(crate) struct GrpcTransport {
    shared: Arc<Shared>,
}

struct Shared {
    token: Option<MetadataValue<Ascii>>,
    peers: Mutex<BTreeMap<String, Lanes>>,
}

/// The connections to one address.
#[derive(Clone)]
struct Lanes {
    append: Channel,
    control: Channel,
    forward: Channel,
    snapshot: Channel,
    bus: Channel,
}

type Client = PeerClient<Channel>;
type Incoming<T> = BoxStream<'static, Result<T, TransportError>>;

impl GrpcTransport {
    /// A transport without connections yet. `secret` is sent with every request.
    pub(crate) fn new(secret: Option<&str>) -> Self {
        let token = secret.and_then(secret::token);
        Self { shared: Arc::new(Shared { token, peers: Mutex::new(BTreeMap::new()) }) }
    }

    /// The client of one lane to `address`. Must be called on the runtime: a channel has a task.
    fn client(
        &self,
        address: &str,
        lane: impl FnOnce(&Lanes) -> &Channel,
    ) -> Result<Client, TransportError> {
        let mut peers = self.shared.peers.lock().unwrap_or_else(PoisonError::into_inner);
        if !peers.contains_key(address) {
            peers.insert(address.to_owned(), Lanes::open(address)?);
        }
        let lanes = peers.get(address).ok_or_else(|| unreachable(&"no connection"))?;
        Ok(PeerClient::new(lane(lanes).clone()).max_decoding_message_size(MESSAGE_BYTES_MAX))
    }

    fn request<T>(&self, message: T) -> tonic::Request<T> {
        let mut request = tonic::Request::new(message);
        if let Some(token) = &self.shared.token {
            request.metadata_mut().insert(secret::KEY, token.clone());
        }
        request
    }
}

impl Lanes {
    /// Five lazy channels; fails only if the address is no address.
    fn open(address: &str) -> Result<Self, TransportError> {
        let endpoint = Endpoint::from_shared(format!("http://{address}"))
            .map_err(|error| unreachable(&format!("{address:?} is not host:port: {error}")))?
            .connect_timeout(CONNECT_TIMEOUT)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .http2_max_header_list_size(HEADER_BYTES_MAX)
            .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
            .keep_alive_while_idle(true);
        let lane = |silence| {
            let mut connector = HttpConnector::new();
            connector.enforce_http(false);
            connector.set_nodelay(true);
            connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
            #[cfg(target_os = "linux")]
            connector.set_tcp_user_timeout(Some(UNACKNOWLEDGED_TIMEOUT));
            endpoint.clone().keep_alive_timeout(silence).connect_with_connector_lazy(connector)
        };
        Ok(Self {
            append: lane(BUSY_KEEPALIVE_TIMEOUT),
            control: lane(KEEPALIVE_TIMEOUT),
            forward: lane(BUSY_KEEPALIVE_TIMEOUT),
            snapshot: lane(BUSY_KEEPALIVE_TIMEOUT),
            bus: lane(BUSY_KEEPALIVE_TIMEOUT),
        })
    }
}

impl Transport for GrpcTransport {
    fn call(
        &self,
        to: &PeerId,
        request: Request,
    ) -> BoxFuture<'static, Result<Response, TransportError>> {
        let (this, address) = (self.clone(), to.address.clone());
        async move {
            // Looking at a part of a snapshot may take a while.
            let offer = matches!(request, Request::Offer(_));
            let client = if offer {
                this.client(&address, |lanes| &lanes.snapshot)?
            } else {
                this.client(&address, |lanes| &lanes.control)?
            };
            this.unary(client, request).await.map_err(|status| refused_or_unreachable(&status))
        }
        .boxed()
    }

    fn append_stream(
        &self,
        to: &PeerId,
        input: BoxStream<'static, pb::AppendRequest>,
    ) -> BoxFuture<'static, Result<Incoming<pb::AppendResponse>, TransportError>> {
        let (this, address) = (self.clone(), to.address.clone());
        async move {
            let mut client = this.client(&address, |lanes| &lanes.append)?;
            let (input, tie) = tied(input);
            let answer = client.append_stream(this.request(input)).await;
            Ok(incoming(answer.map_err(|status| refused_or_unreachable(&status))?, tie))
        }
        .boxed()
    }

    fn forward_stream(
        &self,
        to: &PeerId,
        input: BoxStream<'static, pb::ForwardRequest>,
    ) -> BoxFuture<'static, Result<Incoming<pb::ForwardResponse>, TransportError>> {
        let (this, address) = (self.clone(), to.address.clone());
        async move {
            let mut client = this.client(&address, |lanes| &lanes.forward)?;
            let (input, tie) = tied(input);
            let answer = client.forward(this.request(input)).await;
            Ok(incoming(answer.map_err(|status| refused_or_unreachable(&status))?, tie))
        }
        .boxed()
    }

    fn bus_stream(
        &self,
        to: &PeerId,
        input: BoxStream<'static, pb::BusRequest>,
    ) -> BoxFuture<'static, Result<Incoming<pb::BusResponse>, TransportError>> {
        let (this, address) = (self.clone(), to.address.clone());
        async move {
            let mut client = this.client(&address, |lanes| &lanes.bus)?;
            let (input, tie) = tied(input);
            let answer = client.bus(this.request(input)).await;
            Ok(incoming(answer.map_err(|status| refused_or_unreachable(&status))?, tie))
        }
        .boxed()
    }

    fn snapshot(
        &self,
        to: &PeerId,
        input: BoxStream<'static, pb::SnapshotChunk>,
    ) -> BoxFuture<'static, Result<pb::SnapshotResponse, TransportError>> {
        let (this, address) = (self.clone(), to.address.clone());
        async move {
            let mut client = this.client(&address, |lanes| &lanes.snapshot)?;
            let (input, _tie) = tied(input);
            let answer = client.install_snapshot(this.request(input)).await;
            answer
                .map(tonic::Response::into_inner)
                .map_err(|status| refused_or_unreachable(&status))
        }
        .boxed()
    }
}

impl GrpcTransport {
    async fn unary(&self, mut client: Client, request: Request) -> Result<Response, Status> {
        Ok(match request {
            Request::Heartbeat(message) => {
                Response::Heartbeat(client.heartbeat(self.request(message)).await?.into_inner())
            }
            Request::Vote(message) => {
                Response::Vote(client.request_vote(self.request(message)).await?.into_inner())
            }
            Request::Transfer(message) => {
                let answer = client.transfer_leader(self.request(message)).await?;
                Response::Transfer(answer.into_inner())
            }
            Request::ReadIndex(message) => {
                Response::ReadIndex(client.read_index(self.request(message)).await?.into_inner())
            }
            Request::Offer(message) => {
                let answer = client.offer_snapshot(self.request(message)).await;
                Response::Offer(match answer {
                    // An older build: it has no parts of snapshots.
                    Err(status) if status.code() == Code::Unimplemented => {
                        pb::OfferResponse::default()
                    }
                    answer => answer?.into_inner(),
                })
            }
            Request::Hello(message) => {
                Response::Hello(client.hello(self.request(message)).await?.into_inner())
            }
            Request::Adopt(message) => {
                Response::Adopt(client.adopt(self.request(message)).await?.into_inner())
            }
            Request::Join(message) => {
                Response::Join(client.join(self.request(message)).await?.into_inner())
            }
            Request::Vouch(message) => {
                Response::Vouch(client.vouch(self.request(message)).await?.into_inner())
            }
            Request::Compare(message) => {
                Response::Compare(client.compare(self.request(message)).await?.into_inner())
            }
            Request::Diverged(message) => {
                Response::Diverged(client.diverged(self.request(message)).await?.into_inner())
            }
        })
    }
}

/// Lives as long as somebody waits for the answers of a stream.
struct Tie {
    _sender: oneshot::Sender<()>,
}

/// Ends `input` when the tie is dropped. Without it a request stream that has nothing to send would
/// outlive the answers that nobody reads any more: hyper keeps a stream open as long as its request
/// body is not finished.
fn tied<T: Send + 'static>(
    input: BoxStream<'static, T>,
) -> (impl Stream<Item = T> + Send + 'static, Tie) {
    let (sender, dropped) = oneshot::channel::<()>();
    (input.take_until(dropped), Tie { _sender: sender })
}

fn incoming<T: Send + 'static>(
    answer: tonic::Response<tonic::Streaming<T>>,
    tie: Tie,
) -> Incoming<T> {
    let answers = answer.into_inner();
    let answers = futures::stream::unfold((answers, tie), |(mut answers, tie)| async move {
        let item = answers.next().await?;
        Some((item.map_err(|status| refused_or_unreachable(&status)), (answers, tie)))
    });
    answers.boxed()
}

fn refused_or_unreachable(status: &Status) -> TransportError {
    match status.code() {
        Code::FailedPrecondition | Code::Unauthenticated => {
            TransportError::Refused(status.message().to_owned())
        }
        code => {
            let mut text = format!("{code:?}: {}", status.message());
            let mut cause = status.source();
            while let Some(error) = cause {
                text = format!("{text}: {error}");
                cause = error.source();
            }
            TransportError::Unreachable(text)
        }
    }
}

fn unreachable(why: &dyn std::fmt::Display) -> TransportError {
    TransportError::Unreachable(why.to_string())
}
