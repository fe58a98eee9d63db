//! Lists: nodes of a quicklist, in all forms that Redis ever wrote.
//!
//! How Redis would cut a list into nodes is decided when it is written: where our leaves begin does
//! not show.

use super::super::code::kind;
use super::super::input::{Input, Result};
use super::gather::Gather;
use super::rows;
use crate::types::list::{End, ListTree};
use crate::types::pack::{self, Item};
use crate::types::{Open, View};
use alloc::vec::Vec;

/// A node that is one element by itself, or a listpack.
const PLAIN: u64 = 1;
const PACKED: u64 = 2;
/// Bytes of a node's entries, as Redis fills them by default.
const NODE_BYTES: usize = (8 << 10) - 7;

/// Reads an element or a node.
pub(super) fn read(list: &mut Open<ListTree>, of: u8, input: &mut Input<'_>) -> Result<()> {
    if of == kind::LIST {
        list.push(End::Back, &input.text()?.bytes()?);
        return Ok(());
    }
    let container = if of == kind::LIST_QUICKLIST_2 { input.length()? } else { PACKED };
    let node = input.text()?.bytes()?;
    let mut add = |item: Item<'_>| item.with(|element| list.push(End::Back, element));
    match (container, of) {
        (PLAIN, _) => list.push(End::Back, &node),
        (PACKED, kind::LIST_QUICKLIST_2) => rows::listpack(&node, input)?.for_each(&mut add),
        (PACKED, _) => rows::ziplist(&node, input)?.into_iter().for_each(&mut add),
        _ => return input.odd("a list's node of an unknown kind"),
    }
    Ok(())
}

/// A packed list is one node.
pub(super) fn write_packed(packed: &[u8], out: &mut Vec<u8>) {
    let (count, row) = pack::parts(packed);
    out.extend_from_slice(&[1, PACKED as u8]);
    rows::push_listpack(out, count, row);
}

/// Nodes are filled in order, whatever the leaves are.
pub(super) fn write_large(list: &ListTree, out: &mut Gather<'_>) {
    let mut nodes = 0;
    each_node(list, &mut |_, _| nodes += 1);
    out.length(nodes);
    each_node(list, &mut |count, row| {
        out.length(PACKED);
        rows::put_listpack(out, count, row);
    });
}

fn each_node(list: &ListTree, node: &mut dyn FnMut(usize, &[u8])) {
    let view = View { form: crate::types::Form::List, packed: &[], large: Some(list), now_ms: 0 };
    let (mut row, mut count) = (Vec::new(), 0);
    for (mut items, _) in view.rows(0) {
        loop {
            let before = items.rest();
            if items.next().is_none() {
                break;
            }
            let entry = before.get(..before.len() - items.rest().len()).unwrap_or_default();
            if count > 0 && row.len() + entry.len() > NODE_BYTES {
                node(count, &row);
                row.clear();
                count = 0;
            }
            row.extend_from_slice(entry);
            count += 1;
        }
    }
    if count > 0 {
        node(count, &row);
    }
}
