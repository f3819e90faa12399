//! Replies from any upstream: no panic, the same end however the bytes are cut, and a whole frame can
//! be walked and downgraded.
//!
//! The first byte of the data says in which pieces the rest arrives.

#![no_main]

use forebay::resp::frame::{Resp2Form, downgrade};
use forebay::resp::{Frame, FrameLimits, FrameScanner, Scanned};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((&step, input)) = data.split_first() else { return };
    let limits = FrameLimits { elements_max: 10_000, ..FrameLimits::default() };
    let at_once = FrameScanner::default().scan(input, &limits);

    let mut scanner = FrameScanner::default();
    let ends = (0..input.len()).step_by(usize::from(step) + 1).chain([input.len()]);
    let in_pieces = ends
        .map(|end| scanner.scan(&input[..end], &limits))
        .find(|scanned| !matches!(scanned, Ok(Scanned::Partial { .. })));
    match at_once {
        Ok(Scanned::Partial { .. }) => assert_eq!(in_pieces, None),
        ended => assert_eq!(in_pieces, Some(ended)),
    }

    if let Ok(Scanned::Whole { bytes }) = at_once {
        use_frame(Frame::new(&input[..bytes]));
    }
});

fn use_frame(frame: Frame<'_>) {
    let mut open = vec![frame];
    while let Some(frame) = open.pop() {
        let _ = (frame.kind(), frame.as_bulk(), frame.as_error(), frame.as_integer(), frame.as_simple());
        open.extend(frame.children());
    }
    for (flat_pairs, null_arrays) in [(false, false), (true, true)] {
        let mut resp2 = Vec::new();
        downgrade(frame, Resp2Form { flat_pairs, null_arrays }, &mut resp2);
        let again = FrameScanner::default().scan(&resp2, &FrameLimits::default());
        assert_eq!(again, Ok(Scanned::Whole { bytes: resp2.len() }));
    }
}
