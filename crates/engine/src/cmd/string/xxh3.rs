//! The 64-bit XXH3 hash with no seed, which DIGEST answers (`xxHash` 0.8; the specification is in
//! its repository). Every step is arithmetic modulo 2^64, the same on every machine.

const P32_1: u64 = 0x9E37_79B1;
const P32_2: u64 = 0x85EB_CA77;
const P32_3: u64 = 0xC2B2_AE3D;
const P64_1: u64 = 0x9E37_79B1_85EB_CA87;
const P64_2: u64 = 0xC2B2_AE3D_27D4_EB4F;
const P64_3: u64 = 0x1656_67B1_9E37_79F9;
const P64_4: u64 = 0x85EB_CA77_C2B2_AE63;
const P64_5: u64 = 0x27D4_EB2F_1656_67C5;
const MIX_1: u64 = 0x1656_6791_9E37_79F9;
const MIX_2: u64 = 0x9FB2_1C65_1E98_DF25;

/// The specification's own key material.
const SECRET: &[u8; 192] = b"\
    \xb8\xfe\x6c\x39\x23\xa4\x4b\xbe\x7c\x01\x81\x2c\xf7\x21\xad\x1c\
    \xde\xd4\x6d\xe9\x83\x90\x97\xdb\x72\x40\xa4\xa4\xb7\xb3\x67\x1f\
    \xcb\x79\xe6\x4e\xcc\xc0\xe5\x78\x82\x5a\xd0\x7d\xcc\xff\x72\x21\
    \xb8\x08\x46\x74\xf7\x43\x24\x8e\xe0\x35\x90\xe6\x81\x3a\x26\x4c\
    \x3c\x28\x52\xbb\x91\xc3\x00\xcb\x88\xd0\x65\x8b\x1b\x53\x2e\xa3\
    \x71\x64\x48\x97\xa2\x0d\xf9\x4e\x38\x19\xef\x46\xa9\xde\xac\xd8\
    \xa8\xfa\x76\x3f\xe3\x9c\x34\x3f\xf9\xdc\xbb\xc7\xc7\x0b\x4f\x1d\
    \x8a\x51\xe0\x4b\xcd\xb4\x59\x31\xc8\x9f\x7e\xc9\xd9\x78\x73\x64\
    \xea\xc5\xac\x83\x34\xd3\xeb\xc3\xc5\x81\xa0\xff\xfa\x13\x63\xeb\
    \x17\x0d\xdd\x51\xb7\xf0\xda\x49\xd3\x16\x55\x26\x29\xd4\x68\x9e\
    \x2b\x16\xbe\x58\x7d\x47\xa1\xfc\x8f\xf8\xb8\xd1\x7a\xd0\x31\xce\
    \x45\xcb\x3a\x8f\x95\x16\x04\x28\xaf\xd7\xfb\xca\xbb\x4b\x40\x7e";

/// The hash of some bytes.
pub(super) fn hash(bytes: &[u8]) -> u64 {
    let length = bytes.len() as u64;
    match bytes.len() {
        0 => finish_short(secret(56) ^ secret(64)),
        1..=3 => {
            let byte = |at: usize| u64::from(bytes.get(at).copied().unwrap_or(0));
            let (first, middle) = (byte(0), byte(bytes.len() >> 1));
            let all = first << 16 | middle << 24 | length << 8 | byte(bytes.len() - 1);
            finish_short(all ^ (word32(SECRET, 0) ^ word32(SECRET, 4)))
        }
        4..=8 => {
            let both = word32(bytes, bytes.len() - 4).wrapping_add(word32(bytes, 0) << 32);
            let mut hash = both ^ secret(8) ^ secret(16);
            hash = (hash ^ hash.rotate_left(49) ^ hash.rotate_left(24)).wrapping_mul(MIX_2);
            hash = (hash ^ (hash >> 35).wrapping_add(length)).wrapping_mul(MIX_2);
            hash ^ hash >> 28
        }
        9..=16 => {
            let low = word(bytes, 0) ^ secret(24) ^ secret(32);
            let high = word(bytes, bytes.len() - 8) ^ secret(40) ^ secret(48);
            let sum = length.wrapping_add(low.swap_bytes()).wrapping_add(high);
            finish(sum.wrapping_add(fold(low, high)))
        }
        17..=128 => finish(medium(bytes)),
        129..=240 => finish(larger(bytes)),
        _ => long(bytes),
    }
}

