//! The client port: accepting for as long as the process lives.
//!
//! An error of one connection never ends the loop; where file descriptors become few it waits a
//! moment instead of spinning or of taking the last ones.

use crate::backend::Backend;
use crate::bind::bind;
use crate::clients::FINISH;
use crate::session;
use crate::settings::Tuned;
use crate::shared::{Shared, Stop};
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Pause after an error of `accept` that the next call would meet again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// A peer that acknowledges nothing for so long is gone, in milliseconds.
const TCP_USER_TIMEOUT_MS: u32 = 30_000;

/// Redis's text, told to clients from elsewhere while there is no password.
const PROTECTED: &str = "-DENIED Redis is running in protected mode because protected mode is \
enabled and no password is set for the default user. In this mode connections are only accepted \
from the loopback interface. If you want to connect from external computers, either set a \
password with CONFIG SET requirepass, or turn protected mode off with CONFIG SET protected-mode \
no, on this node and from this machine.\r\n";
/// Redis's text.
const TOO_MANY: &str = "-ERR max number of clients reached\r\n";

/// Accepts until the process stops; `first` listeners are replaced when a new port is asked for.
pub(crate) async fn accept_all<B: Backend>(
    node: B,
    shared: Arc<Shared>,
    first: Vec<TcpListener>,
    mut rebind: tokio::sync::mpsc::Receiver<crate::shared::Rebind>,
) {
    let mut stop = shared.stop.subscribe();
    let mut acceptors = start(&node, &shared, first);
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop != Stop::No) => break,
            wish = rebind.recv() => {
                let Some((port, answer)) = wish else { break };
                let backlog = shared.settings.get("tcp-backlog").parse().unwrap_or(511);
                let outcome = bind(&shared.settings.get("bind"), port, backlog);
                let outcome = outcome.map(|listeners| {
                    // Dropping the old set ends its tasks and closes the old port.
                    acceptors = start(&node, &shared, listeners);
                    shared.port.store(u64::from(port), Relaxed);
                });
                let _ = answer.send(outcome);
            }
        }
    }
    drop(acceptors);
    for peer in shared.clients.all() {
        peer.signal(FINISH);
    }
}

fn start<B: Backend>(node: &B, shared: &Arc<Shared>, listeners: Vec<TcpListener>) -> JoinSet<()> {
    let mut acceptors = JoinSet::new();
    for listener in listeners {
        acceptors.spawn(accept(node.clone(), Arc::clone(shared), listener));
    }
    acceptors
}

async fn accept<B: Backend>(node: B, shared: Arc<Shared>, listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((stream, address)) => {
                let last = shared.outside.descriptors.is_of_the_last(stream.as_raw_fd());
                admit(&node, &shared, (stream, last), address);
                if last {
                    tracing::warn!("few file descriptors are left: a connection was refused");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
            // Its client has gone already.
            Err(why) if why.kind() == std::io::ErrorKind::ConnectionAborted => {}
            Err(why) => {
                tracing::warn!(%why, "accepting a connection failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Starts a session, or tells the client why not: also if it would have one of the last
/// descriptors.
fn admit<B: Backend>(
    node: &B,
    shared: &Arc<Shared>,
    (stream, last): (TcpStream, bool),
    address: SocketAddr,
) {
    shared.stats.connections_total.fetch_add(1, Relaxed);
    let tuned = shared.tuned();
    if let Some(refusal) = refusal(shared, &tuned, address).or(last.then_some(TOO_MANY)) {
        shared.stats.connections_rejected.fetch_add(1, Relaxed);
        // One attempt without waiting: a client that does not listen gets nothing.
        let _ = stream.try_write(refusal.as_bytes());
        return;
    }
    if let Err(why) = prepare(&stream, &tuned) {
        tracing::debug!(%address, %why, "a connection's options could not be set");
    }
    let local = stream.local_addr().unwrap_or(address);
    let peer = shared.clients.add(address, local, stream.as_raw_fd());
    drop(tokio::spawn(session::serve(node.clone(), Arc::clone(shared), stream, peer)));
}

fn refusal(shared: &Shared, tuned: &Tuned, address: SocketAddr) -> Option<&'static str> {
    if tuned.protected && tuned.password.is_none() && !address.ip().to_canonical().is_loopback() {
        return Some(PROTECTED);
    }
    let clients = &shared.clients;
    let unknown_max = (tuned.maxclients / 4).max(1);
    let too_many = clients.count() >= tuned.maxclients
        || (tuned.password.is_some() && clients.unauthenticated() >= unknown_max);
    too_many.then_some(TOO_MANY)
}

fn prepare(stream: &TcpStream, tuned: &Tuned) -> std::io::Result<()> {
    use rustix::net::sockopt;
    stream.set_nodelay(true)?;
    let fd = stream.as_fd();
    if tuned.tcp_keepalive_s > 0 {
        let idle = Duration::from_secs(tuned.tcp_keepalive_s);
        sockopt::set_socket_keepalive(fd, true)?;
        sockopt::set_tcp_keepidle(fd, idle)?;
        sockopt::set_tcp_keepintvl(fd, (idle / 3).max(Duration::from_secs(1)))?;
        sockopt::set_tcp_keepcnt(fd, 3)?;
    }
    sockopt::set_tcp_user_timeout(fd, TCP_USER_TIMEOUT_MS)?;
    Ok(())
}
