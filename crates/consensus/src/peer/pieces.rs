//! Large payloads in pieces: how an append request is taken apart for the wire and put together
//! again.
//!
//! One message of 60 MiB shows neither side how far it is: a limit on silence would break it off on
//! any link that needs longer for it. In pieces the receiver acknowledges what has arrived, and
//! encoding and decoding hold up the event loop for one piece at a time. The receiver says in its
//! first answer that it takes pieces; an older build is sent whole payloads. Nothing here knows
//! what an entry means.

use crate::peer::transport::TransportError;
use crate::proto as pb;
use crate::raft::convert::Malformed;
use bytes::BytesMut;
use futures::stream::{self, BoxStream, Stream, StreamExt};
use std::collections::VecDeque;
use std::future::ready;
use tokio::sync::watch;

/// Longest piece, and longest payload that travels whole. At 1 Mbit/s it takes 2 s: within what a
/// stream may be silent.
pub(crate) const PIECE_BYTES: usize = 256 << 10;
/// Most bytes of pieces that wait for their request; as much as one message may hold.
const GATHERED_MAX: usize = (128 + 16) << 20;

type Incoming = BoxStream<'static, Result<pb::AppendRequest, TransportError>>;

/// Whether a request has a payload that travels in pieces if it can.
pub(crate) fn is_large(request: &pb::AppendRequest) -> bool {
    request.entries.iter().any(|entry| entry.payload.len() > PIECE_BYTES)
}

/// The messages of one request, in order. Copies nothing.
pub(crate) fn split(mut request: pb::AppendRequest) -> VecDeque<pb::AppendRequest> {
    let mut messages = VecDeque::new();
    for entry in &mut request.entries {
        if entry.payload.len() <= PIECE_BYTES {
            continue;
        }
        let mut rest = std::mem::take(&mut entry.payload);
        entry.pieced = rest.len() as u64;
        let mut total = entry.pieced;
        while !rest.is_empty() {
            let data = rest.split_to(rest.len().min(PIECE_BYTES));
            let piece = Some(pb::Piece { total, data });
            messages.push_back(pb::AppendRequest { piece, ..Default::default() });
            total = 0;
        }
    }
    messages.push_back(request);
    messages
}

/// What has arrived of payloads whose request has not.
#[derive(Debug, Default)]
struct Gathering {
    bytes: BytesMut,
    received: u64,
}

impl Gathering {
    /// One piece more. Gives the bytes received so far.
    fn take(&mut self, piece: &pb::Piece) -> Result<u64, Malformed> {
        let room = GATHERED_MAX - self.bytes.len().min(GATHERED_MAX);
        if piece.data.len() > room {
            return Err(Malformed("more pieces than a request may have"));
        }
        // All at once: a buffer that grows is copied every time. Untouched memory costs nothing.
        self.bytes.reserve(usize::try_from(piece.total).unwrap_or(room).min(room));
        self.bytes.extend_from_slice(&piece.data);
        self.received += piece.data.len() as u64;
        Ok(self.received)
    }

    /// Puts the payloads into the request that follows their pieces.
    fn fill(&mut self, request: &mut pb::AppendRequest) -> Result<(), Malformed> {
        for entry in request.entries.iter_mut().filter(|entry| entry.pieced > 0) {
            let length = usize::try_from(entry.pieced).unwrap_or(usize::MAX);
            if length > self.bytes.len() || !entry.payload.is_empty() {
                return Err(Malformed("an entry without its pieces"));
            }
            entry.payload = self.bytes.split_to(length).freeze();
            entry.pieced = 0;
        }
        if self.bytes.is_empty() { Ok(()) } else { Err(Malformed("pieces of no entry")) }
    }
}

/// Whole requests from what arrives; each piece is acknowledged through `receipts`.
pub(crate) fn gathered(input: Incoming, receipts: watch::Sender<u64>) -> Incoming {
    let state = (input, Gathering::default(), receipts);
    let requests = stream::unfold(state, |(mut input, mut gathering, receipts)| async move {
        loop {
            let mut request = match input.next().await? {
                Ok(request) => request,
                Err(error) => return Some((Err(error), (input, gathering, receipts))),
            };
            let done = match request.piece.take() {
                Some(piece) => gathering.take(&piece).map(|received| {
                    receipts.send_replace(received);
                }),
                None => match gathering.fill(&mut request) {
                    Ok(()) => return Some((Ok(request), (input, gathering, receipts))),
                    Err(what) => Err(what),
                },
            };
            if let Err(Malformed(what)) = done {
                tracing::error!(what, "malformed append from the leader");
                let error = TransportError::Unreachable(what.to_owned());
                return Some((Err(error), (input, gathering, receipts)));
            }
        }
    });
    requests.boxed()
}

