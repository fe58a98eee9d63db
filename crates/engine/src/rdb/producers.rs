//! What streams remember of their producers, which RDB 10 has no place for: AUX fields behind the
//! stream, as many as needed, each of them some tens of kilobytes.
//!
//! They are made when a piece is written out, away from the keyspace's lock, and taken while the
//! stream still waits for its revision.

use super::encode::put_aux;
use super::field;
use super::text::{parse, print, push_number, take_number};
use crate::types::stream::{DURATION_MAX, Id, Producers, SIZE_MAX, Stream};
use alloc::vec::Vec;

/// A field is closed when it holds so many bytes, before they become text.
const FIELD: usize = 32 << 10;

/// Hands out the fields for the stream at a position among the keys of its group.
pub(crate) fn write(position: u64, producers: &Producers, sink: &mut dyn FnMut(&[u8])) {
    let Producers { duration_s, size, added, duplicates, .. } = *producers;
    let begun = || {
        let mut list = Vec::with_capacity(FIELD);
        for number in [position, duration_s, size, added, duplicates] {
            push_number(&mut list, number);
        }
        list
    };
    let mut close = |list: &[u8]| {
        let mut out = Vec::new();
        put_aux(&mut out, field::PRODUCERS, &print(list));
        sink(&out);
    };
    let mut list = begun();
    for producer in producers.rows() {
        // Each id says whose it is: a producer's may be spread over fields.
        for sent in producer.sent() {
            if list.len() >= FIELD {
                close(&list);
                list = begun();
            }
            for text in [producer.name(), &sent.name] {
                push_number(&mut list, text.len() as u64);
                list.extend_from_slice(text);
            }
            for number in [sent.id.ms, sent.id.seq, sent.time_ms] {
                push_number(&mut list, number);
            }
        }
    }
    close(&list);
}

/// Which of the waiting keys a field speaks of, and what it says. `None`: not a field of ours.
pub(crate) fn read(value: &[u8]) -> Option<(usize, Vec<u8>)> {
    let list = parse(value)?;
    let mut rest = &list[..];
    let position = usize::try_from(take_number(&mut rest)?).ok()?;
    Some((position, rest.to_vec()))
}

/// Adds what a field says to its stream. `None`: it cannot be.
pub(crate) fn take(stream: &mut Stream, mut rest: &[u8]) -> Option<()> {
    let producers = stream.producers_mut();
    let duration_s = take_number(&mut rest).filter(|it| (1..=DURATION_MAX).contains(it))?;
    let size = take_number(&mut rest).filter(|it| (1..=SIZE_MAX).contains(it))?;
    let (added, duplicates) = (take_number(&mut rest)?, take_number(&mut rest)?);
    (producers.duration_s, producers.size) = (duration_s, size);
    (producers.added, producers.duplicates) = (added, duplicates);
    while !rest.is_empty() {
        let (producer, sent) = (take_text(&mut rest)?, take_text(&mut rest)?);
        let id = Id { ms: take_number(&mut rest)?, seq: take_number(&mut rest)? };
        let time_ms = take_number(&mut rest)?;
        producers.restore(producer, sent, id, time_ms).then_some(())?;
    }
    Some(())
}

fn take_text<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(take_number(rest)?).ok()?;
    let (text, behind) = rest.split_at_checked(length)?;
    *rest = behind;
    Some(text)
}
