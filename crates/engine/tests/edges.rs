//! Edges of numbers, and the classes of faults that Redis had to publish (CVE), one row each.
//!
//! A row is driven as clients drive the engine: every command is sealed, applied on the replica
//! that sealed it and on one that only applies, and the digests must agree. `tests/soup.rs` throws
//! the same kinds of arguments at random; here stand the answers. A class whose fault lies below
//! the commands has its test beside the code:
//!
//! - declared lengths and counts of requests (CVE-2021-21309, CVE-2021-32675): `resp`,
//!   `request/tests.rs`;
//! - payloads of RESTORE and snapshots: `snapshot/tests/hostile.rs` and `fuzz/`;
//! - sketches (CVE-2025-32023): here, and `cmd/hyperloglog/tests.rs`;
//! - packed sets (CVE-2021-29478): here, and `types/set/tests.rs`;
//! - what is claimed from streams (CVE-2022-31144, CVE-2022-35951, CVE-2025-62507): here, and
//!   `cmd/stream/tests.rs`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, with the place"
)]

use bytes::{Bytes, BytesMut};
use quorate_engine::{
    Applied, Db, Keyspace, Run, RunKind, SealLimits, Stamp, Waiting, apply, rehearse, seal,
};
use quorate_resp::{Proto, Value, decode_reply, write_command};

/// One class of faults.
struct Class {
    /// The CVE numbers, or the edge.
    name: &'static str,
    settings: &'static [(&'static str, &'static str)],
    /// Commands and answers, as [`words`] and [`show`] have them.
    lines: &'static [(&'static str, &'static str)],
}

const TOO_LONG: &str = "-ERR string exceeds maximum allowed size (proto-max-bulk-len)";
const NOT_AN_INTEGER: &str = "-ERR value is not an integer or out of range";
const OUT_OF_RANGE: &str = "-ERR value is out of range";
const BAD_OFFSET: &str = "-ERR bit offset is not an integer or out of range";

