//! One command on both sides, and the whole contents compared.
//!
//! Most commands are simply sent to both. Those that draw at random, take the clock or walk in an
//! order of their own are checked for what they promise, and Redis is then told what the engine
//! chose, so that both hold the same again.

use crate::engine::Engine;
use crate::rules::{
    Rule, agree, in_newer_digits, packed_in_newer_digits, paired, rule, same_shape, sorted,
};
use quorate_resp::Value;
use quorate_tests::client::Client;
use quorate_tests::generate::Command;
use quorate_tests::script;
use std::fmt;

/// The key that payloads of the other side are restored to.
const RESTORED: &[u8] = b"restored";

/// What the two answered, where they should agree.
#[derive(Debug)]
pub(crate) struct Difference {
    command: Command,
    ours: Value,
    theirs: Value,
    /// What should hold.
    rule: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "> {}", script::line(&self.command))?;
        write!(out, "engine: {}", cut(&script::show(&self.ours)))?;
        write!(out, "redis:  {}", cut(&script::show(&self.theirs)))?;
        writeln!(out, "should agree by the rule {}", self.rule)
    }
}

/// A text of which one can see something.
fn cut(shown: &str) -> String {
    const SHOWN: usize = 3_000;
    match shown.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{} … ({} bytes)\n", &shown[..end], shown.len()),
        None => shown.to_owned(),
    }
}

type Outcome = Result<(), Difference>;

/// The engine and Redis.
pub(crate) struct Pair<'a> {
    pub(crate) engine: Engine,
    pub(crate) redis: &'a mut Client,
}

fn command(words: &[&[u8]]) -> Command {
    words.iter().map(|word| word.to_vec()).collect()
}

fn differ(command: &Command, ours: Value, theirs: Value, rule: &str) -> Outcome {
    Err(Difference { command: command.clone(), ours, theirs, rule: rule.to_owned() })
}

