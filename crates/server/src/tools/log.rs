//! `quorate log print DIR`: every record of the log, with its commands as a person would type them.
//!
//! Looking takes no lock, so a running node may be looked at too; its newest records may then seem
//! torn.

use crate::cli::print;
use crate::settings::quoted;
use quorate_engine::{Db, Decoded, decode};
use quorate_resp::{Args, Limits, Parsed, Parser};
use quorate_store::{EntryKind, OsDisk, RecordKind, RecordView, inspect};
use std::fmt::Write as _;
use std::path::Path;

/// Bytes shown of one argument.
const ARG_BYTES_MAX: usize = 256;

/// Prints all records, oldest first. Damage ends it with an error that says where.
pub(crate) fn print_log(dir: &Path) -> Result<(), String> {
    let disk = OsDisk::new(dir).map_err(|why| format!("{}: {why}", dir.display()))?;
    let mut records = 0_u64;
    let outcome = inspect(&disk, &mut |record| {
        records += 1;
        print(&describe(record));
    });
    print(&format!("{records} records\n"));
    outcome.map_err(|why| why.to_string())
}

/// A line for the record, and one for each of its commands.
fn describe(record: &RecordView<'_>) -> String {
    let (term, index) = (record.id.term, record.id.index);
    let mut text = format!("{}+{} ", record.path, record.offset);
    let _ = match record.kind {
        RecordKind::Entry(kind) => {
            let name = match kind {
                EntryKind::Blank => "blank",
                EntryKind::Commands => "commands",
                EntryKind::Membership => "membership",
                EntryKind::Cut => "cut",
                EntryKind::Fact => "fact",
            };
            let (at, seed) = (record.now_ms, record.seed);
            write!(text, "{name} index={index} term={term} now_ms={at} seed={seed:016x}")
        }
        RecordKind::Segment => write!(text, "segment"),
        RecordKind::Vote => {
            let committed = if record.seed == 1 { " committed" } else { "" };
            write!(text, "vote term={term} for={index}{committed}")
        }
        RecordKind::Committed => write!(text, "committed index={index} term={term}"),
        RecordKind::Truncate => write!(text, "truncate behind index={index} term={term}"),
        RecordKind::Purge => write!(text, "purge up to index={index} term={term}"),
        RecordKind::Identity => write!(text, "identity"),
        RecordKind::Mark => write!(text, "mark"),
    };
    let _ = write!(text, " seq={} synced={}", record.seq, record.synced);
    if !record.whole {
        text.push_str(" (void)");
    }
    text.push('\n');
    if record.whole && record.kind == RecordKind::Entry(EntryKind::Commands) {
        for command in decode(record.payload) {
            let line = match command {
                Ok(Decoded::Command(db, bytes, true)) => canonical(db, bytes, "expiry "),
                Ok(Decoded::Command(db, bytes, false)) => canonical(db, bytes, ""),
                Ok(Decoded::Hidden(db, bytes)) => canonical(db, &bytes, "hidden "),
                Ok(Decoded::Words(db, words)) => {
                    let mut parser = Parser::default();
                    parser.words(words);
                    line(db, parser.args(words), "hidden ")
                }
                Err(why) => format!("    undecodable: {why}\n"),
            };
            text.push_str(&line);
        }
    }
    text
}

/// One command in canonical form.
fn canonical(db: Db, bytes: &[u8], mark: &str) -> String {
    let mut parser = Parser::default();
    match parser.parse(bytes, &Limits::stored()) {
        Ok(Parsed::Command { .. }) => line(db, parser.args(bytes), mark),
        _ => "    malformed command\n".to_owned(),
    }
}

/// One command.
fn line(db: Db, args: Args<'_>, mark: &str) -> String {
    let mut text = format!("    db{} {mark}", db.0);
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
