//! Settings that the engine reads. They are cluster-wide and logged, because every replica must
//! read the same.
//!
//! The server's settings table knows their defaults, ranges and documentation; this file knows how
//! their values are read and written, so that the text in the log and in a snapshot is always the
//! canonical one.

use super::{Part, Side};
use crate::digest::Op;
use alloc::format;
use alloc::string::{String, ToString};

/// Replicated settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `maxmemory` in bytes as the engine counts them; 0 means no limit.
    pub maxmemory: u64,
    /// `proto-max-bulk-len`: no string value grows beyond it, in bytes.
    pub string_bytes_max: u64,
    /// `notify-keyspace-events` as a string of Redis's class letters, in Redis's canonical order.
    pub notify: String,
    /// The same, read once.
    pub(crate) wanted: NotifyMask,
    /// Where small values become large ones.
    pub(crate) limits: Limits,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            maxmemory: 0,
            string_bytes_max: 512 << 20,
            notify: String::new(),
            wanted: NotifyMask::default(),
            limits: Limits::default(),
        }
    }
}

/// A setting that the engine does not have, or a value that it cannot take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettingError {
    /// No such setting here.
    Unknown,
    /// Not a value of this setting.
    Invalid,
}

impl Settings {
    /// Names of all settings, as `CONFIG` has them.
    pub const NAMES: [&str; 14] = [
        "maxmemory",
        "proto-max-bulk-len",
        "notify-keyspace-events",
        "list-max-listpack-size",
        "hash-max-listpack-entries",
        "hash-max-listpack-value",
        "set-max-intset-entries",
        "set-max-listpack-entries",
        "set-max-listpack-value",
        "zset-max-listpack-entries",
        "zset-max-listpack-value",
        "stream-node-max-entries",
        "stream-node-max-bytes",
        "hll-sparse-max-bytes",
    ];

    /// Changes one setting. Numbers are plain bytes here: units such as `mb` are resolved before a
    /// change is logged.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), SettingError> {
        let number = || value.parse().map_err(|_| SettingError::Invalid);
        match name {
            "maxmemory" => self.maxmemory = number()?,
            "proto-max-bulk-len" => self.string_bytes_max = number()?,
            "notify-keyspace-events" => {
                self.wanted = NotifyMask::parse(value).ok_or(SettingError::Invalid)?;
                self.notify = self.wanted.print();
            }
            "list-max-listpack-size" => {
                self.limits.list_size = value.parse().map_err(|_| SettingError::Invalid)?;
            }
            _ => {
                let place = self.limits.number(name).ok_or(SettingError::Unknown)?;
                *place = number()?;
            }
        }
        Ok(())
    }

    /// One setting as text.
    pub fn get(&self, name: &str) -> Option<String> {
        match name {
            "maxmemory" => Some(self.maxmemory.to_string()),
            "proto-max-bulk-len" => Some(self.string_bytes_max.to_string()),
            "notify-keyspace-events" => Some(self.notify.clone()),
            "list-max-listpack-size" => Some(self.limits.list_size.to_string()),
            _ => {
                let mut limits = self.limits;
                limits.number(name).map(|number| number.to_string())
            }
        }
    }
}

impl Part for Settings {
    const OP: Op = Op::Setting;
    const FIELD: &'static str = "quorate.setting.";

    fn of(side: &mut Side) -> &mut Self {
        &mut side.settings
    }

    fn fields(&self, put: &mut dyn FnMut(&str, &str)) {
        for name in Self::NAMES {
            let value = self.get(name).unwrap_or_default();
            put(&format!("{}{name}", Self::FIELD), &value);
        }
    }

    fn restore(&mut self, name: &str, value: &str) -> Option<()> {
        self.set(name, value).ok()
    }
}

/// Thresholds between small and large, from settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// `list-max-listpack-size`: entries, or if negative the size class of Redis (-1: 4 KiB … -5:
    /// 64 KiB).
    pub(crate) list_size: i64,
    /// `hash-max-listpack-entries`, and `…-value` in bytes.
    pub(crate) hash: (u64, u64),
    /// `set-max-intset-entries`.
    pub(crate) set_ints: u64,
    /// `set-max-listpack-entries`, and `…-value` in bytes.
    pub(crate) set: (u64, u64),
    /// `zset-max-listpack-entries`, and `…-value` in bytes.
    pub(crate) zset: (u64, u64),
    /// `stream-node-max-entries` (0: any number), and `stream-node-max-bytes` (0: any size).
    pub(crate) stream: (u64, u64),
    /// `hll-sparse-max-bytes`.
    pub(crate) hll_bytes: u64,
}

