//! Replies: whatever a server sends, the client's decoder neither panics nor grows without bound.
//!
//! A reply that was found must be the same when more bytes follow, and absent while it is cut.
#![no_main]

use libfuzzer_sys::fuzz_target;
use quorate_resp::decode_reply;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(Some((value, len))) = decode_reply(bytes) {
        assert!(len <= bytes.len());
        assert_eq!(decode_reply(&bytes[..len - 1]), Ok(None));
        let whole = format!("{:?}", decode_reply(&bytes[..len]));
        assert_eq!(whole, format!("{:?}", Ok::<_, ()>(Some((value, len)))));
    }
});
