//! A stream beside a list of entries and a list of pending ones.

use proptest::prelude::*;

use super::*;
use crate::values::text::Text;

type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// What a stream should be.
#[derive(Default)]
struct Model {
    entries: Vec<(StreamId, Pairs)>,
    last_id: StreamId,
    max_deleted_id: StreamId,
    added: u64,
}

#[derive(Clone, Debug)]
enum Step {
    Append(StreamId, Pairs),
    Remove(usize),
    Trim(Trim),
    SetLast(u64),
}

fn bytes(text: Text<'_>) -> Vec<u8> {
    text.as_bytes(&mut [0; 20]).to_vec()
}

fn words(pairs: &Pairs) -> Vec<&[u8]> {
    pairs
        .iter()
        .flat_map(|(name, value)| [name.as_slice(), value])
        .collect()
}

fn listed<'a>(entries: impl Iterator<Item = Entry<'a>>) -> Vec<(StreamId, Pairs)> {
    entries
        .map(|entry| {
            (
                entry.id,
                entry
                    .fields()
                    .map(|(name, value)| (bytes(name), bytes(value)))
                    .collect(),
            )
        })
        .collect()
}

impl Model {
    fn apply(&mut self, stream: &mut Stream, step: Step, limits: NodeLimits) {
        match step {
            Step::Append(by, pairs) => {
                let id = StreamId::new(self.last_id.ms.saturating_add(by.ms), by.seq);
                let expected = id > self.last_id;
                let found = stream.entries.next_id(IdRequest::Exact(id), 0);
                assert_eq!(
                    found,
                    if expected {
                        Ok(id)
                    } else {
                        Err(AppendError::NotGreater)
                    }
                );
                if expected {
                    stream
                        .entries
                        .append(id, words(&pairs).into_iter(), limits)
                        .unwrap();
                    self.entries.push((id, pairs));
                    self.last_id = id;
                    self.added += 1;
                }
            }
            Step::Remove(index) => {
                let index = index % (self.entries.len() + 1);
                let id = self
                    .entries
                    .get(index)
                    .map_or(StreamId::new(u64::MAX, 7), |(id, _)| *id);
                assert_eq!(stream.entries.remove(id), index < self.entries.len());
                assert!(!stream.entries.remove(id));
                if index < self.entries.len() {
                    self.entries.remove(index);
                    self.max_deleted_id = self.max_deleted_id.max(id);
                }
            }
            Step::Trim(trim) => self.trim(stream, trim),
            Step::SetLast(by) => {
                let last_live = self.entries.last().map_or(StreamId::MIN, |(id, _)| *id);
                // Not below what was removed: its traces stand in the block that new entries join.
                self.last_id = StreamId::new(last_live.ms + by, last_live.seq).max(self.max_deleted_id);
                stream.entries.set_ids(self.last_id, None, None);
            }
        }
    }

    fn trim(&mut self, stream: &mut Stream, trim: Trim) {
        let wanted = match trim.keep {
            Keep::Newest(count) => self.entries.len().saturating_sub(count as usize),
            Keep::From(start) => self.entries.iter().take_while(|(id, _)| *id < start).count(),
        };
        let removed = stream.trim(trim, References::Keep) as usize;
        if trim.approximate || trim.limit > 0 {
            assert!(removed <= wanted);
            assert!(trim.limit == 0 || !trim.approximate || removed as u64 <= trim.limit);
        } else {
            assert_eq!(removed, wanted);
        }
        self.entries.drain(..removed);
    }

