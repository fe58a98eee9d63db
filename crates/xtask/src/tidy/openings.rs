//! How many files of each crate say in their opening what they are for, and how many only name it.
//!
//! A line of `//!` repeats the file's name; three say what it is for, where it stands and what it
//! must not know. Files that are shorter are counted for each crate, and the count may only shrink.

use super::{Finding, Source};
use std::collections::BTreeMap;

/// Files with a shorter opening than [`LINES_MIN`], for each crate: lower a row, never raise it.
const SHORT: &[(&str, usize)] = &[("engine", 41)];

/// Lines of `//!` that a file of shipped code opens with, an empty one between others included.
const LINES_MIN: usize = 3;

/// Compares every crate with its row of [`SHORT`].
pub(super) fn judge(sources: &BTreeMap<String, Source>) -> Vec<Finding> {
    judge_by(SHORT, sources)
}

fn judge_by(allowed: &[(&str, usize)], sources: &BTreeMap<String, Source>) -> Vec<Finding> {
    let mut found: BTreeMap<&str, Vec<&str>> =
        allowed.iter().map(|(of, _)| (*of, Vec::new())).collect();
    for source in sources.values().filter(|source| is_short(source)) {
        if let Some((of, inside)) = shipped(source) {
            found.entry(of).or_default().push(inside);
        }
    }
    let judge_one = |(of, files): (&str, Vec<&str>)| {
        let most = allowed.iter().find(|(name, _)| *name == of).map_or(0, |(_, count)| *count);
        let count = files.len();
        let why = match count.cmp(&most) {
            std::cmp::Ordering::Equal => return None,
            std::cmp::Ordering::Less => format!("the list still allows {most} short openings"),
            std::cmp::Ordering::Greater => {
                format!("under {LINES_MIN} lines, at most {most} may be: {}", files.join(" "))
            }
        };
        let why = format!("{count} files open with too little: {why}");
        Some(Finding { rule: "openings", path: of.to_owned(), line: 0, why })
    };
    found.into_iter().filter_map(judge_one).collect()
}

/// The crate, and the path inside of it, of a file that is shipped.
fn shipped(source: &Source) -> Option<(&str, &str)> {
    let (of, inside) = source.path.strip_prefix("crates/")?.split_once("/src/")?;
    // A simulation and its tests stand beside what they simulate.
    let is_simulated = inside.starts_with("sim/");
    let is_shipped = source.is_rust() && !source.is_test() && !source.is_generated();
    (is_shipped && !is_simulated).then_some((of, inside))
}

fn is_short(source: &Source) -> bool {
    let opening = source.text.lines().take_while(|line| line.starts_with("//!"));
    opening.count() < LINES_MIN
}

#[cfg(test)]
mod tests {
    use super::{Source, judge_by};

    fn check(allowed: &[(&str, usize)], text: &str, expect: Option<&str>) {
        let source =
            |path: &str| (path.to_owned(), Source { path: path.to_owned(), text: text.to_owned() });
        let paths = ["crates/a/src/b.rs", "crates/a/src/b/tests.rs", "tests/src/c.rs"];
        let findings = judge_by(allowed, &paths.map(source).into());
        let whys: Vec<&str> = findings.iter().map(|finding| finding.why.as_str()).collect();
        assert_eq!(whys, Vec::from_iter(expect), "{text}");
    }

    #[test]
    fn short_openings_are_counted() {
        let (two, three) = ("//! A\n//! b.\n\nuse c;\n", "//! A\n//!\n//! c.\n");
        check(&[], three, None);
        check(&[("a", 1)], two, None);
        let more = "1 files open with too little: under 3 lines, at most 0 may be: b.rs";
        check(&[], two, Some(more));
        let less = "0 files open with too little: the list still allows 1 short openings";
        check(&[("a", 1)], three, Some(less));
    }
}
