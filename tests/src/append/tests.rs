//! Histories with one anomaly each, and some without.

use super::{Anomaly, End, Step, Transaction, check};

fn append(key: u64, element: u64) -> Step {
    Step::Append(key, element)
}

fn read(key: u64, list: &[u64]) -> Step {
    Step::Read(key, list.to_vec())
}

/// All at once, so that real time says nothing.
fn at_once(steps: &[&[Step]]) -> Vec<Transaction> {
    let ends = steps.iter();
    ends.map(|steps| Transaction { called: 0, end: End::Done(9), steps: steps.to_vec() }).collect()
}

/// And what the lists hold when all is over.
fn with_last(mut history: Vec<Transaction>, lists: &[(u64, &[u64])]) -> Vec<Transaction> {
    let steps = lists.iter().map(|(key, list)| read(*key, list)).collect();
    history.push(Transaction { called: 100, end: End::Done(101), steps });
    history
}

fn finds(history: &[Transaction], expected: impl Fn(&Anomaly) -> bool) {
    let found = check(history).expect_err("an anomaly");
    assert!(expected(&found), "{found:?}");
}

fn circle_of(at: &'static [usize]) -> impl Fn(&Anomaly) -> bool {
    move |anomaly| {
        let Anomaly::Circle(circle) = anomaly else { return false };
        at.iter().all(|one| circle.contains(one))
    }
}

#[test]
fn what_a_serial_order_explains_passes() {
    let history = at_once(&[
        &[append(1, 10), append(2, 20)],
        &[read(1, &[10]), append(1, 11), read(1, &[10, 11])],
        &[read(1, &[10, 11]), read(2, &[20])],
        &[read(1, &[]), read(2, &[])],
    ]);
    assert_eq!(check(&with_last(history, &[(1, &[10, 11]), (2, &[20])])), Ok(()));
}

#[test]
fn what_nobody_knows_may_have_been_or_not() {
    let unknown =
        |steps: &[Step]| Transaction { called: 0, end: End::Unknown, steps: steps.to_vec() };
    let history = vec![unknown(&[append(1, 10), append(2, 20)]), unknown(&[append(1, 11)])];
    assert_eq!(check(&with_last(history.clone(), &[(1, &[10]), (2, &[20])])), Ok(()));
    finds(&with_last(history, &[(1, &[10]), (2, &[])]), |it| *it == Anomaly::Torn(10));
}

#[test]
fn an_element_that_was_refused_is_from_nowhere() {
    let mut history = at_once(&[&[append(1, 10)]]);
    history[0].end = End::Refused;
    finds(&with_last(history.clone(), &[(1, &[10])]), |it| *it == Anomaly::FromNowhere(10));
    assert_eq!(check(&with_last(history, &[(1, &[])])), Ok(()));
}

#[test]
fn an_acknowledged_element_is_there_and_once() {
    let history = at_once(&[&[append(1, 10)], &[append(1, 11)]]);
    finds(&with_last(history.clone(), &[(1, &[10])]), |it| *it == Anomaly::Lost(11));
    finds(&with_last(history, &[(1, &[10, 11, 10])]), |it| *it == Anomaly::Twice(10));
}

#[test]
fn two_orders_of_one_list_are_a_fork() {
    let history = at_once(&[&[append(1, 10)], &[append(1, 11)], &[read(1, &[11])]]);
    finds(&with_last(history, &[(1, &[10, 11])]), |it| *it == Anomaly::Forked(1));
}

#[test]
fn a_read_between_two_appends_of_one_transaction() {
    let history = at_once(&[&[append(1, 10), append(1, 11)], &[read(1, &[10])]]);
    finds(&with_last(history, &[(1, &[10, 11])]), |it| *it == Anomaly::Halfway(1));
}

#[test]
fn a_transaction_sees_what_it_did() {
    let history = at_once(&[&[append(1, 10), read(1, &[])]]);
    finds(&with_last(history, &[(1, &[10])]), |it| *it == Anomaly::Blind(1));
    let history = at_once(&[&[append(1, 10)], &[read(1, &[]), read(1, &[10])]]);
    finds(&with_last(history, &[(1, &[10])]), |it| *it == Anomaly::Blind(1));
}

#[test]
fn writes_in_two_orders() {
    let history = at_once(&[&[append(1, 10), append(2, 20)], &[append(1, 11), append(2, 21)]]);
    let history = with_last(history, &[(1, &[10, 11]), (2, &[21, 20])]);
    finds(&history, circle_of(&[0, 1]));
}

#[test]
fn each_reads_what_the_other_wrote() {
    let history = at_once(&[&[append(1, 10), read(2, &[20])], &[append(2, 20), read(1, &[10])]]);
    finds(&with_last(history, &[(1, &[10]), (2, &[20])]), circle_of(&[0, 1]));
}

#[test]
fn half_of_a_transaction_is_seen() {
    let history = at_once(&[&[append(1, 10), append(2, 20)], &[read(1, &[10]), read(2, &[])]]);
    finds(&with_last(history, &[(1, &[10]), (2, &[20])]), circle_of(&[0, 1]));
}

#[test]
fn an_update_is_lost() {
    let history = at_once(&[&[read(1, &[]), append(1, 10)], &[read(1, &[]), append(1, 11)]]);
    finds(&with_last(history, &[(1, &[10, 11])]), circle_of(&[0, 1]));
}

#[test]
fn writes_are_skewed() {
    let history = at_once(&[&[read(1, &[]), append(2, 20)], &[read(2, &[]), append(1, 10)]]);
    finds(&with_last(history, &[(1, &[10]), (2, &[20])]), circle_of(&[0, 1]));
}

#[test]
fn a_read_shows_what_was_before_an_answer() {
    let mut history = at_once(&[&[append(1, 10)], &[read(1, &[])]]);
    assert_eq!(check(&with_last(history.clone(), &[(1, &[10])])), Ok(()));
    (history[1].called, history[1].end) = (10, End::Done(11));
    finds(&with_last(history, &[(1, &[10])]), circle_of(&[0, 1]));
}