/// Sixteen bytes from both ends inwards, as many pairs as the length has.
fn medium(bytes: &[u8]) -> u64 {
    let pairs = bytes.len().div_ceil(32);
    let mut sum = (bytes.len() as u64).wrapping_mul(P64_1);
    for pair in 0..pairs {
        let from_end = bytes.len().saturating_sub(16 * (pair + 1));
        sum = sum.wrapping_add(mix(bytes, 16 * pair, 32 * pair));
        sum = sum.wrapping_add(mix(bytes, from_end, 32 * pair + 16));
    }
    sum
}

/// Sixteen bytes at a time; the first eight are finished by themselves.
fn larger(bytes: &[u8]) -> u64 {
    let mut sum = (bytes.len() as u64).wrapping_mul(P64_1);
    for round in 0..8 {
        sum = sum.wrapping_add(mix(bytes, 16 * round, 16 * round));
    }
    sum = finish(sum);
    for round in 8..bytes.len() / 16 {
        sum = sum.wrapping_add(mix(bytes, 16 * round, 16 * (round - 8) + 3));
    }
    sum.wrapping_add(mix(bytes, bytes.len() - 16, 119))
}

const STRIPE: usize = 64;
/// Stripes until the lanes are scrambled.
const BLOCK: usize = 16;

/// Eight lanes over stripes of 64 bytes.
fn long(bytes: &[u8]) -> u64 {
    let mut lanes = [P32_3, P64_1, P64_2, P64_3, P64_4, P32_2, P64_5, P32_1];
    // The last stripe is taken from the end, whole, whatever came before it.
    let stripes = (bytes.len() - 1) / STRIPE;
    for stripe in 0..stripes {
        accumulate(&mut lanes, bytes, stripe * STRIPE, stripe % BLOCK * 8);
        if stripe % BLOCK == BLOCK - 1 {
            for (lane, at) in lanes.iter_mut().zip((128..).step_by(8)) {
                *lane = (*lane ^ *lane >> 47 ^ secret(at)).wrapping_mul(P32_1);
            }
        }
    }
    accumulate(&mut lanes, bytes, bytes.len() - STRIPE, 121);
    let (pairs, _) = lanes.as_chunks::<2>();
    let start = (bytes.len() as u64).wrapping_mul(P64_1);
    finish(pairs.iter().zip((11..).step_by(16)).fold(start, |sum, ([low, high], at)| {
        sum.wrapping_add(fold(low ^ secret(at), high ^ secret(at + 8)))
    }))
}

/// Takes a stripe into the lanes; a lane's neighbour gets the plain word.
fn accumulate(lanes: &mut [u64; 8], bytes: &[u8], from: usize, key: usize) {
    let (pairs, _) = lanes.as_chunks_mut::<2>();
    for ([low, high], at) in pairs.iter_mut().zip((0..).step_by(16)) {
        let (one, other) = (word(bytes, from + at), word(bytes, from + at + 8));
        let keyed = (one ^ secret(key + at), other ^ secret(key + at + 8));
        *low = low.wrapping_add(other).wrapping_add(halves(keyed.0));
        *high = high.wrapping_add(one).wrapping_add(halves(keyed.1));
    }
}

/// The product of a word's halves.
fn halves(word: u64) -> u64 {
    (word & u64::from(u32::MAX)).wrapping_mul(word >> 32)
}

fn mix(bytes: &[u8], at: usize, key: usize) -> u64 {
    fold(word(bytes, at) ^ secret(key), word(bytes, at + 8) ^ secret(key + 8))
}