    fn check(&self, stream: &Stream) {
        let entries = &stream.entries;
        assert_eq!(entries.len(), self.entries.len() as u64);
        assert_eq!(
            (entries.last_id(), entries.max_deleted_id(), entries.added()),
            (self.last_id, self.max_deleted_id, self.added)
        );
        assert_eq!(
            entries.first_id(),
            self.entries.first().map_or(StreamId::MIN, |(id, _)| *id)
        );
        assert_eq!(entries.last_live_id(), self.entries.last().map(|(id, _)| *id));
        assert_eq!(listed(entries.range(StreamId::MIN, StreamId::MAX)), self.entries);
        let mut back = listed(entries.range_back(StreamId::MIN, StreamId::MAX));
        back.reverse();
        assert_eq!(back, self.entries);
        assert_eq!(entries.heap_bytes(), entries.recounted_heap_bytes());
        let copy = entries.clone();
        assert_eq!(copy.heap_bytes(), copy.recounted_heap_bytes());
        let again = reloaded(entries).expect("the nodes are sound");
        assert_eq!(again.heap_bytes(), again.recounted_heap_bytes());
        assert_eq!(listed(again.range(StreamId::MIN, StreamId::MAX)), self.entries);
        assert_eq!(
            (again.len(), again.first_id()),
            (entries.len(), entries.first_id())
        );
    }
}

fn reloaded(entries: &Entries) -> Option<Entries> {
    let mut again = Entries::default();
    for (first, node) in entries.blocks() {
        again.load_block(first, node).ok()?;
    }
    again
        .load_ids(entries.last_id(), entries.added(), entries.max_deleted_id())
        .ok()?;
    Some(again)
}

fn pairs() -> impl Strategy<Value = Pairs> {
    let word = prop_oneof![
        Just(b"name".to_vec()),
        any::<i64>().prop_map(|number| number.to_string().into_bytes()),
        (0..200_i64).prop_map(|number| number.to_string().into_bytes()),
        proptest::collection::vec(any::<u8>(), 0..80),
    ];
    let any_pairs = proptest::collection::vec((word.clone(), word.clone()), 1..4);
    prop_oneof![any_pairs, word.prop_map(|value| vec![(b"name".to_vec(), value)])]
}

fn step() -> impl Strategy<Value = Step> {
    let keep = prop_oneof![
        (0..20_u64).prop_map(Keep::Newest),
        (0..30_u64, 0..3_u64).prop_map(|(ms, seq)| Keep::From(StreamId::new(ms, seq))),
    ];
    let trim =
        (keep, any::<bool>(), prop_oneof![Just(0), 1..9_u64]).prop_map(|(keep, approximate, limit)| Trim {
            keep,
            approximate,
            limit: if approximate { limit } else { 0 },
        });
    prop_oneof![
        6 => ((0..3_u64, any::<u64>()), pairs()).prop_map(|((ms, seq), pairs)| Step::Append(StreamId::new(ms, seq), pairs)),
        6 => ((0..3_u64, 0..4_u64), pairs()).prop_map(|((ms, seq), pairs)| Step::Append(StreamId::new(ms, seq), pairs)),
        3 => any::<usize>().prop_map(Step::Remove),
        1 => trim.prop_map(Step::Trim),
        1 => (0..2_u64).prop_map(Step::SetLast),
    ]
}