const CLASSES: &[Class] = &[
    Class {
        name: "CVE-2022-35977, CVE-2021-41099: SETRANGE and APPEND beyond any length",
        settings: &[("proto-max-bulk-len", "1048576")],
        lines: &[
            ("SETRANGE s 9223372036854775807 x", TOO_LONG),
            ("SETRANGE s 9223372036854775806 xx", TOO_LONG),
            ("SETRANGE s 4294967296 x", TOO_LONG),
            ("SETRANGE s 1048576 x", TOO_LONG),
            ("SETRANGE s 9223372036854775808 x", NOT_AN_INTEGER),
            ("SETRANGE s -1 x", "-ERR offset is out of range"),
            ("SETRANGE s -9223372036854775808 x", "-ERR offset is out of range"),
            ("SETRANGE s 9223372036854775807 \"\"", "0"),
            ("EXISTS s", "0"),
            ("SETRANGE s 1048575 x", "1048576"),
            ("APPEND s x", TOO_LONG),
            ("APPEND s \"\"", "1048576"),
            ("STRLEN s", "1048576"),
            ("GETRANGE s 1048575 9223372036854775807", "x"),
            ("GETRANGE s 9223372036854775807 9223372036854775807", ""),
            ("GETRANGE s 9223372036854775807 -9223372036854775808", ""),
            ("GETRANGE s -1 -9223372036854775808", ""),
            ("GETRANGE s -9223372036854775808 0", "\\x00"),
        ],
    },
    Class {
        name: "CVE-2021-32761: bits beyond any length",
        settings: &[("proto-max-bulk-len", "1048576")],
        lines: &[
            ("SETBIT b 8388608 1", BAD_OFFSET),
            ("SETBIT b 4294967296 1", BAD_OFFSET),
            ("SETBIT b 9223372036854775807 1", BAD_OFFSET),
            ("SETBIT b 18446744073709551615 1", BAD_OFFSET),
            ("SETBIT b -1 1", BAD_OFFSET),
            ("SETBIT b 0 2", "-ERR bit is not an integer or out of range"),
            ("GETBIT b 9223372036854775807", BAD_OFFSET),
            ("BITFIELD b SET u8 #9223372036854775807 1", BAD_OFFSET),
            ("BITFIELD b SET u8 #1152921504606846976 1", BAD_OFFSET),
            ("BITFIELD b SET i64 #144115188075855872 1", BAD_OFFSET),
            ("BITFIELD b GET i64 9223372036854775807", BAD_OFFSET),
            ("BITFIELD b SET u8 -1 1", BAD_OFFSET),
            ("BITFIELD b SET u8 #-1 1", BAD_OFFSET),
            ("BITFIELD b SET u63 8388608 1", BAD_OFFSET),
            ("BITFIELD b SET u63 #133153 1", BAD_OFFSET),
            ("BITFIELD_RO b GET u63 8388608", BAD_OFFSET),
            ("EXISTS b", "0"),
            ("SET b \\xff", "OK"),
            ("BITPOS b 1 9223372036854775807", "-1"),
            ("BITPOS b 1 -9223372036854775808 9223372036854775807 BIT", "0"),
            ("BITPOS b 0 0 9223372036854775807", "-1"),
            ("BITCOUNT b -9223372036854775808 9223372036854775807", "8"),
            ("BITCOUNT b -9223372036854775808 9223372036854775807 BIT", "8"),
            ("BITCOUNT b 9223372036854775807 -9223372036854775808", "0"),
        ],
    },
    Class {
        name: "BITFIELD at the ends of its integers",
        settings: &[],
        lines: &[
            ("BITFIELD f INCRBY i64 0 9223372036854775807", "[9223372036854775807]"),
            ("BITFIELD f OVERFLOW FAIL INCRBY i64 0 1", "[nil]"),
            ("BITFIELD f OVERFLOW SAT INCRBY i64 0 1", "[9223372036854775807]"),
            ("BITFIELD f OVERFLOW WRAP INCRBY i64 0 1", "[-9223372036854775808]"),
            ("BITFIELD f OVERFLOW SAT INCRBY i64 0 -9223372036854775808", "[-9223372036854775808]"),
            ("BITFIELD f INCRBY i64 0 -9223372036854775808", "[0]"),
            ("BITFIELD f OVERFLOW SAT SET u63 0 -1", "[0]"),
            ("BITFIELD f GET u63 0", "[9223372036854775807]"),
            ("BITFIELD f OVERFLOW FAIL INCRBY u63 0 1", "[nil]"),
            ("BITFIELD f INCRBY u1 0 9223372036854775807", "[0]"),
            ("BITFIELD f GET u64 0", INVALID_FIELD),
            ("BITFIELD f GET i65 0", INVALID_FIELD),
            ("BITFIELD f GET u0 0", INVALID_FIELD),
            ("BITFIELD f GET i-1 0", INVALID_FIELD),
            ("BITFIELD f GET i4294967297 0", INVALID_FIELD),
            ("BITFIELD f SET i8 0 9223372036854775808", NOT_AN_INTEGER),
        ],
    },
    Class {
        name: "CVE-2021-29477, CVE-2021-32625: LCS of strings whose table overflows",
        settings: &[],
        lines: &[
            ("SET one a×20000", "OK"),
            ("SET two b×20000", "OK"),
            ("LCS one two", LCS_TOO_LARGE),
            ("LCS one two LEN", LCS_TOO_LARGE),
            ("LCS one two IDX MINMATCHLEN 1", LCS_TOO_LARGE),
            ("SET one abcd", "OK"),
            ("SET two zbcz", "OK"),
            ("LCS one two IDX MINMATCHLEN 9223372036854775807", "[matches [] len 2]"),
            ("LCS one two IDX MINMATCHLEN -9223372036854775808", "[matches [[[1 2] [1 2]]] len 2]"),
            ("LCS one two MINMATCHLEN 9223372036854775808", NOT_AN_INTEGER),
        ],
    },
    Class {
        name: "CVE-2022-35977: SORT with LIMIT at the ends of integers",
        settings: &[],
        lines: &[
            ("RPUSH l 3 1 2", "3"),
            ("SORT l LIMIT 9223372036854775807 9223372036854775807", "[]"),
            ("SORT l LIMIT -9223372036854775808 9223372036854775807", "[1 2 3]"),
            ("SORT l LIMIT 1 9223372036854775807", "[2 3]"),
            ("SORT l LIMIT 0 -9223372036854775808", "[1 2 3]"),
            ("SORT_RO l LIMIT 2 -1", "[3]"),
            ("SORT_RO l LIMIT 9223372036854775807 1 DESC", "[]"),
            ("SORT l LIMIT 0 9223372036854775808", NOT_AN_INTEGER),
            ("SORT l BY nosort LIMIT 1 9223372036854775807", "[1 2]"),
            ("SORT l BY nosort DESC LIMIT -9223372036854775808 1", "[2]"),
            ("SORT l LIMIT 9223372036854775807 9223372036854775807 STORE kept", "0"),
            ("SORT l LIMIT 1 9223372036854775807 STORE kept", "2"),
            ("LRANGE kept 0 -1", "[2 3]"),
        ],
    },
    Class {
        name: "CVE-2023-22458, CVE-2023-25155: negative counts of random picks",
        settings: &[],
        lines: &[
            ("SADD s a", "1"),
            ("HSET h f v", "1"),
            ("ZADD z 1 m", "1"),
            ("SRANDMEMBER s -9223372036854775808", COUNT_LIMITS),
            ("HRANDFIELD h -9223372036854775808", COUNT_LIMITS),
            ("ZRANDMEMBER z -9223372036854775808", COUNT_LIMITS),
            ("SRANDMEMBER none -9223372036854775808", COUNT_LIMITS),
            ("SRANDMEMBER s -9223372036854775809", NOT_AN_INTEGER),
            // Redis writes until it has no memory.
            ("SRANDMEMBER s -9223372036854775807", OUT_OF_RANGE),
            ("HRANDFIELD h -9223372036854775807", OUT_OF_RANGE),
            ("ZRANDMEMBER z -9223372036854775807", OUT_OF_RANGE),
            ("HRANDFIELD h -9223372036854775807 WITHVALUES", OUT_OF_RANGE),
            ("ZRANDMEMBER z -4611686018427387904 WITHSCORES", OUT_OF_RANGE),
            ("HRANDFIELD h 9223372036854775807 WITHVALUES", OUT_OF_RANGE),
            ("ZRANDMEMBER z 9223372036854775807 WITHSCORES", OUT_OF_RANGE),
            ("HRANDFIELD h 4611686018427387903 WITHVALUES", "[f v]"),
            ("ZRANDMEMBER z 4611686018427387903 WITHSCORES", "[m 1]"),
            ("SRANDMEMBER s 9223372036854775807", "[a]"),
            ("HRANDFIELD h 9223372036854775807", "[f]"),
            ("ZRANDMEMBER z 9223372036854775807", "[m]"),
            ("SRANDMEMBER s -3", "[a a a]"),
            ("SPOP s -9223372036854775808", MUST_BE_POSITIVE),
            ("SPOP s 9223372036854775807", "[a]"),
        ],
    },
    Class {
        name: "counts of what is popped",
        settings: &[],
        lines: &[
            ("RPUSH l a b c", "3"),
            ("ZADD z 1 m 2 n", "2"),
            ("LPOP l -9223372036854775808", MUST_BE_POSITIVE),
            ("RPOP l 9223372036854775808", MUST_BE_POSITIVE),
            ("ZPOPMIN z -9223372036854775808", MUST_BE_POSITIVE),
            ("LMPOP 1 l LEFT COUNT 0", COUNT_NOT_POSITIVE),
            ("LMPOP 1 l LEFT COUNT -9223372036854775808", COUNT_NOT_POSITIVE),
            ("LMPOP 1 l LEFT COUNT 9223372036854775808", COUNT_NOT_POSITIVE),
            ("ZMPOP 1 z MIN COUNT -1", COUNT_NOT_POSITIVE),
            ("LMPOP 9223372036854775807 l LEFT", "-ERR syntax error"),
            ("ZMPOP 9223372036854775807 z MIN", "-ERR syntax error"),
            ("LMPOP -9223372036854775808 l LEFT", "-ERR numkeys should be greater than 0"),
            ("BLMPOP 0 1 l LEFT COUNT -9223372036854775808", COUNT_NOT_POSITIVE),
            ("BLMPOP 0 9223372036854775807 l LEFT", "-ERR syntax error"),
            ("BZMPOP 0 1 z MIN COUNT 9223372036854775808", COUNT_NOT_POSITIVE),
            ("BLPOP l 9223372036854775807", "-ERR timeout is out of range"),
            ("BLPOP l -9223372036854775808", "-ERR timeout is negative"),
            ("BZMPOP 0 1 z MAX COUNT 9223372036854775807", "[z [[n 2] [m 1]]]"),
            ("ZADD z 1 m 2 n", "2"),
            ("BLMPOP 0 1 l RIGHT COUNT 9223372036854775807", "[l [c b a]]"),
            ("RPUSH l a b c", "3"),
            ("LPOP l 9223372036854775807", "[a b c]"),
            ("ZPOPMAX z 9223372036854775807", "[n 2 m 1]"),
            ("EXISTS l z", "0"),
        ],
    },
    Class {
        name: "numbers of keys",
        settings: &[],
        lines: &[
            ("ZUNION 9223372036854775807 z", "-ERR syntax error"),
            ("ZUNIONSTORE d 9223372036854775807 z", "-ERR syntax error"),
            ("ZINTER -9223372036854775808 z", NO_INPUT_KEY),
            ("ZDIFF 0 z", NO_INPUT_KEY2),
            ("ZUNION 9223372036854775808 z", NOT_AN_INTEGER),
            ("SINTERCARD 9223372036854775807 s", TOO_MANY_KEYS),
            ("SINTERCARD -9223372036854775808 s", "-ERR numkeys should be greater than 0"),
            ("SINTERCARD 1 s LIMIT -9223372036854775808", "-ERR LIMIT can't be negative"),
            ("SINTERCARD 1 s LIMIT 9223372036854775807", "0"),
            ("ZINTERCARD 1 z LIMIT 9223372036854775807", "0"),
            ("MSETEX 9223372036854775807 a b", "-ERR invalid numkeys value"),
            ("MSETEX 2147483647 a b", "-ERR wrong number of key-value pairs"),
            ("XREAD COUNT 9223372036854775807 STREAMS s 0", "nil array"),
        ],
    },
    Class {
        name: "positions in lists",
        settings: &[],
        lines: &[
            ("RPUSH l a b a", "3"),
            ("LRANGE l -9223372036854775808 9223372036854775807", "[a b a]"),
            ("LRANGE l 9223372036854775807 -9223372036854775808", "[]"),
            ("LINDEX l 9223372036854775807", "nil"),
            ("LINDEX l -9223372036854775808", "nil"),
            ("LSET l 9223372036854775807 x", "-ERR index out of range"),
            ("LSET l -9223372036854775808 x", "-ERR index out of range"),
            ("LPOS l a RANK -9223372036854775808", LPOS_RANK),
            ("LPOS l a RANK 9223372036854775807", "nil"),
            ("LPOS l a RANK -9223372036854775807", "nil"),
            ("LPOS l a COUNT 9223372036854775807 MAXLEN 9223372036854775807", "[0 2]"),
            ("LPOS l a COUNT -9223372036854775808", "-ERR COUNT can't be negative"),
            ("LPOS l a MAXLEN -9223372036854775808", "-ERR MAXLEN can't be negative"),
            ("LREM l -9223372036854775808 b", "1"),
            ("LREM l 9223372036854775807 a", "2"),
            ("EXISTS l", "0"),
            ("RPUSH l a b c", "3"),
            ("LTRIM l -9223372036854775808 9223372036854775807", "OK"),
            ("LLEN l", "3"),
            ("LTRIM l 9223372036854775807 -9223372036854775808", "OK"),
            ("EXISTS l", "0"),
        ],
    },
    Class {
        name: "ranks and limits of sorted sets",
        settings: &[],
        lines: &[
            ("ZADD z 1 a 2 b", "2"),
            ("ZRANGE z -9223372036854775808 9223372036854775807", "[a b]"),
            ("ZRANGE z 9223372036854775807 -9223372036854775808", "[]"),
            ("ZREVRANGE z -9223372036854775808 9223372036854775807", "[b a]"),
            ("ZRANGE z -inf +inf BYSCORE LIMIT 9223372036854775807 1", "[]"),
            ("ZRANGE z -inf +inf BYSCORE LIMIT 1 9223372036854775807", "[b]"),
            ("ZRANGE z -inf +inf BYSCORE LIMIT 0 -9223372036854775808", "[a b]"),
            ("ZRANGE z -inf +inf BYSCORE LIMIT -9223372036854775808 1", "[]"),
            ("ZRANGEBYSCORE z -inf +inf LIMIT -1 1", "[]"),
            ("ZRANGESTORE d z 9223372036854775807 9223372036854775807", "0"),
            ("ZADD z nan c", "-ERR value is not a valid float"),
            ("ZADD z inf c", "1"),
            ("ZINCRBY z -inf c", "-ERR resulting score is not a number (NaN)"),
            ("ZINCRBY z 1e308 c", "inf"),
            ("ZADD z 1.7976931348623157e308 big", "1"),
            ("ZINCRBY z 1.7976931348623157e308 big", "inf"),
            ("ZUNION 2 z z WEIGHTS inf -inf", "[a b big c]"),
            ("ZUNION 1 z WEIGHTS nan", "-ERR weight value is not a float"),
            ("ZREMRANGEBYRANK z 9223372036854775807 9223372036854775807", "0"),
            ("ZREMRANGEBYRANK z -9223372036854775808 9223372036854775807", "4"),
        ],
    },
    Class {
        name: "counters",
        settings: &[],
        lines: &[
            ("SET c 9223372036854775807", "OK"),
            ("INCR c", WOULD_OVERFLOW),
            ("INCRBY c 9223372036854775807", WOULD_OVERFLOW),
            ("DECRBY c -9223372036854775808", "-ERR decrement would overflow"),
            ("INCRBY c -9223372036854775808", "-1"),
            ("DECRBY c 9223372036854775807", "-9223372036854775808"),
            ("DECR c", WOULD_OVERFLOW),
            ("INCREX c BYINT -1", "[-9223372036854775808 0]"),
            ("INCREX c BYINT 1 LBOUND 9223372036854775807 SATURATE", APPLIED_OVERFLOW),
            ("INCREX c BYINT -9223372036854775808 SATURATE", "[-9223372036854775808 0]"),
            ("INCREX c BYFLOAT 1e4932 UBOUND 1e4000", "[-9223372036854775808 0]"),
            ("HSET h c 9223372036854775807", "1"),
            ("HINCRBY h c 1", "-ERR increment or decrement would overflow"),
            ("HINCRBY h c -9223372036854775808", "-1"),
        ],
    },
    Class {
        name: "CVE-2023-28856: HINCRBYFLOAT leaves no field that is no number",
        settings: &[],
        lines: &[
            ("HINCRBYFLOAT h f inf", "-ERR value is NaN or Infinity"),
            ("HINCRBYFLOAT h f nan", "-ERR value is not a valid float"),
            ("EXISTS h", "0"),
            ("HSET h f 1e4932", "1"),
            ("HINCRBYFLOAT h f 1e4932", "-ERR increment would produce NaN or Infinity"),
            ("HGET h f", "1e4932"),
            ("HSET h f inf", "0"),
            ("HINCRBYFLOAT h f 1", "-ERR increment would produce NaN or Infinity"),
            ("HSET h f 1\\x00", "0"),
            ("HINCRBYFLOAT h f 1", "-ERR hash value is not a float"),
        ],
    },
    Class {
        name: "CVE-2023-28425: MSETNX that names a key twice",
        settings: &[],
        lines: &[
            ("MSETNX k a k b", "1"),
            ("GET k", "b"),
            ("MSETNX other a k b", "0"),
            ("EXISTS other", "0"),
        ],
    },
    Class {
        name: "deadlines beyond any time",
        settings: &[],
        lines: &[
            ("SET k v", "OK"),
            ("EXPIRE k 9223372036854775807", "-ERR invalid expire time in 'expire' command"),
            ("EXPIRE k -9223372036854775808", "-ERR invalid expire time in 'expire' command"),
            ("PEXPIRE k 9223372036854775807", "-ERR invalid expire time in 'pexpire' command"),
            ("EXPIREAT k 9223372036854775807", "-ERR invalid expire time in 'expireat' command"),
            ("SET k v EX 9223372036854775807", "-ERR invalid expire time in 'set' command"),
            ("SET k v PX 9223372036854775807", "-ERR invalid expire time in 'set' command"),
            ("SETEX k 9223372036854775807 v", "-ERR invalid expire time in 'setex' command"),
            ("GETEX k EX 9223372036854775807", "-ERR invalid expire time in 'getex' command"),
            ("INCREX n EX 9223372036854775807", "-ERR invalid expire time in 'increx' command"),
            ("MSETEX 1 n v PX 9223372036854775807", "-ERR invalid expire time in 'msetex' command"),
            ("TTL k", "-1"),
            ("PEXPIREAT k 9223372036854775807", "1"),
            ("PEXPIRETIME k", "9223372036854775807"),
            ("PEXPIREAT k -9223372036854775808", "1"),
            ("EXISTS k n", "0"),
        ],
    },
    Class {
        name: "CVE-2021-29478, CVE-2021-32687, CVE-2021-32627, CVE-2021-32628: packed forms",
        settings: &[
            ("set-max-intset-entries", "18446744073709551615"),
            ("set-max-listpack-entries", "18446744073709551615"),
            ("set-max-listpack-value", "18446744073709551615"),
            ("hash-max-listpack-entries", "18446744073709551615"),
            ("hash-max-listpack-value", "18446744073709551615"),
            ("zset-max-listpack-entries", "18446744073709551615"),
            ("zset-max-listpack-value", "18446744073709551615"),
            ("list-max-listpack-size", "2147483647"),
            ("stream-node-max-entries", "9223372036854775807"),
            ("stream-node-max-bytes", "0"),
        ],
        lines: &[
            ("HSET h f v×200000", "1"),
            ("HSET h g v×200000", "1"),
            ("HSTRLEN h g", "200000"),
            ("OBJECT ENCODING h", "hashtable"),
            ("SADD s m×200000 n×200000", "2"),
            ("SMISMEMBER s m×200000 n×200000 m", "[1 1 0]"),
            ("OBJECT ENCODING s", "hashtable"),
            ("ZADD z 1 m×200000 2 n×200000", "2"),
            ("ZRANK z n×200000", "1"),
            ("OBJECT ENCODING z", "skiplist"),
            ("RPUSH l a×200000 b×200000 c", "3"),
            ("LINDEX l 2", "c"),
            ("LLEN l", "3"),
            ("OBJECT ENCODING l", "quicklist"),
            ("XADD x 1-1 f v×200000", "1-1"),
            ("XADD x 1-2 f v×200000", "1-2"),
            ("XLEN x", "2"),
            ("XTRIM x MAXLEN 1", "1"),
        ],
    },
    Class {
        name: "ids of streams at their ends",
        settings: &[],
        lines: &[
            ("XADD x 0-0 f v", "-ERR The ID specified in XADD must be greater than 0-0"),
            ("XADD x 18446744073709551616-0 f v", INVALID_ID),
            ("XADD x 0-18446744073709551616 f v", INVALID_ID),
            ("XADD x -1-0 f v", INVALID_ID),
            ("XADD x 5-18446744073709551615 f v", "5-18446744073709551615"),
            ("XADD x 5-* f v", ID_TOO_SMALL),
            ("XADD x 18446744073709551615-18446744073709551615 f v", LAST_ID),
            ("XADD x * f v", EXHAUSTED),
            ("XADD x 18446744073709551615-* f v", EXHAUSTED),
            (
                "XRANGE x (18446744073709551615-18446744073709551615 +",
                "-ERR invalid start ID for the interval",
            ),
            ("XRANGE x - (0-0", "-ERR invalid end ID for the interval"),
            (
                "XREVRANGE x + (18446744073709551615-18446744073709551615",
                "-ERR invalid start ID for the interval",
            ),
            ("XRANGE x - + COUNT -9223372036854775808", "nil array"),
            (
                "XRANGE x (5-18446744073709551614 5 COUNT 9223372036854775807",
                "[[5-18446744073709551615 [f v]]]",
            ),
            ("XREAD COUNT 99 STREAMS x 18446744073709551615-18446744073709551615", "nil array"),
            ("XSETID x 18446744073709551615-18446744073709551615", "OK"),
            ("XSETID x 1-1", SMALLER_THAN_TOP),
            ("XTRIM x MAXLEN -9223372036854775808", "-ERR The MAXLEN argument must be >= 0."),
            ("XTRIM x MAXLEN 9223372036854775807", "0"),
            (
                "XTRIM x MAXLEN ~ 1 LIMIT -9223372036854775808",
                "-ERR The LIMIT argument must be >= 0.",
            ),
            ("XTRIM x MINID 18446744073709551615-18446744073709551615", "1"),
            ("XDEL x 18446744073709551615-18446744073709551615", "1"),
            ("XLEN x", "0"),
        ],
    },
    Class {
        name: "CVE-2022-31144, CVE-2022-35951: counts and times of what is claimed",
        settings: &[],
        lines: &[
            ("XGROUP CREATE x g 0 MKSTREAM", "OK"),
            ("XADD x 1-1 f v", "1-1"),
            ("XADD x 2-1 f v", "2-1"),
            (
                "XREADGROUP GROUP g one COUNT 9223372036854775807 STREAMS x >",
                "[[x [[1-1 [f v]] [2-1 [f v]]]]]",
            ),
            ("XDEL x 1-1", "1"),
            ("XAUTOCLAIM x g two 0 - COUNT 9223372036854775807", CLAIM_COUNT),
            ("XAUTOCLAIM x g two 0 - COUNT 4611686018427387904", CLAIM_COUNT),
            ("XAUTOCLAIM x g two 0 - COUNT 0", CLAIM_COUNT),
            ("XAUTOCLAIM x g two 0 - COUNT -9223372036854775808", CLAIM_COUNT),
            ("XAUTOCLAIM x g two 9223372036854775807 - COUNT 10", "[0-0 [] [1-1]]"),
            ("XAUTOCLAIM x g two -9223372036854775808 - COUNT 10", "[0-0 [[2-1 [f v]]] []]"),
            ("XCLAIM x g one 0 2-1 IDLE 9223372036854775807", "[[2-1 [f v]]]"),
            ("XCLAIM x g one 0 2-1 TIME -9223372036854775808", "[[2-1 [f v]]]"),
            (
                "XCLAIM x g one 0 2-1 TIME 9223372036854775807 RETRYCOUNT 9223372036854775807",
                "[[2-1 [f v]]]",
            ),
            ("XCLAIM x g one 0 2-1", "[[2-1 [f v]]]"),
            ("XPENDING x g IDLE 9223372036854775807 - + 9223372036854775807", "[]"),
            ("XPENDING x g - + -9223372036854775808", "[]"),
            ("XACK x g 18446744073709551615-18446744073709551615", "0"),
        ],
    },
    Class {
        name: "counts and cursors of walks",
        settings: &[],
        lines: &[
            ("SET k v", "OK"),
            ("SADD s a", "1"),
            ("HSET h f v", "1"),
            ("SCAN 0 COUNT 9223372036854775807", "[0 [s k h]]"),
            ("SCAN 18446744073709551615 COUNT 10", "[0 []]"),
            ("SCAN 18446744073709551616", "-ERR invalid cursor"),
            ("SCAN -1", "[0 []]"),
            ("SCAN 0 COUNT -9223372036854775808", "-ERR syntax error"),
            ("SCAN 0 COUNT 0", "-ERR syntax error"),
            ("SSCAN s 18446744073709551615 COUNT 9223372036854775807", "[0 [a]]"),
            ("HSCAN h 9223372036854775807 COUNT 9223372036854775807", "[0 [f v]]"),
            ("MEMORY USAGE h SAMPLES 9223372036854775808", NOT_AN_INTEGER),
            ("MEMORY USAGE h SAMPLES -1", "-ERR syntax error"),
        ],
    },
    Class {
        name: "CVE-2022-36021, CVE-2024-31228: patterns that take for ever",
        settings: &[],
        lines: &[
            ("SET a×60000 v", "OK"),
            ("HSET h a×60000 v", "1"),
            ("SADD s a×60000", "1"),
            ("ZADD z 1 a×60000", "1"),
            ("KEYS {*a}×900b", "[]"),
            ("KEYS [a-z]*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*ab", "[]"),
            ("KEYS {\\x5b}×60000", "[]"),
            ("KEYS {[^}×60000", "[s z h]"),
            ("KEYS *a×30000b", "[]"),
            ("KEYS *a×59999?b", "[]"),
            ("KEYS {\\x5c}×60001", "[]"),
            ("HSCAN h 0 MATCH {*a}×900b", "[0 []]"),
            ("SSCAN s 0 MATCH {*a}×900b", "[0 []]"),
            ("ZSCAN z 0 MATCH {*a}×900b", "[0 []]"),
            ("SCAN 0 COUNT 100 MATCH {*?}×1001", "[0 []]"),
        ],
    },
    Class {
        name: "circles and boxes without end",
        settings: &[],
        lines: &[
            ("GEOADD g 13.3 38.1 a", "1"),
            ("GEOADD g nan 1 b", "-ERR value is not a valid float"),
            ("GEOADD g inf 1 b", "-ERR invalid longitude,latitude pair inf,1.000000"),
            ("GEOSEARCH g FROMLONLAT 0 0 BYRADIUS 1e308 km ASC", "[a]"),
            ("GEOSEARCH g FROMLONLAT 0 0 BYRADIUS inf km ASC", "[a]"),
            ("GEOSEARCH g FROMLONLAT 0 0 BYRADIUS nan km", "-ERR need numeric radius"),
            ("GEOSEARCH g FROMLONLAT 0 0 BYRADIUS -1 km", "-ERR radius cannot be negative"),
            ("GEOSEARCH g FROMLONLAT 0 0 BYBOX 1e308 1e308 km ASC", "[a]"),
            ("GEOSEARCH g FROMLONLAT 0 0 BYRADIUS 9999 km COUNT 9223372036854775807 ASC", "[a]"),
            (
                "GEOSEARCH g FROMLONLAT 0 0 BYRADIUS 9999 km COUNT -9223372036854775808",
                "-ERR COUNT must be > 0",
            ),
        ],
    },
];

