//! The addresses of upstream, and how each of them is doing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering::Relaxed};

use arc_swap::ArcSwapOption;

use super::status::Tally;
use crate::config::UpstreamAddress;

/// What is known of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeState {
    /// It was not needed yet.
    Untried,
    /// The last attempt to connect succeeded, and the link has not lost that connection since.
    Up,
    /// The last attempt failed, or the link lost its connection.
    Down,
}

impl NodeState {
    const ALL: [Self; 3] = [Self::Untried, Self::Up, Self::Down];

    /// The name that reports show.
    pub fn name(self) -> &'static str {
        match self {
            Self::Untried => "untried",
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

/// One address of upstream. The link's thread writes, anybody reads.
pub struct Node {
    address: UpstreamAddress,
    name: String,
    state: AtomicU8,
    trouble: ArcSwapOption<String>,
    /// Connections that the link made here.
    pub connects: Tally,
    /// Attempts of the link that failed here, and connections that it lost.
    pub failures: Tally,
}

impl Node {
    fn new(address: &UpstreamAddress) -> Self {
        Self {
            name: address.endpoint.to_string(),
            address: address.clone(),
            state: AtomicU8::new(NodeState::Untried as u8),
            trouble: ArcSwapOption::empty(),
            connects: Tally::default(),
            failures: Tally::default(),
        }
    }

    /// Where it is and how to log in there. For logs there is [`Node::name`].
    pub fn address(&self) -> &UpstreamAddress {
        &self.address
    }

    /// Where it is, without user and password.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The database there that stands for database 0 here.
    pub fn base_database(&self) -> usize {
        self.address.database as usize
    }

    /// How it is doing.
    pub fn state(&self) -> NodeState {
        NodeState::ALL[usize::from(self.state.load(Relaxed))]
    }

    /// What went wrong last, however long ago.
    pub fn last_error(&self) -> Option<Arc<String>> {
        self.trouble.load_full()
    }
}

/// All addresses of upstream, in the order in which they are tried; one at least.
pub struct Nodes {
    nodes: Vec<Node>,
    active: AtomicUsize,
}

impl Nodes {
    /// Nodes of which nothing is known; the first one is active.
    ///
    /// # Panics
    /// If there is no address.
    pub fn new(addresses: &[UpstreamAddress]) -> Self {
        assert!(!addresses.is_empty(), "an upstream has an address");
        Self {
            nodes: addresses.iter().map(Node::new).collect(),
            active: AtomicUsize::new(0),
        }
    }

    /// The nodes with their places.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &Node)> {
        self.nodes.iter().enumerate()
    }

    /// The node at `place`.
    pub fn at(&self, place: usize) -> &Node {
        &self.nodes[place]
    }

    /// The place of the node that the link connected to last, whether or not that connection still is.
    pub fn active_place(&self) -> usize {
        self.active.load(Relaxed)
    }

    /// The node that the link connected to last.
    pub fn active(&self) -> &Node {
        self.at(self.active_place())
    }

    /// Notes that the link has connected to the node at `place`.
    pub fn note_up(&self, place: usize) {
        let node = self.at(place);
        node.connects.add(1);
        node.state.store(NodeState::Up as u8, Relaxed);
        self.active.store(place, Relaxed);
    }

    /// Notes that the link could not connect to the node at `place`, or lost its connection there.
    pub fn note_down(&self, place: usize, trouble: String) {
        let node = self.at(place);
        node.failures.add(1);
        node.state.store(NodeState::Down as u8, Relaxed);
        node.trouble.store(Some(Arc::new(trouble)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(urls: &[&str]) -> Nodes {
        let addresses: Vec<UpstreamAddress> = urls
            .iter()
            .map(|url| UpstreamAddress::parse(url).unwrap())
            .collect();
        Nodes::new(&addresses)
    }

    fn states(nodes: &Nodes) -> Vec<NodeState> {
        nodes.iter().map(|(_, node)| node.state()).collect()
    }

    #[test]
    fn what_became_of_each_is_remembered() {
        let nodes = nodes(&["redis://:pw@a:1/3", "redis://b", "redis://c"]);
        assert_eq!(nodes.active().name(), "a:1");
        nodes.note_down(0, "refused".to_owned());
        nodes.note_up(1);
        assert_eq!(
            states(&nodes),
            [NodeState::Down, NodeState::Up, NodeState::Untried]
        );
        assert_eq!(nodes.active().name(), "b:6379");
        let first = nodes.at(0);
        assert_eq!(
            (first.failures.get(), first.connects.get(), first.base_database()),
            (1, 0, 3)
        );
        assert_eq!(first.last_error().as_deref().map(String::as_str), Some("refused"));
        nodes.note_down(1, "lost".to_owned());
        assert_eq!(
            (nodes.active_place(), nodes.active().state()),
            (1, NodeState::Down)
        );
        nodes.note_up(0);
        assert_eq!(
            (nodes.active_place(), nodes.at(0).last_error().is_some()),
            (0, true)
        );
    }
}
