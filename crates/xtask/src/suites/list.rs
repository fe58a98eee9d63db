//! What of a suite need not pass: `reason | test`, one a line.
//!
//! A test is named as pytest names it, and `*` in it stands for anything. A name without `::` is a
//! file or folder that is not run, and neither is a test that counts on `time`. Each other line
//! must name a test that fails, and none that passes.

use std::collections::BTreeMap;
use std::path::Path;

/// Why a test need not pass. What comes behind the first word says more; where that is needed, the
/// second field says what it has to be.
const REASONS: &[(&str, Option<&str>)] = &[
    ("issue-21", Some("scripts or functions")),
    ("issue-23", Some("acl, tls, monitor or what else of it")),
    ("issue-24", Some("cluster or sentinel")),
    // Asks for what Redis 7.2 has in modules.
    ("modules", None),
    // Came behind Redis 7.2, and is not there.
    ("newer", None),
    // Speaks to no server, or to mocks.
    ("client", None),
    // Quorate answers otherwise, for a reason that is documented.
    ("differs", Some("why, and where that is documented")),
    // Passes or not, by how fast the computer is just then.
    ("time", Some("what it takes for granted")),
    // Would fail on Redis, too.
    ("suite", Some("why it cannot pass")),
];

/// The lines of one suite.
pub(super) struct List {
    lines: Vec<Line>,
}

struct Line {
    /// Where it stands, for messages.
    at: String,
    reason: String,
    test: String,
}

/// What a run comes to.
pub(super) struct Verdict {
    /// How many tests had which outcome.
    pub(super) counts: String,
    /// What must not be.
    pub(super) wrong: Vec<String>,
}

impl List {
    pub(super) fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        Self::parse(&name, &text)
    }

    fn parse(name: &str, text: &str) -> Result<Self, String> {
        let mut lines = Vec::new();
        for (number, line) in text.lines().enumerate() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let at = format!("{name}:{}", number + 1);
            let (reason, test) =
                line.split_once(" | ").ok_or_else(|| format!("{at}: reason | test"))?;
            let (word, more) = reason.split_once([' ', ':']).unwrap_or((reason, ""));
            let known = REASONS.iter().find(|(known, _)| *known == word);
            let (_, needs) =
                known.ok_or_else(|| format!("{at}: {word} is no reason of the fixed list"))?;
            if let Some(needs) = needs.filter(|_| more.trim().is_empty()) {
                return Err(format!("{at}: {word} must say: {needs}"));
            }
            lines.push(Line { at, reason: word.to_owned(), test: test.trim().to_owned() });
        }
        Ok(Self { lines })
    }

    /// Files and folders that are not run.
    pub(super) fn files(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().filter(|line| line.is_file()).map(|line| line.test.as_str())
    }

    /// Tests that are not run.
    pub(super) fn unsteady(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().filter(|line| line.is_unsteady()).map(|line| line.test.as_str())
    }

    /// Compares with what the plugin wrote: outcome, test and why, behind tabs. Only a `whole` run
    /// tells that a line names no test.
    pub(super) fn judge(&self, outcomes: &str, whole: bool) -> Verdict {
        let mut wrong = Vec::new();
        let mut counts = BTreeMap::<&str, usize>::new();
        let mut reasons = BTreeMap::<&str, usize>::new();
        let mut used = vec![false; self.lines.len()];
        for outcome in outcomes.lines() {
            let mut fields = outcome.splitn(3, '\t');
            let mut field = || fields.next().unwrap_or_default();
            let (outcome, test, why) = (field(), field(), field());
            let line = self.lines.iter().position(|line| line.is_run() && line.names(test));
            *counts.entry(outcome).or_default() += 1;
            match (outcome, line.and_then(|at| Some((self.lines.get(at)?, used.get_mut(at)?)))) {
                ("failed", Some((line, used))) => {
                    *used = true;
                    *reasons.entry(&line.reason).or_default() += 1;
                }
                ("failed", None) => wrong.push(format!("failed: {test}: {why}")),
                ("passed", Some((line, _))) => {
                    wrong.push(format!("{}: passes: {test}", line.at));
                }
                _ => {}
            }
        }
        let idle = self.lines.iter().zip(used).filter(|(line, used)| !used && line.is_run());
        if whole {
            wrong.extend(idle.map(|(line, _)| format!("{}: names no failing test", line.at)));
        }
        let count = |outcome| counts.get(outcome).copied().unwrap_or_default();
        let listed: Vec<String> =
            reasons.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
        let counts = format!(
            "{} tests: {} passed, {} skipped by the suite, {} listed ({}), {} wrong",
            counts.values().sum::<usize>(),
            count("passed"),
            count("skipped"),
            reasons.values().sum::<usize>(),
            listed.join(", "),
            wrong.len()
        );
        Verdict { counts, wrong }
    }
}

