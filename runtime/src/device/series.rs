//! Launches that are begun as one. A device that has graphs is given launches in series, and of a series that it has had before only
//! what has changed since: a step launches the kernels of the step before it over the same grids, and nearly all of them on the same
//! memory.

use super::driver::{Graphs, Node};
use super::pool::Launched;
use crate::error::{ErrorKind, Result};

/// Launches of a series: enough that one graph costs the host less than they would, few enough that the device is at the first while
/// the host is at the next.
const MOST_NODES: usize = 32;
/// Fewer are not worth a graph.
const LEAST_NODES: usize = 4;
/// Series that are remembered: those of a step of a large network and of an evaluation.
const MOST_KNOWN: usize = 64;

/// A series as it was the last time.
#[derive(Debug)]
struct Known {
    nodes: Vec<Node>,
    /// Made when it comes again.
    graph: Option<u64>,
    last_turn: u64,
}

impl Known {
    /// How many nodes are given something else now, if both launch the same kernels over the same grids.
    fn changes(&self, nodes: &[Node]) -> Option<usize> {
        let pairs = || self.nodes.iter().zip(nodes);
        let is_alike = self.nodes.len() == nodes.len() && pairs().all(|(before, now)| before.is_like(now));
        is_alike.then(|| pairs().filter(|(before, now)| before != now).count())
    }
}

/// The launches that wait for the rest of their series, and the series that there were.
#[derive(Debug, Default)]
pub(super) struct Series {
    waiting: Vec<Node>,
    known: Vec<Known>,
    turn: u64,
}

impl Series {
    /// Takes a launch, and begins the series when it is as long as one may be.
    pub(super) fn push(&mut self, node: Node, graphs: &dyn Graphs, launched: &mut Launched) -> Result<()> {
        self.waiting.push(node);
        if self.waiting.len() < MOST_NODES { Ok(()) } else { self.flush(graphs, launched) }
    }

    /// Begins what waits. After an error nothing waits, and the series is not known.
    pub(super) fn flush(&mut self, graphs: &dyn Graphs, launched: &mut Launched) -> Result<()> {
        let nodes = std::mem::take(&mut self.waiting);
        if nodes.len() < LEAST_NODES {
            return nodes.iter().try_for_each(|node| graphs.launch_node(node));
        }
        self.turn += 1;
        let graph = match self.take(&nodes) {
            Some(known) => again(known, &nodes, graphs, launched)?,
            None => one_by_one(&nodes, graphs)?,
        };
        self.make_room(graphs);
        self.known.push(Known { nodes, graph, last_turn: self.turn });
        Ok(())
    }

    /// The known series of which the least has changed. Where that is more than half another one repeats the same kernels.
    fn take(&mut self, nodes: &[Node]) -> Option<Known> {
        let changes = self.known.iter().enumerate().filter_map(|(i, known)| Some((known.changes(nodes)?, i)));
        let (_, i) = changes.min().filter(|(changes, _)| 2 * changes <= nodes.len())?;
        Some(self.known.swap_remove(i))
    }

    /// Forgets the series that was not there for longest, if there are as many as may be.
    fn make_room(&mut self, graphs: &dyn Graphs) {
        let oldest = (0..self.known.len()).min_by_key(|&i| self.known[i].last_turn);
        if let Some(oldest) = oldest.filter(|_| self.known.len() >= MOST_KNOWN) {
            self.known.swap_remove(oldest).graph.into_iter().for_each(|graph| graphs.free_graph(graph));
        }
    }
}

/// Begins launches without a graph.
fn one_by_one(nodes: &[Node], graphs: &dyn Graphs) -> Result<Option<u64>> {
    nodes.iter().try_for_each(|node| graphs.launch_node(node))?;
    Ok(None)
}

/// Begins a known series as a graph, which is made or told what has changed. A device that has no room for it does without.
fn again(known: Known, nodes: &[Node], graphs: &dyn Graphs, launched: &mut Launched) -> Result<Option<u64>> {
    let (graph, changed): (u64, Vec<(usize, &Node)>) = match known.graph {
        Some(graph) => {
            let pairs = known.nodes.iter().zip(nodes).enumerate();
            (graph, pairs.filter(|(_, (before, now))| before != now).map(|(i, (_, now))| (i, now)).collect())
        }
        None => match graphs.make_graph(nodes) {
            Ok(graph) => (graph, vec![]),
            Err(cause) if cause.kind() == ErrorKind::Memory => return one_by_one(nodes, graphs),
            Err(cause) => return Err(cause),
        },
    };
    let mut updates = changed.iter().map(|(i, now)| graphs.update_graph(graph, *i, now));
    let begun = updates.try_for_each(|updated| updated).and_then(|()| graphs.begin_graph(graph));
    if let Err(cause) = begun {
        graphs.free_graph(graph);
        return Err(cause);
    }
    launched.graphs += 1;
    launched.graph_launches += nodes.len() as u64;
    launched.updates += changed.len() as u64;
    Ok(Some(graph))
}
