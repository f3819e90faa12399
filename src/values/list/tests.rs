//! Lists beside a plain deque of byte vectors.

use std::collections::VecDeque;

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

type Model = VecDeque<Vec<u8>>;

#[derive(Debug, Clone)]
enum Step {
    Push(End, Vec<u8>),
    Pop(End),
    RemoveFrom(End, Index),
    Set(Index, Vec<u8>),
    Insert(Index, Vec<u8>),
    RemoveEqual(Index, End, usize),
    Clone,
    Limit(ChunkLimit),
}

fn ends() -> impl Strategy<Value = End> {
    prop_oneof![Just(End::Front), Just(End::Back)]
}

/// Mostly short, so that chunks fill; some of them alike; some larger than a chunk.
fn elements() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => prop::sample::select(vec![&b""[..], b"a", b"bb", b"42"]).prop_map(<[u8]>::to_vec),
        6 => prop::collection::vec(any::<u8>(), 0..40),
        2 => (any::<u8>(), 100..300_usize).prop_map(|(byte, len)| vec![byte; len]),
        1 => (any::<u8>(), 300..20_000_usize).prop_map(|(byte, len)| vec![byte; len]),
    ]
}

fn limits() -> impl Strategy<Value = ChunkLimit> {
    prop_oneof![
        (16..400_usize, 1..40_usize).prop_map(|(bytes_max, entries_max)| ChunkLimit {
            bytes_max,
            entries_max
        }),
        (-6..6_i64).prop_map(ChunkLimit::from_setting),
    ]
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => (ends(), elements()).prop_map(|(end, element)| Step::Push(end, element)),
        12 => ends().prop_map(Step::Pop),
        1 => (ends(), any::<Index>()).prop_map(|(end, count)| Step::RemoveFrom(end, count)),
        5 => (any::<Index>(), elements()).prop_map(|(index, element)| Step::Set(index, element)),
        8 => (any::<Index>(), elements()).prop_map(|(index, element)| Step::Insert(index, element)),
        2 => (any::<Index>(), ends(), 0..5_usize)
            .prop_map(|(index, end, most)| Step::RemoveEqual(index, end, most)),
        1 => Just(Step::Clone),
        1 => limits().prop_map(Step::Limit),
    ]
}

/// A list, its model, and the limit in force.
struct Pair {
    list: List,
    model: Model,
    limit: ChunkLimit,
}

impl Pair {
    fn take(&mut self, step: &Step) {
        match step {
            Step::Push(end, element) => self.push(*end, element),
            Step::Pop(end) => self.pop(*end),
            Step::RemoveFrom(end, count) => self.remove_from(*end, count.index(self.model.len() + 2)),
            Step::Set(index, element) => self.set(index.index(self.model.len() + 1), element),
            Step::Insert(index, element) => self.insert(index.index(self.model.len() + 2), element),
            Step::RemoveEqual(index, end, most) => self.remove_equal(*index, *end, *most),
            Step::Clone => self.list = self.list.clone(),
            Step::Limit(limit) => self.limit = *limit,
        }
    }

    fn push(&mut self, end: End, element: &[u8]) {
        self.list.push(end, element, self.limit);
        match end {
            End::Front => self.model.push_front(element.to_vec()),
            End::Back => self.model.push_back(element.to_vec()),
        }
    }

    fn pop(&mut self, end: End) {
        let expected = match end {
            End::Front => self.model.pop_front(),
            End::Back => self.model.pop_back(),
        };
        assert_eq!(self.list.peek(end), expected.as_deref());
        assert_eq!(self.list.pop(end, <[u8]>::to_vec), expected);
    }

    fn remove_from(&mut self, end: End, count: usize) {
        self.list.remove_from(end, count);
        let count = count.min(self.model.len());
        match end {
            End::Front => drop(self.model.drain(..count)),
            End::Back => self.model.truncate(self.model.len() - count),
        }
    }

    fn set(&mut self, index: usize, element: &[u8]) {
        let exists = index < self.model.len();
        assert_eq!(self.list.set(index, element, self.limit), exists);
        if exists {
            self.model[index] = element.to_vec();
        }
    }

