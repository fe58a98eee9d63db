//! JSON as Lua values.
//!
//! As forgiving as lua-cjson: numbers as C reads them, unless the script forbids it, and texts that
//! are not checked to be UTF-8. Errors say what stands where.

use super::{DEPTH_MAX, Setting};
use crate::native::{Cx, Fault};
use mlua::{LuaString, Table, Value};

/// What the text is made of.
enum Token {
    ObjectBegin,
    ObjectEnd,
    ArrayBegin,
    ArrayEnd,
    Text(Vec<u8>),
    Number(f64),
    Boolean(bool),
    Null,
    Colon,
    Comma,
    End,
    Wrong(&'static str),
}

impl Token {
    /// What errors call it.
    fn name(&self) -> &'static str {
        match self {
            Token::ObjectBegin => "T_OBJ_BEGIN",
            Token::ObjectEnd => "T_OBJ_END",
            Token::ArrayBegin => "T_ARR_BEGIN",
            Token::ArrayEnd => "T_ARR_END",
            Token::Text(_) => "T_STRING",
            Token::Number(_) => "T_NUMBER",
            Token::Boolean(_) => "T_BOOLEAN",
            Token::Null => "T_NULL",
            Token::Colon => "T_COLON",
            Token::Comma => "T_COMMA",
            Token::End => "T_END",
            Token::Wrong(what) => what,
        }
    }
}

/// The text, read from left to right.
struct Tokens<'a> {
    text: &'a [u8],
    at: usize,
    /// Where the last token, or what is wrong in it, stands.
    index: usize,
    /// Whether numbers that JSON has not are read.
    invalid: bool,
}

impl Tokens<'_> {
    fn byte(&self, ahead: usize) -> u8 {
        self.text.get(self.at + ahead).copied().unwrap_or(0)
    }

    fn next(&mut self) -> Token {
        while matches!(self.byte(0), b' ' | b'\t' | b'\n' | b'\r') {
            self.at += 1;
        }
        self.index = self.at;
        let single = match self.byte(0) {
            b'{' => Token::ObjectBegin,
            b'}' => Token::ObjectEnd,
            b'[' => Token::ArrayBegin,
            b']' => Token::ArrayEnd,
            b':' => Token::Colon,
            b',' => Token::Comma,
            0 => return Token::End,
            b'"' => return self.string(),
            b'-' | b'0'..=b'9' => return self.number(),
            _ => return self.word(),
        };
        self.at += 1;
        single
    }

    fn word(&mut self) -> Token {
        let rest = self.text.get(self.at..).unwrap_or_default();
        for (word, token) in [
            (&b"true"[..], Token::Boolean(true)),
            (b"false", Token::Boolean(false)),
            (b"null", Token::Null),
        ] {
            if rest.starts_with(word) {
                self.at += word.len();
                return token;
            }
        }
        if self.invalid && self.is_invalid_number() {
            return self.number();
        }
        Token::Wrong("invalid token")
    }

    /// Whether it is a number that C reads and JSON does not.
    fn is_invalid_number(&self) -> bool {
        if self.byte(0) == b'+' {
            return true;
        }
        let at = usize::from(self.byte(0) == b'-');
        let (first, second) = (self.byte(at), self.byte(at + 1));
        if first == b'0' {
            return second | 0x20 == b'x' || second.is_ascii_digit();
        }
        let rest = self.text.get(self.at + at..self.at + at + 3).unwrap_or_default();
        first > b'9' && (rest.eq_ignore_ascii_case(b"inf") || rest.eq_ignore_ascii_case(b"nan"))
    }

    fn number(&mut self) -> Token {
        if !self.invalid && self.is_invalid_number() {
            return Token::Wrong("invalid number");
        }
        match leading_number(self.text.get(self.at..).unwrap_or_default()) {
            Some((number, length)) => {
                self.at += length;
                Token::Number(number)
            }
            None => Token::Wrong("invalid number"),
        }
    }

    fn wrong(&mut self, what: &'static str) -> Token {
        self.index = self.at;
        Token::Wrong(what)
    }

    fn string(&mut self) -> Token {
        self.at += 1;
        let mut out = Vec::new();
        loop {
            let rest = self.text.get(self.at..).unwrap_or_default();
            let plain = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0));
            let plain = plain.unwrap_or(rest.len());
            out.extend_from_slice(rest.get(..plain).unwrap_or_default());
            self.at += plain;
            match self.byte(0) {
                b'"' => {
                    self.at += 1;
                    return Token::Text(out);
                }
                b'\\' => (),
                _ => return self.wrong("unexpected end of string"),
            }
            let escaped = match self.byte(1) {
                byte @ (b'"' | b'\\' | b'/') => byte,
                b'b' => 8,
                b't' => b'\t',
                b'n' => b'\n',
                b'f' => 12,
                b'r' => b'\r',
                b'u' => match self.unicode() {
                    Some(character) => {
                        out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                        continue;
                    }
                    None => return self.wrong("invalid unicode escape code"),
                },
                _ => return self.wrong("invalid escape code"),
            };
            out.push(escaped);
            self.at += 2;
        }
    }

    /// `\u`, twice if it is a pair.
    fn unicode(&mut self) -> Option<char> {
        let high = self.four_digits(0)?;
        if !(0xD800..0xE000).contains(&high) {
            self.at += 6;
            return char::from_u32(high);
        }
        if high >= 0xDC00 || self.byte(6) != b'\\' || self.byte(7) != b'u' {
            return None;
        }
        let low = self.four_digits(6)?;
        if !(0xDC00..0xE000).contains(&low) {
            return None;
        }
        self.at += 12;
        char::from_u32(0x1_0000 + ((high & 0x3FF) << 10) + (low & 0x3FF))
    }

    fn four_digits(&self, ahead: usize) -> Option<u32> {
        let digits = self.text.get(self.at + ahead + 2..self.at + ahead + 6)?;
        digits
            .iter()
            .try_fold(0, |number, digit| Some(number * 16 + char::from(*digit).to_digit(16)?))
    }
}

