//! The rooms and what each may use: the table, and its comparison with what cargo resolves.
//!
//! A crate exists where the allowed outside world changes. A dependency that is not in the table,
//! or a row that no dependency needs any more, fails; so does an arrow between rooms that does not
//! lead to a room further up in the table. A new arrow is one reviewed line here.

use crate::shell::{Outcome, Shell};
use serde_json::Value;

/// A room and its direct dependencies.
struct Room {
    name: &'static str,
    /// What it is built on. Rooms named here stand above it in the table.
    uses: &'static [&'static str],
    /// What its tests use besides.
    tests_use: &'static [&'static str],
}

const ROOMS: &[Room] = &[
    Room { name: "quorate-resp", uses: &["bytes"], tests_use: &["proptest"] },
    Room {
        name: "quorate-engine",
        uses: &["bytes", "libm", "quorate-resp", "sha1", "siphasher", "triomphe"],
        // The last two for `benches/` alone.
        tests_use: &["proptest", "criterion", "mimalloc"],
    },
    Room {
        name: "quorate-script",
        uses: &["memchr", "mlua", "quorate-engine", "quorate-resp", "sha1"],
        // The last for `benches/` alone.
        tests_use: &["bytes", "criterion"],
    },
    Room {
        name: "quorate-store",
        uses: &["bytes", "crc32c", "rustix", "serde", "serde_json", "sled", "tracing"],
        tests_use: &["proptest"],
    },
    Room {
        name: "quorate-consensus",
        uses: &[
            "bytes",
            "crc32c",
            "futures",
            "hyper-util",
            "openraft",
            "openraft-rt-sim", // with the feature `sim` only: the seeded simulation
            "openraft-rt-tokio",
            "prost",
            "quorate-engine",
            "quorate-resp",
            "quorate-store",
            "rustix",
            "tokio",
            "tonic",
            "tonic-prost",
            "tracing",
        ],
        tests_use: &["openraft-rt-sim", "proptest", "quorate-store", "tracing-subscriber"],
    },
    Room {
        name: "quorate",
        uses: &[
            "bytes",
            "mimalloc",
            "quorate-consensus",
            "quorate-engine",
            "quorate-resp",
            "quorate-script",
            "quorate-store",
            "rustix",
            "serde",
            "serde_json",
            "sha2",
            "tokio",
            "tracing",
            "tracing-subscriber",
        ],
        tests_use: &[],
    },
    Room {
        name: "xtask",
        // The engine, for the list of its commands.
        uses: &["protox", "quorate-engine", "rustix", "serde_json", "tonic-prost-build"],
        tests_use: &[],
    },
    Room {
        name: "quorate-tests",
        uses: &["bytes", "quorate-resp", "rustix"],
        // The table of commands, to walk it; everything else it learns over the wire.
        tests_use: &["quorate-engine"],
    },
];

/// Rooms whose shipped code must compile without an operating system.
const WITHOUT_STD: &[&str] = &["crates/resp/src/lib.rs", "crates/engine/src/lib.rs"];

/// Compares the table with the workspace.
pub(crate) fn run(shell: &Shell) -> Outcome {
    let text = shell.output("cargo", &["metadata", "--format-version", "1", "--no-deps"])?;
    let metadata: Value =
        serde_json::from_str(&text).map_err(|error| format!("cargo metadata: {error}"))?;
    let mut findings = compare(&metadata, ROOMS);
    for path in WITHOUT_STD {
        let text = std::fs::read_to_string(shell.root().join(path))
            .map_err(|error| format!("{path}: {error}"))?;
        if !text.lines().any(|line| line == "#![no_std]") {
            findings.push(format!("{path}: must be `#![no_std]`"));
        }
    }
    if findings.is_empty() { Ok(()) } else { Err(findings.join("\n")) }
}

fn compare(metadata: &Value, rooms: &[Room]) -> Vec<String> {
    let mut findings = Vec::new();
    let packages = metadata.get("packages").and_then(Value::as_array);
    let packages = packages.map_or(&[][..], Vec::as_slice);
    for package in packages {
        let name = text(package, "name");
        match rooms.iter().find(|room| room.name == name) {
            Some(room) => compare_room(package, room, &mut findings),
            None => findings.push(format!("{name}: a room that is not in the table")),
        }
    }
    for (at, room) in rooms.iter().enumerate() {
        if !packages.iter().any(|package| text(package, "name") == room.name) {
            findings.push(format!("{}: in the table, but there is no such room", room.name));
        }
        let here_and_below = rooms.iter().skip(at);
        for other in here_and_below.filter(|other| room.uses.contains(&other.name)) {
            findings.push(format!("{}: its arrow to {} points down", room.name, other.name));
        }
    }
    findings
}

fn compare_room(package: &Value, room: &Room, findings: &mut Vec<String>) {
    let dependencies = package.get("dependencies").and_then(Value::as_array);
    let dependencies = dependencies.map_or(&[][..], Vec::as_slice);
    for (for_tests, allowed) in [(false, room.uses), (true, room.tests_use)] {
        let found: Vec<&str> = dependencies
            .iter()
            .filter(|dependency| (text(dependency, "kind") == "dev") == for_tests)
            .map(|dependency| text(dependency, "name"))
            .collect();
        let what = if for_tests { "its tests use" } else { "it uses" };
        for name in found.iter().filter(|name| !allowed.contains(name)) {
            findings.push(format!("{}: {what} {name}, which the table lacks", room.name));
        }
        for name in allowed.iter().filter(|name| !found.contains(name)) {
            findings.push(format!("{}: the table says {what} {name}: no more", room.name));
        }
    }
}

/// A field's text; empty if it has none (a normal dependency's `kind` is null).
fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object.get(field).and_then(Value::as_str).unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::{Room, compare};
    use serde_json::json;

    const LOW: Room = Room { name: "low", uses: &["bytes"], tests_use: &["proptest"] };
    const HIGH: Room = Room { name: "high", uses: &["low"], tests_use: &[] };

    fn check(rooms: &[Room], high_uses: &str, expect: &[&str]) {
        let dependency = |name: &str, kind: Option<&str>| json!({ "name": name, "kind": kind });
        let low = [dependency("bytes", None), dependency("proptest", Some("dev"))];
        let metadata = json!({ "packages": [
            { "name": "low", "dependencies": low },
            { "name": "high", "dependencies": [dependency(high_uses, None)] },
        ]});
        assert_eq!(compare(&metadata, rooms), expect);
    }

    #[test]
    fn an_arrow_must_be_in_the_table_and_point_up() {
        check(&[LOW, HIGH], "low", &[]);
        let new = "high: it uses tokio, which the table lacks";
        let stale = "high: the table says it uses low: no more";
        check(&[LOW, HIGH], "tokio", &[new, stale]);
        check(&[HIGH, LOW], "low", &["high: its arrow to low points down"]);
        check(&[LOW], "low", &["high: a room that is not in the table"]);
        let gone = Room { name: "gone", uses: &[], tests_use: &[] };
        check(&[LOW, HIGH, gone], "low", &["gone: in the table, but there is no such room"]);
    }
}
