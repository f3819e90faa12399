//! The lock of a shard, which a transaction may hold while its commands borrow the shard one after the other.
//!
//! A command locks the shards of its keys for its own run. A transaction holds the locks of all shards that its
//! commands need; they then run as they always do: locking a shard that their thread holds lends it to them at
//! once. So neither commands nor the ways to them know of transactions.

use std::cell::UnsafeCell;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};

use super::shard::Shard;

/// A shard behind its lock.
pub struct ShardLock {
    mutex: Mutex<()>,
    /// The token of the thread that holds the lock for a transaction; 0 if none does.
    holder: AtomicUsize,
    /// Whether the holder has lent the shard to a command. Only its thread looks.
    lent: AtomicBool,
    shard: UnsafeCell<Shard>,
}

// SAFETY: the shard is reached only through a guard, of which one exists at a time: `mutex` keeps other threads
// out, and `lent` the holder's own.
unsafe impl Sync for ShardLock {}

/// A shard that is lent.
pub struct ShardGuard<'s> {
    lock: &'s ShardLock,
    /// `None` where the lock belongs to a transaction.
    guard: Option<MutexGuard<'s, ()>>,
}

/// A lock held for a transaction.
pub struct Hold<'s> {
    lock: &'s ShardLock,
    _guard: MutexGuard<'s, ()>,
}

impl ShardLock {
    /// Puts a shard behind a lock.
    pub fn new(shard: Shard) -> Self {
        Self {
            mutex: Mutex::new(()),
            holder: AtomicUsize::new(0),
            lent: AtomicBool::new(false),
            shard: UnsafeCell::new(shard),
        }
    }

    /// Waits for the shard.
    #[inline]
    pub fn lock(&self) -> ShardGuard<'_> {
        if self.is_held_here() {
            return self.lend();
        }
        self.guard(self.mutex.lock())
    }

    /// Waits for the shard, but not for long.
    #[inline]
    pub fn lock_within(&self, patience: Duration) -> Option<ShardGuard<'_>> {
        if self.is_held_here() {
            return Some(self.lend());
        }
        let guard = self
            .mutex
            .try_lock()
            .or_else(|| self.mutex.try_lock_for(patience))?;
        Some(self.guard(guard))
    }

    /// The shard, if nobody has it.
    #[inline]
    pub fn try_lock(&self) -> Option<ShardGuard<'_>> {
        if self.is_held_here() {
            return (!self.lent.load(Relaxed)).then(|| self.lend());
        }
        Some(self.guard(self.mutex.try_lock()?))
    }

    /// Takes the lock for a transaction, unless somebody keeps it for long. A thread must not hold a lock twice.
    pub fn hold_within(&self, patience: Duration) -> Option<Hold<'_>> {
        assert!(!self.is_held_here(), "transactions are not nested");
        let guard = self.mutex.try_lock_for(patience)?;
        self.holder.store(thread_token(), Relaxed);
        Some(Hold {
            lock: self,
            _guard: guard,
        })
    }

    /// Whether this thread holds the lock for a transaction. No other thread stores this one's token.
    #[inline]
    fn is_held_here(&self) -> bool {
        let holder = self.holder.load(Relaxed);
        holder != 0 && holder == thread_token()
    }

    #[cold]
    fn lend(&self) -> ShardGuard<'_> {
        let was_lent = self.lent.swap(true, Relaxed);
        assert!(!was_lent, "a shard is lent to one command at a time");
        ShardGuard {
            lock: self,
            guard: None,
        }
    }

    #[inline]
    fn guard<'s>(&'s self, guard: MutexGuard<'s, ()>) -> ShardGuard<'s> {
        ShardGuard {
            lock: self,
            guard: Some(guard),
        }
    }
}

/// A number that no other living thread has, and never 0: the address of something of its own.
fn thread_token() -> usize {
    thread_local!(static OWN: u8 = const { 0 });
    OWN.with(|own| std::ptr::from_ref(own).addr())
}

impl ShardGuard<'_> {
    /// Lets those who wait for the shard go first. Does nothing within a transaction.
    pub fn bump(&mut self) {
        if let Some(guard) = &mut self.guard {
            MutexGuard::bump(guard);
        }
    }
}

impl Deref for ShardGuard<'_> {
    type Target = Shard;

    #[inline]
    fn deref(&self) -> &Shard {
        // SAFETY: this is the only guard, as `Sync` above explains.
        unsafe { &*self.lock.shard.get() }
    }
}

impl DerefMut for ShardGuard<'_> {
    #[inline]
    fn deref_mut(&mut self) -> &mut Shard {
        // SAFETY: this is the only guard, as `Sync` above explains, and it is borrowed mutably.
        unsafe { &mut *self.lock.shard.get() }
    }
}

impl Drop for ShardGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.guard.is_none() {
            self.lock.lent.store(false, Relaxed);
        }
    }
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        assert!(
            !self.lock.lent.load(Relaxed),
            "what a transaction lends comes back before its end"
        );
        self.lock.holder.store(0, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::store::{Key, Store, Visit};

    const VISIT: Visit = Visit::new(0, 1);

    fn add(store: &Store, key: &[u8]) -> usize {
        let hash = store.hash(key);
        let mut shard = store.lock(hash);
        let mut key = Key::find(&mut shard, key, hash, VISIT);
        key.edit(8, |bytes| {
            let sum = u64::from_le_bytes(bytes.try_into().expect("eight bytes")) + 1;
            bytes.copy_from_slice(&sum.to_le_bytes());
            sum as usize
        })
    }

    #[test]
    fn what_a_transaction_holds_is_lent_to_its_own_thread_only() {
        let store = Arc::new(Store::new(1));
        let hash = store.hash(b"key");
        let held = store.hold(&[hash, hash]).expect("nobody has it");
        assert_eq!([add(&store, b"key"), add(&store, b"key")], [1, 2]);
        let other = Arc::clone(&store);
        let is_kept_out = std::thread::spawn(move || other.lock_soon(hash).is_none());
        assert!(is_kept_out.join().expect("the thread ends"));
        drop(held);
        let other = Arc::clone(&store);
        assert_eq!(
            std::thread::spawn(move || add(&other, b"key"))
                .join()
                .expect("the thread ends"),
            3
        );
    }

    #[test]
    fn transactions_and_commands_lose_nothing() {
        const ROUNDS: usize = if cfg!(miri) { 20 } else { 2_000 };
        let store = Arc::new(Store::new(1));
        let threads: Vec<_> = (0..4)
            .map(|number| {
                let store = Arc::clone(&store);
                std::thread::spawn(move || {
                    for _ in 0..ROUNDS {
                        let hashes = [store.hash(b"a"), store.hash(b"b")];
                        let held = (number % 2 == 0).then(|| {
                            loop {
                                if let Some(held) = store.hold(&hashes) {
                                    break held;
                                }
                            }
                        });
                        let (a, b) = (add(&store, b"a"), add(&store, b"b"));
                        assert!(held.is_none() || a > 0 && b > 0);
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().expect("no thread fails");
        }
        assert_eq!([add(&store, b"a"), add(&store, b"b")], [4 * ROUNDS + 1; 2]);
    }

    #[test]
    #[should_panic(expected = "lent to one command")]
    fn a_shard_is_not_lent_twice() {
        let store = Store::new(1);
        let hash = store.hash(b"key");
        let _held = store.hold(&[hash]).expect("nobody has it");
        let _first = store.lock(hash);
        let _second = store.lock(hash);
    }
}
