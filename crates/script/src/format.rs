//! `string.format`, as Lua 5.1 has it from C.
//!
//! Luau's own writes numbers with 17 digits where a string is asked for, and knows other letters.

use crate::native::{Cx, Fault};
use crate::number::{fixed, general_of, scientific};

/// What stands between `%` and the letter.
#[derive(Default)]
#[allow(clippy::struct_excessive_bools, reason = "the flags of C")]
struct Spec {
    left: bool,
    plus: bool,
    blank: bool,
    alternate: bool,
    zeros: bool,
    width: usize,
    precision: Option<usize>,
}

pub(crate) fn format(cx: &mut Cx<'_>) -> Result<(), Fault> {
    let template = cx.string(1)?;
    let template = template.as_bytes();
    let (mut out, mut rest, mut arg) = (Vec::new(), &template[..], 1);
    while let Some((byte, behind)) = rest.split_first() {
        rest = behind;
        if *byte != b'%' {
            out.push(*byte);
            continue;
        }
        if let Some((b'%', behind)) = rest.split_first() {
            out.push(b'%');
            rest = behind;
            continue;
        }
        arg += 1;
        if arg > cx.args.len() {
            return Err(cx.fault(arg, "no value"));
        }
        let (spec, behind) = read(rest)?;
        let (letter, behind) = behind.split_first().unwrap_or((&0, &[]));
        rest = behind;
        one(cx, &mut out, (&spec, *letter), arg)?;
        cx.room(out.len())?;
    }
    cx.put_bytes(&out)
}

/// Reads flags, width and precision.
fn read(text: &[u8]) -> Result<(Spec, &[u8]), Fault> {
    let mut spec = Spec::default();
    let flags = text.iter().take_while(|byte| b"-+ #0".contains(byte)).count();
    if flags > 5 {
        return Err(Fault::text("invalid format (repeated flags)"));
    }
    let (flags, rest) = text.split_at(flags);
    for flag in flags {
        match flag {
            b'-' => spec.left = true,
            b'+' => spec.plus = true,
            b' ' => spec.blank = true,
            b'#' => spec.alternate = true,
            _ => spec.zeros = true,
        }
    }
    let (width, mut rest) = two_digits(rest)?;
    spec.width = width;
    if let Some((b'.', behind)) = rest.split_first() {
        let (precision, behind) = two_digits(behind)?;
        spec.precision = Some(precision);
        rest = behind;
    }
    Ok((spec, rest))
}

fn two_digits(text: &[u8]) -> Result<(usize, &[u8]), Fault> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if digits > 2 {
        return Err(Fault::text("invalid format (width or precision too long)"));
    }
    let (digits, rest) = text.split_at(digits);
    Ok((digits.iter().fold(0, |number, digit| number * 10 + usize::from(digit - b'0')), rest))
}

fn one(
    cx: &mut Cx<'_>,
    out: &mut Vec<u8>,
    (spec, letter): (&Spec, u8),
    arg: usize,
) -> Result<(), Fault> {
    match letter {
        b'c' => pad(out, spec, &[cx.integer(arg)? as u8]),
        b'd' | b'i' => {
            let number = cx.integer(arg)?;
            integer(out, spec, number < 0, number.unsigned_abs().to_string());
        }
        b'u' => integer(out, &unsigned(spec), false, (cx.integer(arg)? as u64).to_string()),
        b'o' => {
            let digits = format!("{:o}", cx.integer(arg)? as u64);
            let lead = spec.alternate && !digits.starts_with('0');
            let digits = if lead { format!("0{digits}") } else { digits };
            integer(out, &unsigned(spec), false, digits);
        }
        b'x' | b'X' => {
            let number = cx.integer(arg)? as u64;
            let digits = if letter == b'x' { format!("{number:x}") } else { format!("{number:X}") };
            hexadecimal(out, spec, (letter, number != 0), digits);
        }
        b'e' | b'E' | b'f' | b'g' | b'G' => double(out, spec, letter, cx.number(arg)?),
        b'q' => quoted(out, &cx.string(arg)?.as_bytes()),
        b's' => {
            let text = cx.string(arg)?;
            let text = text.as_bytes();
            let shown = spec.precision.unwrap_or(text.len()).min(text.len());
            pad(out, spec, text.get(..shown).unwrap_or_default());
        }
        _ => {
            let letter = String::from_utf8_lossy(&[letter]).into_owned();
            return Err(Fault::text(format!("invalid option '%{letter}' to 'format'")));
        }
    }
    Ok(())
}