const INVALID_FIELD: &str = "-ERR Invalid bitfield type. Use something like i16 u8. Note that u64 \
                             is not supported but i64 is.";
const LCS_TOO_LARGE: &str =
    "-ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len";
const COUNT_LIMITS: &str = "-ERR value is out of range, value must between -9223372036854775807 \
                            and 9223372036854775807";
const MUST_BE_POSITIVE: &str = "-ERR value is out of range, must be positive";
const COUNT_NOT_POSITIVE: &str = "-ERR count should be greater than 0";
const NO_INPUT_KEY: &str = "-ERR at least 1 input key is needed for 'zinter' command";
const NO_INPUT_KEY2: &str = "-ERR at least 1 input key is needed for 'zdiff' command";
const TOO_MANY_KEYS: &str = "-ERR Number of keys can't be greater than number of args";
const LPOS_RANK: &str = "-ERR value is out of range, value must between -9223372036854775807 and \
                         9223372036854775807";
const WOULD_OVERFLOW: &str = "-ERR increment or decrement would overflow";
const APPLIED_OVERFLOW: &str = "-ERR applied increment would overflow";
const INVALID_ID: &str = "-ERR Invalid stream ID specified as stream command argument";
const ID_TOO_SMALL: &str =
    "-ERR The ID specified in XADD is equal or smaller than the target stream top item";
