//! `bit`: operations on 32 bits.
//!
//! A number's lowest 32 bits go in, a signed number comes out, as in the `BitOp` library of Redis.

use crate::native::{Cx, Fault, Native};

/// The functions.
pub(crate) const BIT: &[(&str, Native)] = &[
    ("arshift", |cx| shift(cx, |bits, count| ((bits as i32) >> count) as u32)),
    ("band", |cx| fold(cx, |one, other| one & other)),
    ("bnot", |cx| one(cx, |bits| !bits)),
    ("bor", |cx| fold(cx, |one, other| one | other)),
    ("bswap", |cx| one(cx, u32::swap_bytes)),
    ("bxor", |cx| fold(cx, |one, other| one ^ other)),
    ("lshift", |cx| shift(cx, |bits, count| bits << count)),
    ("rol", |cx| shift(cx, u32::rotate_left)),
    ("ror", |cx| shift(cx, u32::rotate_right)),
    ("rshift", |cx| shift(cx, |bits, count| bits >> count)),
    ("tobit", |cx| one(cx, |bits| bits)),
    ("tohex", tohex),
];

/// An argument's lowest 32 bits; a fraction is rounded.
fn bits(cx: &Cx<'_>, at: usize) -> Result<u32, Fault> {
    /// 2^52 + 2^51: what is added to it has its integer part in the lowest bits.
    const MAGIC: f64 = 6_755_399_441_055_744.0;
    Ok((cx.number(at)? + MAGIC).to_bits() as u32)
}

fn put(cx: &mut Cx<'_>, bits: u32) {
    cx.put_number(f64::from(bits as i32));
}

fn one(cx: &mut Cx<'_>, of: impl Fn(u32) -> u32) -> Result<(), Fault> {
    let bits = of(bits(cx, 1)?);
    put(cx, bits);
    Ok(())
}

fn fold(cx: &mut Cx<'_>, of: impl Fn(u32, u32) -> u32) -> Result<(), Fault> {
    let mut all = bits(cx, 1)?;
    for at in 2..=cx.args.len() {
        all = of(all, bits(cx, at)?);
    }
    put(cx, all);
    Ok(())
}

fn shift(cx: &mut Cx<'_>, of: impl Fn(u32, u32) -> u32) -> Result<(), Fault> {
    let bits = of(bits(cx, 1)?, bits(cx, 2)? & 31);
    put(cx, bits);
    Ok(())
}

fn tohex(cx: &mut Cx<'_>) -> Result<(), Fault> {
    let number = bits(cx, 1)?;
    let digits = if cx.args.len() < 2 { 8 } else { bits(cx, 2)? as i32 };
    let text = format!("{number:08x}");
    let shown = digits.unsigned_abs().min(8) as usize;
    let text = text.get(8 - shown..).unwrap_or_default();
    let text = if digits < 0 { text.to_ascii_uppercase() } else { text.to_owned() };
    cx.put_bytes(text.as_bytes())
}
