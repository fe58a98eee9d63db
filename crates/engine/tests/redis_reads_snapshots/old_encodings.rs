//! Encodings that older Redis wrote and 7.0 still reads (ziplist, zipmap, intset, one by one), made
//! by hand: what Redis makes of such a payload is what we make of it.

use super::*;

/// An element of a packed row.
#[derive(Clone)]
pub(super) enum Item {
    Text(Vec<u8>),
    Int(i64),
}

impl Item {
    /// What a client sees of it.
    fn text(&self) -> Vec<u8> {
        match self {
            Self::Text(text) => text.clone(),
            Self::Int(number) => number.to_string().into_bytes(),
        }
    }
}

/// Every length and number that a ziplist writes in its own way.
fn items() -> Vec<Item> {
    let text = |length: usize| Item::Text(vec![b'a' + (length % 26) as u8; length]);
    let numbers = [0, 12, 13, -1, 127, 1_000, -40_000, 8_000_000, 1 << 31, -(1 << 31), i64::MIN];
    let texts = [0, 1, 63, 64, 252, 253, 300, 16_384, 20_000].map(text);
    texts.into_iter().chain(numbers.map(Item::Int)).collect()
}

/// A length of RDB, in its shortest form.
pub(super) fn length(out: &mut Vec<u8>, length: usize) {
    match length {
        0..64 => out.push(length as u8),
        64..16_384 => out.extend((0x4000 | length as u16).to_be_bytes()),
        _ => {
            out.push(0x80);
            out.extend((length as u32).to_be_bytes());
        }
    }
}

pub(super) fn string(out: &mut Vec<u8>, bytes: &[u8]) {
    length(out, bytes.len());
    out.extend(bytes);
}

/// Entries with the length of the one before; a header of all bytes, the last entry's place and
/// their number; 255.
pub(super) fn ziplist(items: &[Item]) -> Vec<u8> {
    let (mut row, mut before, mut last) = (Vec::new(), 0_usize, 10);
    for item in items {
        let at = row.len();
        last = 10 + at;
        match u8::try_from(before) {
            Ok(short) if short < 254 => row.push(short),
            _ => {
                row.push(254);
                row.extend((before as u32).to_le_bytes());
            }
        }
        match item {
            Item::Text(text) => {
                match text.len() {
                    short @ 0..64 => row.push(short as u8),
                    middle @ 64..16_384 => row.extend((0x4000 | middle as u16).to_be_bytes()),
                    long => {
                        row.push(0x80);
                        row.extend((long as u32).to_be_bytes());
                    }
                }
                row.extend(text);
            }
            Item::Int(number) => int(&mut row, *number),
        }
        before = row.len() - at;
    }
    let mut list = ((row.len() + 11) as u32).to_le_bytes().to_vec();
    list.extend((last as u32).to_le_bytes());
    list.extend((items.len() as u16).to_le_bytes());
    list.extend(row);
    list.push(255);
    list
}

/// A number of a ziplist: within its first byte, or in 1, 2, 3, 4 or 8 bytes behind it.
fn int(row: &mut Vec<u8>, number: i64) {
    let widths = [(1, 0xfe), (2, 0xc0), (3, 0xf0), (4, 0xd0), (8, 0xe0)];
    if (0..=12).contains(&number) {
        row.push(0xf1 + number as u8);
        return;
    }
    let fits = |width: u32| number >> (8 * width - 1) == number >> 63;
    let (width, code) = *widths.iter().find(|(width, _)| fits(*width)).unwrap();
    row.push(code);
    row.extend(&number.to_le_bytes()[..width as usize]);
}

/// A count, then texts behind their lengths; a value's is followed by how many bytes are free.
pub(super) fn zipmap(pairs: &[(Vec<u8>, Vec<u8>, u8)]) -> Vec<u8> {
    let put_length = |map: &mut Vec<u8>, length: usize| match u8::try_from(length) {
        Ok(short) if short < 254 => map.push(short),
        _ => {
            map.push(254);
            map.extend((length as u32).to_le_bytes());
        }
    };
    let mut map = vec![pairs.len() as u8];
    for (field, value, free) in pairs {
        put_length(&mut map, field.len());
        map.extend(field);
        put_length(&mut map, value.len());
        map.push(*free);
        map.extend(value);
        map.resize(map.len() + usize::from(*free), 0);
    }
    map.push(255);
    map
}

pub(super) fn intset(width: usize, numbers: &[i64]) -> Vec<u8> {
    let mut set = (width as u32).to_le_bytes().to_vec();
    set.extend((numbers.len() as u32).to_le_bytes());
    set.extend(numbers.iter().flat_map(|number| number.to_le_bytes()[..width].to_vec()));
    set
}

/// Type, then strings.
pub(super) fn value(kind: u8, count: Option<usize>, strings: &[Vec<u8>]) -> Vec<u8> {
    let mut value = vec![kind];
    if let Some(count) = count {
        length(&mut value, count);
    }
    for bytes in strings {
        string(&mut value, bytes);
    }
    value
}

