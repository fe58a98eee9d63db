//! `docs/configuration.md`, made from the table.
//!
//! `quorate help settings markdown` prints it, and a test compares the committed file with it;
//! without `markdown` the same comes as plain text.

use super::{Scope, Setting, When, all};
use std::fmt::Write as _;

const HEAD: &str = "# Configuration

<!-- Made from the settings table by `quorate help settings markdown`; a test keeps it fresh. -->

A setting comes from, in rising order of precedence: its default, the configuration file (`name
value` a line, as in Redis), the environment (`QUORATE_MAXCLIENTS=500`: upper case, `_` for `-`),
the command line (`--maxclients 500`), and `CONFIG SET`. *Start* settings are read once. *Cluster*
settings are part of the replicated state: set them with `CONFIG SET` on any node and they hold on
all of them; a file or flag gives such a setting only while the cluster still has its default.

";

/// The whole page.
pub(crate) fn page() -> String {
    let mut text = String::from(HEAD);
    text.push_str("| setting | type | default | changes | what it does |\n|---|---|---|---|---|\n");
    for row in all().filter(|row| row.scope != Scope::Compatible) {
        let _ = writeln!(
            text,
            "| `{}` | {} | {} | {} | {} |",
            names(row),
            row.kind.describe(),
            default(row),
            match (row.scope, row.when) {
                (Scope::Cluster, _) => "any time, cluster",
                (_, When::Anytime) => "any time",
                (_, When::Start | When::Hidden) => "start",
            },
            row.doc
        );
    }
    text.push_str("\n## Accepted for compatibility\n\nKept and shown, without any effect:\n\n");
    let names: Vec<String> = all()
        .filter(|row| row.scope == Scope::Compatible)
        .map(|row| format!("`{}`", names(row)))
        .collect();
    let _ = writeln!(text, "{}.", names.join(", "));
    text
}

/// The same for a terminal.
pub(crate) fn listing() -> String {
    let mut text = String::from(
        "A setting comes from, in rising order of precedence: its default, the configuration\n\
         file, the environment (QUORATE_MAXCLIENTS=500), the command line (--maxclients 500)\n\
         and CONFIG SET. What a cluster shares holds on all its nodes.\n\n",
    );
    for row in all().filter(|row| row.scope != Scope::Compatible) {
        let default = if row.default.is_empty() { "(empty)" } else { row.default };
        let changes = match (row.scope, row.when) {
            (Scope::Cluster, _) => "any time, for the cluster",
            (_, When::Anytime) => "any time",
            (_, When::Start | When::Hidden) => "at the start",
        };
        let alias = row.alias.map_or_else(String::new, |alias| format!(", {alias}"));
        let _ = writeln!(text, "{}{alias}", row.name);
        let kind = row.kind.describe().replace('`', "");
        for line in folded(&format!("{kind}; default {default}; set {changes}"), 90) {
            let _ = writeln!(text, "    {line}");
        }
        for line in folded(&row.doc.replace('`', ""), 90) {
            let _ = writeln!(text, "    {line}");
        }
    }
    text.push_str("\nAccepted for compatibility, without any effect:\n\n");
    let compatible = all().filter(|row| row.scope == Scope::Compatible);
    let names: Vec<&str> =
        compatible.flat_map(|row| [Some(row.name), row.alias]).flatten().collect();
    for line in folded(&names.join(" "), 90) {
        let _ = writeln!(text, "    {line}");
    }
    text
}

/// Words in lines of so many bytes at most.
fn folded(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_ascii_whitespace() {
        match lines.last_mut() {
            Some(line) if line.len() + word.len() < width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

fn names(row: &Setting) -> String {
    row.alias.map_or_else(|| row.name.to_owned(), |alias| format!("{}` or `{alias}", row.name))
}

fn default(row: &Setting) -> String {
    if row.default.is_empty() { "(empty)".to_owned() } else { format!("`{}`", row.default) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_listing_is_plain_text_and_holds_every_setting() {
        let text = listing();
        for mark in ["<!--", "`", "|--", "# ", "](", "**"] {
            assert!(!text.contains(mark), "{mark}");
        }
        assert!(text.lines().all(|line| line.len() <= 100), "{text}");
        for row in all() {
            assert!(text.contains(row.name), "{}", row.name);
        }
    }
}
