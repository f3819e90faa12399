//! The promise that a GET that hits allocates nothing, and a SET no more than its entry.

#[path = "../benches/local_client/mod.rs"]
mod local_client;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use local_client::{LocalClient, encode};

/// The system's allocator, with a count of what each thread asks it for.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    ALLOCATIONS.set(ALLOCATIONS.get() + 1);
}

// SAFETY: every call is passed on unchanged; counting neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are those that the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const REQUESTS: u64 = 1000;

/// Allocations of [`REQUESTS`] runs of a request, after as many that may allocate what is then kept.
fn allocations_of(client: &mut LocalClient, request: &[u8]) -> u64 {
    let mut before = 0;
    for _ in 0..2 {
        before = ALLOCATIONS.get();
        for _ in 0..REQUESTS {
            assert!(!client.run(request).starts_with(b"-"));
        }
    }
    ALLOCATIONS.get() - before
}

/// A client whose server notes no slow requests: on a busy machine any may be one.
fn client() -> LocalClient {
    let mut client = LocalClient::new();
    let reply = client.run(&encode(&[b"CONFIG", b"SET", b"slowlog-log-slower-than", b"-1"]));
    assert_eq!(reply, b"+OK\r\n");
    client
}

#[test]
fn a_read_allocates_nothing() {
    let mut client = client();
    client.run(&encode(&[b"SET", b"text", &[b'v'; 64]]));
    client.run(&encode(&[b"SET", b"number", b"12345"]));
    client.run(&encode(&[b"SET", b"dying", b"value", b"EX", b"1000"]));
    for key in ["text", "number", "dying", "missing"] {
        let request = encode(&[b"GET", key.as_bytes()]);
        assert_eq!(allocations_of(&mut client, &request), 0, "GET {key}");
    }
}

#[test]
fn a_write_allocates_its_entry_at_most() {
    let mut client = client();
    let value = [b'v'; 64];
    let writes: [&[&[u8]]; 4] = [
        &[b"SET", b"text", &value],
        &[b"SET", b"number", b"12345"],
        &[b"SET", b"dying", &value, b"EX", b"1000"],
        &[b"INCR", b"counter"],
    ];
    for write in writes {
        let allocations = allocations_of(&mut client, &encode(write));
        let name = String::from_utf8_lossy(write[1]);
        assert!(
            allocations <= REQUESTS,
            "{name}: {allocations} allocations in {REQUESTS} writes"
        );
    }
}

#[test]
fn many_requests_of_one_read_allocate_nothing_either() {
    let mut client = client();
    client.run(&encode(&[b"SET", b"text", &[b'v'; 64]]));
    let read = encode(&[b"GET", b"text"]).repeat(16);
    assert_eq!(allocations_of(&mut client, &read), 0);
}