proptest! {
    #[test]
    fn a_stream_is_a_list_of_entries(
        steps in proptest::collection::vec(step(), 0..60),
        bytes_max in prop_oneof![Just(0_usize), 1..400_usize],
        entries_max in 0..6_usize,
    ) {
        let limits = NodeLimits { bytes_max, entries_max };
        let (mut model, mut stream) = (Model::default(), Stream::default());
        for step in steps {
            model.apply(&mut stream, step, limits);
            model.check(&stream);
        }
    }

    #[test]
    fn ranges_are_slices(ids in proptest::collection::btree_set((0..9_u64, 0..3_u64), 1..20), start in (0..9_u64, 0..3_u64), end in (0..9_u64, 0..3_u64)) {
        let limits = NodeLimits { bytes_max: 0, entries_max: 3 };
        let mut entries = Entries::default();
        let ids: Vec<_> = ids.into_iter().map(|(ms, seq)| StreamId::new(ms, seq)).filter(|id| *id > StreamId::MIN).collect();
        for id in &ids {
            entries.append(*id, [b"f".as_slice(), b"v"].into_iter(), limits).unwrap();
        }
        let (start, end) = (StreamId::new(start.0, start.1), StreamId::new(end.0, end.1));
        let expected: Vec<_> = ids.iter().copied().filter(|id| (start..=end).contains(id)).collect();
        let forward: Vec<_> = entries.range(start, end).map(|entry| entry.id).collect();
        let mut back: Vec<_> = entries.range_back(start, end).map(|entry| entry.id).collect();
        back.reverse();
        prop_assert_eq!(&forward, &expected);
        prop_assert_eq!(&back, &expected);
        for id in &ids {
            prop_assert!(entries.contains(*id));
        }
        prop_assert_eq!(entries.contains(start), ids.contains(&start));
    }

    /// Bytes of strangers: refused, or harmless.
    #[test]
    fn damaged_nodes_do_no_harm(
        steps in proptest::collection::vec(step(), 1..30),
        damage in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..4),
    ) {
        let limits = NodeLimits { bytes_max: 0, entries_max: 9 };
        let (mut model, mut stream) = (Model::default(), Stream::default());
        for step in steps {
            model.apply(&mut stream, step, limits);
        }
        let mut entries = Entries::default();
        for (first, node) in stream.entries.blocks() {
            let mut node = node.to_vec();
            for (at, byte) in &damage {
                let at = at % node.len();
                node[at] = *byte;
            }
            let _ = entries.load_block(first, &node);
        }
        let _ = entries.load_ids(StreamId::MAX, 0, StreamId::MIN);
        let found = listed(entries.range(StreamId::MIN, StreamId::MAX));
        prop_assert_eq!(found.len() as u64, entries.len());
        prop_assert_eq!(listed(entries.range_back(StreamId::MIN, StreamId::MAX)).len(), found.len());
        for (id, _) in found {
            prop_assert!(entries.remove(id));
        }
        prop_assert_eq!(entries.len(), 0);
    }

    #[test]
    fn pending_entries_have_one_owner(steps in proptest::collection::vec((0..5_u8, 0..4_u8, 0..12_u64), 0..80)) {
        let mut stream = Stream::default();
        prop_assert!(stream.add_group(b"group", Group::new(StreamId::MIN, None)));
        let mut owners: std::collections::BTreeMap<u64, u8> = std::collections::BTreeMap::new();
        let mut consumers = std::collections::BTreeSet::new();
        for (kind, name, id) in steps {
            stream.change_group(b"group", |group, _| match kind {
                0 | 1 => {
                    assert_eq!(group.see_consumer(&[name], 1), consumers.insert(name));
                    group.assign(StreamId::new(id, 0), &[name], 1, 1);
                    owners.insert(id, name);
                }
                2 | 3 => assert_eq!(group.acknowledge(StreamId::new(id, 0)), owners.remove(&id).is_some()),
                _ => {
                    let count = owners.values().filter(|owner| **owner == name).count();
                    assert_eq!(group.remove_consumer(&[name]), consumers.remove(&name).then_some(count));
                    owners.retain(|_, owner| *owner != name);
                }
            });
            let group = stream.group(b"group").unwrap();
            let found: Vec<_> = group.pending().iter().map(|(id, pending)| (id.ms, pending.consumer[0])).collect();
            prop_assert_eq!(found, owners.iter().map(|(id, name)| (*id, *name)).collect::<Vec<_>>());
            for (name, consumer) in group.consumers() {
                let theirs: Vec<_> = consumer.pending().iter().map(|id| id.ms).collect();
                let expected: Vec<_> = owners.iter().filter(|(_, owner)| **owner == name[0]).map(|(id, _)| *id).collect();
                prop_assert_eq!(theirs, expected);
            }
            let states = group.consumers().iter().map(|(name, consumer)| ConsumerState {
                name, seen_ms: 1, active_ms: None, pending: consumer.pending().iter().copied().collect(),
            }).collect();
            let pending: Vec<_> = group.pending().iter().map(|(id, pending)| (*id, pending.delivered_ms, pending.deliveries)).collect();
            let again = Group::load(group.last_id, None, &pending, states).unwrap();
            prop_assert_eq!(again.heap_bytes(), group.heap_bytes());
        }
        let groups_bytes = stream.heap_bytes();
        prop_assert!(stream.remove_group(b"group"));
        prop_assert!(groups_bytes > 0 && stream.heap_bytes() == 0);
    }
}

