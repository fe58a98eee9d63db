//! A checker for transactions that append to lists and read them, and the recorder that feeds it.
//!
//! Every element is appended once, so a list that was read tells which transactions had written it,
//! and in which order (Kingsbury & Alvaro, "Elle", 2020). From that follows who must come before
//! whom, and real time adds its own; a circle of these is what no serial order explains.

mod graph;

use graph::Graph;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::Instant;

/// One step of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Appended an element, which nobody else appends, to the list of a key.
    Append(u64, u64),
    /// Read a whole list.
    Read(u64, Vec<u64>),
}

/// What is known of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It took place, and its client heard of it then.
    Done(u64),
    /// It did not take place.
    Refused,
    /// Nobody knows. What it read is not known either.
    Unknown,
}

/// A transaction of one client.
#[derive(Clone, Debug)]
pub struct Transaction {
    /// When it began, nanoseconds on the recorder's clock.
    pub called: u64,
    /// What became of it.
    pub end: End,
    /// What it did, in order.
    pub steps: Vec<Step>,
}

/// What no serial order explains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Anomaly {
    /// An element is twice in a list.
    Twice(u64),
    /// An element that nobody appended, or that was refused.
    FromNowhere(u64),
    /// Two reads of a key of which neither begins with the other.
    Forked(u64),
    /// An element that was acknowledged is in no list.
    Lost(u64),
    /// Of the elements of one transaction this one is there, another is not.
    Torn(u64),
    /// A read shows a transaction between two of its own appends.
    Halfway(u64),
    /// A transaction does not see what it did itself.
    Blind(u64),
    /// These come before each other in a circle, by their place in the history.
    Circle(Vec<usize>),
}

/// Transactions as they end.
#[derive(Debug)]
pub struct Recorder {
    start: Instant,
    transactions: Mutex<Vec<Transaction>>,
}

impl Default for Recorder {
    fn default() -> Self {
        Self { start: Instant::now(), transactions: Mutex::default() }
    }
}

impl Recorder {
    /// Nanoseconds since the history began.
    pub fn now(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }

    /// Notes a transaction.
    pub fn note(&self, transaction: Transaction) {
        self.transactions.lock().expect("no recorder panics").push(transaction);
    }

    /// How many took place.
    pub fn done(&self) -> usize {
        let transactions = self.transactions.lock().expect("no recorder panics");
        transactions.iter().filter(|it| matches!(it.end, End::Done(_))).count()
    }

    /// All of them.
    pub fn into_transactions(self) -> Vec<Transaction> {
        self.transactions.into_inner().expect("no recorder panics")
    }
}

/// Checks a history whose last transactions read every list when nobody wrote any more.
pub fn check(history: &[Transaction]) -> Result<(), Anomaly> {
    let history: Vec<&Transaction> = history.iter().collect();
    let lists = Lists::of(&history)?;
    lists.check_elements(&history)?;
    for transaction in &history {
        lists.check_steps(transaction)?;
    }
    let mut graph = Graph::new(history.len());
    lists.order(&history, &mut graph);
    real_time(&history, &mut graph);
    graph.circle().map_or(Ok(()), |circle| Err(Anomaly::Circle(circle)))
}

/// The transactions that an anomaly is about, in words.
pub fn tell(history: &[Transaction], anomaly: &Anomaly) -> String {
    let touches = |transaction: &Transaction| match anomaly {
        Anomaly::Circle(_) => false,
        Anomaly::Twice(it) | Anomaly::FromNowhere(it) | Anomaly::Lost(it) | Anomaly::Torn(it) => {
            appends(transaction).any(|(_, element)| element == *it)
                || reads(transaction).any(|(_, list)| list.contains(it))
        }
        Anomaly::Forked(it) | Anomaly::Halfway(it) | Anomaly::Blind(it) => {
            reads(transaction).any(|(key, _)| key == *it)
        }
    };
    let of_circle = |at: &usize| matches!(anomaly, Anomaly::Circle(circle) if circle.contains(at));
    let told = history.iter().enumerate();
    let told = told.filter(|(at, transaction)| of_circle(at) || touches(transaction));
    told.fold(String::new(), |text, (at, transaction)| format!("{text}{at}: {transaction:?}\n"))
}

/// The lists as they were at last, and who appended what.
struct Lists {
    /// By key the longest that was read.
    longest: BTreeMap<u64, Vec<u64>>,
    /// By element its transaction.
    writer: BTreeMap<u64, usize>,
}

fn reads(transaction: &Transaction) -> impl Iterator<Item = (u64, &[u64])> + '_ {
    let is_done = matches!(transaction.end, End::Done(_));
    transaction.steps.iter().filter_map(move |step| match step {
        Step::Read(key, list) if is_done => Some((*key, list.as_slice())),
        _ => None,
    })
}

