//! Setting a data directory aside: what must not be used any more is renamed, never removed.
//!
//! Called by a node that has found out that its state is not what it acknowledged, while it has the
//! files open; the next start finds nothing and is a new node's.

use std::fs::File;
use std::io::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};

/// What belongs to a node's identity. The lock stays: whoever sets aside holds it.
const PARTS: [&str; 3] = ["appendonlydir", "facts", crate::file::durable::PATH];

/// Moves log, snapshots and facts below `root` into a directory `<why>-<seconds>` beside them, so
/// that the next start finds nothing and is a new node's. The process may have them open. Gives
/// the directory's path.
pub fn set_aside(root: &Path, why: &str, seconds: u64) -> Result<PathBuf> {
    let free = (0..1000).map(|number| {
        let more = if number == 0 { String::new() } else { format!(".{number}") };
        root.join(format!("{why}-{seconds}{more}"))
    });
    let aside = free.into_iter().find(|path| !path.exists());
    let aside = aside.ok_or_else(|| Error::from(ErrorKind::AlreadyExists))?;
    std::fs::create_dir(&aside)?;
    for part in PARTS {
        match std::fs::rename(root.join(part), aside.join(part)) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    File::open(&aside)?.sync_all()?;
    File::open(root)?.sync_all()?;
    Ok(aside)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_kept_and_the_directory_is_free() {
        let root = std::env::temp_dir().join(format!("quorate-aside-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&root);
        for round in ["first", "second"] {
            for part in PARTS {
                std::fs::create_dir_all(root.join(part)).unwrap();
                std::fs::write(root.join(part).join("file"), round).unwrap();
            }
            std::fs::write(root.join("lock"), "").unwrap();
            let aside = set_aside(&root, "diverged", 77).unwrap();
            for part in PARTS {
                let kept = std::fs::read_to_string(aside.join(part).join("file")).unwrap();
                assert!(kept == round && !root.join(part).exists());
            }
            assert!(root.join("lock").exists());
        }
        assert!(root.join("diverged-77").exists() && root.join("diverged-77.1").exists());
        std::fs::remove_dir_all(root).unwrap();
    }
}
