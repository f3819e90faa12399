//! What jemalloc says of the heap.
//!
//! The binary allocates with jemalloc. In a process that does not (a test of the library) everything is near zero.

use tikv_jemalloc_ctl::stats_print::{Options, stats_print};
use tikv_jemalloc_ctl::{Result, epoch, stats, version};

/// Bytes of the heap, each figure with what the one before lacks.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct HeapBytes {
    /// Given out to the program, in size classes.
    pub allocated: u64,
    /// In pages of which some part is given out.
    pub active: u64,
    /// In pages that are, or may be, in physical memory.
    pub resident: u64,
}

/// The heap now. Costs some microseconds for each arena.
pub fn heap() -> HeapBytes {
    read_heap().unwrap_or_default()
}

fn read_heap() -> Result<HeapBytes> {
    epoch::advance()?;
    Ok(HeapBytes {
        allocated: stats::allocated::read()? as u64,
        active: stats::active::read()? as u64,
        resident: stats::resident::read()? as u64,
    })
}

/// Name and version, such as `jemalloc-5.3.0`.
pub fn name() -> String {
    let full = version::read().unwrap_or("0");
    format!("jemalloc-{}", full.split('-').next().unwrap_or(full))
}

/// Everything that jemalloc counts, as its own report for people.
pub fn report() -> String {
    let mut text = Vec::new();
    match stats_print(&mut text, Options::default()) {
        Ok(()) => String::from_utf8_lossy(&text).into_owned(),
        Err(error) => error.to_string(),
    }
}

/// Gives pages that are not in use back to the system.
pub fn purge() {
    // The number stands for all arenas (MALLCTL_ARENAS_ALL).
    const PURGE_ALL: &std::ffi::CStr = c"arena.4096.purge";
    let nothing = std::ptr::null_mut();
    // SAFETY: the name is terminated, and this control neither reads nor writes a value.
    let status =
        unsafe { tikv_jemalloc_sys::mallctl(PURGE_ALL.as_ptr(), nothing, std::ptr::null_mut(), nothing, 0) };
    debug_assert_eq!(status, 0, "the control exists and takes no value");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heap_is_described() {
        purge();
        let heap = heap();
        assert!(heap.allocated <= heap.active && heap.active <= heap.resident);
        assert!(name().starts_with("jemalloc-5."));
        assert!(report().contains("Allocated"));
    }
}
