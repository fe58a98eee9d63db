//! How long functions are, measured on rustfmt's layout rather than on a syntax tree.
//!
//! rustfmt puts `fn` and the brace that closes its body at the same depth and everything between
//! deeper, so counting lines needs no parser. Code that is not formatted fails another step first.

/// A function's name, its first line (from 1) and its number of lines.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Function<'a> {
    pub(super) name: &'a str,
    pub(super) line: usize,
    pub(super) length: usize,
}

/// All functions that have a body, nested ones too.
pub(super) fn functions(text: &str) -> Vec<Function<'_>> {
    let lines: Vec<&str> = text.lines().collect();
    let starts = lines.iter().enumerate().filter_map(|(at, line)| Some((at, name(line)?)));
    starts
        .filter_map(|(at, name)| {
            let length = length(lines.get(at..)?)?;
            Some(Function { name, line: at + 1, length })
        })
        .collect()
}

/// The name, if the line begins a function.
fn name(line: &str) -> Option<&str> {
    let mut rest = line.trim_start();
    if let Some(behind) = rest.strip_prefix("pub(") {
        rest = behind.split_once(") ")?.1;
    }
    for word in ["pub ", "default ", "const ", "async ", "unsafe ", "extern \"C\" "] {
        rest = rest.strip_prefix(word).unwrap_or(rest);
    }
    let rest = rest.strip_prefix("fn ")?;
    rest.split(['(', '<']).next().filter(|name| !name.is_empty())
}

/// Lines from the `fn` to the end of its body; `None` for a declaration without a body.
fn length(lines: &[&str]) -> Option<usize> {
    let depth = |line: &str| line.len() - line.trim_start().len();
    let first = lines.first()?;
    let mut in_body = false;
    for (at, line) in lines.iter().enumerate() {
        if depth(line) != depth(first) || line.trim().is_empty() {
            continue;
        }
        if in_body {
            if line.trim_start().starts_with('}') {
                return Some(at + 1);
            }
        } else if line.ends_with('}') {
            return Some(at + 1);
        } else if line.ends_with(';') {
            return None;
        }
        in_body |= line.ends_with('{');
    }
    None
}

#[cfg(test)]
mod tests {
    use super::functions;

    #[test]
    fn lengths_follow_the_layout() {
        let text = "\
fn one() {}

impl X {
    pub(crate) fn two(&self) -> u8 {
        7
    }

    pub async fn three<T>(
        a: T,
        b: T,
    ) -> bool
    where
        T: Eq,
    {
        fn inner() {
            if true {}
        }
        a == b
    }
}

trait Y {
    fn declared(&self);
    fn declared_wide(
        &self,
    ) -> u8;
    const fn given(&self) {
        let text = \"
fn not_in_column_four() {\";
    }
}
// fn comment() {
";
        let found: Vec<_> =
            functions(text).iter().map(|one| (one.name, one.line, one.length)).collect();
        let expect =
            [("one", 1, 1), ("two", 4, 3), ("three", 8, 12), ("inner", 15, 3), ("given", 27, 4)];
        assert_eq!(found, expect);
    }
}
