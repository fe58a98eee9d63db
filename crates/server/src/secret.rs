//! The peer secret: where a node takes it from, and how one is made.
//!
//! In a file it is visible neither in a list of processes nor in what a container was started with.
//! `quorate dev` and the compose file make one of their own. What it protects is in `consensus`.

use crate::arguments::Pairs;
use crate::settings::Settings;
use rustix::rand::{GetRandomFlags, getrandom};
use std::error::Error;
use std::fmt::{self, Write as _};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Random bytes in a secret that is made here.
const BYTES: usize = 32;

/// Why there is no secret.
#[derive(Debug)]
pub(crate) enum SecretError {
    /// It cannot be made at this path.
    Make(PathBuf, io::Error),
    /// The file that the settings name cannot be read.
    Read(String, io::Error),
    /// There is nothing in it.
    Empty(String),
}

impl fmt::Display for SecretError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Make(path, why) => write!(f, "peer secret {}: {why}", path.display()),
            Self::Read(path, why) => write!(f, "peer-secret-file {path}: {why}"),
            Self::Empty(path) => write!(f, "peer-secret-file {path} is empty"),
        }
    }
}

impl Error for SecretError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Make(_, why) | Self::Read(_, why) => Some(why),
            Self::Empty(_) => None,
        }
    }
}

/// `quorate secret`: makes a file with a secret unless there is one.
pub(crate) fn run(pairs: &Pairs) -> Result<(), String> {
    match pairs.as_slice() {
        [(name, path)] if name == "file" => make(Path::new(path)).map_err(|why| why.to_string()),
        _ => Err("usage: quorate secret --file PATH".to_owned()),
    }
}

/// Makes the file, for its owner alone. One that is there stays as it is, and two that make it at
/// the same time end up with the same.
pub(crate) fn make(path: &Path) -> Result<(), SecretError> {
    let failed = |why: io::Error| SecretError::Make(path.to_owned(), why);
    if path.try_exists().map_err(failed)? {
        return Ok(());
    }
    let text = random().map_err(failed)?;
    // Whole under a name of its own first: nobody reads half a secret.
    let draft = PathBuf::from(format!("{}.{}", path.display(), std::process::id()));
    let written = write(&draft, &text).and_then(|()| match fs::hard_link(&draft, path) {
        Err(why) if why.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    });
    let _ = fs::remove_file(&draft);
    written.map_err(failed)
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut file: File =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn random() -> io::Result<String> {
    let mut bytes = [0_u8; BYTES];
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match getrandom(rest, GetRandomFlags::empty()) {
            Ok(count) => filled += count,
            Err(rustix::io::Errno::INTR) => {}
            Err(why) => return Err(why.into()),
        }
    }
    let mut text = String::with_capacity(2 * BYTES + 1);
    for byte in bytes {
        // Writing into a string does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    Ok(text + "\n")
}

/// The secret that the settings give, if any: `peer-secret`, or else what is in `peer-secret-file`.
pub(crate) fn given(settings: &Settings) -> Result<Option<String>, SecretError> {
    let secret = settings.get("peer-secret");
    let path = settings.get("peer-secret-file");
    if !secret.is_empty() || path.is_empty() {
        return Ok(Some(secret).filter(|secret| !secret.is_empty()));
    }
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(why) => return Err(SecretError::Read(path, why)),
    };
    let secret = text.trim();
    if secret.is_empty() {
        return Err(SecretError::Empty(path));
    }
    Ok(Some(secret.to_owned()))
}

#[cfg(test)]
#[allow(clippy::expect_used, reason = "a failed expectation fails the test")]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn settings(pairs: &[(&str, &str)]) -> Settings {
        let pairs: Vec<_> =
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Settings::from_pairs(&pairs, None).expect("sound settings")
    }

    #[test]
    fn a_secret_is_made_once_and_read() {
        let dir = std::env::temp_dir().join(format!("quorate-secret-{}", std::process::id()));
        fs::create_dir_all(&dir).expect("a directory can be made");
        let path = dir.join("peer");
        let name = path.to_str().expect("its name is text");
        let from_file = settings(&[("peer-secret-file", name)]);
        assert!(matches!(given(&from_file), Err(SecretError::Read(..))));
        run(&vec![("file".to_owned(), name.to_owned())]).expect("it can be made");
        let mode = fs::metadata(&path).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let first = given(&from_file).expect("it can be read").expect("it is given");
        assert_eq!(first.len(), 2 * BYTES);
        make(&path).expect("it is there already");
        assert_eq!(given(&from_file).expect("it can be read"), Some(first));
        assert_eq!(fs::read_dir(&dir).expect("it can be listed").count(), 1);
        let both = settings(&[("peer-secret-file", name), ("peer-secret", "mine")]);
        assert_eq!(given(&both).expect("it is given"), Some("mine".to_owned()));
        let empty = settings(&[("peer-secret-file", name), ("peer-secret", "")]);
        assert!(given(&empty).is_ok_and(|secret| secret.is_some_and(|it| it.len() == 2 * BYTES)));
        fs::write(&path, " \n").expect("it can be written");
        assert!(matches!(given(&from_file), Err(SecretError::Empty(_))));
        assert!(matches!(given(&settings(&[])), Ok(None)));
        fs::remove_dir_all(&dir).expect("it can be removed");
    }
}
