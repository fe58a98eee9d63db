//! The first line of a script or a library, `#!lua name=… flags=…`.
//!
//! Read by the engine, not by a language: what it says of flags and names counts before anything
//! runs. Errors are in Redis's words, which differ between scripts and libraries.

use crate::ScriptFlags;
use alloc::string::String;
use alloc::vec::Vec;
use quorate_resp::split_line;

/// What a first line that begins with `#!` says. Errors are the text behind `ERR `.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shebang {
    /// Behind `#!`.
    pub engine: String,
    /// A library's name; a script has none.
    pub name: Option<String>,
    /// A script's flags; a library has none, its functions do.
    pub flags: ScriptFlags,
    /// Where the text goes on: at the end of the line, so that lines keep their numbers.
    pub rest: usize,
}

impl Shebang {
    /// Reads a script's first line. `None`: it has none, and no flags are known of it.
    pub fn of_script(body: &[u8]) -> Result<Option<Self>, String> {
        if !body.starts_with(b"#!") {
            return Ok(None);
        }
        let (words, rest) = words(body).ok_or("Invalid script shebang")?;
        let (engine, options) = words.split_first().ok_or("Invalid engine in script shebang")?;
        if engine != b"#!lua" {
            return Err(of("Unexpected engine in script shebang: ", engine));
        }
        let mut flags = ScriptFlags::default();
        for option in options {
            let Some(names) = option.strip_prefix(b"flags=") else {
                return Err(of("Unknown lua shebang option: ", option));
            };
            // As Redis splits: nothing at all is no flag, but a comma has one on both sides.
            for name in names.split(|byte| *byte == b',').filter(|_| !names.is_empty()) {
                let flag = ScriptFlags::named(name);
                let flag = flag.ok_or_else(|| of("Unexpected flag in script shebang: ", name))?;
                flags = flags.and(flag);
            }
        }
        Ok(Some(Shebang { engine: String::from("lua"), name: None, flags, rest }))
    }

    /// Reads a library's first line; it must have one, and a name in it.
    pub fn of_library(code: &[u8]) -> Result<Self, String> {
        if !code.starts_with(b"#!") {
            return Err(String::from("Missing library metadata"));
        }
        let (words, rest) = words(code).ok_or("Invalid library metadata")?;
        let (engine, options) = words.split_first().ok_or("Invalid library metadata")?;
        let mut name = None;
        for option in options {
            match option.split_at_checked(5) {
                Some((key, value)) if key.eq_ignore_ascii_case(b"name=") => {
                    if name.replace(value).is_some() {
                        return Err(String::from(
                            "Invalid metadata value, name argument was given multiple times",
                        ));
                    }
                }
                _ => return Err(of("Invalid metadata value given: ", option)),
            }
        }
        let name = name.ok_or("Library name was not given")?;
        if name.is_empty() || !name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
        {
            return Err(String::from(
                "Library names can only contain letters, numbers, or underscores(_) and must be \
                 at least one character long",
            ));
        }
        let engine = engine.strip_prefix(b"#!").unwrap_or(engine);
        if !engine.eq_ignore_ascii_case(b"lua") {
            return Err(String::from_utf8_lossy(&[b"Engine '", engine, b"' not found"].concat())
                .into_owned());
        }
        Ok(Shebang {
            engine: String::from("LUA"),
            name: Some(of("", name)),
            flags: ScriptFlags::default(),
            rest,
        })
    }
}

/// The words of the first line, and where it ends.
fn words(text: &[u8]) -> Option<(Vec<Vec<u8>>, usize)> {
    let end = text.iter().position(|byte| *byte == b'\n')?;
    Some((text.get(..end).and_then(split_line).unwrap_or_default(), end))
}

fn of(text: &str, bytes: &[u8]) -> String {
    let mut text = String::from(text);
    text.push_str(&String::from_utf8_lossy(bytes));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_say_their_flags() {
        let check = |body: &str, expect: Result<Option<ScriptFlags>, &str>| {
            let found = Shebang::of_script(body.as_bytes());
            let found = found.as_ref().map(|found| found.as_ref().map(|found| found.flags));
            assert_eq!(found.map_err(String::as_str), expect, "{body}");
        };
        check("return 1", Ok(None));
        check("#!lua\nreturn 1", Ok(Some(ScriptFlags::default())));
        check("#!lua flags=\nreturn 1", Ok(Some(ScriptFlags::default())));
        check("#!lua flags=no-writes\n", Ok(Some(ScriptFlags::NO_WRITES)));
        let both = ScriptFlags::NO_WRITES.and(ScriptFlags::ALLOW_STALE);
        check("#!lua flags=no-writes,allow-stale\n", Ok(Some(both)));
        check("#!lua flags=no-writes flags=allow-stale\n", Ok(Some(both)));
        check("#!lua", Err("Invalid script shebang"));
        check("#!not-lua\n", Err("Unexpected engine in script shebang: #!not-lua"));
        check("#!lua badger=data\n", Err("Unknown lua shebang option: badger=data"));
        check("#!lua flags=x,y\n", Err("Unexpected flag in script shebang: x"));
        check("#!lua flags=no-writes,\n", Err("Unexpected flag in script shebang: "));
    }

    #[test]
    fn the_rest_begins_at_the_end_of_the_line() {
        let body = b"#!lua\nreturn 1";
        let rest = Shebang::of_script(body).unwrap().unwrap().rest;
        assert_eq!(body.get(rest..), Some(&b"\nreturn 1"[..]));
    }

    #[test]
    fn libraries_say_their_name() {
        let check = |code: &str, expect: Result<&str, &str>| {
            let found = Shebang::of_library(code.as_bytes());
            let name = found.as_ref().map(|found| found.name.as_deref().unwrap_or(""));
            assert_eq!(name.map_err(String::as_str), expect, "{code}");
        };
        check("#!lua name=test\n", Ok("test"));
        check("#!LUA NAME=test_1\n", Ok("test_1"));
        check("return 1", Err("Missing library metadata"));
        check("#!lua name=test", Err("Invalid library metadata"));
        check("#!lua\n", Err("Library name was not given"));
        check("#!bad name=test\n", Err("Engine 'bad' not found"));
        check(
            "#!lua name=a name=b\n",
            Err("Invalid metadata value, name argument was given multiple times"),
        );
        check("#!lua name=a foo=bar\n", Err("Invalid metadata value given: foo=bar"));
        let names = "Library names can only contain letters, numbers, or underscores(_) and must \
                     be at least one character long";
        check("#!lua name=a-b\n", Err(names));
        check("#!lua name=\n", Err(names));
    }
}