impl Pair<'_> {
    fn ask(&mut self, command: &Command) -> Value {
        let answer = self.redis.call_bytes(command).unwrap_or_else(|error| {
            panic!("redis-server ends the connection ({error}): {}", cut(&script::line(command)))
        });
        in_newer_digits(command, answer)
    }

    /// Runs one command on both sides.
    pub(crate) fn step(&mut self, command: &Command) -> Outcome {
        let name = String::from_utf8_lossy(&command[0]).to_ascii_uppercase();
        match name.as_str() {
            "SELECT" => {
                self.select(command);
                Ok(())
            }
            "SPOP" => self.pop(command),
            "SRANDMEMBER" => self.picks(command, "SMEMBERS", ""),
            "HRANDFIELD" => self.picks(command, "HGETALL", "WITHVALUES"),
            "ZRANDMEMBER" => self.picks(command, "ZRANGE", "WITHSCORES"),
            "RANDOMKEY" => self.random_key(command),
            "SCAN" => self.scan(command, 1),
            "SSCAN" | "HSCAN" | "ZSCAN" => self.scan(command, 2),
            "DUMP" => self.dump(command),
            "INCRBYFLOAT" | "SETBIT" | "BITFIELD" | "PFMERGE" => self.computed(command, 1),
            "PFADD" => self.counted(command),
            "PFCOUNT" => self.leaving_it(command),
            "BITOP" | "PFDEBUG" => self.computed(command, 2),
            "SORT" | "SORT_RO" => self.sort(command),
            "GEOSEARCHSTORE" | "GEORADIUS" | "GEORADIUSBYMEMBER" => self.places(command),
            "ZADD" if command.len() > 4 => self.members(command),
            "XADD" => self.add(command),
            "XTRIM" if is_approximate(command) => self.trim(command),
            _ if self.has_no_bytewise_order(&name, command) => Ok(()),
            _ => self.both(command),
        }
    }

    /// A range of bytes where scores differ: what Redis answers hangs on the random levels of its
    /// skiplist.
    fn has_no_bytewise_order(&mut self, name: &str, range: &Command) -> bool {
        let is_bytewise = name.contains("LEX")
            || range.iter().skip(1).any(|word| word.eq_ignore_ascii_case(b"BYLEX"));
        let Some(key) = range.get(if name == "ZRANGESTORE" { 2 } else { 1 }) else { return false };
        let mut score = |rank: &[u8]| {
            let found = self.ask(&command(&[b"ZRANGE", key, rank, rank]));
            let member = found.as_items().and_then(|items| items.first())?.as_bytes()?.to_vec();
            Some(self.ask(&command(&[b"ZSCORE", key, &member])))
        };
        is_bytewise && score(b"0") != score(b"-1")
    }

    /// What is no whole sketch, Redis reads up to the end of its memory, and may find the register
    /// behind the fault: it is given what the engine has.
    fn counted(&mut self, add: &Command) -> Outcome {
        let outcome = self.leaving_it(add);
        let Err(difference) = &outcome else { return outcome };
        let is_refused =
            matches!(&difference.ours, Value::Error(why) if why.starts_with("INVALIDOBJ"));
        let key = &add[1];
        let merged = self.ask(&command(&[b"PFCOUNT", key, b"{none}"]));
        if is_refused
            && matches!(merged, Value::Error(_))
            && let Value::Bulk(payload) = self.engine.call(&command(&[b"DUMP", key]))
        {
            self.ask(&command(&[b"RESTORE", key, b"0", &payload, b"REPLACE"]));
            return Ok(());
        }
        outcome
    }

    fn both(&mut self, command: &Command) -> Outcome {
        self.compare(command).map(drop)
    }

    /// Sends it to both, and gives the engine's answer if Redis's agrees.
    fn compare(&mut self, command: &Command) -> Result<Value, Difference> {
        let name = String::from_utf8_lossy(&command[0]).to_ascii_uppercase();
        let rule = self.narrow(&name, command, rule(&name, command));
        let (ours, theirs) = (self.engine.call(command), self.ask(command));
        if agree(rule, &ours, &theirs) || is_judged_first(&name, &ours, &theirs) {
            return Ok(ours);
        }
        if name.starts_with("GEO") && self.is_tied(command) {
            return Ok(ours);
        }
        let (command, rule) = (command.clone(), format!("{rule:?}"));
        Err(Difference { command, ours, theirs, rule })
    }

    /// Redis's SORT takes a number for wrong if the last one that was read before it, by whatever
    /// command, was too small for a double (it asks `errno`, which nobody has set back). So a
    /// ZADD that does nothing reads one that is not. SORT itself reads all scores of a packed
    /// sorted set, of which it makes a skiplist: one more before it does that.
    fn sort(&mut self, sort: &Command) -> Outcome {
        let key = sort.get(1).map_or(&[][..], Vec::as_slice);
        self.ask(&command(&[b"SORT", key, b"LIMIT", b"0", b"0"]));
        self.ask(&command(&[b"ZADD", b"{errno}", b"XX", b"1", b"m"]));
        self.both(sort)?;
        // A skiplist prints some scores otherwise, and stays one until it is loaded anew.
        if self.lies_as(key, b"listpack", b"skiplist") {
            let deadline = self.ask(&command(&[b"PEXPIRETIME", key])).as_int().unwrap_or(0).max(0);
            let payload = self.ask(&command(&[b"DUMP", key]));
            let (at, payload) = (deadline.to_string(), payload.as_bytes().unwrap_or_default());
            let words = [b"RESTORE", key, at.as_bytes(), payload, b"REPLACE", b"ABSTTL"];
            self.ask(&command(&words));
        }
        Ok(())
    }

    /// 7.2 makes a skiplist at once where ZADD brings more pairs than a small set may have members,
    /// 7.0 only if they are that many in the end. A skiplist keeps -0, which a listpack does not:
    /// so 7.0 is made to have one, by a member that is too long for anything else.
    fn members(&mut self, add: &Command) -> Outcome {
        const TOO_LONG: &[u8] = &[b'm'; 100];
        self.both(add)?;
        if self.lies_as(&add[1], b"skiplist", b"listpack") {
            self.ask(&command(&[b"ZADD", &add[1], b"0", TOO_LONG]));
            self.ask(&command(&[b"ZREM", &add[1], TOO_LONG]));
        }
        Ok(())
    }

    /// Whether a key has this encoding here, and that one in Redis.
    fn lies_as(&mut self, key: &[u8], ours: &[u8], theirs: &[u8]) -> bool {
        let ask = command(&[b"OBJECT", b"ENCODING", key]);
        self.engine.call(&ask).as_bytes() == Some(ours) && self.ask(&ask).as_bytes() == Some(theirs)
    }

    /// Which of the places at one distance COUNT leaves out is each side's own: Redis is given what
    /// the engine stored.
    fn places(&mut self, find: &Command) -> Outcome {
        let stored = self.compare(find)?;
        let is = |word: &[u8], name: &str| word.eq_ignore_ascii_case(name.as_bytes());
        let option = find.iter().skip(1).position(|word| is(word, "STORE"));
        let target = match option {
            _ if is(&find[0], "GEOSEARCHSTORE") => find.get(1),
            Some(option) => find.get(option + 2),
            None => None,
        };
        if let (Value::Int(1..), Some(target)) = (stored, target)
            && find.iter().any(|word| is(word, "COUNT"))
            && let Value::Bulk(payload) = self.engine.call(&command(&[b"DUMP", target]))
        {
            self.ask(&command(&[b"RESTORE", target, b"0", &payload, b"REPLACE"]));
        }
        Ok(())
    }

    /// Whether places that are found agree but for the order of those at the same distance, and for
    /// which of the farthest COUNT leaves out.
    fn is_tied(&mut self, find: &Command) -> bool {
        let mut find = find.clone();
        let has = |name: &str, find: &Command| {
            find.iter().any(|word| word.eq_ignore_ascii_case(name.as_bytes()))
        };
        if !has("WITHDIST", &find) {
            find.push(b"WITHDIST".to_vec());
        }
        let far = |answer: &Value| -> Option<Vec<(String, String)>> {
            let place = |place: &Value| {
                let [name, distance, ..] = place.as_items()? else { return None };
                Some((format!("{distance:?}"), format!("{name:?}")))
            };
            answer.as_items()?.iter().map(place).collect()
        };
        let (ours, theirs) = (far(&self.engine.call(&find)), far(&self.ask(&find)));
        let (Some(mut ours), Some(mut theirs)) = (ours, theirs) else { return false };
        let distances = |places: &[(String, String)]| {
            places.iter().map(|place| place.0.clone()).collect::<Vec<_>>()
        };
        if distances(&ours) != distances(&theirs) {
            return false;
        }
        if let Some((last, _)) = ours.last().cloned().filter(|_| has("COUNT", &find)) {
            ours.retain(|place| place.0 != last);
            theirs.retain(|place| place.0 != last);
        }
        ours.sort();
        theirs.sort();
        ours == theirs
    }

    /// SORT without an order, of what has none.
    fn narrow(&mut self, name: &str, sort: &Command, rule: Rule) -> Rule {
        let has = |option: &[u8]| sort.iter().any(|word| word.eq_ignore_ascii_case(option));
        if !name.starts_with("SORT") || !has(b"BY") || has(b"STORE") || sort.len() < 3 {
            return rule;
        }
        let is_set = self.ask(&command(&[b"TYPE", &sort[1]])) == Value::Simple("set".into());
        let is_by = |pair: &&[Vec<u8>]| pair[0].eq_ignore_ascii_case(b"BY");
        let mut orders = sort.windows(2).skip(2).filter(is_by).map(|pair| &pair[1]);
        match is_set && orders.any(|order| !order.contains(&b'*')) {
            true if has(b"LIMIT") && has(b"GET") => Rule::Length,
            true if has(b"LIMIT") => Rule::Shape,
            true => Rule::Unordered,
            false => rule,
        }
    }

    /// The connection's own command; only as it should be.
    fn select(&mut self, command: &Command) {
        if let [_, db] = command.as_slice()
            && let [digit @ b'0'..=b'2'] = db.as_slice()
        {
            self.engine.db = digit - b'0';
            self.ask(command);
        }
    }

    /// What the engine popped was there, as many as there should be; Redis pops a copy to show the
    /// form of the reply, and then removes the same.
    fn pop(&mut self, pop: &Command) -> Outcome {
        let copied: &[u8] = b"{copied}";
        let key = pop.get(1).cloned().unwrap_or_default();
        self.ask(&command(&[b"COPY", &key, copied, b"REPLACE"]));
        let mut on_copy = pop.clone();
        if pop.len() > 1 {
            on_copy[1] = copied.to_vec();
        }
        let (ours, theirs) = (self.engine.call(pop), self.ask(&on_copy));
        self.ask(&command(&[b"DEL", copied]));
        if !same_shape(&ours, &theirs) {
            return differ(pop, ours, theirs, "SPOP: as many members");
        }
        let popped = match &ours {
            Value::Bulk(_) => std::slice::from_ref(&ours),
            other => other.as_items().unwrap_or_default(),
        };
        if popped.is_empty() {
            return Ok(());
        }
        let mut remove = command(&[b"SREM", &key]);
        remove.extend(popped.iter().filter_map(Value::as_bytes).map(<[u8]>::to_vec));
        match self.ask(&remove) {
            Value::Int(removed) if removed as usize == popped.len() => Ok(()),
            theirs => differ(&remove, ours, theirs, "SPOP: members that were there"),
        }
    }

    /// A pick at random: the same form, of what Redis holds, and nothing twice unless the count is
    /// negative.
    fn picks(&mut self, pick: &Command, whole: &str, with: &str) -> Outcome {
        let (ours, theirs) = (self.engine.call(pick), self.ask(pick));
        if !same_shape(&ours, &theirs) {
            return differ(pick, ours, theirs, "a pick: as many, in the same form");
        }
        let key = pick.get(1).cloned().unwrap_or_default();
        let is_zset = whole == "ZRANGE";
        let parts: [&[u8]; 5] = [whole.as_bytes(), &key, b"0", b"-1", b"WITHSCORES"];
        let held = self.ask(&command(if is_zset { &parts } else { &parts[..2] }));
        let is_paired = !with.is_empty()
            && pick.iter().skip(2).any(|word| word.eq_ignore_ascii_case(with.as_bytes()));
        let picked = match &ours {
            Value::Bulk(_) => vec![ours.clone()],
            Value::Array(items) if is_paired && !is_nested(items) => items_of(&paired(&ours)),
            _ => items_of(&ours),
        };
        let held = match held {
            Value::Map(pairs) => {
                pairs.into_iter().map(|(name, value)| Value::Array(vec![name, value])).collect()
            }
            Value::Array(ref items) if with.is_empty() || is_nested(items) => items.clone(),
            Value::Array(_) => items_of(&paired(&held)),
            other => items_of(&other),
        };
        let names = |held: &[Value]| held.iter().filter_map(first).collect::<Vec<_>>();
        let known = if is_paired || with.is_empty() { held } else { names(&held) };
        let mut seen: Vec<&Value> = Vec::new();
        let may_repeat = pick.get(2).is_some_and(|count| count.starts_with(b"-"));
        for item in &picked {
            if !known.contains(item) || (!may_repeat && seen.contains(&item)) {
                return differ(pick, ours, theirs, "a pick: of what is there, once each");
            }
            seen.push(item);
        }
        Ok(())
    }

    fn random_key(&mut self, random: &Command) -> Outcome {
        let (ours, theirs) = (self.engine.call(random), self.ask(random));
        let is_there = match &ours {
            Value::Bulk(key) => self.ask(&command(&[b"EXISTS", key])) == Value::Int(1),
            _ => ours == theirs,
        };
        if is_there { Ok(()) } else { differ(random, ours, theirs, "a key that exists") }
    }

    /// A walk from cursor 0 gives the same on both sides in the end. Cursors are each side's own.
    fn scan(&mut self, scan: &Command, cursor: usize) -> Outcome {
        let (ours, theirs) = (self.engine.call(scan), self.ask(scan));
        let is_walk = scan.get(cursor).is_some_and(|word| word == b"0");
        let is_error = ours.as_error().is_some() || theirs.as_error().is_some();
        if is_error || !is_walk {
            let shape = |value: &Value| value.as_items().map(<[_]>::len);
            if agree(Rule::Same, &ours, &theirs) || !is_error && shape(&ours) == shape(&theirs) {
                return Ok(());
            }
            return differ(scan, ours, theirs, "a page of a walk");
        }
        let is_paired = matches!(scan[0].first(), Some(b'H' | b'h' | b'Z' | b'z'));
        let all = |ask: &mut dyn FnMut(&Command) -> Value| {
            let (mut page, mut found) = (scan.clone(), Vec::new());
            for _ in 0..100_000 {
                let answer = ask(&page);
                let Some([Value::Bulk(next), items]) = answer.as_items() else { return answer };
                found.extend(items_of(&if is_paired { paired(items) } else { items.clone() }));
                if next == b"0" {
                    break;
                }
                page[cursor].clone_from(next);
            }
            let Value::Array(mut found) = sorted(&Value::Array(found)) else { unreachable!() };
            found.dedup();
            Value::Array(found)
        };
        let ours = all(&mut |page| self.engine.call(page));
        let key = scan.get(1).map_or(&[][..], Vec::as_slice);
        let encoding = self.engine.call(&command(&[b"OBJECT", b"ENCODING", key]));
        let is_packed = cursor == 2 && encoding.as_bytes() == Some(b"listpack");
        let theirs = all(&mut |page| {
            let answer = self.redis.call_bytes(page).expect("redis-server answers");
            let is_zset = page[0].eq_ignore_ascii_case(b"ZSCAN");
            if is_zset && is_packed {
                packed_in_newer_digits(answer)
            } else {
                in_newer_digits(page, answer)
            }
        });
        if ours == theirs { Ok(()) } else { differ(scan, ours, theirs, "the whole walk, sorted") }
    }

    /// Each side makes a key of the other's payload; the next look compares them.
    fn dump(&mut self, dump: &Command) -> Outcome {
        let (ours, theirs) = (self.engine.call(dump), self.ask(dump));
        let (Value::Bulk(our_bytes), Value::Bulk(their_bytes)) = (&ours, &theirs) else {
            let same = agree(Rule::Same, &ours, &theirs);
            return if same { Ok(()) } else { differ(dump, ours, theirs, "DUMP") };
        };
        // Each refuses arguments of more than the limit that the tester sets.
        if our_bytes.len().max(their_bytes.len()) > 1 << 20 {
            return Ok(());
        }
        let restore = |bytes: &[u8]| command(&[b"RESTORE", RESTORED, b"0", bytes, b"REPLACE"]);
        let (to_us, to_them) = (restore(their_bytes), restore(our_bytes));
        let taken = (self.engine.call(&to_us), self.ask(&to_them));
        match taken {
            (Value::Simple(_), Value::Simple(_)) => Ok(()),
            (ours, theirs) => differ(&to_us, ours, theirs, "each takes the other's payload"),
        }
    }

    /// Redis keeps what it computed as text, even `3`, until it loads its log, which says SET, or a
    /// snapshot; and it takes a value apart before it knows whether a bit will change. We are
    /// always as a Redis is that has loaded it.
    fn computed(&mut self, compute: &Command, key: usize) -> Outcome {
        self.compare(compute)?;
        self.as_reloaded(&compute.get(key).cloned().unwrap_or_default());
        Ok(())
    }

    fn as_reloaded(&mut self, key: &[u8]) {
        let encoding = self.engine.call(&command(&[b"OBJECT", b"ENCODING", key]));
        if matches!(encoding.as_bytes(), Some(b"int" | b"embstr"))
            && let Value::Bulk(text) = self.ask(&command(&[b"GET", key]))
        {
            self.ask(&command(&[b"SET", key, &text, b"KEEPTTL"]));
        }
    }

    /// PFCOUNT of one key makes Redis keep the count in the value, and a PFADD that fails keeps
    /// what it added before. We write neither: the one would make a write of a read, the other is
    /// an error.
    fn leaving_it(&mut self, count: &Command) -> Outcome {
        let key = count.get(1).cloned().unwrap_or_default();
        let before = self.ask(&command(&[b"GET", &key]));
        let ours = self.compare(count)?;
        let is_read = count[0].eq_ignore_ascii_case(b"PFCOUNT");
        let may_differ = is_read || ours.as_error().is_some();
        match &before {
            Value::Bulk(bytes) if may_differ && self.ask(&command(&[b"GET", &key])) != before => {
                self.ask(&command(&[b"SET", &key, bytes, b"KEEPTTL"]));
                // Makes it raw, for `as_reloaded` to undo if ours is not.
                self.ask(&command(&[b"APPEND", &key, b""]));
            }
            _ => {}
        }
        self.as_reloaded(&key);
        Ok(())
    }

    /// XADD: Redis is told the id that the engine took from its clock, and trims approximately to
    /// where the engine did.
    fn add(&mut self, add: &Command) -> Outcome {
        let ours = self.engine.call(add);
        let mut same = add.clone();
        if let (Value::Bulk(id), Some(at)) = (&ours, id_position(add)) {
            if same[at] == b"*" {
                same[at].clone_from(id);
            }
            if is_approximate(add) {
                same.drain(2..at);
            }
        }
        let theirs = self.ask(&same);
        if !agree(Rule::Same, &ours, &theirs) {
            return differ(add, ours, theirs, "Same");
        }
        if is_approximate(add) && matches!(ours, Value::Bulk(_)) {
            self.trim_as_the_engine(&add[1]);
        }
        Ok(())
    }

    /// XTRIM with `~`: how much of a block may stay is each side's own.
    fn trim(&mut self, trim: &Command) -> Outcome {
        let ours = self.engine.call(trim);
        let theirs = match ours {
            Value::Int(_) => self.trim_as_the_engine(&trim[1]),
            _ => self.ask(trim),
        };
        let same = agree(Rule::Same, &ours, &theirs);
        if same { Ok(()) } else { differ(trim, ours, theirs, "as many entries as are gone") }
    }

    fn trim_as_the_engine(&mut self, key: &[u8]) -> Value {
        let oldest = self.engine.call(&command(&[b"XRANGE", key, b"-", b"+", b"COUNT", b"1"]));
        let id = oldest.as_items().and_then(<[_]>::first).and_then(first);
        match id.as_ref().and_then(Value::as_bytes) {
            Some(id) => self.ask(&command(&[b"XTRIM", key, b"MINID", id])),
            None => self.ask(&command(&[b"XTRIM", key, b"MAXLEN", b"0"])),
        }
    }

    /// Compares all keys of the databases in use, by type.
    pub(crate) fn look(&mut self) -> Outcome {
        let home = self.engine.db;
        for db in [b"0", b"1", b"2"] {
            self.select(&command(&[b"SELECT", db]));
            self.look_at_database()?;
        }
        let home = home.to_string();
        self.select(&command(&[b"SELECT", home.as_bytes()]));
        Ok(())
    }

    fn look_at_database(&mut self) -> Outcome {
        let all = command(&[b"KEYS", b"*"]);
        self.both(&all)?;
        let keys = self.ask(&all);
        for key in keys.as_items().unwrap_or_default().iter().filter_map(Value::as_bytes) {
            self.both(&command(&[b"TYPE", key]))?;
            self.both(&command(&[b"PEXPIRETIME", key]))?;
            let Value::Simple(kind) = self.ask(&command(&[b"TYPE", key])) else { continue };
            // A payload of the other side says itself how it is encoded, and is younger or older.
            if key != RESTORED {
                self.both(&command(&[b"OBJECT", b"ENCODING", key]))?;
            }
            let reads: &[&[&[u8]]] = match kind.as_str() {
                "string" => &[&[b"GET", key]],
                "list" => &[&[b"LRANGE", key, b"0", b"-1"], &[b"LLEN", key]],
                "set" => &[&[b"SMEMBERS", key], &[b"SCARD", key]],
                "hash" => &[&[b"HGETALL", key], &[b"HLEN", key]],
                "zset" => &[&[b"ZRANGE", key, b"0", b"-1", b"WITHSCORES"], &[b"ZCARD", key]],
                "stream" => &[&[b"XINFO", b"STREAM", key, b"FULL", b"COUNT", b"0"]],
                _ => &[],
            };
            for words in reads {
                self.both(&command(words))?;
            }
        }
        Ok(())
    }
}

