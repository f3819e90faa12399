//! The size of the radix tree that Redis would keep the blocks of a stream in, which XINFO tells.

use super::id::StreamId;

/// How many nodes a path-compressed radix tree of these ids has, written as in [`StreamId::to_bytes`]; they
/// ascend. O(ids).
///
/// A key ends in a node of its own. Keys part at a node that has a child per byte; bytes that a group of keys has in
/// common are one node together.
pub fn node_count(ids: impl Iterator<Item = StreamId>) -> usize {
    const ID_BYTES: usize = 16;
    let mut ids = ids.map(StreamId::to_bytes);
    let Some(mut previous) = ids.next() else { return 1 };
    let mut count = 1;
    // The depths at which the path to `previous` parts from others.
    let mut forks: Vec<usize> = Vec::new();
    for id in ids {
        let common = id.iter().zip(&previous).take_while(|(a, b)| a == b).count();
        let left = forks
            .iter()
            .rposition(|fork| *fork <= common)
            .map_or(0, |last| last + 1);
        // The paths that nobody will fork any more.
        let mut below = ID_BYTES;
        for fork in forks.drain(left..).rev() {
            count += usize::from(below > fork + 1) + 1;
            below = fork;
        }
        count += usize::from(below > common + 1);
        if forks.last() != Some(&common) {
            forks.push(common);
        }
        count += 1;
        previous = id;
    }
    let mut below = ID_BYTES;
    for fork in forks.into_iter().rev() {
        count += usize::from(below > fork + 1) + 1;
        below = fork;
    }
    count + usize::from(below > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What XINFO STREAM of redis-server 7.0.15 told for streams of one entry a node.
    #[test]
    fn nodes_are_those_of_redis() {
        let count = |ids: &[(u64, u64)]| node_count(ids.iter().map(|(ms, seq)| StreamId::new(*ms, *seq)));
        assert_eq!(count(&[]), 1);
        assert_eq!(count(&[(1, 0)]), 2);
    }
}
