//! `quorate check DIR [--repair] [--json]`: verifies a data directory, and cuts what a crash left
//! torn.
//!
//! What it finds is told to people line by line, or to scripts as one object of JSON
//! (docs/operations.md); whether all is well, the exit status says in both cases.

use crate::console::{json_line, print};
use quorate_store::{LogId, OsDisk, Report};
use serde::Serialize;
use std::fmt::Write as _;
use std::path::Path;

/// Verifies the directory. An error means damage, or something that only `--repair` (or the next
/// start) mends.
pub(crate) fn check(dir: &Path, repair: bool, json: bool) -> Result<(), String> {
    let disk = OsDisk::new(dir).map_err(|why| format!("{}: {why}", dir.display()))?;
    let mut mended = Mended::default();
    if repair {
        let done = quorate_store::repair(&disk).map_err(|why| why.to_string())?;
        mended = Mended { torn_bytes: done.torn_bytes, void_payloads: done.unfinished };
        if mended != Mended::default() && !json {
            print(&format!(
                "repaired: {} torn bytes cut, {} void payloads blanked\n",
                done.torn_bytes, done.unfinished
            ));
        }
    }
    let report = quorate_store::check(&disk).map_err(|why| why.to_string())?;
    if json {
        print(&json_line(&ReportObject::new(&report, repair.then_some(mended))));
    } else {
        print(&describe(&report));
    }
    if let Some((file, _)) = report.snapshots.iter().find(|(_, whole)| !whole) {
        return Err(format!(
            "snapshot {} is damaged: the next start does without it if there is an older one and \
             the log behind that; otherwise remove this node's data and let it join again",
            file.path
        ));
    }
    if report.is_clean() {
        if !json {
            print("clean\n");
        }
        return Ok(());
    }
    Err("there is a torn tail: it was never acknowledged; the next start or --repair cuts it"
        .to_owned())
}

fn describe(report: &Report) -> String {
    let id = |id: Option<LogId>| {
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

/// What `--repair` did, or is left to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
struct Mended {
    torn_bytes: u64,
    void_payloads: u64,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct IdObject {
    term: u64,
    index: u64,
}

impl From<LogId> for IdObject {
    fn from(LogId { term, index }: LogId) -> Self {
        Self { term, index }
    }
}

#[derive(Debug, Serialize)]
struct VoteObject {
    term: u64,
    voted_for: u64,
    committed: bool,
}

#[derive(Debug, Serialize)]
struct IdentityObject {
    cluster: Option<String>,
    node: u64,
    incarnation: u64,
}

#[derive(Debug, Serialize)]
struct SnapshotObject<'a> {
    path: &'a str,
    last: IdObject,
    bytes: u64,
    whole: bool,
}

/// A report as JSON.
#[derive(Debug, Serialize)]
struct ReportObject<'a> {
    clean: bool,
    segments: u64,
    records: u64,
    first: Option<u64>,
    last: Option<IdObject>,
    committed: Option<IdObject>,
    purged: Option<IdObject>,
    vote: Option<VoteObject>,
    identity: Option<IdentityObject>,
    inexact_since: Option<u64>,
    unfinished: Mended,
    /// With `--repair` only.
    repaired: Option<Mended>,
    snapshots: Vec<SnapshotObject<'a>>,
}

impl<'a> ReportObject<'a> {
    fn new(report: &'a Report, repaired: Option<Mended>) -> Self {
        let snapshot = |(file, whole): &'a (quorate_store::SnapshotFile, bool)| SnapshotObject {
            path: &file.path,
            last: file.last.into(),
            bytes: file.bytes,
            whole: *whole,
        };
        Self {
            clean: report.is_clean(),
            segments: report.segments,
            records: report.records,
            first: report.first,
            last: report.last.map(IdObject::from),
            committed: report.committed.map(IdObject::from),
            purged: report.purged.map(IdObject::from),
            vote: report.vote.map(|vote| VoteObject {
                term: vote.term,
                voted_for: vote.voted_for,
                committed: vote.committed,
            }),
            identity: report.identity.map(|identity| IdentityObject {
                cluster: identity.cluster.map(|cluster| format!("{cluster:032x}")),
                node: identity.node,
                incarnation: identity.incarnation,
            }),
            inexact_since: report.inexact_since,
            unfinished: Mended { torn_bytes: report.torn_bytes, void_payloads: report.unfinished },
            repaired,
            snapshots: report.snapshots.iter().map(snapshot).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_store::{Identity, SnapshotFile, Vote};

    fn check(report: &Report, repaired: Option<Mended>, expect: &str) {
        let text = json_line(&ReportObject::new(report, repaired));
        assert!(text.ends_with("}\n") && text.lines().count() == 1, "{text}");
        let parse = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
        assert_eq!(parse(&text), parse(expect), "{text}");
    }

    #[test]
    fn a_report_as_json() {
        let empty = r#"{
            "clean": true, "segments": 0, "records": 0, "first": null, "last": null,
            "committed": null, "purged": null, "vote": null, "identity": null,
            "inexact_since": null, "unfinished": {"torn_bytes": 0, "void_payloads": 0},
            "repaired": null, "snapshots": []
        }"#;
        check(&Report::default(), None, empty);
        let last = LogId { term: 2, index: 9 };
        let file = SnapshotFile { last, path: "a/b.rdb".to_owned(), bytes: 77 };
        let report = Report {
            segments: 2,
            records: 30,
            first: Some(3),
            last: Some(last),
            vote: Some(Vote { term: 2, voted_for: 5, committed: true }),
            identity: Some(Identity { cluster: Some(10), node: 5, incarnation: 1 }),
            torn_bytes: 4,
            snapshots: vec![(file, false)],
            ..Report::default()
        };
        let full = r#"{
            "clean": false, "segments": 2, "records": 30, "first": 3,
            "last": {"term": 2, "index": 9}, "committed": null, "purged": null,
            "vote": {"term": 2, "voted_for": 5, "committed": true},
            "identity":
                {"cluster": "0000000000000000000000000000000a", "node": 5, "incarnation": 1},
            "inexact_since": null, "unfinished": {"torn_bytes": 4, "void_payloads": 0},
            "repaired": {"torn_bytes": 1, "void_payloads": 0},
            "snapshots": [
                {"path": "a/b.rdb", "last": {"term": 2, "index": 9}, "bytes": 77, "whole": false}
            ]
        }"#;
        check(&report, Some(Mended { torn_bytes: 1, void_payloads: 0 }), full);
    }
}