/// The number that a text begins with, as C's `strtod` reads it, and how long it is.
fn leading_number(text: &[u8]) -> Option<(f64, usize)> {
    let sign = usize::from(matches!(text.first(), Some(b'-' | b'+')));
    let body = text.get(sign..)?;
    let signed = |number: f64| if text.first() == Some(&b'-') { -number } else { number };
    for (word, number) in [("infinity", f64::INFINITY), ("inf", f64::INFINITY), ("nan", f64::NAN)] {
        let start = body.get(..word.len());
        if start.is_some_and(|start| start.eq_ignore_ascii_case(word.as_bytes())) {
            return Some((signed(number), sign + word.len()));
        }
    }
    if body.starts_with(b"0x") || body.starts_with(b"0X") {
        let (number, length) = hexadecimal(body.get(2..)?);
        return Some((signed(number), if length == 0 { sign + 1 } else { sign + 2 + length }));
    }
    let digits =
        |from: usize| body.iter().skip(from).take_while(|byte| byte.is_ascii_digit()).count();
    let mut length = digits(0);
    let mut any = length > 0;
    if body.get(length) == Some(&b'.') {
        let decimals = digits(length + 1);
        any |= decimals > 0;
        length += 1 + decimals;
    }
    if !any {
        return None;
    }
    if matches!(body.get(length), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(body.get(length + 1), Some(b'-' | b'+')));
        let exponent = digits(length + 1 + sign);
        if exponent > 0 {
            length += 1 + sign + exponent;
        }
    }
    let number = std::str::from_utf8(body.get(..length)?).ok()?.parse().ok()?;
    Some((signed(number), sign + length))
}

/// A number behind `0x`, with a fraction and an exponent of two if it has them, and how long it is.
fn hexadecimal(text: &[u8]) -> (f64, usize) {
    let digit = |at: usize| text.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    let (mut number, mut at, mut scale) = (0.0, 0, 0);
    while let Some(digit) = digit(at) {
        number = number * 16.0 + f64::from(digit);
        at += 1;
    }
    let whole = at;
    if text.get(at) == Some(&b'.') && (whole > 0 || digit(at + 1).is_some()) {
        at += 1;
        while let Some(digit) = digit(at) {
            number = number * 16.0 + f64::from(digit);
            scale -= 4;
            at += 1;
        }
    }
    if at > 0 && matches!(text.get(at), Some(b'p' | b'P')) {
        let sign = usize::from(matches!(text.get(at + 1), Some(b'-' | b'+')));
        let start = at + 1 + sign;
        let digits = text.iter().skip(start).take_while(|byte| byte.is_ascii_digit()).count();
        if let Some(exponent) = text.get(at + 1..start + digits).filter(|_| digits > 0) {
            let exponent = std::str::from_utf8(exponent).ok().and_then(|text| text.parse().ok());
            scale += exponent.unwrap_or(0).clamp(-5_000, 5_000);
            at = start + digits;
        }
    }
    (number * 2.0_f64.powi(scale), at)
}

/// A table that is being read; the innermost is the last.
enum Open {
    Array { table: Table, items: i64 },
    Object { table: Table, key: LuaString },
}

fn expected(tokens: &Tokens<'_>, what: &str, found: &Token) -> Fault {
    Fault::text(format!(
        "Expected {what} but found {} at character {}",
        found.name(),
        tokens.index + 1
    ))
}