const LAST_ID: &str = "18446744073709551615-18446744073709551615";
const EXHAUSTED: &str =
    "-ERR The stream has exhausted the last possible ID, unable to add more items";
const SMALLER_THAN_TOP: &str =
    "-ERR The ID specified in XSETID is smaller than the target stream top item";
const CLAIM_COUNT: &str = "-ERR COUNT must be > 0";

#[test]
fn every_class_is_answered() {
    let mut wrong = Vec::new();
    for class in CLASSES {
        let mut pair = Pair::new(class.settings);
        for (line, expect) in class.lines {
            let answer = show(&pair.call(&words(line)));
            if answer != *expect {
                wrong.push(format!("{}\n> {line}\n{answer}\nnot {expect}", class.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// CVE-2019-10192, CVE-2019-10193, CVE-2025-32023: the payload of a sketch is the client's, and its
/// runs may say what they like.
#[test]
fn cve_2025_32023_payloads_of_sketches() {
    let head = |dense: u8| [b"HYLL".as_slice(), &[dense, 0, 0, 0], &[0x80; 8]].concat();
    let runs: [&[u8]; 9] = [
        b"",
        b"\x00",
        b"\x7f",
        b"\x7f\xff\x7f\xff",
        b"\x7f\xff\x00",
        b"\x80",
        b"\x7f\xfe\x83",
        b"\xff\xff\xff",
        b"\x40\x00",
    ];
    let mut payloads: Vec<Vec<u8>> = runs.iter().map(|runs| [&head(1), *runs].concat()).collect();
    // More registers than an integer of 16 or 32 bits counts.
    payloads.push([head(1), b"\x7f\xff".repeat(200_000)].concat());
    payloads.push([head(1), b"\xff".repeat(100_000)].concat());
    payloads.push([head(0), vec![0xff; 12_287]].concat());
    payloads.push([head(0), vec![0xff; 12_289]].concat());
    payloads.push([head(2), vec![0xff; 12_288]].concat());
    payloads.push(b"HYLL".to_vec());
    payloads.push(head(1)[..15].to_vec());
    payloads.push(head(0)[..8].to_vec());
    for payload in payloads {
        let mut pair = Pair::new(&[]);
        pair.call(&[b"SET".to_vec(), b"bad".to_vec(), payload.clone()]);
        pair.call(&words("PFADD good a b c"));
        let shown = &payload[..payload.len().min(40)];
        // A register in front of the fault may be set.
        pair.call(&words("PFADD bad x"));
        for line in ["PFCOUNT bad", "PFCOUNT good bad", "PFMERGE good bad"] {
            let answer = show(&pair.call(&words(line)));
            let is_refused = answer.starts_with("-INVALIDOBJ") || answer.starts_with("-WRONGTYPE");
            assert!(is_refused, "{line}: {answer}, {shown:?}");
        }
        assert_eq!(show(&pair.call(&words("PFCOUNT good"))), "3", "{shown:?}");
    }
}

/// Two replicas and one client.
struct Pair {
    leader: Keyspace,
    follower: Keyspace,
    index: u64,
}

impl Pair {
    fn new(settings: &[(&str, &str)]) -> Self {
        let keyspace = || {
            let mut keyspace = Keyspace::new([3, 4]);
            for (name, value) in settings {
                keyspace.set_setting(name, value).expect("a setting");
            }
            keyspace
        };
        Self { leader: keyspace(), follower: keyspace(), index: 0 }
    }

    fn call(&mut self, command: &[Vec<u8>]) -> Value {
        let mut bytes = BytesMut::new();
        write_command(&mut bytes, command.iter().map(Vec::as_slice));
        let run = Run {
            db: Db(0),
            proto: Proto::Resp2,
            commands: bytes.freeze(),
            count: 1,
            kind: RunKind::Commands,
        };
        let stamp = Stamp { now_ms: 1_900_000_000_000, seed: self.index };
        let (runs, limits) = ([run], SealLimits::default());
        let mut sealed = seal(&self.leader, &runs, &stamp, &limits);
        if sealed.taken == 0 {
            let nobody = &mut Waiting::default();
            sealed = rehearse(&mut self.leader, nobody, &runs, &stamp, &limits).0;
        }
        let replies: Vec<Bytes> = if sealed.payload.is_empty() {
            sealed.plan.answer(&self.leader, 5).unwrap()
        } else {
            self.index += 1;
            let at = Applied { index: self.index, stamp };
            apply(&mut self.follower, at, &sealed.payload, None).unwrap();
            apply(&mut self.leader, at, &sealed.payload, Some(&sealed.plan)).unwrap().replies
        };
        assert_eq!(self.leader.digest(), self.follower.digest());
        let (value, used) = decode_reply(&replies[0]).unwrap().unwrap();
        assert_eq!((used, replies.len()), (replies[0].len(), 1));
        value
    }
}

/// The words of a line: `""` is empty, `\xHH` a byte, `a×n` repeats a byte, `{text}×n` a text.
fn words(line: &str) -> Vec<Vec<u8>> {
    let word = |word: &str| match word.split_once('×') {
        Some((front, rest)) => {
            let (front, text) = match front.strip_suffix('}') {
                Some(front) => front.rsplit_once('{').unwrap(),
                None => front.split_at(front.len() - 1),
            };
            let end = rest.find(|byte: char| !byte.is_ascii_digit()).unwrap_or(rest.len());
            let count = rest[..end].parse().unwrap();
            [bytes(front), bytes(text).repeat(count), bytes(&rest[end..])].concat()
        }
        None => bytes(word),
    };
    line.split(' ').map(word).collect()
}

fn bytes(text: &str) -> Vec<u8> {
    let mut parts = if text == "\"\"" { "" } else { text }.split("\\x");
    let mut bytes = parts.next().unwrap().as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(&part[..2], 16).unwrap());
        bytes.extend(&part.as_bytes()[2..]);
    }
    bytes
}

/// An answer on one line.
fn show(value: &Value) -> String {
    match value {
        Value::Simple(line) => line.clone(),
        Value::Error(line) => format!("-{line}"),
        Value::Int(number) => number.to_string(),
        Value::Bulk(bytes) => bytes.escape_ascii().to_string(),
        Value::Null => "nil".into(),
        Value::NullArray => "nil array".into(),
        Value::Array(items) => {
            format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(" "))
        }
        other => format!("{other:?}"),
    }
}
