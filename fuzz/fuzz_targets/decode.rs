//! Requests from any client: no panic, and the same result however the bytes are cut.
//!
//! The first byte of the data says in which pieces the rest arrives.

#![no_main]

use forebay::resp::{DecodeLimits, Decoded, Decoder, ProtocolError};
use libfuzzer_sys::fuzz_target;

type Received = (Vec<Vec<Vec<u8>>>, Option<ProtocolError>);

fuzz_target!(|data: &[u8]| {
    let Some((&step, input)) = data.split_first() else { return };
    for authenticated in [false, true] {
        let limits = DecodeLimits { authenticated, ..DecodeLimits::default() };
        let in_pieces = receive(input.chunks(usize::from(step) + 1), &limits);
        assert_eq!(in_pieces, receive([input].into_iter(), &limits));
    }
});

/// What a connection makes of these reads, until an error ends it.
fn receive<'a>(reads: impl Iterator<Item = &'a [u8]>, limits: &DecodeLimits) -> Received {
    let (mut decoder, mut buffer, mut requests) = (Decoder::default(), Vec::new(), Vec::new());
    for read in reads {
        buffer.extend_from_slice(read);
        loop {
            let consumed = match decoder.decode(&buffer, limits) {
                Ok(Decoded::Partial { .. }) => break,
                Ok(Decoded::Empty { consumed }) => consumed,
                Ok(Decoded::Whole { consumed }) => {
                    requests.push(decoder.request(&buffer).iter().map(<[u8]>::to_vec).collect());
                    consumed
                }
                Err(error) => return (requests, Some(error)),
            };
            buffer.drain(..consumed);
        }
    }
    (requests, None)
}
