//! `quorate log print DIR [--json]`: every record of the log, with its commands as a person would
//! type them, or a line of JSON for each (docs/operations.md).
//!
//! Looking takes no lock, so a running node may be looked at too; its newest records may then seem
//! torn.

use crate::console::{json_line, print};
use crate::settings::quoted;
use quorate_engine::{Db, Decoded, decode};
use quorate_resp::{Args, Limits, Parsed, Parser};
use quorate_store::{EntryKind, OsDisk, RecordKind, RecordView, inspect};
use serde::Serialize;
use std::fmt::Write as _;
use std::path::Path;

/// Bytes shown of one argument.
const ARG_BYTES_MAX: usize = 256;

/// Prints all records, oldest first. Damage ends it with an error that says where.
pub(crate) fn print_log(dir: &Path, json: bool) -> Result<(), String> {
    let disk = OsDisk::new(dir).map_err(|why| format!("{}: {why}", dir.display()))?;
    let mut records = 0_u64;
    let outcome = inspect(&disk, &mut |record| {
        records += 1;
        print(&if json { to_json(record) } else { describe(record) });
    });
    if !json {
        print(&format!("{records} records\n"));
    }
    outcome.map_err(|why| why.to_string())
}

/// One word for what a record is.
fn kind_name(kind: RecordKind) -> &'static str {
    match kind {
        RecordKind::Entry(EntryKind::Blank) => "blank",
        RecordKind::Entry(EntryKind::Commands) => "commands",
        RecordKind::Entry(EntryKind::Membership) => "membership",
        RecordKind::Entry(EntryKind::Cut) => "cut",
        RecordKind::Entry(EntryKind::Fact) => "fact",
        RecordKind::Segment => "segment",
        RecordKind::Vote => "vote",
        RecordKind::Committed => "committed",
        RecordKind::Truncate => "truncate",
        RecordKind::Purge => "purge",
        RecordKind::Identity => "identity",
        RecordKind::Mark => "mark",
    }
}

/// A line for the record, and one for each of its commands.
fn describe(record: &RecordView<'_>) -> String {
    let (term, index) = (record.id.term, record.id.index);
    let name = kind_name(record.kind);
    let mut text = format!("{}+{} {name}", record.path, record.offset);
    let _ = match record.kind {
        RecordKind::Entry(_) => {
            let (at, seed) = (record.now_ms, record.seed);
            write!(text, " index={index} term={term} now_ms={at} seed={seed:016x}")
        }
        RecordKind::Vote => {
            let committed = if record.seed == 1 { " committed" } else { "" };
            write!(text, " term={term} for={index}{committed}")
        }
        RecordKind::Committed => write!(text, " index={index} term={term}"),
        RecordKind::Truncate => write!(text, " behind index={index} term={term}"),
        RecordKind::Purge => write!(text, " up to index={index} term={term}"),
        RecordKind::Segment | RecordKind::Identity | RecordKind::Mark => Ok(()),
    };
    let _ = write!(text, " seq={} synced={}", record.seq, record.synced);
    if !record.whole {
        text.push_str(" (void)");
    }
    text.push('\n');
    each_command(record, &mut |command| match command {
        Ok((db, args, form)) => text.push_str(&line(db, args, form)),
        Err(why) => drop(writeln!(text, "    {why}")),
    });
    text
}

/// How a command stands in the log.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
enum Form {
    Plain,
    /// A key was due; no client asked for it.
    Expiry,
    /// Stock Redis does not see it.
    Hidden,
}