#[test]
fn a_group_that_does_not_fit_together_is_refused() {
    let id = StreamId::new(1, 0);
    let state = |name, pending| ConsumerState {
        name,
        seen_ms: 0,
        active_ms: None,
        pending,
    };
    let load =
        |pending: &[(StreamId, u64, u64)], states| Group::load(StreamId::MIN, None, pending, states).is_ok();
    assert!(load(&[(id, 0, 1)], vec![state(b"a", vec![id])]));
    assert!(!load(&[(id, 0, 1)], vec![]));
    assert!(!load(&[], vec![state(b"a", vec![id])]));
    assert!(!load(
        &[(id, 0, 1)],
        vec![state(b"a", vec![id]), state(b"b", vec![id])]
    ));
    assert!(!load(&[], vec![state(b"a", vec![]), state(b"a", vec![])]));
    assert!(!load(&[(id, 0, 1), (id, 0, 1)], vec![state(b"a", vec![id])]));
}

#[test]
fn ids_are_generated_as_in_redis() {
    let limits = NodeLimits {
        bytes_max: 0,
        entries_max: 0,
    };
    let mut entries = Entries::default();
    assert_eq!(
        entries.next_id(IdRequest::InMillisecond(0), 5),
        Ok(StreamId::new(0, 1))
    );
    assert_eq!(entries.next_id(IdRequest::Next, 0), Ok(StreamId::new(0, 1)));
    assert_eq!(
        entries.next_id(IdRequest::Exact(StreamId::MIN), 5),
        Err(AppendError::NotGreater)
    );
    let mut add = |ms, seq| {
        entries
            .append(
                StreamId::new(ms, seq),
                [b"f".as_slice(), b"v"].into_iter(),
                limits,
            )
            .unwrap();
        entries.clone()
    };
    let full = add(7, u64::MAX);
    assert_eq!(
        full.next_id(IdRequest::InMillisecond(7), 5),
        Err(AppendError::NotGreater)
    );
    assert_eq!(
        full.next_id(IdRequest::InMillisecond(6), 5),
        Err(AppendError::NotGreater)
    );
    assert_eq!(full.next_id(IdRequest::Next, 5), Ok(StreamId::new(8, 0)));
    assert_eq!(full.next_id(IdRequest::Next, 9), Ok(StreamId::new(9, 0)));
    assert_eq!(
        add(u64::MAX, u64::MAX).next_id(IdRequest::Next, 5),
        Err(AppendError::Exhausted)
    );
}

#[test]
fn removed_entries_make_the_lag_unknown() {
    let limits = NodeLimits {
        bytes_max: 0,
        entries_max: 0,
    };
    let mut entries = Entries::default();
    let group = |ms| Group::new(StreamId::new(ms, 0), None);
    assert_eq!(group(9).lag(&entries), Some(0));
    for ms in 1..=5 {
        entries
            .append(StreamId::new(ms, 0), [b"f".as_slice(), b"v"].into_iter(), limits)
            .unwrap();
    }
    let lags = |entries: &Entries| [0, 1, 3, 5, 9].map(|ms| group(ms).lag(entries));
    assert_eq!(lags(&entries), [Some(5), Some(4), None, Some(0), None]);
    entries.remove(StreamId::new(1, 0));
    assert_eq!(lags(&entries), [Some(4), Some(4), None, Some(0), None]);
    entries.remove(StreamId::new(3, 0));
    assert_eq!(lags(&entries), [None, None, None, Some(0), None]);
}

/// The count in a block's head takes more bytes from 128 on.
#[test]
fn a_block_can_be_large() {
    let limits = NodeLimits {
        bytes_max: 0,
        entries_max: 0,
    };
    let mut entries = Entries::default();
    let count = 20_000_u64;
    for ms in 1..=count {
        entries
            .append(
                StreamId::new(ms, 0),
                [b"field".as_slice(), b"v"].into_iter(),
                limits,
            )
            .unwrap();
    }
    assert_eq!(entries.block_count(), 1);
    // Names are stored once.
    assert!(entries.heap_bytes() < 20_000 * 15, "{}", entries.heap_bytes());
    for ms in (1..=count).filter(|ms| ms % 100 > 0) {
        assert!(ms > 300 || entries.remove(StreamId::new(ms, 0)));
    }
    let trim = Trim {
        keep: Keep::Newest(5),
        approximate: false,
        limit: 0,
    };
    let mut ids = Vec::new();
    assert_eq!(entries.trim(trim, Some(&mut ids)), count - 297 - 5);
    assert_eq!(
        (ids.len() as u64, ids[0]),
        (count - 297 - 5, StreamId::new(100, 0))
    );
    assert_eq!(entries.range(StreamId::MIN, StreamId::MAX).count(), 5);
    assert!(reloaded(&entries).is_some());
}

