use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const SPARSE_BYTES_MAX: usize = 3000;

fn with(elements: impl IntoIterator<Item = String>, sparse_bytes_max: usize) -> HyperLogLog {
    let mut sketch = HyperLogLog::new();
    for element in elements {
        sketch
            .add(Seen::of(element.as_bytes()), sparse_bytes_max)
            .unwrap();
    }
    sketch
}

fn numbers(count: usize) -> impl Iterator<Item = String> {
    (0..count).map(|number| number.to_string())
}

fn sparse(code: &[u8]) -> Vec<u8> {
    [b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\x80", code].concat()
}

#[test]
fn bytes_are_those_that_a_real_server_writes() {
    let sketch = HyperLogLog::new();
    assert_eq!(sketch.as_bytes(), b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\0\x7f\xff");
    let letters = ["a", "b", "c", "d", "e", "f", "g"].map(str::to_owned);
    let sketch = with(letters, SPARSE_BYTES_MAX);
    assert_eq!(
        sketch.as_bytes(),
        &sparse(b"\x46\x6d\x80\x56\x0c\x80\x44\x3c\x84\x38\x80\x50\xb1\x84\x49\x8c\x80\x42\x6d\x80\x42\x5a")
    );
}

#[test]
fn runs_are_told_in_words() {
    let mut sketch = HyperLogLog::new();
    assert_eq!(sketch.view().runs().unwrap(), "Z:16384");
    for (index, rank) in [(0, 3), (1, 3), (2, 3), (70, 1), (16383, 32)] {
        sketch.add(Seen::new(index, rank), SPARSE_BYTES_MAX).unwrap();
    }
    assert_eq!(sketch.view().runs().unwrap(), "v:3,3 Z:67 v:1,1 Z:16312 v:32,1");
    sketch.add(Seen::new(1, 4), SPARSE_BYTES_MAX).unwrap();
    assert_eq!(
        sketch.view().runs().unwrap(),
        "v:3,1 v:4,1 v:3,1 Z:67 v:1,1 Z:16312 v:32,1"
    );
    sketch.add(Seen::new(5, 33), SPARSE_BYTES_MAX).unwrap();
    assert_eq!(sketch.view().runs(), None);
}

#[test]
fn estimates_are_near_the_truth() {
    for count in [0, 1, 10, 100, 1_000, 10_000, 100_000, 1_000_000] {
        let estimate = with(numbers(count), SPARSE_BYTES_MAX).view().count().unwrap();
        let error = estimate.abs_diff(count as u64) as f64;
        assert!(error <= 0.03 * count as f64, "{estimate} instead of {count}");
    }
}

#[test]
fn becomes_dense_when_it_would_be_too_long() {
    let sketch = with(numbers(100), 100);
    assert_eq!(sketch.view().encoding(), Encoding::Dense);
    assert_eq!(sketch.as_bytes().len(), DENSE_BYTES);
    let mut longest = 0;
    let mut sketch = HyperLogLog::new();
    for number in numbers(10_000) {
        sketch.add(Seen::of(number.as_bytes()), SPARSE_BYTES_MAX).unwrap();
        if sketch.view().encoding() == Encoding::Sparse {
            longest = sketch.as_bytes().len();
        }
    }
    assert!(
        (SPARSE_BYTES_MAX - 4..=SPARSE_BYTES_MAX).contains(&longest),
        "{longest}"
    );
}

#[test]
fn bytes_of_something_else_are_no_sketch() {
    let dense = [&b"HYLL\0\0\0\0\0\0\0\0\0\0\0\0"[..], &[0; dense::BYTES]].concat();
    assert!(View::new(&dense).is_some());
    assert!(View::new(&dense[..dense.len() - 1]).is_none());
    for no_sketch in [
        &b""[..],
        b"HYLL",
        b"HYLL\x01\0\0\0\0\0\0\0\0\0\0",
        b"HYLL\x02\0\0\0\0\0\0\0\0\0\0\0\x7f\xff",
        b"HYLK\x01\0\0\0\0\0\0\0\0\0\0\0\x7f\xff",
    ] {
        assert!(View::new(no_sketch).is_none(), "{no_sketch:?}");
    }
}

#[test]
fn runs_that_do_not_add_up_are_refused() {
    for code in [
        &b""[..],
        b"\x7f\xfe",
        b"\x7f\xff\x00",
        b"\x7f\xff\x84",
        b"\x7f",
        b"\x00\x00",
    ] {
        let bytes = sparse(code);
        let view = View::new(&bytes).unwrap();
        assert_eq!(view.count(), Err(Corrupted), "{code:?}");
        let unrepresentable = Seen::new(REGISTERS - 1, 33);
        let mut sketch = HyperLogLog::from(view);
        assert_eq!(
            sketch.add(unrepresentable, SPARSE_BYTES_MAX),
            Err(Corrupted),
            "{code:?}"
        );
        assert_eq!(sketch.as_bytes(), bytes);
        assert!(view.unpacked().is_err(), "{code:?}");
    }
}

#[test]
fn a_count_is_noted_until_it_is_outdated() {
    let mut bytes = with(numbers(3), SPARSE_BYTES_MAX).as_bytes().to_vec();
    assert_eq!(View::new(&bytes).unwrap().noted_count(), None);
    note_count(&mut bytes, 3);
    assert_eq!(View::new(&bytes).unwrap().noted_count(), Some(3));
    outdate_count(&mut bytes);
    assert_eq!(View::new(&bytes).unwrap().noted_count(), None);
}

#[test]
fn impossible_ranks_do_not_break_the_estimate() {
    for (rank, estimate) in [(63, 1 << 63), (50, 1 << 63), (51, 1 << 63)] {
        let mut registers = Registers::default();
        (0..REGISTERS).for_each(|index| registers.raise(index, rank));
        assert_eq!(registers.count(), estimate);
    }
}

fn seen_strategy() -> impl Strategy<Value = Seen> {
    let near = (0..40_usize, 1..4_u8);
    let anywhere = (0..REGISTERS, 1..=51_u8);
    prop_oneof![8 => near, 1 => anywhere].prop_map(|(index, rank)| Seen::new(index, rank))
}

proptest! {
    #[test]
    fn registers_are_those_of_a_plain_array(all in vec(seen_strategy(), 0..400), sparse_bytes_max in 18..200_usize) {
        let mut model = vec![0; REGISTERS];
        let mut sketch = HyperLogLog::new();
        for seen in all {
            let register = &mut model[seen.index()];
            let raised = *register < seen.rank();
            *register = seen.rank().max(*register);
            prop_assert_eq!(sketch.add(seen, sparse_bytes_max), Ok(raised));
            prop_assert!(sketch.view().encoding() == Encoding::Dense || sketch.as_bytes().len() <= sparse_bytes_max);
        }
        let mut unpacked = sketch.view().unpacked().unwrap();
        prop_assert_eq!(unpacked.ranks(), &model[..]);
        prop_assert_eq!(unpacked.count(), sketch.view().count().unwrap());
        let mut dense = sketch.clone();
        dense.make_dense().unwrap();
        prop_assert_eq!(dense.view().unpacked().unwrap(), unpacked.clone());
        prop_assert_eq!(dense.view().count(), sketch.view().count());
        let mut copy = HyperLogLog::new();
        copy.add_all(&unpacked, SPARSE_BYTES_MAX).unwrap();
        copy.view().merge_into(&mut unpacked).unwrap();
        prop_assert_eq!(unpacked.ranks(), &model[..]);
        prop_assert_eq!(copy.view().unpacked().unwrap(), unpacked);
    }

    #[test]
    fn any_bytes_are_refused_or_kept_in_bounds(code in vec(any::<u8>(), 0..200), all in vec(seen_strategy(), 0..20)) {
        let bytes = sparse(&code);
        let view = View::new(&bytes).unwrap();
        let mut sketch = HyperLogLog::from(view);
        for seen in all {
            let before = sketch.clone();
            if sketch.add(seen, SPARSE_BYTES_MAX).is_err() {
                prop_assert_eq!(&sketch, &before);
            }
        }
        let _ = (sketch.view().runs(), sketch.view().count(), sketch.view().unpacked());
    }
}
