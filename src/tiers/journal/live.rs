//! How many bytes the records take that are still needed.

use std::collections::VecDeque;

/// Bytes between two marks.
const MARK_EVERY_BYTES: u64 = 64 * 1024;

/// Remembers now and then how many bytes had been appended up to a sequence: 16 bytes for each 64 KiB.
pub struct Live {
    /// Sequences, and all bytes appended up to them.
    marks: VecDeque<(u64, u64)>,
    /// The newest mark that was released.
    released: u64,
}

impl Live {
    /// Begins with `appended` bytes up to the sequence `last`.
    pub fn new(last: u64, appended: u64) -> Self {
        Self {
            marks: VecDeque::from([(last, appended)]),
            released: 0,
        }
    }

    /// Up to `last`, `appended` bytes were appended.
    pub fn note(&mut self, last: u64, appended: u64) {
        let marked = self.marks.back().map_or(self.released, |&(_, appended)| appended);
        if appended - marked >= MARK_EVERY_BYTES {
            self.marks.push_back((last, appended));
        }
    }

    /// The bytes of records from `released` on, too many by those of one mark at most.
    pub fn bytes(&mut self, released: u64, last: u64, appended: u64) -> u64 {
        while let Some(&(marked, appended)) = self.marks.front()
            && marked < released
        {
            self.released = appended;
            self.marks.pop_front();
        }
        if released > last {
            0
        } else {
            appended - self.released
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn released_bytes_are_not_live() {
        let mut live = Live::new(0, 0);
        for step in 1..=10 {
            live.note(step * 100, step * MARK_EVERY_BYTES);
        }
        let all = 10 * MARK_EVERY_BYTES;
        assert_eq!(live.bytes(1, 1000, all), all);
        assert_eq!(live.bytes(301, 1000, all), 7 * MARK_EVERY_BYTES);
        assert_eq!(live.bytes(1001, 1000, all), 0);
    }
}