/// An exact trim can leave a block without entries, because a deleted one is not to go; the last id can then be set
/// below that block.
#[test]
fn blocks_stay_in_order_when_the_last_id_goes_back() {
    let limits = NodeLimits {
        bytes_max: 0,
        entries_max: 2,
    };
    let mut entries = Entries::default();
    let add = |entries: &mut Entries, ms| {
        let words = [b"f".as_slice(), b"v"].into_iter();
        entries.append(StreamId::new(ms, 0), words, limits).unwrap();
    };
    add(&mut entries, 10);
    add(&mut entries, 11);
    assert!(entries.remove(StreamId::new(11, 0)));
    let keep = Keep::From(StreamId::new(11, 0));
    let trim = Trim {
        keep,
        approximate: false,
        limit: 0,
    };
    assert_eq!((entries.trim(trim, None), entries.block_count()), (1, 1));
    entries.set_ids(StreamId::new(5, 0), None, None);
    (6..9).for_each(|ms| add(&mut entries, ms));
    let ids: Vec<_> = entries
        .range(StreamId::MIN, StreamId::MAX)
        .map(|entry| entry.id.ms)
        .collect();
    assert_eq!(ids, [6, 7, 8]);
    assert!(entries.remove(StreamId::new(6, 0)));
}

/// Two groups: one has read all and acknowledged the second entry, the other has read two.
#[test]
fn references_decide_what_is_removed() {
    let limits = NodeLimits {
        bytes_max: 0,
        entries_max: 2,
    };
    let id = |ms| StreamId::new(ms, 0);
    let mut stream = Stream::default();
    for ms in 1..=5 {
        stream
            .entries
            .append(id(ms), [b"f".as_slice(), b"v"].into_iter(), limits)
            .unwrap();
    }
    for (name, read, acknowledged) in [(b"a", 5, 2), (b"b", 2, 0)] {
        let mut group = Group::new(id(read), None);
        group.add_consumer(b"c", 0);
        for ms in (1..=read).filter(|ms| *ms != acknowledged) {
            group.assign(id(ms), b"c", 0, 1);
        }
        stream.add_group(name, group);
    }
    assert_eq!(
        stream.remove(id(3), References::Respect),
        (Removal::Refused, false)
    );
    assert_eq!(stream.remove(id(9), References::Remove), (Removal::Absent, false));
    assert_eq!(stream.remove(id(1), References::Keep), (Removal::Done, true));
    assert!(stream.is_referenced(id(1)));
    assert_eq!(stream.remove(id(1), References::Remove), (Removal::Absent, true));
    assert!(!stream.is_referenced(id(1)));

    let trim = |keep, approximate| Trim {
        keep,
        approximate,
        limit: 0,
    };
    assert_eq!(stream.trim(trim(Keep::Newest(1), false), References::Respect), 0);
    stream.change_group(b"b", |group, _| {
        group.acknowledge(id(2));
        group.last_id = id(5);
    });
    assert_eq!(
        stream
            .clone()
            .trim(trim(Keep::Newest(1), false), References::Respect),
        1
    );
    assert_eq!(
        stream
            .clone()
            .trim(trim(Keep::From(id(2)), true), References::Respect),
        0
    );
    assert_eq!(stream.trim(trim(Keep::From(id(5)), true), References::Remove), 3);
    let pending: Vec<_> = stream
        .groups()
        .values()
        .flat_map(|group| group.pending().keys().copied())
        .collect();
    assert_eq!(pending, [id(5)]);
}
