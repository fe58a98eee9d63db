//! Breaks comment lines that are too wide; rustfmt does so only in its unstable part.
//!
//! Words move down a paragraph only as far as they must, so that a change stays a small change.
//! Lists, tables, headings and fenced code are left to a person, and so is a comment behind code:
//! tidy still reports them.

use crate::shell::{Outcome, Shell};

const WIDTH_MAX: usize = 100;

/// Wraps the comments of every Rust file, or of those under `folders`.
pub(crate) fn run(shell: &Shell, folders: &[String]) -> Outcome {
    let listed = shell.output("git", &["ls-files", "-co", "--exclude-standard", "-z", "*.rs"])?;
    let chosen = |path: &&str| {
        folders.is_empty() || folders.iter().any(|folder| path.starts_with(folder.as_str()))
    };
    for path in listed.split('\0').filter(|path| !path.is_empty()).filter(chosen) {
        let path = shell.root().join(path);
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        let wrapped = wrap(&text);
        if wrapped != text && !text.lines().take(3).any(|line| line.contains("@generated")) {
            std::fs::write(&path, wrapped)
                .map_err(|error| format!("{}: {error}", path.display()))?;
        }
    }
    Ok(())
}

fn wrap(text: &str) -> String {
    let mut out: Vec<String> = Vec::new();
    let mut fenced = false;
    // What did not fit the line before: its prefix and its words.
    let mut carried: Option<(String, String)> = None;
    for line in text.lines() {
        let parts = comment(line);
        fenced ^= parts.is_some_and(|(_, words)| words.starts_with("```"));
        let joins = |(prefix, _): &(String, String)| {
            parts.is_some_and(|(here, words)| here == prefix && is_prose(words))
        };
        let mut line = line.to_owned();
        if let Some(over) = carried.take() {
            if joins(&over) && !fenced {
                let words = parts.map_or("", |(_, words)| words);
                line = format!("{}{} {words}", over.0, over.1);
            } else {
                push(&mut out, over.0 + &over.1);
            }
        }
        let is_prose = comment(&line).is_some_and(|(_, words)| is_prose(words));
        match comment(&line).and_then(|(prefix, _)| split(&line, prefix)) {
            Some((fits, over)) if is_prose && !fenced => {
                out.push(fits);
                carried = Some(over);
            }
            _ => out.push(line),
        }
    }
    if let Some((prefix, words)) = carried {
        push(&mut out, prefix + &words);
    }
    out.push(String::new());
    out.join("\n")
}

/// Adds a line of a comment, broken as often as needed.
fn push(out: &mut Vec<String>, mut line: String) {
    while let Some((fits, (prefix, words))) =
        comment(&line).and_then(|(prefix, _)| split(&line, prefix))
    {
        out.push(fits);
        line = prefix + &words;
    }
    out.push(line);
}

/// The part of a line that fits, and what is over with the prefix it needs; `None` if all fits.
fn split(line: &str, prefix: &str) -> Option<(String, (String, String))> {
    let end = line.char_indices().nth(WIDTH_MAX)?.0;
    // The line may break where a blank is, or just behind its last column, unless what is over
    // would then look like a list.
    let fits = line.get(..=end).unwrap_or(line);
    let mut blanks = fits.rmatch_indices(' ').map(|(at, _)| at);
    let at = blanks.find(|&at| line.get(at + 1..).is_some_and(is_prose))?;
    let (fits, over) = line.split_at_checked(at).filter(|_| at >= prefix.len())?;
    Some((fits.trim_end().to_owned(), (prefix.to_owned(), over.trim_start().to_owned())))
}

/// A line that is nothing but a comment: its indentation with the slashes and a blank, its words.
fn comment(line: &str) -> Option<(&str, &str)> {
    let bare = line.trim_start();
    let mark = ["//! ", "/// ", "// "].iter().find(|mark| bare.starts_with(**mark))?;
    line.split_at_checked(line.len() - bare.len() + mark.len())
}

/// Not a list, a table, a heading, a fence or laid out by hand.
fn is_prose(words: &str) -> bool {
    let is_numbered = words.split_once(['.', ')']).is_some_and(|(number, behind)| {
        behind.starts_with(' ') && number.bytes().all(|byte| byte.is_ascii_digit())
    });
    let marks = [" ", "- ", "* ", "+ ", "#", "|"];
    let is_laid_out = marks.iter().any(|mark| words.starts_with(mark));
    let is_link = words.starts_with('[') && words.contains("]:");
    !(words.is_empty() || is_link || is_numbered || is_laid_out || words.starts_with("```"))
}

#[cfg(test)]
mod tests {
    use super::wrap;

    fn check(text: &str, expect: &str) {
        assert_eq!(wrap(text), expect);
        assert_eq!(wrap(expect), expect, "a second time changes nothing");
    }

    /// Words of ten columns, a blank included.
    fn words(count: usize) -> String {
        vec!["nine_long"; count].join(" ")
    }

    #[test]
    fn words_move_down_as_far_as_they_must() {
        let (nine, ten) = (words(9), words(10));
        check(&format!("/// {nine}\n"), &format!("/// {nine}\n"));
        check(&format!("/// {ten}\n"), &format!("/// {nine}\n/// nine_long\n"));
        check(&format!("/// {ten}\n/// end.\n"), &format!("/// {nine}\n/// nine_long end.\n"));
        check(
            &format!("    // {}\n    // {ten}\nfn a() {{}}\n", words(10)),
            &format!("    // {nine}\n    // {nine}\n    // nine_long nine_long\nfn a() {{}}\n"),
        );
        check(
            &format!("//! {}\n\nuse a;\n", words(20)),
            &format!("//! {nine}\n//! {nine}\n//! nine_long nine_long\n\nuse a;\n"),
        );
    }

    #[test]
    fn other_layouts_are_left_alone() {
        let ten = words(10);
        check(&format!("/// - {ten}\n"), &format!("/// - {ten}\n"));
        check(&format!("/// ```\n/// {ten}\n/// ```\n"), &format!("/// ```\n/// {ten}\n/// ```\n"));
        check(
            &format!("/// {} aaaaa - b c\n", words(9)),
            &format!("/// {}\n/// aaaaa - b c\n", words(9)),
        );
        check(&format!("let a = 1; // {ten}\n"), &format!("let a = 1; // {ten}\n"));
        check(&format!("/// {}\n", "x".repeat(120)), &format!("/// {}\n", "x".repeat(120)));
        let nine = words(9);
        let list = format!("/// {nine} more_than\n/// - one\n");
        check(&list, &format!("/// {nine}\n/// more_than\n/// - one\n"));
        check(
            &format!("/// {ten}\n///\n/// b\n"),
            &format!("/// {nine}\n/// nine_long\n///\n/// b\n"),
        );
    }
}
