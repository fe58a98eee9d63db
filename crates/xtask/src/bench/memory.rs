//! Memory per key: RSS growth while a key space is loaded, one Quorate node beside one
//! `redis-server`.
//!
//! Read from `/proc` while nothing else is asked of either, so that buffers do not count as keys.

use super::drive;
use super::systems::System;
use std::path::Path;

/// Bytes of each value.
const VALUE_BYTES: usize = 16;

/// RSS growth per key of each system, in bytes.
pub(crate) fn compare(
    binary: &Path,
    scratch: &Path,
    keys: u32,
) -> Result<Vec<(&'static str, f64)>, String> {
    let systems = [
        System::quorate("quorate-1", binary, &scratch.join("one"), 1)?,
        System::redis("redis-none", &scratch.join("none"), false)?,
    ];
    systems
        .iter()
        .map(|system| {
            let resident =
                |system: &System| Ok::<u64, String>(system.resident_bytes()?.iter().sum());
            let before = resident(system)?;
            drive::load(system.target(), keys, VALUE_BYTES)?;
            let grown = resident(system)?.saturating_sub(before);
            Ok((system.name, grown as f64 / f64::from(keys)))
        })
        .collect()
}
