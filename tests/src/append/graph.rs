//! Who comes before whom, and whether that goes in a circle (Tarjan 1972, without recursion).

/// Transactions by number, and behind them the moments of real time.
pub(super) struct Graph {
    transactions: usize,
    /// By node, who comes later.
    later: Vec<Vec<usize>>,
}

impl Graph {
    pub(super) fn new(transactions: usize) -> Self {
        Self { transactions, later: vec![Vec::new(); transactions] }
    }

    /// A moment, as one more node.
    pub(super) fn moment(&mut self) -> usize {
        self.later.push(Vec::new());
        self.later.len() - 1
    }

    /// The one comes before the other. Nobody comes before itself.
    pub(super) fn before(&mut self, one: usize, other: usize) {
        if one != other {
            self.later[one].push(other);
        }
    }

    /// Transactions that come before each other, if any do.
    pub(super) fn circle(&self) -> Option<Vec<usize>> {
        let mut search = Search {
            number: vec![0; self.later.len()],
            lowest: vec![0; self.later.len()],
            on_path: vec![false; self.later.len()],
            path: Vec::new(),
            count: 0,
        };
        (0..self.later.len()).find_map(|root| search.from(self, root))
    }
}

/// Numbers begin with 1 in the order in which nodes are met.
struct Search {
    number: Vec<usize>,
    /// The lowest number on the path that can be reached.
    lowest: Vec<usize>,
    on_path: Vec<bool>,
    path: Vec<usize>,
    count: usize,
}

impl Search {
    fn meet(&mut self, node: usize) {
        self.count += 1;
        self.number[node] = self.count;
        self.lowest[node] = self.count;
        self.on_path[node] = true;
        self.path.push(node);
    }

    fn from(&mut self, graph: &Graph, root: usize) -> Option<Vec<usize>> {
        if self.number[root] > 0 {
            return None;
        }
        self.meet(root);
        let mut open = vec![(root, 0)];
        while let Some((node, turn)) = open.last_mut() {
            let node = *node;
            if let Some(&next) = graph.later[node].get(*turn) {
                *turn += 1;
                if self.number[next] == 0 {
                    self.meet(next);
                    open.push((next, 0));
                } else if self.on_path[next] {
                    self.lowest[node] = self.lowest[node].min(self.number[next]);
                }
                continue;
            }
            open.pop();
            if let Some((above, _)) = open.last() {
                self.lowest[*above] = self.lowest[*above].min(self.lowest[node]);
            }
            if self.lowest[node] == self.number[node] {
                let circle = self.leave(node);
                if circle.len() > 1 {
                    return Some(
                        circle.into_iter().filter(|at| *at < graph.transactions).collect(),
                    );
                }
            }
        }
        None
    }

    /// Takes a node and what was met behind it from the path.
    fn leave(&mut self, node: usize) -> Vec<usize> {
        let from = self.path.iter().rposition(|at| *at == node).unwrap_or(0);
        let circle = self.path.split_off(from);
        for at in &circle {
            self.on_path[*at] = false;
        }
        circle
    }
}
