//! Which keys are to be carried, in which order, and which records of the journal are still needed for it.

use std::collections::VecDeque;

use tokio::sync::oneshot;

use crate::store::SharedName;

/// What stands in the queue.
enum Queued {
    /// A key that is dirty.
    Key {
        name: SharedName,
        /// Monotonic milliseconds of the write that brought it here.
        since_ms: u64,
    },
    /// Somebody waits until everything before it was carried.
    Marker(oneshot::Sender<()>),
}

/// What is to be done next.
pub enum Next {
    /// Carry these keys.
    Carry(Vec<SharedName>),
    /// Nothing before this monotonic millisecond.
    Wait(u64),
    /// Nothing at all.
    Idle,
}

/// The queue of dirty keys, oldest first, and the window of records.
#[derive(Default)]
pub struct Ledger {
    queue: VecDeque<Queued>,
    window: Window,
    markers: usize,
    /// Keys that are dirty, those on their way included.
    pub dirty: usize,
    /// Bytes of the records that have their states.
    pub bytes: u64,
    /// Since when the keys that are on their way are dirty.
    carrying_since_ms: Option<u64>,
}

impl Ledger {
    /// The present state of a key is in the record `sequence`, which has so many bytes; `before` is its last one if it
    /// was dirty already.
    pub fn note(&mut self, sequence: u64, bytes: u64, before: Option<(u64, u64)>) {
        self.window.open(sequence);
        self.bytes += bytes;
        if let Some((sequence, bytes)) = before {
            self.window.close(sequence);
            self.bytes -= bytes;
        } else {
            self.dirty += 1;
        }
    }

    /// The next record that is noted is this one; those between it and the last one are not needed.
    pub fn skip_to(&mut self, sequence: u64) {
        self.window.skip_to(sequence);
    }

    /// A key is to be carried, behind all others; whether it is the only one.
    pub fn push(&mut self, name: SharedName, since_ms: u64) -> bool {
        self.queue.push_back(Queued::Key { name, since_ms });
        self.queue.len() == 1
    }

    /// Keys could not be carried and come first the next time, in this order.
    pub fn put_back(&mut self, names: Vec<SharedName>) {
        let since_ms = self.carrying_since_ms.unwrap_or(0);
        for name in names.into_iter().rev() {
            self.queue.push_front(Queued::Key { name, since_ms });
        }
    }

    /// A key is clean: its record is not needed any more.
    pub fn settle(&mut self, sequence: u64, bytes: u64) {
        self.window.close(sequence);
        self.bytes -= bytes;
        self.dirty -= 1;
    }

    /// Queues somebody who waits until everything that is dirty now was carried; `None` if nothing is.
    pub fn wait(&mut self) -> Option<oneshot::Receiver<()>> {
        if self.dirty == 0 {
            return None;
        }
        let (sender, receiver) = oneshot::channel();
        self.queue.push_back(Queued::Marker(sender));
        self.markers += 1;
        Some(receiver)
    }

    /// What to do at this monotonic millisecond: keys wait for `delay_ms` in case they are written again, unless
    /// somebody waits for them. What was carried before is settled.
    pub fn next(&mut self, now_ms: u64, delay_ms: u64, keys_max: usize) -> Next {
        self.carrying_since_ms = None;
        self.serve_markers();
        let delay_ms = if self.markers > 0 { 0 } else { delay_ms };
        let mut names = Vec::new();
        while names.len() < keys_max
            && let Some(Queued::Key { since_ms, .. }) = self.queue.front()
        {
            if since_ms + delay_ms > now_ms {
                if names.is_empty() {
                    return Next::Wait(since_ms + delay_ms);
                }
                break;
            }
            let Some(Queued::Key { name, since_ms }) = self.queue.pop_front() else {
                break;
            };
            self.carrying_since_ms.get_or_insert(since_ms);
            names.push(name);
        }
        if names.is_empty() {
            Next::Idle
        } else {
            Next::Carry(names)
        }
    }

    /// Records below this are not needed any more.
    pub fn released(&self) -> u64 {
        self.window.first
    }

    /// Since when the oldest dirty key is, in monotonic milliseconds.
    pub fn oldest_since_ms(&self) -> Option<u64> {
        let queued = self.queue.iter().find_map(|queued| match queued {
            Queued::Key { since_ms, .. } => Some(*since_ms),
            Queued::Marker(_) => None,
        });
        self.carrying_since_ms.into_iter().chain(queued).min()
    }

