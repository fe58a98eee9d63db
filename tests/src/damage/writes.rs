//! The writes whose acknowledgement a damaged directory must not cost, and the reads that show all
//! of them.
//!
//! Both follow from a number, so that a prepared directory needs no list of what is in it.

use crate::client::{Client, text};
use quorate_resp::Value;
use std::io;
use std::ops::Range;
use std::time::Duration;

/// Acknowledged writes in a prepared directory.
pub const WRITES: u32 = 300;

/// The key that trials write themselves; what it holds is not judged.
pub const PROBE: &str = "probe";

/// Commands sent in one piece where writes go through a pipeline.
const PIPELINE: usize = 10;

/// What the `number`-th write sends: mostly keys of their own, besides a list, a hash and a counter
/// to which every write counts, and one key that is overwritten again and again.
fn write(number: u32) -> Vec<String> {
    let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
    let value = &format!("v{number}");
    match number % 10 {
        5 => words(&["SET", "last", value]),
        6 => words(&["INCR", "counter"]),
        7 => words(&["RPUSH", "list", value]),
        8 => words(&["HSET", "hash", &format!("f{number}"), value]),
        _ => words(&["SET", &format!("k{number}"), value]),
    }
}

/// Sends the writes of a range, those of some ranges in pipelines, and waits until each is
/// acknowledged.
pub fn acknowledge(client: &mut Client, range: Range<u32>) {
    let all: Vec<Vec<String>> = range.clone().map(write).collect();
    let pieces = if range.start.is_multiple_of(3) { PIPELINE } else { 1 };
    for piece in all.chunks(pieces) {
        let words: Vec<Vec<&str>> =
            piece.iter().map(|words| words.iter().map(String::as_str).collect()).collect();
        let commands: Vec<&[&str]> = words.iter().map(Vec::as_slice).collect();
        for reply in client.pipeline(&commands).expect("a healthy node answers") {
            assert!(reply.as_error().is_none(), "a healthy node acknowledges: {reply:?}");
        }
    }
}

/// What a server shows of the writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// All of them.
    Whole,
    /// It gave no answer, or an error; which.
    Nothing(String),
    /// It answered, and the answer is wrong.
    Wrong(String),
}

/// Reads everything on this port.
pub fn look(port: u16, limit: Duration) -> Seen {
    let expected = reads();
    match ask(port, limit, &expected) {
        Ok(replies) => judge(&expected, &replies),
        Err(error) => Seen::Nothing(error.to_string()),
    }
}

/// Any right answer beside an error is not enough, any wrong one is too much.
fn judge(expected: &[(Vec<String>, Value)], replies: &[Value]) -> Seen {
    let mut refusal = None;
    for ((words, wanted), reply) in expected.iter().zip(replies) {
        if let Some(line) = reply.as_error() {
            refusal.get_or_insert_with(|| line.to_owned());
        } else if reply != wanted {
            return Seen::Wrong(difference(words, wanted, reply));
        }
    }
    refusal.map_or(Seen::Whole, Seen::Nothing)
}

fn difference(words: &[String], wanted: &Value, reply: &Value) -> String {
    let items = |value: &Value| value.as_items().map_or(1, <[Value]>::len);
    let missing = match (wanted.as_items(), reply.as_items()) {
        (Some(wanted), Some(found)) => {
            let kept = wanted.iter().zip(found).filter(|(one, other)| one == other).count();
            format!("{} of {} items are missing or different", wanted.len() - kept, wanted.len())
        }
        _ => format!("expected {}, seen {}", short(wanted), short(reply)),
    };
    let what = words.iter().take(2).cloned().collect::<Vec<_>>().join(" ");
    let more = if items(wanted) > 1 && words.len() > 2 { " …" } else { "" };
    format!("{what}{more}: {missing}")
}

fn short(value: &Value) -> String {
    text(value).unwrap_or_else(|| format!("{value:?}")).chars().take(60).collect()
}

fn ask(port: u16, limit: Duration, reads: &[(Vec<String>, Value)]) -> io::Result<Vec<Value>> {
    let words: Vec<Vec<&str>> =
        reads.iter().map(|(words, _)| words.iter().map(String::as_str).collect()).collect();
    let commands: Vec<&[&str]> = words.iter().map(Vec::as_slice).collect();
    Client::connect(port, limit)?.pipeline(&commands)
}

/// Reads that show every write, with what they must answer.
fn reads() -> Vec<(Vec<String>, Value)> {
    let of = |digit: u32| (0..WRITES).filter(move |number| number % 10 == digit);
    let bulk = |text: String| Value::Bulk(text.into_bytes());
    let own: Vec<u32> = (0..WRITES).filter(|number| !(5..9).contains(&(number % 10))).collect();
    let mget = std::iter::once("MGET".to_owned()).chain(own.iter().map(|n| format!("k{n}")));
    let fields = of(8).map(|number| format!("f{number}"));
    let hmget = ["HMGET", "hash"].map(str::to_owned).into_iter().chain(fields);
    let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
    let values = |numbers: Vec<u32>| {
        Value::Array(numbers.into_iter().map(|number| bulk(format!("v{number}"))).collect())
    };
    vec![
        (mget.collect(), values(own)),
        (words(&["GET", "last"]), bulk(format!("v{}", of(5).next_back().unwrap_or(0)))),
        (words(&["GET", "counter"]), bulk(of(6).count().to_string())),
        (words(&["LRANGE", "list", "0", "-1"]), values(of(7).collect())),
        (words(&["HLEN", "hash"]), Value::Int(of(8).count() as i64)),
        (hmget.collect(), values(of(8).collect())),
    ]
}
