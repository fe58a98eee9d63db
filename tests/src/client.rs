//! A small blocking RESP client: one command, one answer, or a pipeline. It never retries and never
//! reconnects by itself, so that a test knows exactly what was sent and what was answered.

use bytes::BytesMut;
use quorate_resp::{Value, decode_reply, write_command};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// One connection.
#[derive(Debug)]
pub struct Client {
    stream: Stream,
    input: Vec<u8>,
}

#[derive(Debug)]
enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => stream.write_all(bytes),
            Stream::Unix(stream) => stream.write_all(bytes),
        }
    }

    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.read(into),
            Stream::Unix(stream) => stream.read(into),
        }
    }
}

impl Client {
    /// Connects to a port on loopback; every later answer must come within `limit`.
    pub fn connect(port: u16, limit: Duration) -> io::Result<Self> {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let stream = TcpStream::connect_timeout(&address, Duration::from_secs(2))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(limit))?;
        stream.set_write_timeout(Some(limit))?;
        Ok(Self { stream: Stream::Tcp(stream), input: Vec::new() })
    }

    /// Connects to a Unix socket; every later answer must come within `limit`.
    pub fn connect_unix(path: &Path, limit: Duration) -> io::Result<Self> {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(limit))?;
        stream.set_write_timeout(Some(limit))?;
        Ok(Self { stream: Stream::Unix(stream), input: Vec::new() })
    }

    /// Sends one command and waits for its answer. An error means the connection is lost or silent.
    pub fn call(&mut self, args: &[&str]) -> io::Result<Value> {
        self.send(&[args])?;
        self.receive()
    }

    /// Sends one command of any bytes and waits for its answer.
    pub fn call_bytes(&mut self, args: &[Vec<u8>]) -> io::Result<Value> {
        let mut out = BytesMut::new();
        write_command(&mut out, args.iter().map(Vec::as_slice));
        self.stream.write_all(&out)?;
        self.receive()
    }

    /// Sends all commands in one write and returns all answers.
    pub fn pipeline(&mut self, commands: &[&[&str]]) -> io::Result<Vec<Value>> {
        self.send(commands)?;
        commands.iter().map(|_| self.receive()).collect()
    }

    /// The same for commands of any bytes.
    pub fn pipeline_bytes(&mut self, commands: &[Vec<Vec<u8>>]) -> io::Result<Vec<Value>> {
        let mut out = BytesMut::new();
        for words in commands {
            write_command(&mut out, words.iter().map(Vec::as_slice));
        }
        self.stream.write_all(&out)?;
        commands.iter().map(|_| self.receive()).collect()
    }

    /// Sends without waiting.
    pub fn send(&mut self, commands: &[&[&str]]) -> io::Result<()> {
        let mut out = BytesMut::new();
        for args in commands {
            write_command(&mut out, args.iter().map(|arg| arg.as_bytes()));
        }
        self.stream.write_all(&out)
    }

    /// Sends bytes as they are.
    pub fn send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// A field of `INFO`.
    pub fn info(&mut self, field: &str) -> Option<String> {
        let reply = self.call(&["INFO", "everything"]).ok()?;
        let prefix = format!("{field}:");
        let shown = text(&reply)?;
        shown.lines().find_map(|line| line.strip_prefix(&prefix).map(|it| it.trim().to_owned()))
    }

    /// Waits for one answer.
    pub fn receive(&mut self) -> io::Result<Value> {
        let mut piece = [0_u8; 16 << 10];
        loop {
            match decode_reply(&self.input) {
                Ok(Some((value, len))) => {
                    self.input.drain(..len);
                    return Ok(value);
                }
                Ok(None) => {}
                Err(error) => return Err(io::Error::other(format!("{error:?}"))),
            }
            let got = self.stream.read(&mut piece)?;
            if got == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.input.extend_from_slice(&piece[..got]);
        }
    }
}

/// The text of a reply that is a string of some kind; `None` for anything else.
pub fn text(value: &Value) -> Option<String> {
    match value {
        Value::Bulk(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        Value::Simple(line) => Some(line.clone()),
        _ => None,
    }
}

/// Whether the reply is `+OK`.
pub fn is_ok(value: &Value) -> bool {
    matches!(value, Value::Simple(line) if line == "OK")
}
