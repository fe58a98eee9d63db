//! What a setting's value may look like, and its one canonical text.
//!
//! `CONFIG SET` accepts what Redis accepts (`1gb`, `YES`, `Ex`) and refuses with Redis's words;
//! `CONFIG GET` shows the canonical form (`1073741824`, `yes`, `xE`).

use super::Invalid;

/// The type of a setting.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// `yes` or `no`.
    Bool,
    /// A whole number in these bounds.
    Int(i64, i64),
    /// Bytes in these bounds, with Redis's units.
    Bytes(i64, i64),
    /// Bytes, of which more than so many mean so many: Redis takes any number, and its
    /// configuration files should be taken as they are.
    BytesUpTo(i64),
    /// Bytes, or a percentage of memory.
    BytesOrPercent,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Some of these words.
    Choices(&'static [&'static str]),
    /// Any text.
    Text,
    /// Text that `CONFIG GET` and the log never show in the clear.
    Secret,
    /// A list of words.
    Words,
    /// Redis's class letters of keyspace events.
    Events,
    /// Pairs of seconds and changes, as `save` has them.
    SavePoints,
    /// Percentiles between 0 and 100.
    Percentiles,
    /// `class hard soft seconds`, repeated.
    OutputLimits,
}

impl Kind {
    /// The canonical text of `value`, or Redis's reason why it is refused.
    pub(crate) fn canonical(self, value: &str) -> Result<String, Invalid> {
        match self {
            Self::Bool => match value.to_ascii_lowercase().as_str() {
                text @ ("yes" | "no") => Ok(text.to_owned()),
                _ => Err(Invalid::NotBool),
            },
            Self::Int(min, max) => {
                let number = value.parse::<i64>().map_err(|_| Invalid::NotNumber)?;
                in_bounds(number, min, max)
            }
            Self::Bytes(min, max) => {
                let number = memory_bytes(value).ok_or(Invalid::NotBytes)?;
                in_bounds(number, min, max)
            }
            Self::BytesUpTo(most) => {
                let number = memory_bytes(value).ok_or(Invalid::NotBytes)?;
                Ok(number.min(most).to_string())
            }
            Self::BytesOrPercent => bytes_or_percent(value),
            Self::Choice(words) => choice(value, words),
            Self::Choices(words) => choices(value, words),
            Self::Text | Self::Secret => Ok(value.to_owned()),
            Self::Words => Ok(words_of(value)),
            Self::Events => events(value),
            Self::SavePoints => save_points(value),
            Self::Percentiles => percentiles(value),
            Self::OutputLimits => output_limits(value),
        }
    }

    /// How the documentation calls it.
    pub(crate) fn describe(self) -> String {
        match self {
            Self::Bool => "yes or no".to_owned(),
            Self::Int(min, i64::MAX) => format!("number ≥ {min}"),
            Self::Int(min, max) => format!("number {min}–{max}"),
            Self::Bytes(..) => "bytes".to_owned(),
            Self::BytesUpTo(most) => format!("bytes, {most} at most"),
            Self::BytesOrPercent => "bytes or percent".to_owned(),
            Self::Choice(words) => words.join(", "),
            Self::Choices(words) => format!("any of {}", words.join(", ")),
            Self::Text => "text".to_owned(),
            Self::Secret => "secret".to_owned(),
            Self::Words => "list".to_owned(),
            Self::Events => "class letters".to_owned(),
            Self::SavePoints => "seconds changes …".to_owned(),
            Self::Percentiles => "percentiles".to_owned(),
            Self::OutputLimits => "class hard soft seconds …".to_owned(),
        }
    }
}

fn in_bounds(number: i64, min: i64, max: i64) -> Result<String, Invalid> {
    if (min..=max).contains(&number) {
        Ok(number.to_string())
    } else {
        Err(Invalid::OutOfBounds(min, max))
    }
}

/// Bytes of `64mb`, `1g`, `100`, with Redis's units: `k` is 1,000 and `kb` is 1,024.
pub(crate) fn memory_bytes(text: &str) -> Option<i64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: i64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" => 1000,
        "kb" => 1 << 10,
        "m" => 1_000_000,
        "mb" => 1 << 20,
        "g" => 1_000_000_000,
        "gb" => 1 << 30,
        _ => return None,
    };
    number.parse::<i64>().ok()?.checked_mul(factor)
}