/// The halves of a full product, folded.
fn fold(one: u64, other: u64) -> u64 {
    let product = u128::from(one) * u128::from(other);
    product as u64 ^ (product >> 64) as u64
}

fn finish(mut hash: u64) -> u64 {
    hash = (hash ^ hash >> 37).wrapping_mul(MIX_1);
    hash ^ hash >> 32
}

fn finish_short(mut hash: u64) -> u64 {
    hash = (hash ^ hash >> 33).wrapping_mul(P64_2);
    hash = (hash ^ hash >> 29).wrapping_mul(P64_3);
    hash ^ hash >> 32
}

fn secret(at: usize) -> u64 {
    word(SECRET, at)
}

/// Eight bytes, lowest first. All callers stay inside.
fn word(bytes: &[u8], at: usize) -> u64 {
    let found = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>);
    found.map_or(0, |word| u64::from_le_bytes(*word))
}

fn word32(bytes: &[u8], at: usize) -> u64 {
    let found = bytes.get(at..).and_then(<[u8]>::first_chunk::<4>);
    found.map_or(0, |word| u64::from(u32::from_le_bytes(*word)))
}

#[cfg(test)]
mod tests {
    use super::hash;
    use alloc::vec::Vec;

    #[test]
    fn hashes_are_those_of_the_reference() {
        // Byte `i` of the input is `i * 37 + 11`.
        for (length, expected) in KNOWN {
            let bytes: Vec<u8> = (0..*length).map(|at| (at * 37 + 11) as u8).collect();
            assert_eq!(hash(&bytes), *expected, "{length} bytes");
        }
        assert_eq!(hash(b"Hello world"), 0xb6ac_b9d8_4a38_ff74);
    }

    /// From xxHash's reference implementation.
    const KNOWN: &[(usize, u64)] = &[
        (0, 0x2d06_8005_38d3_94c2),
        (1, 0x4a41_39ca_f413_6257),
        (2, 0x571a_2ebb_2388_29bb),
        (3, 0x5051_18c3_1312_1c0e),
        (4, 0x3f68_89ef_166b_4ad1),
        (5, 0x8b9a_336a_5cca_24f5),
        (8, 0x93f1_200f_9be8_2671),
        (9, 0x05b2_fd4d_97ed_cdae),
        (12, 0x7d46_569e_2ff6_f29f),
        (16, 0x2e43_59e2_a04a_5e32),
        (17, 0xf60c_5368_4bbc_489d),
        (31, 0xa2ee_08c1_96bd_0790),
        (32, 0x6648_64df_0876_efc6),
        (33, 0xaa99_8d61_31d9_56aa),
        (63, 0x450f_06b1_f364_ef74),
        (64, 0x8e74_64ff_df82_c775),
        (65, 0x8e3a_c037_3892_cc0a),
        (96, 0xdd88_13a2_5295_a5d5),
        (97, 0xca14_1081_637f_c064),
        (127, 0x8b85_5ef5_1727_776b),
        (128, 0x5c6a_b7b5_b236_0539),
        (129, 0x45fa_bbd1_83de_7649),
        (144, 0x7ad0_ea56_9cfa_c87b),
        (200, 0x43ec_ce5b_9e53_d9db),
        (239, 0xa1e8_3bcb_725e_5fbd),
        (240, 0xc079_6428_068c_d12e),
        (241, 0x859d_c8ab_6dd8_5c7c),
        (256, 0x2998_c04a_1802_8d12),
        (257, 0xb89b_13a1_cbd6_d586),
        (511, 0x1597_d5f6_d366_c99b),
        (1023, 0xf35d_4c7d_308f_7a40),
        (1024, 0x7df7_f049_c0c1_ad73),
        (1025, 0x29ad_cfca_c549_2652),
        (1088, 0xb166_cf32_7fee_c952),
        (1089, 0x9343_985b_5f83_6c76),
        (2048, 0xf8c1_eaac_9b71_5dda),
        (2049, 0x2151_15de_e6e0_9597),
        (5000, 0x3be1_ff1b_0768_cfb2),
    ];
}