impl Line {
    fn is_file(&self) -> bool {
        !self.test.contains("::")
    }

    fn is_unsteady(&self) -> bool {
        self.reason == "time"
    }

    fn is_run(&self) -> bool {
        !self.is_file() && !self.is_unsteady()
    }

    /// Whether the pattern fits: its pieces between the stars follow each other, the first at the
    /// start and the last at the end.
    fn names(&self, test: &str) -> bool {
        let Some((first, rest)) = self.test.split_once('*') else { return self.test == test };
        let (middle, last) = rest.rsplit_once('*').unwrap_or(("", rest));
        let Some(test) = test.strip_prefix(first) else { return false };
        let Some(mut test) = test.strip_suffix(last) else { return false };
        for piece in middle.split('*') {
            let Some((_, behind)) = test.split_once(piece) else { return false };
            test = behind;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::List;

    const OUTCOMES: &str = "passed\tt.py::one\t\nfailed\tt.py::two[single]\tResponseError: no\n\
        skipped\tt.py::two[pool]\t\nfailed\tt.py::three\tAssertionError\n";

    fn wrong(list: &str) -> Vec<String> {
        List::parse("l", list).map_or_else(|why| vec![why], |list| list.judge(OUTCOMES, true).wrong)
    }

    #[test]
    fn what_fails_and_what_is_listed_must_agree() {
        let none: [String; 0] = [];
        assert_eq!(wrong("# why\nissue-21 scripts | t.py::two*\nmodules | t.py::thr*e"), none);
        let unlisted = "failed: t.py::three: AssertionError";
        assert_eq!(wrong("modules | t.py::two[single]"), [unlisted]);
        let passes = ["l:1: passes: t.py::one"];
        assert_eq!(wrong("modules | t.py::*"), passes);
        let idle = "l:3: names no failing test";
        let both = "modules | t.py::two*\nmodules | t.py::three\n";
        assert_eq!(wrong(&format!("{both}modules | t.py::two[pool]")), [idle]);
        assert_eq!(wrong(&format!("{both}modules | other.py")), none);
    }

    #[test]
    fn a_reason_is_of_the_fixed_list_and_says_what_it_must() {
        assert_eq!(wrong("later | t.py::two*"), ["l:1: later is no reason of the fixed list"]);
        let more = "l:1: issue-24 must say: cluster or sentinel";
        assert_eq!(wrong("issue-24 | t.py::two*"), [more]);
        assert_eq!(wrong("t.py::two*"), ["l:1: reason | test"]);
    }

    #[test]
    fn stars_stand_for_anything() {
        let names = |pattern: &str, test: &str| {
            let list = List::parse("l", &format!("modules | {pattern}")).ok();
            list.and_then(|list| list.lines.first().map(|line| line.names(test)))
        };
        assert_eq!(names("a*b*c", "a1b2c"), Some(true));
        assert_eq!(names("a*b*c", "ac"), Some(false));
        assert_eq!(names("*", ""), Some(true));
        assert_eq!(names("ab*ba", "aba"), Some(false));
        assert_eq!(names("a", "ab"), Some(false));
    }
}
