//! The preloaded shim of `tests/shim.c`: builds it once, hands out the environment, and switches
//! faults on and off.

use crate::cluster::Replica;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Faults of one replica.
#[derive(Debug)]
pub struct Shim {
    dir: PathBuf,
}

impl Shim {
    /// Preloads the shim into `replica` from its next start on.
    pub fn attach(replica: &mut Replica) -> Self {
        let dir = replica.dir.with_extension("shim");
        std::fs::create_dir_all(&dir).expect("a directory can be made");
        replica.env.push(("LD_PRELOAD".to_owned(), library().display().to_string()));
        replica.env.push(("QUORATE_SHIM_DIR".to_owned(), dir.display().to_string()));
        Self { dir }
    }

    /// Sets a fault (`fsync_eio`, `fsync_ms`, `read_ms`, `scan_ms`, `wall_ms`) to a value.
    pub fn set(&self, fault: &str, value: i64) {
        self.write(fault, &value.to_string());
    }

    fn write(&self, fault: &str, text: &str) {
        let aside = self.dir.join(format!("{fault}.new"));
        std::fs::write(&aside, text).expect("a file can be written");
        std::fs::rename(aside, self.dir.join(fault)).expect("a file can be renamed");
    }

    /// The process dies right before its `count`-th step of this kind; see `shim.c`.
    pub fn kill_at(&self, count: u32, what: &str, part: &str) {
        self.write("kill_at", &format!("{count} {what} {part}"));
    }

    /// Ends a fault.
    pub fn clear(&self, fault: &str) {
        let _ = std::fs::remove_file(self.dir.join(fault));
    }
}

/// The compiled shim.
fn library() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/shim.c");
        let library = std::env::temp_dir().join(format!("quorate-shim-{}.so", std::process::id()));
        let status = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(&library)
            .arg(source)
            .arg("-ldl")
            .status()
            .expect("cc runs");
        assert!(status.success(), "cc builds the shim");
        library
    })
}