    fn insert(&mut self, index: usize, element: &[u8]) {
        self.list.insert(index, element, self.limit);
        self.model.insert(index.min(self.model.len()), element.to_vec());
    }

    fn remove_equal(&mut self, index: Index, end: End, most: usize) {
        if self.model.is_empty() {
            return;
        }
        let element = self.model[index.index(self.model.len())].clone();
        let most = if most == 0 { usize::MAX } else { most };
        let removed = self.list.remove_equal(&element, end, most, self.limit);
        let equal = self.model.iter().filter(|other| **other == element).count();
        assert_eq!(removed, equal.min(most));
        for _ in 0..removed {
            let mut indices = (0..self.model.len()).filter(|&at| self.model[at] == element);
            let at = if end == End::Front {
                indices.next()
            } else {
                indices.next_back()
            };
            self.model.remove(at.unwrap());
        }
    }

    fn check(&self) {
        let Self { list, model, .. } = self;
        assert_eq!(list.len(), model.len());
        assert!(list.iter().eq(model.iter()), "{list:?} is not {model:?}");
        assert!(
            list.iter().rev().eq(model.iter().rev()),
            "{list:?} backwards is not {model:?}"
        );
        check_shape(list);
    }
}

/// Sums are those of the parts, every block has a size of the allocator, no chunk is empty.
fn check_shape(list: &List) {
    let is_class = |bytes: usize| assert_eq!(bytes, size_class(bytes), "{list:?}");
    match &list.0 {
        Shape::One(chunk) => is_class(chunk.heap_bytes()),
        Shape::Many(chunks) => {
            let (first, second) = chunks.as_slices();
            let all = || first.iter().chain(second);
            assert!(
                all().count() > 1 && all().all(|chunk| chunk.len() > 0),
                "{list:?}"
            );
            all().for_each(|chunk| is_class(chunk.heap_bytes()));
            let bytes: usize = all().map(Chunk::heap_bytes).sum();
            let deque_bytes = chunks.heap_bytes() - bytes;
            assert!(deque_bytes >= all().count() * size_of::<Chunk>(), "{list:?}");
            assert!(
                deque_bytes <= (all().count() * 8).max(40) * size_of::<Chunk>(),
                "{list:?}"
            );
            assert_eq!(all().map(Chunk::len).sum::<usize>(), list.len());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn a_list_is_a_deque(limit in limits(), steps in prop::collection::vec(steps(), 1..300)) {
        let mut pair = Pair { list: List::default(), model: Model::new(), limit };
        for step in &steps {
            pair.take(step);
            pair.check();
        }
    }

    #[test]
    fn positions_are_those_of_a_deque(
        limit in limits(),
        elements in prop::collection::vec(elements(), 0..200),
        reads in prop::collection::vec((0..220_usize, 0..220_usize), 1..20),
    ) {
        let mut list = List::default();
        for element in &elements {
            list.push(End::Back, element, limit);
        }
        for (start, end) in reads {
            prop_assert_eq!(list.get(start), elements.get(start).map(Vec::as_slice));
            let cut = start.min(elements.len())..end.clamp(start, start.max(elements.len())).min(elements.len());
            let expected = elements.get(cut).unwrap_or_default();
            prop_assert!(list.range(start..end).eq(expected), "{start}..{end}");
            prop_assert!(list.range_back(start..end).eq(expected.iter().rev()), "{start}..{end} back");
        }
    }

    #[test]
    fn skipping_from_both_ends_meets_in_the_middle(
        limit in limits(),
        len in 0..200_usize,
        skips in prop::collection::vec((ends(), 0..40_usize), 1..40),
    ) {
        let mut list = List::default();
        let elements: Vec<Vec<u8>> = (0..len).map(|index| index.to_string().into_bytes()).collect();
        for element in &elements {
            list.push(End::Back, element, limit);
        }
        let (mut read, mut expected) = (list.iter(), elements.iter());
        for (end, count) in skips {
            let (found, wanted) = match end {
                End::Front => (read.nth(count), expected.nth(count)),
                End::Back => (read.nth_back(count), expected.nth_back(count)),
            };
            prop_assert_eq!(found, wanted.map(Vec::as_slice));
            prop_assert_eq!(read.len(), expected.len());
        }
    }
}

fn list_of(count: usize, bytes: usize, limit: ChunkLimit) -> List {
    let mut list = List::default();
    let element = vec![b'x'; bytes];
    (0..count).for_each(|_| list.push(End::Back, &element, limit));
    list
}

fn chunk_count(list: &List) -> usize {
    match &list.0 {
        Shape::One(_) => 1,
        Shape::Many(chunks) => chunks.as_slices().0.len() + chunks.as_slices().1.len(),
    }
}

#[test]
fn settings_mean_bytes_or_elements() {
    let limits = [
        (-1, 4 << 10, usize::MAX),
        (-2, 8 << 10, usize::MAX),
        (-5, 64 << 10, usize::MAX),
        (-6, 64 << 10, usize::MAX),
        (i64::MIN, 64 << 10, usize::MAX),
        (0, 8 << 10, 1),
        (1, 8 << 10, 1),
        (128, 8 << 10, 128),
        (i64::MAX, 8 << 10, i64::MAX as usize),
    ];
    for (setting, bytes_max, entries_max) in limits {
        let limit = ChunkLimit {
            bytes_max,
            entries_max,
        };
        assert_eq!(ChunkLimit::from_setting(setting), limit, "{setting}");
    }
}

#[test]
fn a_small_list_is_one_lean_block() {
    assert_eq!(size_of::<List>(), 32);
    let limit = ChunkLimit::from_setting(-2);
    for count in [1, 2, 10, 50, 100, 500] {
        for end in [End::Front, End::Back] {
            let mut list = List::default();
            (0..count).for_each(|_| list.push(end, b"12345678", limit));
            let bytes = count * 10;
            assert_eq!(chunk_count(&list), 1);
            assert!(
                list.heap_bytes() <= bytes + bytes / 3 + 16,
                "{count}: {}",
                list.heap_bytes()
            );
        }
    }
}

#[test]
fn chunks_are_as_full_as_the_limit_allows() {
    let limit = ChunkLimit::from_setting(-2);
    let list = list_of(100_000, 8, limit);
    assert_eq!(chunk_count(&list), 100_000_usize.div_ceil(8192 / 10));
    assert!(list.heap_bytes() < 1_030_000, "{}", list.heap_bytes());
    assert_eq!(chunk_count(&list_of(1000, 8, ChunkLimit::from_setting(100))), 10);
    assert_eq!(chunk_count(&list_of(5, 10_000, limit)), 5);
}

#[test]
fn inserting_at_one_place_leaves_no_tiny_chunks() {
    let limit = ChunkLimit::from_setting(-1);
    let mut list = list_of(2000, 8, limit);
    for step in 0..5000 {
        list.insert(700 + step % 3, b"12345678", limit);
    }
    assert!(
        chunk_count(&list) < 2 * 70_000 / 4096 + 2,
        "{}",
        chunk_count(&list)
    );
}

#[test]
fn removing_most_gives_memory_back() {
    let limit = ChunkLimit::from_setting(-2);
    let mut list = List::default();
    for index in 0..100_000 {
        list.push(End::Back, if index % 100 == 0 { b"keep" } else { b"drop" }, limit);
    }
    assert_eq!(list.remove_equal(b"drop", End::Back, usize::MAX, limit), 99_000);
    assert!(list.heap_bytes() < 20_000, "{}", list.heap_bytes());
    let mut list = list_of(100_000, 8, limit);
    while list.len() > 3 {
        list.pop(End::Front, |_| ());
    }
    assert!(list.heap_bytes() <= 512, "{}", list.heap_bytes());
}

#[test]
fn a_queue_of_constant_length_does_not_grow() {
    for (len, setting) in [(3, -2), (100, -2), (700, -2), (5000, -2), (50, 10)] {
        let limit = ChunkLimit::from_setting(setting);
        let mut list = list_of(len, 8, limit);
        let before = list.heap_bytes();
        for index in 0..50_000_u32 {
            list.push(End::Back, format!("{index:08}").as_bytes(), limit);
            list.pop(End::Front, |_| ());
            assert!(
                list.heap_bytes() <= 2 * before + 20_000,
                "{len}: {}",
                list.heap_bytes()
            );
        }
    }
}