/// The values of every encoding, each with its name.
pub(super) fn values() -> Vec<(&'static str, Vec<u8>)> {
    let items = items();
    let texts: Vec<_> = items.iter().map(Item::text).collect();
    let all = Some(texts.len());
    let doubled: Vec<_> = items.iter().flat_map(|item| [item.clone(), item.clone()]).collect();
    let pairs: Vec<_> = doubled.iter().map(Item::text).collect();
    let scored: Vec<_> = (0..20)
        .flat_map(|at| [Item::Text(format!("member {at}").into_bytes()), Item::Int(at)])
        .chain([Item::Text(b"last".to_vec()), Item::Text(b"20.25".to_vec())])
        .collect();
    let long = [(vec![b'f'; 300], vec![b'v'; 70_000], 3), (b"x".to_vec(), b"".to_vec(), 0)];
    let mut scores = vec![3];
    length(&mut scores, 4);
    for (member, score) in
        [("half", &b"\x030.5"[..]), ("nan no", b"\x011"), ("low", b"\xff"), ("high", b"\xfe")]
    {
        string(&mut scores, member.as_bytes());
        scores.extend(score);
    }
    vec![
        ("list", value(1, all, &texts)),
        ("set", value(2, all, &texts)),
        ("zset with scores as text", scores),
        ("hash", value(4, all, &pairs)),
        ("zipmap", value(9, None, &[zipmap(&long)])),
        ("empty value in a zipmap", value(9, None, &[zipmap(&long[1..])])),
        ("ziplist of a list", value(10, None, &[ziplist(&items)])),
        ("ziplist of one", value(10, None, &[ziplist(&items[..1])])),
        ("intset of 16 bits", value(11, None, &[intset(2, &[-32_768, -1, 0, 32_767])])),
        ("intset of 32 bits", value(11, None, &[intset(4, &[-2_147_483_648, 5])])),
        ("intset of 64 bits", value(11, None, &[intset(8, &[i64::MIN, 7, i64::MAX])])),
        ("ziplist of a zset", value(12, None, &[ziplist(&scored)])),
        ("ziplist of a hash", value(13, None, &[ziplist(&doubled)])),
        ("quicklist", value(14, Some(2), &[ziplist(&items), ziplist(&items[3..7])])),
    ]
}

fn payload(mut value: Vec<u8>) -> Vec<u8> {
    value.extend(9_u16.to_le_bytes());
    let mut sum = Checksum::default();
    sum.update(&value);
    value.extend(sum.finish());
    value
}

#[test]
fn old_encodings_are_read_as_redis_reads_them() {
    let scratch = Scratch::new("old");
    let mut redis = Redis::start(&scratch.0, &["--enable-debug-command", "yes"]);
    let mut keyspace = Keyspace::new([3, 4]);
    for (name, value) in values() {
        let payload = payload(value);
        redis.call(&[b"RESTORE", b"old", b"0", &payload, b"REPLACE"]);
        let reply = call(&mut keyspace, &[b"RESTORE", b"old", b"0", &payload, b"REPLACE"]);
        assert_eq!(reply, Value::Simple("OK".to_owned()), "{name}");
        let Value::Bulk(ours) = call(&mut keyspace, &[b"DUMP", b"old"]) else { panic!("{name}") };
        redis.call(&[b"RESTORE", b"ours", b"0", &ours, b"REPLACE"]);
        let digest = |redis: &mut Redis, key| redis.send(&[b"DEBUG", b"DIGEST-VALUE", key]);
        assert_eq!(digest(&mut redis, b"ours"), digest(&mut redis, b"old"), "{name}");
    }
}

/// Every cut of a packed row behind a good checksum is refused, whatever its header promises.
#[test]
fn cut_rows_are_refused() {
    let mut keyspace = Keyspace::new([3, 4]);
    let mut refused = 0;
    for (kind, row) in [
        (10, ziplist(&items()[..4])),
        (13, ziplist(&items()[2..6])),
        (9, zipmap(&[(b"field".to_vec(), b"value".to_vec(), 1)])),
        (11, intset(4, &[1, 2, 3])),
    ] {
        for length in 0..row.len() {
            // The whole length is said anew, as it would be by somebody who means harm.
            let mut cut = row[..length].to_vec();
            if let Some(said) = cut.get_mut(..4).filter(|_| matches!(kind, 10 | 13)) {
                said.copy_from_slice(&(length as u32).to_le_bytes());
                cut[length - 1] = 255;
            }
            let payload = payload(value(kind, None, &[cut]));
            let reply = call(&mut keyspace, &[b"RESTORE", b"cut", b"0", &payload]);
            assert!(matches!(reply, Value::Error(_)), "{kind} cut at {length}: {reply:?}");
            refused += 1;
        }
    }
    assert!(refused > 100);
    // A ziplist whose only text is longer than all that is left; a fuzzer found it.
    let found = [14, 16, 13, 13, 0, 0, 0, 2, 0, 255, 255, 255, 19, 0, 30, 255, 255, 2];
    let reply = call(&mut keyspace, &[b"RESTORE", b"cut", b"0", &payload(found.to_vec())]);
    assert!(matches!(reply, Value::Error(_)), "{reply:?}");
}
