//! `quorate ping`: asks a node whether it serves, for health checks. Small and blocking: no
//! runtime.
//!
//! The exit status is for probes, the line or the JSON for people and scripts.

use crate::arguments::{Pairs, environment};
use crate::console::{json_line, print};
use bytes::BytesMut;
use quorate_resp::{Value, decode_reply, write_command};
use serde::Serialize;
use std::io::{Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

/// How long each step may take.
const STEP_TIME: Duration = Duration::from_secs(2);
/// More than INFO ever is.
const REPLY_BYTES_MAX: usize = 1 << 20;

/// Exit 0 when PONG came and the node has its state and serves: it hears a leader, or leads and is
/// heard by a quorum.
pub(crate) fn run(pairs: &Pairs) -> Result<(), String> {
    let mut host = "127.0.0.1".to_owned();
    let mut port = "6379".to_owned();
    let (mut password, mut json) = (None, false);
    for (name, value) in environment(std::env::vars()) {
        match name.as_str() {
            "port" => port = value,
            "requirepass" => password = Some(value),
            _ => {}
        }
    }
    for (name, value) in pairs {
        match name.as_str() {
            "host" => host.clone_from(value),
            "port" => port.clone_from(value),
            "password" => password = Some(value.clone()),
            "json" => json = true,
            other => return Err(format!("ping does not know --{other}")),
        }
    }
    let port: u16 = port.parse().map_err(|_| format!("'{port}' is no port"))?;
    let status = status(&host, port, password.as_deref())?;
    if json {
        print(&json_line(&status));
        return status.serves().map(|_| ());
    }
    status.serves().map(|state| print(&format!("PONG {state}\n")))
}

/// What a node says of itself.
#[derive(Debug, Default, Serialize)]
struct Status {
    /// It has its state and serves.
    ready: bool,
    role: String,
    /// Address or name of the leader that it hears; null without one.
    leader: Option<String>,
    /// Index of the last entry applied.
    applied: Option<u64>,
}

impl Status {
    /// From the text that `INFO quorate` answers.
    fn read(info: &str) -> Self {
        let field = |name: &str| {
            info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap_or("")
        };
        Self {
            ready: field("ready") == "1",
            role: field("raft_role").to_owned(),
            leader: Some(field("raft_leader").to_owned()).filter(|leader| !leader.is_empty()),
            applied: field("raft_applied_index").parse().ok(),
        }
    }

    /// A line for people; an error if it does not serve.
    fn serves(&self) -> Result<String, String> {
        let Self { ready, role, leader, applied } = self;
        let leader = leader.as_deref().unwrap_or("");
        if *ready {
            let applied = applied.map_or_else(String::new, |applied| applied.to_string());
            Ok(format!("role={role} leader={leader} applied={applied}"))
        } else {
            Err(format!("not ready: role={role} leader={leader}"))
        }
    }
}

/// What a node that serves says of itself; the error says what is wrong.
pub(crate) fn ask(host: &str, port: u16, password: Option<&str>) -> Result<String, String> {
    status(host, port, password)?.serves()
}

fn status(host: &str, port: u16, password: Option<&str>) -> Result<Status, String> {
    let mut client = Client::connect(host, port)?;
    if let Some(password) = password.filter(|password| !password.is_empty()) {
        client.call(&["AUTH", password])?;
    }
    client.call(&["PING"]).map_err(|line| match line.strip_prefix("LOADING ") {
        Some(_) => "not ready: the node is loading its state".to_owned(),
        None => line,
    })?;
    Ok(Status::read(&client.call(&["INFO", "quorate"])?))
}

struct Client(TcpStream);

impl Client {
    fn connect(host: &str, port: u16) -> Result<Self, String> {
        let broken = |why: std::io::Error| format!("{host}:{port}: {why}");
        let mut last = format!("{host} has no address");
        for address in (host, port).to_socket_addrs().map_err(broken)? {
            match TcpStream::connect_timeout(&address, STEP_TIME) {
                Ok(stream) => {
                    stream.set_read_timeout(Some(STEP_TIME)).map_err(broken)?;
                    stream.set_write_timeout(Some(STEP_TIME)).map_err(broken)?;
                    return Ok(Self(stream));
                }
                Err(why) => last = broken(why),
            }
        }
        Err(last)
    }

    fn call(&mut self, words: &[&str]) -> Result<String, String> {
        let broken = |why: std::io::Error| format!("the node does not answer: {why}");
        let mut request = BytesMut::new();
        write_command(&mut request, words.iter().map(|word| word.as_bytes()));
        self.0.write_all(&request).map_err(broken)?;
        let mut reply = Vec::new();
        let mut piece = [0; 4096];
        while reply.len() < REPLY_BYTES_MAX {
            let got = self.0.read(&mut piece).map_err(broken)?;
            reply.extend_from_slice(piece.get(..got).unwrap_or(&[]));
            match decode_reply(&reply) {
                Ok(Some((Value::Error(line), _))) => return Err(line),
                Ok(Some((value, _))) => {
                    let bytes = value.as_bytes().unwrap_or(&[]);
                    return Ok(String::from_utf8_lossy(bytes).into_owned());
                }
                Ok(None) if got > 0 => {}
                _ => return Err("the node closed the connection or does not speak RESP".to_owned()),
            }
        }
        Err("the answer is too long".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(info: &str, json: &str, text: Result<&str, &str>) {
        let status = Status::read(info);
        assert_eq!(json_line(&status), format!("{json}\n"));
        let shown = status.serves();
        assert_eq!(shown.as_deref().map_err(String::as_str), text);
    }

    #[test]
    fn a_status_is_told_to_people_and_to_scripts() {
        check(
            "# Q\r\nready:1\r\nraft_role:leader\r\nraft_leader:n1\r\nraft_applied_index:7\r\n",
            r#"{"ready":true,"role":"leader","leader":"n1","applied":7}"#,
            Ok("role=leader leader=n1 applied=7"),
        );
        check(
            "ready:0\r\nraft_role:follower\r\nraft_leader:\r\n",
            r#"{"ready":false,"role":"follower","leader":null,"applied":null}"#,
            Err("not ready: role=follower leader="),
        );
    }
}
