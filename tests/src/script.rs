//! Transcripts: commands and their replies, as `redis-cli --no-raw` prints them.
//!
//! ```text
//! # Whole lines that begin with # are comments.
//! > SET key "a value"
//! OK
//! @ +1500          time passes, in milliseconds
//! > TTL key
//! (integer) -1
//! ```
//!
//! The same files run against the bare engine and against a cluster, so that they say nothing that
//! depends on the moment (a PTTL). A run gives the whole transcript anew; it must equal the file.
//! `UPDATE=1` writes it instead.

use quorate_resp::{Value, double_text, split_line};
use std::fmt::Write;
use std::path::Path;

/// What a script runs against.
pub trait Target {
    /// Sends one command and waits for its reply.
    fn call(&mut self, args: &[Vec<u8>]) -> Value;
    /// Lets time pass.
    fn advance(&mut self, ms: u64);
}

/// Runs the script in a file; the error shows where the transcript differs. With `UPDATE=1` the
/// file is rewritten.
pub fn check(path: &Path, target: &mut dyn Target) -> Result<(), String> {
    let at = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let expected = std::fs::read_to_string(path).map_err(|error| at(&error))?;
    let found = run(&expected, target).map_err(|error| at(&error))?;
    if found == expected {
        return Ok(());
    }
    if std::env::var_os("UPDATE").is_some_and(|value| value == "1") {
        return std::fs::write(path, found).map_err(|error| at(&error));
    }
    Err(at(&difference(&expected, &found)))
}

/// Runs a script and returns its transcript: comments, commands and blank lines as they were,
/// replies as they came.
pub fn run(script: &str, target: &mut dyn Target) -> Result<String, String> {
    let mut out = String::new();
    // Lines between a command and the next blank line, comment, time step or command are its old
    // reply.
    let mut is_reply = false;
    for (number, line) in script.lines().enumerate() {
        let fail = |what: &str| format!("line {}: {what}", number + 1);
        if let Some(command) = line.strip_prefix("> ") {
            let args = split_line(command.as_bytes()).ok_or_else(|| fail("unbalanced quotes"))?;
            let _ = write!(out, "{line}\n{}", show(&target.call(&args)));
            is_reply = true;
        } else if let Some(ms) = line.strip_prefix("@ +") {
            let ms = ms.split(' ').next().unwrap_or(ms);
            target.advance(ms.parse().map_err(|_| fail("not a number of milliseconds"))?);
            let _ = writeln!(out, "{line}");
            is_reply = false;
        } else if line.is_empty() || line.starts_with('#') {
            let _ = writeln!(out, "{line}");
            is_reply = false;
        } else if !is_reply {
            return Err(fail("neither a command nor a reply"));
        }
    }
    Ok(out)
}

/// The first line that differs, with what stands before it.
pub(crate) fn difference(expected: &str, found: &str) -> String {
    let pairs = expected.lines().zip(found.lines());
    let at = pairs.take_while(|(expected, found)| expected == found).count();
    let line = |text: &str| text.lines().nth(at).unwrap_or("(end)").to_owned();
    let asked = found.lines().take(at + 1).filter(|line| line.starts_with("> ")).last();
    format!(
        "line {}: after `{}`\n  expected: {}\n  found:    {}",
        at + 1,
        asked.unwrap_or(""),
        line(expected),
        line(found)
    )
}

/// A reply as `redis-cli --no-raw` prints it, its last newline included.
pub fn show(value: &Value) -> String {
    let mut out = String::new();
    put(&mut out, value, "");
    out
}

fn put(out: &mut String, value: &Value, indent: &str) {
    let _ = match value {
        Value::Simple(text) | Value::BigNumber(text) => writeln!(out, "{text}"),
        Value::Error(text) => writeln!(out, "(error) {text}"),
        Value::Int(number) => writeln!(out, "(integer) {number}"),
        Value::Bulk(bytes) => writeln!(out, "{}", quoted(bytes)),
        Value::Null | Value::NullArray => writeln!(out, "(nil)"),
        Value::Double(number) => {
            let text = double_text(*number);
            writeln!(out, "(double) {}", String::from_utf8_lossy(text.as_bytes()))
        }
        Value::Bool(value) => writeln!(out, "({value})"),
        Value::Verbatim(_, bytes) => writeln!(out, "{}", String::from_utf8_lossy(bytes)),
        Value::Array(items) => return put_items(out, items, indent, ("array", ")")),
        Value::Set(items) => return put_items(out, items, indent, ("set", "~")),
        Value::Push(items) => return put_items(out, items, indent, ("push", ">")),
        Value::Map(pairs) => return put_pairs(out, pairs, indent),
    };
}

