//! Why settings are refused, in Redis's words where Redis has the case.
//!
//! A reason is data until somebody is told: the command line and CONFIG SET say it in different
//! sentences.

use std::fmt;

/// Why a value is not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Invalid {
    NotBool,
    NotNumber,
    NotBytes,
    NotBytesOrPercent,
    PercentAbove100,
    OutOfBounds(i64, i64),
    NotOneOf(&'static [&'static str]),
    EventClass,
    SavePoints,
    NotPercentile,
    PercentileOutOfBounds,
    OutputLimitCount,
    OutputLimitClass,
    OutputLimitNumber,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OutOfBounds(min, max) => {
                return write!(f, "argument must be between {min} and {max} inclusive");
            }
            Self::NotOneOf(words) => {
                let words = words.join(", ");
                return write!(f, "argument(s) must be one of the following: {words}");
            }
            Self::NotBool => "argument must be 'yes' or 'no'",
            Self::NotNumber => "argument couldn't be parsed into an integer",
            Self::NotBytes => "argument must be a memory value",
            Self::NotBytesOrPercent => "argument must be a memory or percent value",
            Self::PercentAbove100 => "percentage argument must be less or equal to 100",
            Self::EventClass => "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.",
            Self::SavePoints => "Invalid save parameters",
            Self::NotPercentile => {
                "latency-tracking-info-percentiles should contain a numeric list of percentiles"
            }
            Self::PercentileOutOfBounds => "percentiles should be between 0.0 and 100.0",
            Self::OutputLimitCount => "Wrong number of arguments in buffer limit configuration.",
            Self::OutputLimitClass => {
                "Invalid client class specified in buffer limit configuration."
            }
            Self::OutputLimitNumber => {
                "Error in hard, soft or soft_seconds setting in buffer limit configuration."
            }
        })
    }
}

/// Why a process does not start with these settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SettingsError {
    Unknown(String),
    Invalid {
        name: String,
        value: String,
        why: Invalid,
    },
    /// A line of the file: its number, and the line.
    Quotes(usize, String),
    /// A line of the file: its number, and the setting's name.
    NoValue(usize, String),
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(name) => write!(f, "unknown setting '{name}'"),
            Self::Invalid { name, value, why } => {
                write!(f, "setting '{name} \"{value}\"' is not accepted: {why}")
            }
            Self::Quotes(line, text) => write!(f, "line {line}: unbalanced quotes in '{text}'"),
            Self::NoValue(line, name) => write!(f, "line {line}: '{name}' needs a value"),
        }
    }
}