fn bytes_or_percent(value: &str) -> Result<String, Invalid> {
    if let Some(percent) = value.strip_suffix('%') {
        return match percent.parse::<u32>() {
            Ok(percent @ ..=100) => Ok(format!("{percent}%")),
            Ok(_) => Err(Invalid::PercentAbove100),
            Err(_) => Err(Invalid::NotBytesOrPercent),
        };
    }
    match memory_bytes(value) {
        Some(bytes) => Ok(bytes.to_string()),
        None => Err(Invalid::NotBytesOrPercent),
    }
}

fn choice(value: &str, words: &'static [&'static str]) -> Result<String, Invalid> {
    let found = words.iter().find(|word| word.eq_ignore_ascii_case(value));
    found.map(|word| (*word).to_owned()).ok_or(Invalid::NotOneOf(words))
}

fn choices(value: &str, words: &'static [&'static str]) -> Result<String, Invalid> {
    let mut given = Vec::new();
    for text in value.split_ascii_whitespace() {
        given.push(choice(text, words)?);
    }
    if given.is_empty() {
        return Err(Invalid::NotOneOf(words));
    }
    let canonical: Vec<&str> =
        words.iter().copied().filter(|word| given.iter().any(|text| text == word)).collect();
    Ok(canonical.join(" "))
}

fn words_of(value: &str) -> String {
    value.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}

/// Redis's order of the class letters; `A` stands for the first ten.
const EVENT_CLASSES: &str = "g$lshzxetd";

fn events(value: &str) -> Result<String, Invalid> {
    let known = |letter: char| EVENT_CLASSES.contains(letter) || "AKEmn".contains(letter);
    if !value.chars().all(known) {
        return Err(Invalid::EventClass);
    }
    let has = |letter: char| {
        value.contains(letter) || (EVENT_CLASSES.contains(letter) && value.contains('A'))
    };
    let mut text = String::new();
    if EVENT_CLASSES.chars().all(has) {
        text.push('A');
    } else {
        text.extend(EVENT_CLASSES.chars().filter(|letter| has(*letter)));
    }
    text.extend("KEmn".chars().filter(|letter| has(*letter)));
    Ok(text)
}

fn save_points(value: &str) -> Result<String, Invalid> {
    let words: Vec<&str> = value.split_ascii_whitespace().collect();
    let sound = words.len().is_multiple_of(2)
        && words.chunks(2).all(|pair| match pair {
            [seconds, changes] => {
                seconds.parse::<u32>().is_ok_and(|seconds| seconds > 0)
                    && changes.parse::<u32>().is_ok()
            }
            _ => false,
        });
    if sound { Ok(words.join(" ")) } else { Err(Invalid::SavePoints) }
}

fn percentiles(value: &str) -> Result<String, Invalid> {
    let mut list = Vec::new();
    for word in value.split_ascii_whitespace() {
        let number = word.parse::<f64>().map_err(|_| Invalid::NotPercentile)?;
        if !(0.0..=100.0).contains(&number) {
            return Err(Invalid::PercentileOutOfBounds);
        }
        list.push(number.to_string());
    }
    Ok(list.join(" "))
}

/// Classes in Redis's order; `replica` may be called `slave`.
pub(super) const CLIENT_CLASSES: [&str; 3] = ["normal", "slave", "pubsub"];

fn output_limits(value: &str) -> Result<String, Invalid> {
    let words: Vec<&str> = value.split_ascii_whitespace().collect();
    if words.is_empty() || !words.len().is_multiple_of(4) {
        return Err(Invalid::OutputLimitCount);
    }
    let mut lines = Vec::new();
    for four in words.chunks(4) {
        let [class, hard, soft, seconds] = four else { continue };
        let class = if class.eq_ignore_ascii_case("replica") { "slave" } else { class };
        let class = CLIENT_CLASSES.iter().find(|name| name.eq_ignore_ascii_case(class));
        let class = class.ok_or(Invalid::OutputLimitClass)?;
        let limits = (memory_bytes(hard), memory_bytes(soft), seconds.parse::<u32>().ok());
        let (Some(hard), Some(soft), Some(seconds)) = limits else {
            return Err(Invalid::OutputLimitNumber);
        };
        lines.push(format!("{class} {hard} {soft} {seconds}"));
    }
    Ok(lines.join(" "))
}
