//! Words of the command line and of the environment, as names and values.
//!
//! Settings are given as in Redis: `--name value …`, where values go on until the next word that
//! begins with `--`; a first word without dashes is the configuration file.

use crate::settings::{Settings, parse_file};
use std::path::PathBuf;

/// Names and values as given.
pub(crate) type Pairs = Vec<(String, String)>;

/// Whether a flag is among the words.
pub(crate) fn has(words: &[String], flag: &str) -> bool {
    words.iter().any(|word| word == flag)
}

/// The first word that is no flag, from the one at `from` on.
pub(crate) fn directory(words: &[String], from: usize) -> Result<PathBuf, String> {
    let word = words.iter().skip(from).find(|word| !word.starts_with("--"));
    let dir = PathBuf::from(word.ok_or("which data directory?")?);
    if dir.is_dir() { Ok(dir) } else { Err(format!("{} is no directory", dir.display())) }
}

/// Settings that the environment gives.
pub(crate) fn environment(variables: impl Iterator<Item = (String, String)>) -> Pairs {
    let pairs = variables.filter_map(|(name, value)| {
        let name = name.strip_prefix("QUORATE_")?;
        // Kubernetes tells pods of a service called `quorate` in variables of the same names
        // (QUORATE_PORT=tcp://10.0.0.1:6379).
        let of_kubernetes = ["tcp://", "udp://", "sctp://"].iter().any(|it| value.starts_with(it));
        (!of_kubernetes).then(|| (name.to_ascii_lowercase().replace('_', "-"), value))
    });
    pairs.collect()
}

/// The words behind a tool's name as pairs.
pub(crate) fn options(words: &[String]) -> Result<Pairs, String> {
    let (file, pairs) = flags(words.get(1..).unwrap_or(&[]))?;
    match file {
        Some(word) => Err(format!("'{word}' is not understood; try quorate help")),
        None => Ok(pairs),
    }
}

/// File, environment and flags, in rising order of precedence.
pub(crate) fn settings(words: &[String], environment: Pairs) -> Result<Settings, String> {
    let (file, flags) = flags(words)?;
    let mut pairs = Vec::new();
    if let Some(file) = &file {
        let text = std::fs::read_to_string(file).map_err(|why| format!("{file}: {why}"))?;
        pairs.extend(parse_file(&text).map_err(|why| format!("{file}: {why}"))?);
    }
    for (name, value) in environment {
        // Other tools may have variables that begin alike; only ours count.
        if crate::settings::find(&name).is_some() {
            pairs.push((name, value));
        }
    }
    pairs.extend(flags);
    let file = file.map(|file| std::path::absolute(&file).unwrap_or_else(|_| file.into()));
    Settings::from_pairs(&pairs, file).map_err(|why| why.to_string())
}

/// A file in front, then `--name value …`.
fn flags(words: &[String]) -> Result<(Option<String>, Pairs), String> {
    let mut words = words.iter().peekable();
    let file = words.next_if(|word| !word.starts_with("--")).cloned();
    let mut pairs: Pairs = Vec::new();
    while let Some(word) = words.next() {
        let Some(name) = word.strip_prefix("--") else {
            return Err(format!("'{word}' is not understood; settings are given as --name value"));
        };
        // `--name=value` and `--name value` in one word are meant too.
        if let Some((name, value)) = name.split_once(['=', ' ']) {
            pairs.push((name.to_owned(), value.trim().trim_matches('\'').to_owned()));
            continue;
        }
        let mut values: Vec<&str> = Vec::new();
        while let Some(value) = words.next_if(|word| !word.starts_with("--")) {
            values.push(value);
        }
        let switch = matches!(name, "unsafe-no-fsync" | "strict" | "skip-unsupported" | "json");
        let switch = switch && values.is_empty();
        if values.is_empty() && !switch && name != "save" {
            return Err(format!("'--{name}' needs a value"));
        }
        let value = if switch { "yes".to_owned() } else { values.join(" ") };
        pairs.push((name.to_owned(), value));
    }
    Ok((file, pairs))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn flags_are_read_as_redis_reads_them() {
        let (file, pairs) = flags(&words(
            "my.conf --port 7000 --bind 127.0.0.1 ::1 --unsafe-no-fsync --dir=/tmp/x --save",
        ))
        .unwrap_or_default();
        assert_eq!(file.as_deref(), Some("my.conf"));
        let shown: Vec<String> =
            pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(
            shown,
            ["port=7000", "bind=127.0.0.1 ::1", "unsafe-no-fsync=yes", "dir=/tmp/x", "save="]
        );
        assert!(flags(&words("--port")).is_err());
        assert!(flags(&words("--port 1 --loglevel")).is_err());
    }

    #[test]
    fn variables_of_kubernetes_are_not_settings() {
        let variables = [
            ("QUORATE_PORT", "tcp://10.0.0.1:6379"),
            ("QUORATE_MAXCLIENTS", "5"),
            ("QUORATE_PEER_PORT", "7379"),
            ("HOME", "/"),
        ];
        let pairs = environment(variables.map(|(n, v)| (n.to_owned(), v.to_owned())).into_iter());
        let expect = [("maxclients", "5"), ("peer-port", "7379")];
        assert_eq!(pairs, expect.map(|(n, v)| (n.to_owned(), v.to_owned())));
    }

    #[test]
    fn flags_win_over_the_environment() {
        let environment = vec![
            ("maxclients".to_owned(), "5".to_owned()),
            ("timeout".to_owned(), "9".to_owned()),
            ("no-such".to_owned(), "1".to_owned()),
        ];
        let settings = settings(&words("--maxclients 7"), environment);
        let shown = settings.map(|it| (it.get("maxclients"), it.get("timeout"), it.get("port")));
        assert_eq!(shown, Ok(("7".to_owned(), "9".to_owned(), "6379".to_owned())));
        let wrong = super::settings(&words("--maxclients many"), Vec::new());
        assert!(wrong.is_err_and(|why| why.contains("maxclients")));
        assert!(super::settings(&words("--nonsense 1"), Vec::new()).is_err());
    }
}
