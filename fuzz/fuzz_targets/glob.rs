//! Random patterns and texts: nothing panics or runs away, and a text always matches itself when escaped.

#![no_main]

use forebay::values::glob::{Case, Glob};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&[u8], &[u8], bool)| {
    let (pattern, text, folds) = input;
    let case = if folds { Case::Insensitive } else { Case::Sensitive };
    let _ = Glob::new(pattern, case).matches(text);

    let escaped: Vec<u8> = text.iter().flat_map(|&byte| [b'\\', byte]).collect();
    assert!(Glob::new(&escaped, case).matches(text));
});
