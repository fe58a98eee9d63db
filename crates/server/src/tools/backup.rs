//! `quorate backup`: a snapshot of a running node, or of any Redis, fetched as a replica would.
//!
//! Small and blocking: no runtime. The file's own checksum is compared while it comes.

use super::export::wanted;
use super::file::WholeFile;
use super::progress::Progress;
use crate::arguments::Pairs;
use crate::console::print;
use bytes::BytesMut;
use quorate_engine::Checksum;
use quorate_resp::write_command;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::Duration;

/// Longest silence: a server that makes a snapshot sends a newline now and then.
const SILENCE_MAX: Duration = Duration::from_mins(1);
/// Longest line before the bytes.
const LINE_BYTES_MAX: u64 = 1024;
/// Bytes of the checksum that ends an RDB file.
const SUM_BYTES: usize = 8;
const PIECE_BYTES: usize = 256 << 10;

/// `quorate backup --from HOST:PORT [--auth PASSWORD] --out FILE`.
pub(crate) fn backup(pairs: &Pairs) -> Result<(), String> {
    let [from, auth, out] = wanted(pairs, "backup", ["from", "auth", "out"])?;
    let from = from.ok_or("from which node? give --from HOST:PORT")?;
    let out = PathBuf::from(out.ok_or("into which file? give --out FILE")?);
    let broken = |why: std::io::Error| format!("{from}: {why}");
    let mut file = WholeFile::create(&out)?;
    let stream = TcpStream::connect(&from).map_err(broken)?;
    stream.set_read_timeout(Some(SILENCE_MAX)).map_err(broken)?;
    stream.set_write_timeout(Some(SILENCE_MAX)).map_err(broken)?;
    let mut server = BufReader::with_capacity(PIECE_BYTES, stream);
    if let Some(password) = auth {
        ask(&mut server, &["AUTH", &password]).map_err(|why| format!("{from}: {why}"))?;
        let said = line(&mut server).map_err(|why| format!("{from}: {why}"))?;
        if said != "+OK" {
            return Err(format!("{from}: {said}"));
        }
    }
    ask(&mut server, &["SYNC"]).map_err(|why| format!("{from}: {why}"))?;
    let bytes = length(&mut server).map_err(|why| format!("{from}: {why}"))?;
    let mut progress = Progress::new("backup");
    fetch(&mut server, bytes, &mut file, &mut progress).map_err(|why| format!("{from}: {why}"))?;
    file.finish()?;
    progress.end(bytes);
    print(&format!("{}: {bytes} bytes\n", out.display()));
    Ok(())
}

type Server = BufReader<TcpStream>;

fn ask(server: &mut Server, words: &[&str]) -> Result<(), String> {
    let mut request = BytesMut::new();
    write_command(&mut request, words.iter().map(|word| word.as_bytes()));
    server.get_mut().write_all(&request).map_err(|why| why.to_string())
}

fn line(server: &mut Server) -> Result<String, String> {
    let mut bytes = Vec::new();
    server.take(LINE_BYTES_MAX).read_until(b'\n', &mut bytes).map_err(|why| why.to_string())?;
    if bytes.last() != Some(&b'\n') {
        return Err("the connection was closed, or this is no Redis".to_owned());
    }
    Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned())
}

/// The snapshot's length, behind any number of newlines.
fn length(server: &mut Server) -> Result<u64, String> {
    loop {
        let said = line(server)?;
        if said.is_empty() {
            continue;
        }
        let length = said.strip_prefix('$').and_then(|text| text.parse().ok());
        return length.ok_or(said);
    }
}

fn fetch(
    server: &mut Server,
    bytes: u64,
    file: &mut WholeFile,
    progress: &mut Progress,
) -> Result<(), String> {
    let mut piece = vec![0; PIECE_BYTES];
    // The last eight bytes seen are held back from the sum: they may be the file's own.
    let (mut sum, mut held, mut at) = (Checksum::default(), Vec::new(), 0);
    while at < bytes {
        let want = PIECE_BYTES.min(usize::try_from(bytes - at).unwrap_or(usize::MAX));
        let into = piece.get_mut(..want).unwrap_or_default();
        let count = server.read(into).map_err(|why| why.to_string())?;
        if count == 0 {
            return Err(format!("the connection was closed after {at} of {bytes} bytes"));
        }
        let came = into.get(..count).unwrap_or_default();
        file.write(came).map_err(|why| why.to_string())?;
        held.extend_from_slice(came);
        let sure = held.len().saturating_sub(SUM_BYTES);
        sum.update(held.get(..sure).unwrap_or_default());
        held.drain(..sure);
        at += count as u64;
        progress.step(at, bytes);
    }
    // Redis writes zeros when `rdbchecksum` is off.
    if held != sum.finish() && held != [0; SUM_BYTES] {
        return Err("what came is damaged: its checksum does not match".to_owned());
    }
    Ok(())
}
