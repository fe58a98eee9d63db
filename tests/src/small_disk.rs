//! A disk that is small: an ext4 file system in a file, mounted for a test.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// See the module. Unmounted when it is dropped.
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Makes and mounts one of so many MiB at a directory.
    pub fn mount(at: PathBuf, mebibytes: u32) -> Self {
        fs::create_dir_all(&at).expect("a directory can be made");
        let image = at.with_extension("img");
        let run = |program: &str, args: &[&str]| {
            let done = Command::new(program).args(args).output().expect("the program is installed");
            assert!(done.status.success(), "{program}: {}", String::from_utf8_lossy(&done.stderr));
        };
        let image = image.to_str().expect("a plain path").to_owned();
        let target = at.to_str().expect("a plain path").to_owned();
        run("truncate", &["-s", &format!("{mebibytes}M"), &image]);
        run("mkfs.ext4", &["-q", "-m", "0", &image]);
        run("mount", &["-o", "loop", &image, &target]);
        Self(at)
    }

    /// Fills it with something else but for so many bytes.
    pub fn fill(&self, leave: u64) {
        let mut ballast = fs::File::create(self.ballast()).expect("a file can be made");
        let piece = vec![0; 64 << 10];
        while self.free() > leave {
            // The last piece may not fit.
            if ballast.write_all(&piece).is_err() {
                break;
            }
        }
        // Space is taken when the file system has placed what was written.
        ballast.sync_all().expect("what was written can be synced");
    }

    /// Takes the filling out again.
    pub fn empty(&self) {
        fs::remove_file(self.ballast()).expect("our own file");
    }

    /// Free bytes.
    pub fn free(&self) -> u64 {
        let facts = rustix::fs::statvfs(&self.0).expect("it is mounted");
        facts.f_bavail * facts.f_frsize
    }

    fn ballast(&self) -> PathBuf {
        self.0.join("ballast")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Bytes that the files of a directory take of the disk.
pub fn bytes_on_disk(dir: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(facts) if facts.is_dir() => bytes_on_disk(&entry.path()),
            Ok(facts) => facts.blocks() * 512,
            // Removed in between.
            Err(_) => 0,
        })
        .sum()
}
