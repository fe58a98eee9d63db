//! The shared secret of the peer port, as it stands in the `authorization` metadata of every
//! request.
//!
//! It is checked before a message is read, so that a stranger cannot make this process decode
//! anything. The secret keeps strangers out; it does not hide traffic (that is TLS's or the
//! network's matter).

use super::inbound::Standing;
use std::hint::black_box;
use std::sync::Arc;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::{Request, Status};

/// Where the token stands.
pub(super) const KEY: &str = "authorization";

/// The header value for a secret. The secret is written in hexadecimal, so that any bytes may stand
/// in it.
pub(super) fn token(secret: &str) -> Option<MetadataValue<Ascii>> {
    let mut text = String::from("Bearer ");
    for byte in secret.bytes() {
        for nibble in [byte >> 4, byte & 15] {
            text.extend(char::from_digit(u32::from(nibble), 16));
        }
    }
    let mut value = MetadataValue::try_from(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Lets a request through if it carries the token (or if there is no secret).
#[derive(Clone)]
pub(super) struct Gate {
    token: Option<MetadataValue<Ascii>>,
}

impl Gate {
    pub(super) fn new(token: Option<MetadataValue<Ascii>>) -> Self {
        Self { token }
    }
}

impl Interceptor for Gate {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        let connection = request.extensions().get::<Arc<Standing>>();
        let given = request.metadata().get(KEY).map_or(&[][..], |value| value.as_bytes());
        if self.token.as_ref().is_none_or(|token| same(token.as_bytes(), given)) {
            connection.inspect(|it| it.is_of_a_peer());
            return Ok(request);
        }
        let from = connection.map(|it| it.from);
        tracing::warn!(?from, "peer port: a request without the right peer secret was refused");
        Err(Status::unauthenticated("wrong peer secret"))
    }
}

/// Compares in a time that depends only on the length of what was given.
fn same(expected: &[u8], given: &[u8]) -> bool {
    let mut difference = u8::from(expected.len() != given.len());
    for (at, byte) in given.iter().enumerate() {
        let other = expected.get(at % expected.len().max(1)).copied().unwrap_or(0);
        difference = black_box(difference | (byte ^ other));
    }
    black_box(difference) == 0
}

#[cfg(test)]
mod tests {
    use super::{same, token};

    #[test]
    fn tokens_compare_by_every_byte() {
        for (given, expect) in
            [("abc", true), ("abd", false), ("xbc", false), ("ab", false), ("", false)]
        {
            assert_eq!(same(b"abc", given.as_bytes()), expect, "{given:?}");
        }
        assert!(!same(b"abc", b"abcabc"), "a repetition is not the secret");
        assert!(!same(b"", b"x"));
    }

    #[test]
    fn any_secret_makes_a_header() {
        let header = token("pa ss\n\u{e4}").map(|value| value.as_bytes().to_vec());
        assert_eq!(header.as_deref(), Some(&b"Bearer 70612073730ac3a4"[..]));
    }
}