/// What hears of each command, or of why there is none.
/// Without a database: a mark of a transaction.
type Hear<'a> = &'a mut dyn FnMut(Result<(Option<Db>, Args<'_>, Form), String>);

/// Goes through the commands of a record, if it has any that are not void.
fn each_command(record: &RecordView<'_>, hear: Hear<'_>) {
    if !record.whole || record.kind != RecordKind::Entry(EntryKind::Commands) {
        return;
    }
    for command in decode(record.payload) {
        match command {
            Ok(Decoded::Command(db, bytes, true)) => canonical(db, bytes, Form::Expiry, hear),
            Ok(Decoded::Command(db, bytes, false)) => canonical(db, bytes, Form::Plain, hear),
            Ok(Decoded::Hidden(db, bytes)) => canonical(db, &bytes, Form::Hidden, hear),
            Ok(Decoded::Words(db, words)) => {
                let mut parser = Parser::default();
                parser.words(words);
                hear(Ok((Some(db), parser.args(words), Form::Hidden)));
            }
            Ok(Decoded::Multi) => mark(b"MULTI", hear),
            Ok(Decoded::Exec) => mark(b"EXEC", hear),
            Err(why) => hear(Err(format!("undecodable: {why}"))),
        }
    }
}

/// Where a transaction begins or ends.
fn mark(word: &[u8], hear: Hear<'_>) {
    let mut parser = Parser::default();
    parser.words(word);
    hear(Ok((None, parser.args(word), Form::Plain)));
}

/// One command in canonical form.
fn canonical(db: Db, bytes: &[u8], form: Form, hear: Hear<'_>) {
    let mut parser = Parser::default();
    match parser.parse(bytes, &Limits::stored()) {
        Ok(Parsed::Command { .. }) => hear(Ok((Some(db), parser.args(bytes), form))),
        _ => hear(Err("malformed command".to_owned())),
    }
}

/// One command.
fn line(db: Option<Db>, args: Args<'_>, form: Form) -> String {
    let mark = match form {
        Form::Plain => "",
        Form::Expiry => "expiry ",
        Form::Hidden => "hidden ",
    };
    let mut text = match db {
        Some(db) => format!("    db{} {mark}", db.0),
        None => "    ".to_owned(),
    };
    for (at, arg) in args.iter().enumerate() {
        if at == 0 {
            text.push_str(&String::from_utf8_lossy(arg));
            continue;
        }
        text.push(' ');
        let shown = arg.get(..ARG_BYTES_MAX).unwrap_or(arg);
        text.push_str(&quoted(shown));
        if shown.len() < arg.len() {
            let _ = write!(text, "… ({} bytes)", arg.len());
        }
    }
    text.push('\n');
    text
}

/// A record as JSON.
#[derive(Debug, Serialize)]
struct RecordLine<'a> {
    path: &'a str,
    offset: u64,
    kind: &'static str,
    group: u32,
    seq: u64,
    synced: u64,
    whole: bool,
    #[serde(flatten)]
    about: About,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    commands: Vec<CommandLine>,
}

/// What there is to say of a record by its kind.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum About {
    Entry {
        term: u64,
        index: u64,
        now_ms: u64,
        seed: String,
    },
    Vote {
        term: u64,
        voted_for: u64,
        committed: bool,
    },
    /// Of a truncation that keeps nothing there is none.
    Id {
        term: u64,
        index: u64,
    },
    Nothing {},
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum CommandLine {
    Command { db: Option<u8>, form: Form, args: Vec<Argument> },
    Error { error: String },
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Argument {
    Text(String),
    /// What is no UTF-8.
    Bytes {
        hex: String,
    },
}

impl Argument {
    fn new(bytes: &[u8]) -> Self {
        if let Ok(text) = std::str::from_utf8(bytes) {
            return Self::Text(text.to_owned());
        }
        let mut hex = String::with_capacity(bytes.len() * 2);
        for byte in bytes {
            // Writing into a string does not fail.
            let _ = write!(hex, "{byte:02x}");
        }
        Self::Bytes { hex }
    }
}

fn to_json(record: &RecordView<'_>) -> String {
    let (term, index) = (record.id.term, record.id.index);
    let about = match record.kind {
        RecordKind::Entry(_) => {
            let seed = format!("{:016x}", record.seed);
            About::Entry { term, index, now_ms: record.now_ms, seed }
        }
        RecordKind::Vote => About::Vote { term, voted_for: index, committed: record.seed == 1 },
        RecordKind::Truncate if record.seed != 1 => About::Nothing {},
        RecordKind::Committed | RecordKind::Truncate | RecordKind::Purge => {
            About::Id { term, index }
        }
        RecordKind::Segment | RecordKind::Identity | RecordKind::Mark => About::Nothing {},
    };
    let mut commands = Vec::new();
    each_command(record, &mut |command| {
        commands.push(match command {
            Ok((db, args, form)) => {
                let args = args.iter().map(Argument::new).collect();
                CommandLine::Command { db: db.map(|db| db.0), form, args }
            }
            Err(error) => CommandLine::Error { error },
        });
    });
    json_line(&RecordLine {
        path: record.path,
        offset: record.offset,
        kind: kind_name(record.kind),
        group: record.group,
        seq: record.seq,
        synced: record.synced,
        whole: record.whole,
        about,
        commands,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_store::LogId;

    fn record(kind: RecordKind, seed: u64, payload: &[u8]) -> RecordView<'_> {
        let id = LogId { term: 2, index: 7 };
        let path = "appendonlydir/quorate.aof.1.incr.aof";
        RecordView {
            path,
            offset: 9,
            kind,
            group: 0,
            seq: 4,
            synced: 3,
            id,
            now_ms: 5,
            seed,
            payload,
            whole: true,
        }
    }

    fn check(record: &RecordView<'_>, text: &str, json: &str) {
        let front = "appendonlydir/quorate.aof.1.incr.aof+9";
        assert_eq!(describe(record), format!("{front} {text}"));
        let shown = to_json(record);
        assert!(shown.ends_with("}\n") && shown.lines().count() == 1, "{shown}");
        let always = r#""path": "appendonlydir/quorate.aof.1.incr.aof", "offset": 9, "group": 0,
            "seq": 4, "synced": 3, "whole": true"#;
        let parse = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
        assert_eq!(parse(&shown), parse(&format!("{{{always}, {json}}}")), "{shown}");
    }

    #[test]
    fn records_are_shown_to_people_and_to_scripts() {
        let set =
            b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$2\r\n\xff\x00\r\n";
        check(
            &record(RecordKind::Entry(EntryKind::Commands), 0x1f, set),
            "commands index=7 term=2 now_ms=5 seed=000000000000001f seq=4 synced=3\n    \
             db0 SET \"k\" \"\\xff\\x00\"\n",
            r#""kind": "commands", "term": 2, "index": 7, "now_ms": 5, "seed": "000000000000001f",
               "commands": [{"db": 0, "form": "plain", "args": ["SET", "k", {"hex": "ff00"}]}]"#,
        );
        let transaction =
            b"*1\r\n$5\r\nMULTI\r\n*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n#s 5\n#w SPOP s\n\
            *2\r\n$4\r\nINCR\r\n$1\r\nn\r\n*1\r\n$4\r\nEXEC\r\n";
        check(
            &record(RecordKind::Entry(EntryKind::Commands), 0x1f, transaction),
            "commands index=7 term=2 now_ms=5 seed=000000000000001f seq=4 synced=3\n    \
             MULTI\n    db3 hidden SPOP \"s\"\n    db3 INCR \"n\"\n    EXEC\n",
            r#""kind": "commands", "term": 2, "index": 7, "now_ms": 5, "seed": "000000000000001f",
               "commands": [{"db": null, "form": "plain", "args": ["MULTI"]},
                            {"db": 3, "form": "hidden", "args": ["SPOP", "s"]},
                            {"db": 3, "form": "plain", "args": ["INCR", "n"]},
                            {"db": null, "form": "plain", "args": ["EXEC"]}]"#,
        );
        check(
            &record(RecordKind::Vote, 1, b""),
            "vote term=2 for=7 committed seq=4 synced=3\n",
            r#""kind": "vote", "term": 2, "voted_for": 7, "committed": true"#,
        );
        check(
            &record(RecordKind::Truncate, 1, b""),
            "truncate behind index=7 term=2 seq=4 synced=3\n",
            r#""kind": "truncate", "term": 2, "index": 7"#,
        );
        check(
            &record(RecordKind::Purge, 0, b""),
            "purge up to index=7 term=2 seq=4 synced=3\n",
            r#""kind": "purge", "term": 2, "index": 7"#,
        );
        check(&record(RecordKind::Mark, 0, b""), "mark seq=4 synced=3\n", r#""kind": "mark""#);
    }
}