/// Redis 7.2 refuses wrong arguments of these before it looks at key and range; 7.0 says 0 or -1 of
/// what is absent or empty, and complains of the type first.
fn is_judged_first(name: &str, ours: &Value, theirs: &Value) -> bool {
    let is_wrong_type = theirs.as_error().is_some_and(|text| text.starts_with("WRONGTYPE"));
    let is_refused = ours.as_error().is_some();
    let is_looked_up = is_wrong_type || matches!(theirs, Value::Int(0 | -1));
    is_refused && is_looked_up && matches!(name, "BITCOUNT" | "BITPOS")
}

fn items_of(value: &Value) -> Vec<Value> {
    value.as_items().unwrap_or_default().to_vec()
}

fn is_nested(items: &[Value]) -> bool {
    items.first().is_some_and(|item| matches!(item, Value::Array(_)))
}

fn first(item: &Value) -> Option<Value> {
    item.as_items()?.first().cloned()
}

fn is_approximate(command: &Command) -> bool {
    command.iter().skip(2).any(|word| word == b"~")
}

/// Where XADD's id stands.
fn id_position(add: &Command) -> Option<usize> {
    let mut at = 2;
    while let Some(word) = add.get(at) {
        let is = |option: &str| word.eq_ignore_ascii_case(option.as_bytes());
        at += match () {
            () if is("NOMKSTREAM") => 1,
            () if is("LIMIT") => 2,
            () if is("MAXLEN") || is("MINID") => {
                let is_marked = add.get(at + 1).is_some_and(|word| word == b"=" || word == b"~");
                2 + usize::from(is_marked)
            }
            () => return Some(at),
        };
    }
    None
}

#[test]
fn ids_are_found_behind_the_options() {
    let of =
        |line: &str| id_position(&line.split(' ').map(|word| word.as_bytes().to_vec()).collect());
    assert_eq!(of("XADD k * a b"), Some(2));
    assert_eq!(of("XADD k NOMKSTREAM MAXLEN ~ 5 LIMIT 3 1-1 a b"), Some(8));
    assert_eq!(of("XADD k minid 5 1-1 a b"), Some(4));
    assert_eq!(of("XADD k NOMKSTREAM"), None);
}
