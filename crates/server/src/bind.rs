//! Listeners for the client port, and what names of addresses mean.
//!
//! Made at the start, and again when `CONFIG SET port` asks for another.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd as _;
use tokio::net::{TcpListener, TcpSocket};

/// Why there is no listener.
#[derive(Debug)]
pub(crate) enum BindError {
    /// One of the addresses cannot be had: its name, the port and why.
    Address(String, u16, io::Error),
    /// The setting names none that can be had.
    Nothing(String),
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(name, port, why) => {
                write!(f, "cannot listen on {name} port {port}: {why}")
            }
            Self::Nothing(bind) => write!(f, "nothing to listen on: bind is '{bind}'"),
        }
    }
}

impl Error for BindError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Address(_, _, why) => Some(why),
            Self::Nothing(_) => None,
        }
    }
}

/// Listeners for every address of `bind` on this port. An address that begins with `-` may be
/// missing.
pub(crate) fn bind(bind: &str, port: u16, backlog: u32) -> Result<Vec<TcpListener>, BindError> {
    let mut listeners = Vec::new();
    for word in bind.split_ascii_whitespace() {
        let (optional, name) = match word.strip_prefix('-') {
            Some(name) => (true, name),
            None => (false, word),
        };
        match bind_one(name, port, backlog) {
            Ok(listener) => listeners.push(listener),
            Err(why) if optional => tracing::debug!(name, port, %why, "not listening there"),
            Err(why) => return Err(BindError::Address(name.to_owned(), port, why)),
        }
    }
    if listeners.is_empty() {
        return Err(BindError::Nothing(bind.to_owned()));
    }
    Ok(listeners)
}

/// The address a `bind` word means: a literal, `*` for every IPv4 address, or a name looked up
/// once.
pub(crate) fn address(name: &str, port: u16) -> io::Result<SocketAddr> {
    if name == "*" {
        return Ok(SocketAddr::from(([0, 0, 0, 0], port)));
    }
    if let Ok(ip) = name.parse::<IpAddr>() {
        return Ok(SocketAddr::new(ip, port));
    }
    let found = std::net::ToSocketAddrs::to_socket_addrs(&(name, port))?.next();
    found.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name has no address"))
}

fn bind_one(name: &str, port: u16, backlog: u32) -> io::Result<TcpListener> {
    let address = address(name, port)?;
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
    let socket = socket?;
    socket.set_reuseaddr(true)?;
    if address.is_ipv6() {
        rustix::net::sockopt::set_ipv6_v6only(socket.as_fd(), true)?;
    }
    socket.bind(address)?;
    socket.listen(backlog)
}
