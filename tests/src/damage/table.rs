//! What came of all trials, as tables to be read and copied.

use super::trial::Verdict;
use super::{Case, Mode};
use std::collections::BTreeMap;
use std::fmt::Write;

/// One trial that is over.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What the victim is.
    pub mode: Mode,
    /// What was done to it.
    pub case: Case,
    /// What came of it.
    pub verdict: Verdict,
}

const COLUMNS: [&str; 8] =
    ["refused", "whole", "new", "old copy", "**wrong**", "**panic**", "**hang**", "**no advice**"];

fn column(verdict: &Verdict) -> usize {
    match verdict {
        Verdict::Refused(_) => 0,
        Verdict::Whole => 1,
        Verdict::New => 2,
        Verdict::OldCopy => 3,
        Verdict::Wrong(_) => 4,
        Verdict::Panicked(_) => 5,
        Verdict::Hung(_) => 6,
        Verdict::Unadvised(_) => 7,
    }
}

type Counts = [usize; COLUMNS.len()];

/// Outcomes by mode, file and kind; sums by mode; what refusals said; and every failure by name.
pub fn report(outcomes: &[Outcome]) -> String {
    let mut rows: BTreeMap<(Mode, &str, &str), Counts> = BTreeMap::new();
    let mut sums: BTreeMap<Mode, Counts> = BTreeMap::new();
    for one in outcomes {
        let at = column(&one.verdict);
        let key = (one.mode, one.case.file.as_str(), one.case.damage.kind());
        rows.entry(key).or_default()[at] += 1;
        sums.entry(one.mode).or_default()[at] += 1;
    }
    let mut text = format!("| started | file | kind | cases | {} |\n|", COLUMNS.join(" | "));
    text += &"---|".repeat(4 + COLUMNS.len());
    text += "\n";
    for ((mode, file, kind), counts) in &rows {
        row(&mut text, &[mode.word(), file, kind], counts);
    }
    for (mode, counts) in &sums {
        row(&mut text, &[mode.word(), "all", ""], counts);
    }
    text += "\nBlocks that are filler and nothing else are alike; a few stand for all of them.\n";
    text + &messages(outcomes) + &failures(outcomes)
}

fn row(text: &mut String, names: &[&str], counts: &Counts) {
    let cell = |count: &usize| if *count == 0 { String::new() } else { count.to_string() };
    let cells: Vec<String> = counts.iter().map(cell).collect();
    let cases: usize = counts.iter().sum();
    let _ = writeln!(text, "| {} | {cases} | {} |", names.join(" | "), cells.join(" | "));
}

/// Refusals by what they say, numbers aside.
fn messages(outcomes: &[Outcome]) -> String {
    let mut classes: BTreeMap<String, usize> = BTreeMap::new();
    for one in outcomes {
        if let Verdict::Refused(words) = &one.verdict {
            *classes.entry(class(words)).or_default() += 1;
        }
    }
    let mut text = String::from("\nrefusals say:\n");
    for (words, count) in classes {
        let _ = writeln!(text, "  {count} × {words}");
    }
    text
}

/// The words without what differs from case to case: paths above the data directory, numbers,
/// checksums.
fn class(words: &str) -> String {
    let is_number = |word: &str| {
        word.contains(|letter: char| letter.is_ascii_digit())
            && word.chars().all(|letter| letter.is_ascii_hexdigit())
    };
    let mut out = String::new();
    for word in words.split_inclusive(|letter: char| !letter.is_ascii_alphanumeric()) {
        let core = word.trim_end_matches(|letter: char| !letter.is_ascii_alphanumeric());
        out += &if is_number(core) { word.replace(core, "N") } else { word.to_owned() };
    }
    match (out.find('/'), out.find(": ")) {
        // The directory of the trial stands in front.
        (Some(slash), Some(_)) => match out[slash..].find(": ") {
            Some(colon) => format!("{}…{}", &out[..slash], &out[slash + colon..]),
            None => out,
        },
        _ => out,
    }
}

/// Every case that must not be, by the text that `--only` takes.
fn failures(outcomes: &[Outcome]) -> String {
    let mut failed: Vec<&Outcome> =
        outcomes.iter().filter(|one| one.verdict.is_failure()).collect();
    failed.sort_by_key(|one| (one.mode, &one.case.file, one.case.damage.kind()));
    let mut text = format!("\n{} of {} cases must not be:\n", failed.len(), outcomes.len());
    for one in failed {
        let what = COLUMNS[column(&one.verdict)].trim_matches('*');
        let words = one.verdict.words().unwrap_or_default();
        let _ =
            writeln!(text, "  {what}: --mode {} --only '{}': {words}", one.mode.word(), one.case);
    }
    text
}
