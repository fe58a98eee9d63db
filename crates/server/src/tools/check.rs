//! `quorate check DIR [--repair]`: verifies a data directory, and cuts what a crash left torn.

use crate::cli::print;
use quorate_store::{OsDisk, Report};
use std::fmt::Write as _;
use std::path::Path;

/// Verifies the directory. An error means damage, or something that only `--repair` (or the next
/// start) mends.
pub(crate) fn check(dir: &Path, repair: bool) -> Result<(), String> {
    let disk = OsDisk::new(dir).map_err(|why| format!("{}: {why}", dir.display()))?;
    if repair {
        let done = quorate_store::repair(&disk).map_err(|why| why.to_string())?;
        if done.torn_bytes > 0 || done.unfinished > 0 {
            print(&format!(
                "repaired: {} torn bytes cut, {} void payloads blanked\n",
                done.torn_bytes, done.unfinished
            ));
        }
    }
    let report = quorate_store::check(&disk).map_err(|why| why.to_string())?;
    print(&describe(&report));
    if let Some((file, _)) = report.snapshots.iter().find(|(_, whole)| !whole) {
        return Err(format!(
            "snapshot {} is damaged: the next start does without it if there is an older one and \
             the log behind that; otherwise remove this node's data and let it join again",
            file.path
        ));
    }
    if report.is_clean() {
        print("clean\n");
        return Ok(());
    }
    Err("there is a torn tail: it was never acknowledged; the next start or --repair cuts it"
        .to_owned())
}

fn describe(report: &Report) -> String {
    let id = |id: Option<quorate_store::LogId>| {
        id.map_or_else(|| "none".to_owned(), |id| format!("{} (term {})", id.index, id.term))
    };
    let number = |n: Option<u64>| n.map_or_else(|| "none".to_owned(), |n| n.to_string());
    let mut text = format!(
        "segments: {}\nrecords: {}\nfirst entry: {}\nlast entry: {}\ncommitted: {}\npurged: {}\n\
         torn bytes: {}\nvoid payloads to blank: {}\n",
        report.segments,
        report.records,
        number(report.first),
        id(report.last),
        id(report.committed),
        id(report.purged),
        report.torn_bytes,
        report.unfinished,
    );
    if let Some(since) = report.inexact_since {
        let _ = writeln!(text, "stock Redis may replay differently from entry {since} on");
    }
    for (file, whole) in &report.snapshots {
        let state = if *whole { "whole" } else { "DAMAGED" };
        let _ = writeln!(text, "snapshot {} ({} bytes): {state}", file.path, file.bytes);
    }
    text
}