/// A text that is being read. No recursion: a text chooses how deep its tables lie.
struct Decoder<'a> {
    cx: &'a Cx<'a>,
    tokens: Tokens<'a>,
    token: Token,
    open: Vec<Open>,
    depth_max: i64,
}

impl Decoder<'_> {
    fn next(&mut self) {
        self.token = self.tokens.next();
    }

    fn expected(&self, what: &str) -> Fault {
        expected(&self.tokens, what, &self.token)
    }

    /// The value that begins here; `None`: a table, which is open now.
    fn value(&mut self) -> Result<Option<Value>, Fault> {
        self.cx.shared.step(4)?;
        Ok(Some(match std::mem::replace(&mut self.token, Token::End) {
            Token::ObjectBegin => return self.begin(false),
            Token::ArrayBegin => return self.begin(true),
            Token::Text(text) => Value::String(self.cx.lua.create_string(text)?),
            Token::Number(number) => Value::Number(number),
            Token::Boolean(value) => Value::Boolean(value),
            Token::Null => Value::NULL,
            other => return Err(expected(&self.tokens, "value", &other)),
        }))
    }

    fn begin(&mut self, array: bool) -> Result<Option<Value>, Fault> {
        let depth = i64::try_from(self.open.len()).unwrap_or(i64::MAX) + 1;
        if depth > self.depth_max {
            let at = self.tokens.at;
            return Err(Fault::text(format!(
                "Found too many nested data structures ({depth}) at character {at}"
            )));
        }
        let table = self.cx.lua.create_table()?;
        self.next();
        match (array, &self.token) {
            (true, Token::ArrayEnd) | (false, Token::ObjectEnd) => {
                return Ok(Some(Value::Table(table)));
            }
            (true, _) => self.open.push(Open::Array { table, items: 0 }),
            (false, _) => {
                let key = self.key()?;
                self.open.push(Open::Object { table, key });
                self.next();
            }
        }
        Ok(None)
    }

    /// A key, and the colon behind it.
    fn key(&mut self) -> Result<LuaString, Fault> {
        let Token::Text(text) = &self.token else {
            return Err(self.expected("object key string"));
        };
        let key = self.cx.lua.create_string(text)?;
        self.next();
        if matches!(self.token, Token::Colon) { Ok(key) } else { Err(self.expected("colon")) }
    }

    /// Puts a value where it belongs, and so each table that it completes. `None`: there is more.
    fn place(&mut self, mut value: Value) -> Result<Option<Value>, Fault> {
        loop {
            let Some(innermost) = self.open.pop() else { return Ok(Some(value)) };
            self.next();
            match innermost {
                Open::Array { table, items } => {
                    table.raw_set(items + 1, value)?;
                    match self.token {
                        Token::Comma => {
                            self.open.push(Open::Array { table, items: items + 1 });
                            self.next();
                            return Ok(None);
                        }
                        Token::ArrayEnd => value = Value::Table(table),
                        _ => return Err(self.expected("comma or array end")),
                    }
                }
                Open::Object { table, key } => {
                    table.raw_set(key, value)?;
                    match self.token {
                        Token::Comma => {
                            self.next();
                            let key = self.key()?;
                            self.open.push(Open::Object { table, key });
                            self.next();
                            return Ok(None);
                        }
                        Token::ObjectEnd => value = Value::Table(table),
                        _ => return Err(self.expected("comma or object end")),
                    }
                }
            }
        }
    }

    /// The one value that the text is.
    fn document(&mut self) -> Result<Value, Fault> {
        self.next();
        loop {
            if let Some(value) = self.value()?
                && let Some(document) = self.place(value)?
            {
                self.next();
                return match self.token {
                    Token::End => Ok(document),
                    _ => Err(self.expected("the end")),
                };
            }
        }
    }
}

/// `cjson.decode`
pub(super) fn decode(cx: &mut Cx<'_>, setting: &Setting) -> Result<(), Fault> {
    if cx.args.len() != 1 {
        return Err(cx.fault(1, "expected 1 argument"));
    }
    let text = cx.string(1)?;
    let text = text.as_bytes();
    if matches!(&text[..], [0, _, ..] | [_, 0, ..]) {
        return Err(Fault::text("JSON parser does not support UTF-16 or UTF-32"));
    }
    let config = setting.get();
    let document = Decoder {
        cx,
        tokens: Tokens { text: &text, at: 0, index: 0, invalid: config.decode_invalid },
        token: Token::End,
        open: Vec::new(),
        depth_max: config.decode_max_depth.min(DEPTH_MAX),
    }
    .document()?;
    cx.put(document);
    Ok(())
}
