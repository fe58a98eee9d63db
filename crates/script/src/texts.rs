//! Luau's error texts in Lua 5.1's words, where Redis's users and tests look at them.
//!
//! Only an error that leaves the script, or that `pcall` gives, is translated; names of variables,
//! which Lua 5.1 says and Luau does not, stay unsaid.

/// The text as Lua 5.1 would say it, if that differs.
pub(crate) fn as_redis(text: &[u8]) -> Option<Vec<u8>> {
    if let Some(text) = bad_argument(text) {
        return Some(text);
    }
    let at = memchr::memmem::find(text, b"attempt to ")?;
    let (before, message) = text.split_at(at);
    let message = std::str::from_utf8(message).ok()?;
    let said = message.strip_prefix("attempt to ")?;
    let new = if said == "modify a readonly table" {
        "Attempt to modify a readonly table".to_owned()
    } else if let Some(rest) = said.strip_prefix("index ") {
        let (kind, _) = rest.split_once(" with ")?;
        if kind.contains(' ') {
            return None;
        }
        format!("attempt to index a {kind} value")
    } else if let Some(rest) = said.strip_prefix("perform arithmetic (") {
        let (_, kinds) = rest.split_once(") on ")?;
        format!("attempt to perform arithmetic on a {} value", culprit(kinds, " and ", "number"))
    } else if let Some(kinds) = said.strip_prefix("concatenate ") {
        format!("attempt to concatenate a {} value", culprit(kinds, " with ", "string"))
    } else if let Some(kinds) = said.strip_prefix("compare ") {
        let (one, other) =
            ["<=", "<"].iter().find_map(|sign| kinds.split_once(&format!(" {sign} ")))?;
        if one == other {
            format!("attempt to compare two {one} values")
        } else {
            format!("attempt to compare {one} with {other}")
        }
    } else {
        return None;
    };
    Some([before, new.as_bytes()].concat())
}

/// What is wrong with an argument, or that there is none.
fn bad_argument(text: &[u8]) -> Option<Vec<u8>> {
    let (luau, missing) = match memchr::memmem::find(text, b"invalid argument #") {
        Some(at) => (at, false),
        None => (memchr::memmem::find(text, b"missing argument #")?, true),
    };
    let (before, message) = text.split_at(luau);
    let argument = message.get("invalid ".len()..)?;
    let mut new = [before, b"bad ", argument].concat();
    if missing {
        match new.strip_suffix(b" expected)").map(<[u8]>::len) {
            Some(end) => {
                new.truncate(end);
                new.extend_from_slice(b" expected, got no value)");
            }
            None => new.extend_from_slice(b" (value expected)"),
        }
    }
    Some(new)
}

/// Of two operands' types, the one that does not fit.
fn culprit<'a>(kinds: &'a str, between: &str, fits: &str) -> &'a str {
    match kinds.split_once(between) {
        Some((one, other)) if one == fits || one == "number" => other,
        Some((one, _)) => one,
        None => kinds,
    }
}

#[cfg(test)]
mod tests {
    use super::as_redis;

    #[test]
    fn luaus_words_become_luas() {
        let check = |luau: &str, lua: &str| {
            let text = as_redis(luau.as_bytes()).unwrap_or(luau.as_bytes().to_vec());
            assert_eq!(String::from_utf8_lossy(&text), lua);
        };
        check("a:1: attempt to modify a readonly table", "a:1: Attempt to modify a readonly table");
        check("a:1: attempt to index nil with 'x'", "a:1: attempt to index a nil value");
        check("attempt to call a nil value", "attempt to call a nil value");
        check(
            "attempt to perform arithmetic (add) on nil and number",
            "attempt to perform arithmetic on a nil value",
        );
        check(
            "attempt to perform arithmetic (unm) on table",
            "attempt to perform arithmetic on a table value",
        );
        check("a:1: invalid argument #1 to 'len' (x)", "a:1: bad argument #1 to 'len' (x)");
        check(
            "missing argument #2 to 'f' (string expected)",
            "bad argument #2 to 'f' (string expected, got no value)",
        );
        check("missing argument #1 to 'type'", "bad argument #1 to 'type' (value expected)");
        check("attempt to concatenate string with nil", "attempt to concatenate a nil value");
        check("attempt to compare number < nil", "attempt to compare number with nil");
        check("attempt to compare table <= table", "attempt to compare two table values");
    }
}
