//! What structures tell of the memory that they own.

/// The size that the allocator gives for a request of `bytes`: multiples of 16 up to 128, then four classes per
/// doubling; nothing for nothing. These are jemalloc's classes (jemalloc(3), "size classes"), so rounding up costs
/// nothing.
#[inline]
pub fn size_class(bytes: usize) -> usize {
    if bytes <= 128 {
        return bytes.next_multiple_of(16);
    }
    let step = 1 << ((bytes - 1).ilog2() - 2);
    bytes.next_multiple_of(step)
}

/// A structure that a key can hold as its value.
pub trait Collection: Clone + Default + Send + Sync + 'static {
    /// Bytes of heap that it owns beside the struct itself, as the allocator rounds them. O(1).
    fn heap_bytes(&self) -> usize;

    /// Whether a key that holds this goes: it has no elements. Never so for a stream. O(1).
    fn is_void(&self) -> bool;

    /// How many elements it has. O(1).
    fn elements(&self) -> usize;

    /// Redis's name for the representation. O(1).
    fn encoding(&self) -> &'static str;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_classes_are_those_of_the_allocator() {
        let pairs = [
            (0, 0),
            (1, 16),
            (86, 96),
            (128, 128),
            (129, 160),
            (160, 160),
            (161, 192),
            (1046, 1280),
            (4097, 5120),
        ];
        for (bytes, class) in pairs {
            assert_eq!(size_class(bytes), class, "{bytes}");
        }
    }
}
