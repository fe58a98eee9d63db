//! Rust's text as words and signs: names, `::`, and single characters.
//!
//! Comments, texts, characters and lifetimes are dropped: whoever reads on meets code alone.
//! It knows as much of the language as finding paths takes, and is not right about more.

/// The words and signs of a text, in order.
pub(super) fn tokens(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            _ if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            _ if rest.starts_with("/*") => block_comment(rest),
            '"' => quoted(rest),
            '\'' => character_or_lifetime(rest),
            _ => raw_text(rest).unwrap_or_else(|| {
                let length = sign(rest, first);
                found.extend(rest.get(..length).filter(|word| !word.trim().is_empty()));
                length
            }),
        };
        rest = rest.get(length..).unwrap_or("");
    }
    found
}

/// The length of the name, the number, the `::` or the character that the text begins with.
fn sign(rest: &str, first: char) -> usize {
    let in_word = |letter: char| letter.is_alphanumeric() || letter == '_';
    if in_word(first) {
        rest.find(|letter| !in_word(letter)).unwrap_or(rest.len())
    } else if rest.starts_with("::") {
        2
    } else {
        first.len_utf8()
    }
}

fn block_comment(rest: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(here) = rest.get(at..).filter(|here| !here.is_empty()) {
        if here.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if here.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                break;
            }
        } else {
            at += here.chars().next().map_or(1, char::len_utf8);
        }
    }
    at
}

/// The length of a text in quotes that the rest begins with; a backslash hides what is behind it.
fn quoted(rest: &str) -> usize {
    let mut is_hidden = false;
    for (at, letter) in rest.char_indices().skip(1) {
        match letter {
            _ if is_hidden => is_hidden = false,
            '\\' => is_hidden = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// `'x'` and `'\n'` are characters, `'x` and `'static` are lifetimes.
fn character_or_lifetime(rest: &str) -> usize {
    let mut letters = rest.char_indices().skip(1);
    let Some((_, first)) = letters.next() else { return rest.len() };
    if first == '\\' {
        let end = rest.char_indices().skip(3).find(|(_, letter)| *letter == '\'');
        return end.map_or(rest.len(), |(at, _)| at + 1);
    }
    match letters.next() {
        Some((at, '\'')) => at + 1,
        _ => 1,
    }
}

/// The length of `r"…"`, `r#"…"#`, `br"…"`, `b"…"` or `b'…'`, if the rest begins with one.
fn raw_text(rest: &str) -> Option<usize> {
    let behind = rest.strip_prefix('b').unwrap_or(rest);
    let front = rest.len() - behind.len();
    if front == 1 && behind.starts_with('"') {
        return Some(front + quoted(behind));
    }
    if front == 1 && behind.starts_with('\'') {
        return Some(front + character_or_lifetime(behind));
    }
    let behind = behind.strip_prefix('r')?;
    let hashes = behind.len() - behind.trim_start_matches('#').len();
    let text = behind.get(hashes..)?.strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let length = text.find(&end).map_or(text.len(), |at| at + end.len());
    Some(front + 1 + hashes + 1 + length)
}
