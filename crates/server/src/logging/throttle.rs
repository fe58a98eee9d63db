//! One line a minute of what is said again and again.
//!
//! A dead peer makes Raft say so with every heartbeat, a full disk with every try. A place in the
//! code may say the same once a minute, and different things [`TEXTS_MAX`] times; what goes beyond
//! is counted, and the count is told with the last of it when the minute is over. It holds for
//! every place, in libraries, too, and for those that are not written yet. `debug` and `trace` are
//! for whoever wants to see everything.

use std::fmt::{self, Write as _};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tracing::callsite::Identifier;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// So long the same is not said again.
const QUIET: Duration = Duration::from_mins(1);
/// Different lines of one place in that time.
const TEXTS_MAX: usize = 20;
/// Bytes of a line that are compared, and told again with a count.
const TEXT_BYTES_MAX: usize = 400;
/// Where the counts are told from, which nothing holds back.
const TARGET: &str = "quorate::throttle";

/// Who has said what lately.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    places: Mutex<Vec<(Identifier, Place)>>,
    held: AtomicU64,
}

/// One place in the code.
#[derive(Debug)]
struct Place {
    since: Instant,
    level: Level,
    /// The lines that were let through, each as far as it is compared.
    texts: Vec<String>,
    held: u64,
    /// The last line that was held back.
    last: String,
}

impl Throttle {
    fn lock(&self) -> MutexGuard<'_, Vec<(Identifier, Place)>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// See [`super::Log`].
    pub(super) fn lines_held(&self) -> u64 {
        self.held.load(Relaxed)
    }

    /// Whether a line may pass now.
    fn admit(&self, callsite: &Identifier, level: Level, text: &str, now: Instant) -> bool {
        let shown = cut(text);
        let mut places = self.lock();
        if !places.iter().any(|(known, _)| known == callsite) {
            places.push((callsite.clone(), Place::new(level, now)));
        }
        let found = places.iter_mut().find(|(known, _)| known == callsite);
        let Some((_, place)) = found else { return true };
        if place.texts.len() < TEXTS_MAX && !place.texts.contains(&shown) {
            place.texts.push(shown);
            return true;
        }
        place.held += 1;
        place.last = shown;
        self.held.fetch_add(1, Relaxed);
        false
    }

    /// Tells what was held back. Once a second.
    pub(super) fn round(&self) {
        for (level, text) in self.due(Instant::now()) {
            match level {
                Level::ERROR => tracing::error!(target: TARGET, "{text}"),
                Level::WARN => tracing::warn!(target: TARGET, "{text}"),
                _ => tracing::info!(target: TARGET, "{text}"),
            }
        }
    }

    /// The lines to tell of places whose minute is over. Each counts as said, so that a minute has
    /// one.
    fn due(&self, now: Instant) -> Vec<(Level, String)> {
        let mut lines = Vec::new();
        self.lock().retain_mut(|(_, place)| {
            if now.saturating_duration_since(place.since) < QUIET {
                return true;
            }
            if place.held == 0 {
                return false;
            }
            let last = std::mem::take(&mut place.last);
            lines.push((place.level, format!("{last} ({} more like it)", place.held)));
            *place = Place { texts: vec![last], ..Place::new(place.level, now) };
            true
        });
        lines
    }
}

impl Place {
    fn new(level: Level, since: Instant) -> Self {
        Self { since, level, texts: Vec::new(), held: 0, last: String::new() }
    }
}

/// So much of a line as is compared.
fn cut(text: &str) -> String {
    let end = text.floor_char_boundary(TEXT_BYTES_MAX);
    let rest = if end < text.len() { " …" } else { "" };
    format!("{}{rest}", text.get(..end).unwrap_or_default())
}

/// The throttle as a part of the subscriber.
pub(super) struct Hold(pub(super) Arc<Throttle>);

impl<S: Subscriber> Layer<S> for Hold {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        let facts = event.metadata();
        if *facts.level() > Level::INFO || facts.target() == TARGET {
            return true;
        }
        let mut text = Text(String::new());
        event.record(&mut text);
        self.0.admit(&facts.callsite(), *facts.level(), &text.0, Instant::now())
    }
}

/// Message and fields of a line.
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let space = if self.0.is_empty() { "" } else { " " };
        let _ = match field.name() {
            "message" => write!(self.0, "{space}{value:?}"),
            name => write!(self.0, "{space}{name}={value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::Callsite as _;

    /// A place in the code.
    fn place() -> Identifier {
        tracing::callsite! { name: "here", kind: tracing::metadata::Kind::EVENT, fields: message }
            .metadata()
            .callsite()
    }

    #[test]
    fn the_same_is_said_once_a_minute_and_counted() {
        let (throttle, place, start) = (Throttle::default(), place(), Instant::now());
        let at = |second| start + Duration::from_secs(second);
        let say = |text, second| throttle.admit(&place, Level::WARN, text, at(second));
        assert!(say("a peer is gone", 0));
        for second in 0..40 {
            assert!(!say("a peer is gone", second));
        }
        assert!(say("another peer is gone", 40));
        assert!(throttle.due(at(59)).is_empty());
        let told = |text: &str| vec![(Level::WARN, text.to_owned())];
        assert_eq!(throttle.due(at(60)), told("a peer is gone (40 more like it)"));
        // That was this minute's line.
        assert!(!say("a peer is gone", 61));
        assert!(say("another peer is gone", 61));
        assert_eq!(throttle.due(at(120)), told("a peer is gone (1 more like it)"));
        // A quiet minute, and it is news again.
        assert!(throttle.due(at(180)).is_empty());
        assert!(say("a peer is gone", 181));
        assert_eq!(throttle.lines_held(), 41);
    }

    #[test]
    fn a_place_with_ever_new_texts_is_held_back_too() {
        let (throttle, place, now) = (Throttle::default(), place(), Instant::now());
        let long = |number: usize| format!("{number}{}", "é".repeat(TEXT_BYTES_MAX));
        let said =
            (0..1000).filter(|number| throttle.admit(&place, Level::ERROR, &long(*number), now));
        assert_eq!(said.count(), TEXTS_MAX);
        let due = throttle.due(now + QUIET);
        assert_eq!(due.len(), 1);
        assert!(due[0].1.starts_with("999é") && due[0].1.ends_with("… (980 more like it)"));
        assert!(due[0].1.len() < TEXT_BYTES_MAX + 40);
    }
}