/// The answers with receipts in between; ends with the answers. The first says that pieces are
/// taken.
pub(crate) fn with_receipts(
    answers: impl Stream<Item = pb::AppendResponse> + Send + 'static,
    received: watch::Receiver<u64>,
) -> BoxStream<'static, pb::AppendResponse> {
    let answers = answers.enumerate().map(|(at, mut answer)| {
        answer.takes_pieces = at == 0;
        Some(answer)
    });
    let receipts = stream::unfold(received, |mut received| async move {
        received.changed().await.ok()?;
        let bytes = *received.borrow_and_update();
        Some((Some(pb::AppendResponse { received: bytes, ..Default::default() }), received))
    });
    let end = stream::once(ready(None));
    stream::select(answers.chain(end), receipts).scan((), |(), answer| ready(answer)).boxed()
}

/// Whether this is a receipt and not an answer.
pub(crate) fn is_receipt(response: &pb::AppendResponse) -> bool {
    response.result.is_none() && response.received > 0
}

#[cfg(test)]
#[allow(clippy::expect_used, reason = "a failed expectation fails the test")]
mod tests {
    use super::*;
    use bytes::Bytes;
    use futures::FutureExt;

    fn entry(index: u64, length: usize) -> pb::Entry {
        let payload = Bytes::from(vec![u8::try_from(index).unwrap_or(0); length]);
        pb::Entry { term: 1, index, payload, ..Default::default() }
    }

    fn request(lengths: &[usize]) -> pb::AppendRequest {
        let entries = (1..).zip(lengths).map(|(index, length)| entry(index, *length)).collect();
        pb::AppendRequest { entries, clock_ms: 7, ..Default::default() }
    }

    fn gather(messages: Vec<pb::AppendRequest>) -> (Vec<Result<pb::AppendRequest, ()>>, u64) {
        let (receipts, received) = watch::channel(0);
        let input = stream::iter(messages.into_iter().map(Ok)).boxed();
        let gathered = gathered(input, receipts).map(|item| item.map_err(drop));
        let gathered = gathered.collect().now_or_never().expect("nothing waits");
        (gathered, *received.borrow())
    }

    #[test]
    fn what_was_split_is_gathered_again() {
        let check = |lengths: &[usize], messages: usize, pieced: usize| {
            let whole = request(lengths);
            assert_eq!(is_large(&whole), pieced > 0);
            let parts = Vec::from(split(whole.clone()));
            assert_eq!(parts.len(), messages);
            assert_eq!(gather(parts), (vec![Ok(whole)], pieced as u64));
        };
        check(&[], 1, 0);
        check(&[10, PIECE_BYTES], 1, 0);
        check(&[PIECE_BYTES + 1], 3, PIECE_BYTES + 1);
        check(&[5, PIECE_BYTES * 2, 5, PIECE_BYTES * 3 + 7], 7, PIECE_BYTES * 5 + 7);
    }

    #[test]
    fn pieces_and_entries_must_fit() {
        let mut parts = Vec::from(split(request(&[PIECE_BYTES + 1])));
        let last = parts.pop().expect("the request");
        // A piece is missing.
        assert_eq!(gather(vec![parts[0].clone(), last.clone()]).0, vec![Err(())]);
        // A piece too many.
        let more = [parts.clone(), vec![parts[1].clone(), last.clone()]].concat();
        assert_eq!(gather(more).0, vec![Err(())]);
        // A payload besides.
        let mut both = last;
        both.entries[0].payload = Bytes::from_static(b"x");
        assert_eq!(gather([parts, vec![both]].concat()).0, vec![Err(())]);
    }

    #[test]
    fn a_declared_length_allocates_no_more_than_a_request_may_have() {
        let mut gathering = Gathering::default();
        let piece = pb::Piece { total: u64::MAX, data: Bytes::from_static(b"x") };
        assert_eq!(gathering.take(&piece), Ok(1));
        assert!(gathering.bytes.capacity() <= 2 * GATHERED_MAX);
        let huge = pb::Piece { total: 0, data: Bytes::from(vec![0; GATHERED_MAX]) };
        assert!(gathering.take(&huge).is_err());
    }

    #[test]
    fn receipts_come_between_the_answers_and_end_with_them() {
        let (receipts, received) = watch::channel(0);
        receipts.send_replace(9);
        let answers = stream::iter([pb::AppendResponse::default(), pb::AppendResponse::default()]);
        let all: Vec<_> =
            with_receipts(answers, received).collect().now_or_never().expect("it ends");
        assert_eq!(all.iter().filter(|answer| answer.takes_pieces).count(), 1);
        let bytes: Vec<_> = all.iter().filter(|it| is_receipt(it)).map(|it| it.received).collect();
        assert_eq!((all.len(), bytes), (3, vec![9]));
    }
}
