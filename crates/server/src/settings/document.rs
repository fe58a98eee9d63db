//! `docs/configuration.md`, made from the table.
//!
//! `quorate help settings` prints it; a test compares the committed file with it.

use super::{Scope, Setting, When, all};
use std::fmt::Write as _;

const HEAD: &str = "# Configuration

<!-- Made from the settings table by `quorate help settings`; a test keeps it fresh. -->

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

fn names(row: &Setting) -> String {
    row.alias.map_or_else(|| row.name.to_owned(), |alias| format!("{}` or `{alias}", row.name))
}

fn default(row: &Setting) -> String {
    if row.default.is_empty() { "(empty)".to_owned() } else { format!("`{}`", row.default) }
}
