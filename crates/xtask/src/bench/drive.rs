//! Driving a server: `redis-benchmark` for the figures, a plain pipelining loader for the key
//! space.
//!
//! Both speak to whatever listens on a port; which system that is, `systems` knows.

use super::Case;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

/// What `redis-benchmark` says of one run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    /// Requests per second.
    pub(crate) per_second: f64,
    /// Median latency, milliseconds.
    pub(crate) p50_ms: f64,
    /// 99th percentile of the latency, milliseconds.
    pub(crate) p99_ms: f64,
}

/// One run of `redis-benchmark` against `port`.
pub(crate) fn benchmark(port: u16, case: Case) -> Result<Run, String> {
    let numbers = [case.requests, case.clients, case.pipeline].map(|number| number.to_string());
    let [requests, clients, pipeline] = &numbers;
    let args = ["-t", case.test, "-d", "64", "-r", "1000000"];
    let rest = ["-n", requests.as_str(), "-c", clients, "-P", pipeline];
    benchmark_with(port, &[&args[..], &rest[..]].concat())
}

/// One run of `redis-benchmark` with these arguments, which choose one test. (A test that needs
/// another one first prints that one's figures before its own: the last ones count.)
pub(crate) fn benchmark_with(port: u16, args: &[&str]) -> Result<Run, String> {
    let done = Command::new("redis-benchmark")
        .args(["-h", "127.0.0.1", "-p", &port.to_string(), "--csv"])
        .args(args)
        .output()
        .map_err(|error| format!("redis-benchmark (package redis-tools): {error}"))?;
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    let figures = said.lines().rev().find_map(|line| {
        let fields = line.split("\",\"").skip(1);
        let fields: Vec<f64> =
            fields.filter_map(|field| field.trim_matches('"').parse().ok()).collect();
        match fields[..] {
            [per_second, _average, _min, p50_ms, _p95, p99_ms, ..] => {
                Some(Run { per_second, p50_ms, p99_ms })
            }
            _ => None,
        }
    });
    figures
        .ok_or_else(|| format!("redis-benchmark: {said}{}", String::from_utf8_lossy(&done.stderr)))
}

/// Sets `keys` keys in redis-benchmark's naming (`key:%012d`) to values of `value_bytes` bytes.
pub(crate) fn load(port: u16, keys: u32, value_bytes: usize) -> Result<(), String> {
    load_keys(port, (keys, ""), value_bytes)
}

/// As [`load`], with a prefix to each key.
pub(crate) fn load_keys(
    port: u16,
    (keys, prefix): (u32, &str),
    value_bytes: usize,
) -> Result<(), String> {
    let value = "x".repeat(value_bytes);
    pipeline(port, keys, 1, |number, out| {
        let key = format!("{prefix}key:{number:012}");
        let length = key.len();
        out.extend_from_slice(
            format!("*3\r\n$3\r\nSET\r\n${length}\r\n{key}\r\n${value_bytes}\r\n{value}\r\n")
                .as_bytes(),
        );
    })
}

/// Sends `count` commands, a thousand at a time. Each is answered by so many lines, and no error.
pub(crate) fn pipeline(
    port: u16,
    count: u32,
    lines: usize,
    command: impl Fn(u32, &mut Vec<u8>),
) -> Result<(), String> {
    let text = |error: std::io::Error| format!("loading port {port}: {error}");
    let mut stream = TcpStream::connect(("127.0.0.1", port)).map_err(text)?;
    let (mut out, mut answers) = (Vec::new(), vec![0_u8; 64 << 10]);
    let mut next = 0;
    while next < count {
        let end = count.min(next + 1_000);
        out.clear();
        for number in next..end {
            command(number, &mut out);
        }
        stream.write_all(&out).map_err(text)?;
        let mut left = lines * (end - next) as usize;
        let mut starts_line = true;
        while left > 0 {
            let got = stream.read(&mut answers).map_err(text)?;
            let said = answers.get(..got).unwrap_or(&[]);
            for &byte in said {
                if starts_line && byte == b'-' {
                    let said = String::from_utf8_lossy(said);
                    return Err(format!("loading port {port}: {said}"));
                }
                starts_line = byte == b'\n';
                left = left.saturating_sub(usize::from(starts_line));
            }
            if got == 0 {
                return Err(format!("loading port {port}: the connection was closed"));
            }
        }
        next = end;
    }
    Ok(())
}

/// Appends a command as RESP.
pub(crate) fn command(out: &mut Vec<u8>, words: &[String]) {
    let _ = write!(out, "*{}\r\n", words.len());
    for word in words {
        let _ = write!(out, "${}\r\n{word}\r\n", word.len());
    }
}

/// Sends one command and gives what is answered up to the end of its first line.
pub(crate) fn call(port: u16, command: &[u8]) -> Result<String, String> {
    let text = |error: std::io::Error| format!("port {port}: {error}");
    let mut stream = TcpStream::connect(("127.0.0.1", port)).map_err(text)?;
    stream.set_read_timeout(Some(std::time::Duration::from_secs(10))).map_err(text)?;
    stream.write_all(command).map_err(text)?;
    let mut said = Vec::new();
    let mut piece = [0_u8; 256];
    while !said.contains(&b'\n') {
        let got = stream.read(&mut piece).map_err(text)?;
        if got == 0 {
            break;
        }
        said.extend_from_slice(piece.get(..got).unwrap_or_default());
    }
    Ok(String::from_utf8_lossy(&said).trim_end().to_owned())
}

/// A field of `INFO`, or nothing when the server does not answer.
pub(crate) fn info(port: u16, field: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(std::time::Duration::from_secs(2))).ok()?;
    stream.write_all(b"*2\r\n$4\r\nINFO\r\n$10\r\neverything\r\n*1\r\n$4\r\nQUIT\r\n").ok()?;
    let mut said = String::new();
    stream.read_to_string(&mut said).ok()?;
    let prefix = format!("{field}:");
    said.lines().find_map(|line| line.strip_prefix(&prefix).map(|value| value.trim().to_owned()))
}