    fn serve_markers(&mut self) {
        while let Some(Queued::Marker(_)) = self.queue.front() {
            if let Some(Queued::Marker(waiting)) = self.queue.pop_front() {
                self.markers -= 1;
                // Who waited may have given up.
                let _ = waiting.send(());
            }
        }
    }
}

/// Which of the last records are needed: one byte for each from the oldest that is.
#[derive(Default)]
struct Window {
    /// The sequence number of the first.
    first: u64,
    needed: VecDeque<bool>,
}

impl Window {
    /// A record is needed. Records are appended in the order of their numbers, but noted in any.
    fn open(&mut self, sequence: u64) {
        while self.first + self.needed.len() as u64 <= sequence {
            self.needed.push_back(true);
        }
    }

    fn skip_to(&mut self, sequence: u64) {
        if self.needed.is_empty() {
            self.first = sequence;
        }
        while self.first + (self.needed.len() as u64) < sequence {
            self.needed.push_back(false);
        }
    }

    fn close(&mut self, sequence: u64) {
        if let Some(needed) = sequence
            .checked_sub(self.first)
            .and_then(|index| self.needed.get_mut(index as usize))
        {
            *needed = false;
        }
        while self.needed.front() == Some(&false) {
            self.needed.pop_front();
            self.first += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(key: &str) -> SharedName {
        (0, key.as_bytes().into())
    }

    fn carried(next: Next) -> Vec<String> {
        match next {
            Next::Carry(names) => names
                .iter()
                .map(|(_, key)| String::from_utf8_lossy(key).into_owned())
                .collect(),
            _ => panic!("there is something to carry"),
        }
    }

    #[test]
    fn keys_are_carried_oldest_first_after_their_delay() {
        let mut ledger = Ledger::default();
        ledger.skip_to(1);
        for (sequence, key) in [(1, "a"), (2, "b")] {
            ledger.note(sequence, 10, None);
            ledger.push(name(key), sequence * 100);
        }
        assert!(matches!(ledger.next(104, 5, 10), Next::Wait(105)));
        assert_eq!(carried(ledger.next(105, 5, 10)), ["a"]);
        assert_eq!(ledger.oldest_since_ms(), Some(100));
        ledger.put_back(vec![name("a")]);
        assert_eq!(carried(ledger.next(300, 5, 10)), ["a", "b"]);
        ledger.settle(1, 10);
        ledger.settle(2, 10);
        assert!(matches!(ledger.next(300, 5, 10), Next::Idle));
        assert_eq!((ledger.dirty, ledger.bytes, ledger.released()), (0, 0, 3));
    }

    #[test]
    fn who_waits_is_told_when_all_before_him_was_carried() {
        let mut ledger = Ledger::default();
        ledger.skip_to(1);
        assert!(ledger.wait().is_none());
        ledger.note(1, 10, None);
        ledger.push(name("a"), 100);
        let mut waiting = ledger.wait().unwrap();
        ledger.note(2, 10, None);
        ledger.push(name("b"), 100);
        assert_eq!(
            carried(ledger.next(100, 50, 10)),
            ["a"],
            "nobody waits for b, but for a"
        );
        assert!(waiting.try_recv().is_err());
        ledger.put_back(vec![name("a")]);
        assert_eq!(carried(ledger.next(100, 50, 10)), ["a"]);
        ledger.settle(1, 10);
        assert!(matches!(ledger.next(100, 50, 10), Next::Wait(150)));
        assert!(waiting.try_recv().is_ok());
    }

    #[test]
    fn records_are_needed_until_a_later_one_or_upstream_has_their_state() {
        let mut ledger = Ledger::default();
        ledger.skip_to(1);
        ledger.note(1, 10, None);
        ledger.note(3, 10, None);
        ledger.note(2, 10, Some((1, 10)));
        assert_eq!((ledger.released(), ledger.dirty, ledger.bytes), (2, 2, 20));
        ledger.settle(3, 10);
        assert_eq!(ledger.released(), 2);
        ledger.settle(2, 10);
        assert_eq!(ledger.released(), 4);
        ledger.note(4, 10, None);
        ledger.skip_to(9);
        ledger.note(9, 10, None);
        ledger.settle(4, 10);
        assert_eq!(ledger.released(), 9);
    }
}
