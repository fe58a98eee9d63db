//! Driving a server: `redis-benchmark` for the figures, a plain pipelining loader for the key
//! space.

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
    let done = Command::new("redis-benchmark")
        .args(["-h", "127.0.0.1", "-p", &port.to_string(), "-t", case.test, "-d", "64"])
        .args(["-r", "1000000", "-n", &case.requests.to_string(), "-c", &case.clients.to_string()])
        .args(["-P", &case.pipeline.to_string(), "--csv"])
        .output()
        .map_err(|error| format!("redis-benchmark (package redis-tools): {error}"))?;
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    let line = said
        .lines()
        .find(|line| line.to_ascii_lowercase().starts_with(&format!("\"{}\"", case.test)))
        .ok_or_else(|| {
            format!("redis-benchmark: {said}{}", String::from_utf8_lossy(&done.stderr))
        })?;
    let fields: Vec<f64> = line
        .split(',')
        .skip(1)
        .map(|field| field.trim_matches('"').parse().unwrap_or(f64::NAN))
        .collect();
    match fields[..] {
        [per_second, _average, _min, p50_ms, _p95, p99_ms, ..] => {
            Ok(Run { per_second, p50_ms, p99_ms })
        }
        _ => Err(format!("redis-benchmark printed {line}")),
    }
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
    let text = |error: std::io::Error| format!("loading port {port}: {error}");
    let mut stream = TcpStream::connect(("127.0.0.1", port)).map_err(text)?;
    let value = "x".repeat(value_bytes);
    let mut out = Vec::new();
    let mut answers = vec![0_u8; 64 << 10];
    let mut next = 0;
    while next < keys {
        let end = keys.min(next + 1_000);
        out.clear();
        for number in next..end {
            let key = format!("{prefix}key:{number:012}");
            let length = key.len();
            out.extend_from_slice(
                format!("*3\r\n$3\r\nSET\r\n${length}\r\n{key}\r\n${value_bytes}\r\n{value}\r\n")
                    .as_bytes(),
            );
        }
        stream.write_all(&out).map_err(text)?;
        let mut left = 5 * (end - next) as usize;
        while left > 0 {
            let got = stream.read(&mut answers).map_err(text)?;
            let said = answers.get(..got).unwrap_or(&[]);
            if got == 0 || said.contains(&b'-') {
                return Err(format!("loading port {port}: {}", String::from_utf8_lossy(said)));
            }
            left = left.saturating_sub(got);
        }
        next = end;
    }
    Ok(())
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