impl Default for Limits {
    /// Redis 7.2's.
    fn default() -> Self {
        Self {
            list_size: -2,
            hash: (512, 64),
            set_ints: 512,
            set: (128, 64),
            zset: (128, 64),
            stream: (100, 4096),
            hll_bytes: 3000,
        }
    }
}

impl Limits {
    /// A threshold that is a plain number, by its setting's name.
    pub(crate) fn number(&mut self, name: &str) -> Option<&mut u64> {
        Some(match name {
            "hash-max-listpack-entries" => &mut self.hash.0,
            "hash-max-listpack-value" => &mut self.hash.1,
            "set-max-intset-entries" => &mut self.set_ints,
            "set-max-listpack-entries" => &mut self.set.0,
            "set-max-listpack-value" => &mut self.set.1,
            "zset-max-listpack-entries" => &mut self.zset.0,
            "zset-max-listpack-value" => &mut self.zset.1,
            "stream-node-max-entries" => &mut self.stream.0,
            "stream-node-max-bytes" => &mut self.stream.1,
            "hll-sparse-max-bytes" => &mut self.hll_bytes,
            _ => return None,
        })
    }
}

/// Classes of keyspace events, one bit a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct NotifyMask(u32);

/// The classes in Redis's canonical order. `A` stands for the first ten.
const LETTERS: &[u8; 14] = b"g$lshzxetdnKEm";
const ALL: u32 = (1 << 10) - 1;
const CHANNELS: u32 = 0b11 << 11;

impl NotifyMask {
    /// Reads the letters in any order; `None` if one is unknown.
    pub(crate) fn parse(letters: &str) -> Option<Self> {
        letters.bytes().try_fold(Self(0), |mask, letter| {
            let bits = if letter == b'A' { ALL } else { bit(letter)? };
            Some(Self(mask.0 | bits))
        })
    }

    /// The letters as `CONFIG GET` shows them. (Redis forgets `n` beside `A`; we do not.)
    pub(crate) fn print(self) -> String {
        let all = self.0 & ALL == ALL;
        let shown = if all { self.0 & !ALL } else { self.0 };
        let letters = LETTERS.iter().filter(|&&letter| bit(letter).is_some_and(|b| shown & b != 0));
        let first = all.then_some('A');
        first.into_iter().chain(letters.map(|&letter| char::from(letter))).collect()
    }

    /// Whether this letter stands in it.
    pub(crate) fn has(self, letter: u8) -> bool {
        bit(letter).is_some_and(|bit| self.0 & bit != 0)
    }

    /// Whether events of a class are wanted, and on some channel.
    pub(crate) fn wants(self, class: u8) -> bool {
        self.0 & CHANNELS != 0 && self.has(class)
    }
}

fn bit(letter: u8) -> Option<u32> {
    LETTERS.iter().position(|&other| other == letter).map(|at| 1 << at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notify_classes_print_in_redis_order() {
        for (given, shown) in [
            ("", ""),
            ("KEA", "AKE"),
            ("Ex", "xE"),
            ("mzhg$lsxetdKE", "AKEm"),
            ("Ktl$", "$ltK"),
            ("nAE", "AnE"),
        ] {
            let mut settings = Settings::default();
            settings.set("notify-keyspace-events", given).unwrap();
            assert_eq!(settings.notify, shown, "{given}");
            let again = NotifyMask::parse(shown).unwrap();
            assert_eq!(again.print(), shown);
        }
        let refused = Settings::default().set("notify-keyspace-events", "Kq");
        assert_eq!(refused, Err(SettingError::Invalid));
    }

    #[test]
    fn an_event_needs_its_class_and_a_channel() {
        let wants = |letters, class| NotifyMask::parse(letters).unwrap().wants(class);
        assert!(wants("KA", b'x') && wants("E$", b'$') && wants("En", b'n'));
        assert!(!wants("A", b'x') && !wants("E$", b'g') && !wants("KEA", b'n'));
    }

    #[test]
    fn every_name_can_be_read_and_written() {
        let mut settings = Settings::default();
        for name in Settings::NAMES {
            let text = settings.get(name).unwrap();
            assert_eq!(settings.set(name, &text), Ok(()));
        }
        assert_eq!(settings, Settings::default());
        assert_eq!(settings.set("maxmemory", "-1"), Err(SettingError::Invalid));
        assert_eq!(settings.set("appendfsync", "no"), Err(SettingError::Unknown));
    }
}