/// Signs are for signed numbers.
fn unsigned(spec: &Spec) -> Spec {
    Spec { plus: false, blank: false, ..*spec }
}

/// Text in its width, with blanks.
fn pad(out: &mut Vec<u8>, spec: &Spec, text: &[u8]) {
    let blanks = spec.width.saturating_sub(text.len());
    if !spec.left {
        out.resize(out.len() + blanks, b' ');
    }
    out.extend_from_slice(text);
    if spec.left {
        out.resize(out.len() + blanks, b' ');
    }
}

/// A sign and digits in their width.
fn signed(out: &mut Vec<u8>, spec: &Spec, negative: bool, digits: &str, zeros: bool) {
    let sign = match (negative, spec.plus, spec.blank) {
        (true, ..) => "-",
        (_, true, _) => "+",
        (_, _, true) => " ",
        _ => "",
    };
    if zeros && !spec.left {
        let fill = spec.width.saturating_sub(sign.len() + digits.len());
        out.extend_from_slice(sign.as_bytes());
        out.resize(out.len() + fill, b'0');
        out.extend_from_slice(digits.as_bytes());
    } else {
        pad(out, spec, format!("{sign}{digits}").as_bytes());
    }
}

/// A precision is the least number of digits; of none, a zero has none.
fn integer(out: &mut Vec<u8>, spec: &Spec, negative: bool, digits: String) {
    let digits = match spec.precision {
        Some(0) if digits == "0" => String::new(),
        Some(least) => format!("{}{digits}", "0".repeat(least.saturating_sub(digits.len()))),
        None => digits,
    };
    signed(out, spec, negative, &digits, spec.zeros && spec.precision.is_none());
}

fn hexadecimal(out: &mut Vec<u8>, spec: &Spec, (letter, prefix): (u8, bool), digits: String) {
    if !(spec.alternate && prefix) {
        return integer(out, &unsigned(spec), false, digits);
    }
    let before = if letter == b'x' { "0x" } else { "0X" };
    let width = spec.width.saturating_sub(2);
    if spec.zeros && !spec.left && spec.precision.is_none() {
        out.extend_from_slice(before.as_bytes());
        return integer(out, &Spec { width, ..unsigned(spec) }, false, digits);
    }
    let least = spec.precision.unwrap_or(0).saturating_sub(digits.len());
    let text = format!("{before}{}{digits}", "0".repeat(least));
    pad(out, spec, text.as_bytes());
}

fn double(out: &mut Vec<u8>, spec: &Spec, letter: u8, number: f64) {
    let precision = spec.precision.unwrap_or(6);
    let magnitude = number.abs();
    let digits = match letter.to_ascii_lowercase() {
        b'e' => scientific(magnitude, precision),
        b'f' => fixed(magnitude, precision),
        _ => general_of(magnitude, precision, spec.alternate),
    };
    let digits = if letter.is_ascii_uppercase() { digits.to_ascii_uppercase() } else { digits };
    let zeros = spec.zeros && number.is_finite();
    signed(out, spec, number.is_sign_negative(), &digits, zeros);
}

fn quoted(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    for byte in text {
        match byte {
            b'"' | b'\\' | b'\n' => out.extend_from_slice(&[b'\\', *byte]),
            b'\r' => out.extend_from_slice(b"\\r"),
            0 => out.extend_from_slice(b"\\000"),
            other => out.push(*other),
        }
    }
    out.push(b'"');
}