fn put_items(out: &mut String, items: &[Value], indent: &str, (kind, mark): (&str, &str)) {
    if items.is_empty() {
        let _ = writeln!(out, "(empty {kind})");
    }
    let width = items.len().to_string().len();
    let deeper = format!("{indent}{}", " ".repeat(width + 2));
    for (at, item) in items.iter().enumerate() {
        let before = if at == 0 { "" } else { indent };
        let _ = write!(out, "{before}{:>width$}{mark} ", at + 1);
        put(out, item, &deeper);
    }
}

fn put_pairs(out: &mut String, pairs: &[(Value, Value)], indent: &str) {
    if pairs.is_empty() {
        let _ = writeln!(out, "(empty hash)");
    }
    let width = pairs.len().to_string().len();
    let deeper = format!("{indent}{}", " ".repeat(width + 2));
    for (at, (key, value)) in pairs.iter().enumerate() {
        let before = if at == 0 { "" } else { indent };
        let _ = write!(out, "{before}{:>width$}# {} => ", at + 1, show(key).trim_end());
        put(out, value, &deeper);
    }
}

/// A command as a line of a transcript, without the `> `.
pub fn line(args: &[Vec<u8>]) -> String {
    let is_plain = |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\'' | b'\\');
    let word = |arg: &Vec<u8>| {
        let is_plain = !arg.is_empty() && arg.iter().all(is_plain);
        if is_plain { String::from_utf8_lossy(arg).into_owned() } else { quoted(arg) }
    };
    args.iter().map(word).collect::<Vec<_>>().join(" ")
}

fn quoted(bytes: &[u8]) -> String {
    let mut out = String::from("\"");
    for &byte in bytes {
        let _ = match byte {
            b'\\' | b'"' => write!(out, "\\{}", char::from(byte)),
            b'\n' => write!(out, "\\n"),
            b'\r' => write!(out, "\\r"),
            b'\t' => write!(out, "\\t"),
            7 => write!(out, "\\a"),
            8 => write!(out, "\\b"),
            b' '..=b'~' => write!(out, "{}", char::from(byte)),
            _ => write!(out, "\\x{byte:02x}"),
        };
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::{Target, run, show};
    use quorate_resp::Value;

    /// Answers every command with its arguments.
    struct Echo(u64);

    impl Target for Echo {
        fn call(&mut self, args: &[Vec<u8>]) -> Value {
            Value::Array(args.iter().cloned().map(Value::Bulk).collect())
        }
        fn advance(&mut self, ms: u64) {
            self.0 += ms;
        }
    }

    #[test]
    fn a_run_replaces_replies_and_keeps_the_rest() {
        let script = "# a comment\n> a \"b\\x00\"\nold\nreply\n\n@ +15 time\n> c\n";
        let expect = script.replace("old\nreply\n", "1) \"a\"\n2) \"b\\x00\"\n") + "1) \"c\"\n";
        let mut target = Echo(0);
        assert_eq!(run(script, &mut target), Ok(expect));
        assert_eq!(target.0, 15);
        assert!(run("> \"\n", &mut target).is_err());
        assert!(run("reply\n", &mut target).is_err());
        assert!(run("@ +x\n", &mut target).is_err());
    }

    #[test]
    fn values_print_as_in_redis_cli() {
        let check = |value: Value, expect: &str| assert_eq!(show(&value), expect);
        check(Value::Simple("OK".into()), "OK\n");
        check(Value::Error("ERR no".into()), "(error) ERR no\n");
        check(Value::Bulk(b"a\"\\\n\xff\x07".to_vec()), "\"a\\\"\\\\\\n\\xff\\a\"\n");
        check(Value::NullArray, "(nil)\n");
        check(Value::Array(vec![]), "(empty array)\n");
        check(Value::Double(1.5), "(double) 1.5\n");
        check(Value::Bool(true), "(true)\n");
        let pair = || Value::Array(vec![Value::Int(1), Value::Array(vec![Value::Null])]);
        let shown = show(&Value::Array((0..10).map(|_| pair()).collect()));
        assert!(shown.starts_with(" 1) 1) (integer) 1\n    2) 1) (nil)\n 2) 1) "), "{shown}");
        assert!(shown.ends_with("\n10) 1) (integer) 1\n    2) 1) (nil)\n"), "{shown}");
        check(
            Value::Map(vec![(Value::Bulk(b"k".to_vec()), Value::Set(vec![Value::Int(3)]))]),
            "1# \"k\" => 1~ (integer) 3\n",
        );
    }
}