fn appends(transaction: &Transaction) -> impl Iterator<Item = (u64, u64)> + '_ {
    transaction.steps.iter().filter_map(|step| match step {
        Step::Append(key, element) => Some((*key, *element)),
        Step::Read(..) => None,
    })
}

impl Lists {
    fn of(history: &[&Transaction]) -> Result<Self, Anomaly> {
        let mut longest: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        for (key, list) in history.iter().flat_map(|transaction| reads(transaction)) {
            let known = longest.entry(key).or_default();
            let both = known.len().min(list.len());
            if known[..both] != list[..both] {
                return Err(Anomaly::Forked(key));
            }
            known.extend_from_slice(&list[both..]);
        }
        let mut writer = BTreeMap::new();
        for (at, transaction) in history.iter().enumerate() {
            if transaction.end != End::Refused {
                writer.extend(appends(transaction).map(|(_, element)| (element, at)));
            }
        }
        Ok(Self { longest, writer })
    }

    fn check_elements(&self, history: &[&Transaction]) -> Result<(), Anomaly> {
        let mut seen = BTreeSet::new();
        for element in self.longest.values().flatten() {
            if !seen.insert(*element) {
                return Err(Anomaly::Twice(*element));
            }
            if !self.writer.contains_key(element) {
                return Err(Anomaly::FromNowhere(*element));
            }
        }
        for transaction in history {
            let is_done = matches!(transaction.end, End::Done(_));
            let any = appends(transaction).find(|(_, element)| seen.contains(element));
            let missing = appends(transaction).find(|(_, element)| !seen.contains(element));
            match (any, missing) {
                (_, Some((_, element))) if is_done => return Err(Anomaly::Lost(element)),
                (Some((_, element)), Some(_)) => return Err(Anomaly::Torn(element)),
                _ => {}
            }
        }
        Ok(())
    }

    /// What a transaction read, beside what it did itself and what others do at once.
    fn check_steps(&self, transaction: &Transaction) -> Result<(), Anomaly> {
        let mut own: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        let mut before: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        for step in &transaction.steps {
            match step {
                Step::Append(key, element) => own.entry(*key).or_default().push(*element),
                Step::Read(_, _) if !matches!(transaction.end, End::Done(_)) => {}
                Step::Read(key, list) => {
                    let own = own.get(key).map_or(&[][..], Vec::as_slice);
                    let Some(base) = list.strip_suffix(own) else {
                        return Err(Anomaly::Blind(*key));
                    };
                    if before.entry(*key).or_insert_with(|| base.to_vec()) != base {
                        return Err(Anomaly::Blind(*key));
                    }
                    self.check_whole(*key, base)?;
                }
            }
        }
        Ok(())
    }

    /// A list must not end between two appends of one transaction.
    fn check_whole(&self, key: u64, list: &[u64]) -> Result<(), Anomaly> {
        let (Some(last), Some(next)) = (list.last(), self.longest[&key].get(list.len())) else {
            return Ok(());
        };
        if self.writer.get(last) == self.writer.get(next) {
            return Err(Anomaly::Halfway(key));
        }
        Ok(())
    }

    /// Who wrote an element comes before who wrote the next; who read it comes in between.
    fn order(&self, history: &[&Transaction], graph: &mut Graph) {
        for list in self.longest.values() {
            for pair in list.windows(2) {
                graph.before(self.writer[&pair[0]], self.writer[&pair[1]]);
            }
        }
        for (at, transaction) in history.iter().enumerate() {
            for (key, list) in reads(transaction) {
                if let Some(last) = list.last() {
                    graph.before(self.writer[last], at);
                }
                if let Some(next) = self.longest[&key].get(list.len()) {
                    graph.before(at, self.writer[next]);
                }
            }
        }
    }
}

/// Whoever was answered before another one began comes before it. Moments stand in between, so that
/// there are no more of these than transactions.
fn real_time(history: &[&Transaction], graph: &mut Graph) {
    let mut ended: Vec<(u64, usize)> = Vec::new();
    for (at, transaction) in history.iter().enumerate() {
        if let End::Done(returned) = transaction.end {
            ended.push((returned, at));
        }
    }
    ended.sort_unstable();
    let moments: Vec<usize> = ended.iter().map(|_| graph.moment()).collect();
    for pair in moments.windows(2) {
        graph.before(pair[0], pair[1]);
    }
    for ((_, at), moment) in ended.iter().zip(&moments) {
        graph.before(*at, *moment);
    }
    for (at, transaction) in history.iter().enumerate() {
        let earlier = ended.partition_point(|(returned, _)| *returned < transaction.called);
        if transaction.end != End::Refused && earlier > 0 {
            graph.before(moments[earlier - 1], at);
        }
    }
}

#[cfg(test)]
mod tests;
