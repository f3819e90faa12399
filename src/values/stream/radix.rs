//! The size of the radix tree that Redis would keep the blocks of a stream in, which XINFO tells.

use super::id::StreamId;

/// How many nodes a path-compressed radix tree of these ids has, written as in [`StreamId::to_bytes`]; they
/// ascend. O(ids).
///
/// A key ends in a node of its own. Keys part at a node that has a child per byte; bytes that a group of keys has in
/// common are one node together.
pub fn node_count(ids: impl Iterator<Item = StreamId>) -> usize {
    let mut ids = ids.map(StreamId::to_bytes);
    let Some(mut previous) = ids.next() else { return 1 };
    let mut path = Path::default();
    let mut count = 1;
    for id in ids {
        let common = id.iter().zip(&previous).take_while(|(a, b)| a == b).count();
        count += path.part_at(common) + 1;
        previous = id;
    }
    count + path.end()
}

/// The way from the root to the key that was looked at last.
#[derive(Default)]
struct Path {
    /// The depths at which other keys part from it, ascending.
    forks: Vec<usize>,
}

impl Path {
    /// Goes over to a key that has only `common` bytes in common with the last one; tells how many nodes are only on
    /// the way to that.
    fn part_at(&mut self, common: usize) -> usize {
        let (below, count) = self.leave_forks_behind(common);
        if self.forks.last() != Some(&common) {
            self.forks.push(common);
        }
        count + usize::from(below > common + 1)
    }

    /// Tells how many nodes are left.
    fn end(mut self) -> usize {
        let (below, count) = self.leave_forks_behind(0);
        let root_forks = self.forks.len();
        count + root_forks + usize::from(below > root_forks)
    }

    /// Drops the forks behind `depth`; tells where the first of them was and how many nodes are from there on.
    fn leave_forks_behind(&mut self, depth: usize) -> (usize, usize) {
        const ID_BYTES: usize = 16;
        let (mut below, mut count) = (ID_BYTES, 0);
        while let Some(fork) = self.forks.pop_if(|fork| *fork > depth) {
            count += 1 + usize::from(below > fork + 1);
            below = fork;
        }
        (below, count)
    }
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
        assert_eq!(count(&[(1, 0), (1, 1)]), 4);
        assert_eq!(count(&[(1, 0), (1, 1), (1, 256)]), 7);
        assert_eq!(count(&[(1, 0), (1 << 56, 0)]), 5);
        assert_eq!(count(&[(1, 0), (1, 256)]), 6);
    }
}
