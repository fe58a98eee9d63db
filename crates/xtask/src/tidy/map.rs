//! The map of the house names files that are there.
//!
//! `docs/ARCHITECTURE.md` sends people to files. A path in backticks is right if a file of the
//! repository ends with it, or a folder does; within the section of a room a bare `file.rs` will
//! do. Patterns (`<family>`) and other words in backticks are no paths.

use super::{Finding, Source};
use std::collections::BTreeMap;

const MAP: &str = "docs/ARCHITECTURE.md";

/// Finds what the map names and nobody would find.
pub(super) fn judge(sources: &BTreeMap<String, Source>) -> Vec<Finding> {
    let Some(map) = sources.get(MAP) else { return Vec::new() };
    let is_there = |path: &str| {
        let (file, folder) = (format!("/{path}"), format!("/{}/", path.trim_end_matches('/')));
        sources.keys().map(|known| format!("/{known}")).any(|known| {
            if path.ends_with('/') { known.contains(&folder) } else { known.ends_with(&file) }
        })
    };
    let mut findings = Vec::new();
    for (line, text) in map.lines() {
        // What stands between two backticks is every second part.
        for word in text.split('`').skip(1).step_by(2).filter(|word| is_path(word)) {
            if !is_there(word) {
                let why = format!("`{word}` is nowhere");
                findings.push(Finding { rule: "map", path: MAP.to_owned(), line, why });
            }
        }
    }
    findings
}

fn is_path(word: &str) -> bool {
    let letters = |letter: char| letter.is_ascii_alphanumeric() || "_-./".contains(letter);
    let is_file = [".rs", ".md", ".proto", ".sh"].iter().any(|end| word.ends_with(end));
    word.chars().all(letters) && (is_file || word.ends_with('/')) && !word.starts_with('/')
}

#[cfg(test)]
mod tests {
    use super::{MAP, Source, judge};

    #[test]
    fn what_the_map_names_is_there() {
        let source = |path: &str, text: &str| {
            (path.to_owned(), Source { path: path.into(), text: text.into() })
        };
        let text = "see `a/src/b.rs`, `b.rs`, `src/`, `<x>.rs`, `Type` and `-LOADING`\n`c.rs` `d/`";
        let sources = [source("crates/a/src/b.rs", ""), source(MAP, text)].into();
        let found: Vec<_> =
            judge(&sources).into_iter().map(|finding| (finding.line, finding.why)).collect();
        let nowhere = |word: &str| (2, format!("`{word}` is nowhere"));
        assert_eq!(found, [nowhere("c.rs"), nowhere("d/")]);
    }
}
