//! Payloads as a whole.

use proptest::prelude::*;

use super::super::object::ObjectRef;
use super::writer::Writer;
use super::*;
use crate::values::hash::Hash;
use crate::values::heap::Collection as _;
use crate::values::list::{End, List};
use crate::values::set::Set;
use crate::values::sorted_set::SortedSet;
use crate::values::stream::{Group, NodeLimits, Stream, StreamId};

const PACKED: PackedLimits = PackedLimits {
    entries_max: 128,
    value_bytes_max: 64,
};

fn limits() -> Limits {
    Limits {
        hash: PACKED,
        list_packed_size: -2,
        set: PACKED,
        set_intset_entries_max: 512,
        sorted_set: PACKED,
    }
}

/// Everything that a value holds, as text.
fn show(value: Value<'_>) -> String {
    let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
    match value {
        Value::Text(value) => {
            let mut bytes = Vec::new();
            value.write_into(&mut bytes);
            text(&bytes)
        }
        Value::Object(ObjectRef::List(list)) => format!("{:?}", list.iter().map(text).collect::<Vec<_>>()),
        Value::Object(ObjectRef::Set(set)) => {
            let mut members: Vec<_> = set.iter().map(|member| show(Value::Text(member))).collect();
            members.sort();
            format!("{members:?}")
        }
        Value::Object(ObjectRef::SortedSet(set)) => {
            // A packed set has no negative zero.
            let mut members: Vec<_> = set
                .iter()
                .map(|one| (text(one.member), one.score + 0.0))
                .collect();
            members.sort_by(|a, b| a.0.cmp(&b.0));
            format!("{members:?}")
        }
        Value::Object(ObjectRef::Hash(hash)) => {
            let mut fields: Vec<_> = hash
                .iter()
                .map(|field| (text(field.name), text(field.value), field.deadline_ms))
                .collect();
            fields.sort();
            format!("{fields:?}")
        }
        Value::Object(ObjectRef::Stream(stream)) => show_stream(stream),
    }
}

fn show_stream(stream: &Stream) -> String {
    let entries = &stream.entries;
    let nodes: Vec<_> = entries.blocks().collect();
    let groups: Vec<_> = stream
        .groups()
        .iter()
        .map(|(name, group)| {
            format!(
                "{name:?} {:?} {:?} {:?}",
                group.last_id,
                group.pending(),
                group.consumers()
            )
        })
        .collect();
    format!("{} {:?} {nodes:?} {groups:?}", entries.len(), entries.last_id())
}

fn read(payload: &[u8]) -> std::result::Result<String, Refusal> {
    decode(payload, &limits()).map(|decoded| show(decoded.view()))
}

fn comes_back(object: &Object) {
    let expected = show(Value::Object(object.view()));
    let payload = encode(Value::Object(object.view()), 0).unwrap();
    assert_eq!(read(&payload), Ok(expected));
}

#[test]
fn version_and_checksum_are_checked_first() {
    let good = sealed(b"\x00\x03bar", 9);
    assert_eq!(good, b"\x00\x03bar\x09\x006L\x18\xac\xba\xe0\x9e\xa6");
    assert_eq!(read(&good), Ok("bar".to_owned()));
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        assert_eq!(read(&bad), Err(Refusal::Untrusted));
        assert_eq!(read(&good[..at]), Err(Refusal::Untrusted));
    }
    for (version, is_known) in [
        (1, true),
        (13, true),
        (14, false),
        (79, false),
        (80, true),
        (82, false),
    ] {
        assert_eq!(
            read(&sealed(b"\x00\x03bar", version)).is_ok(),
            is_known,
            "{version}"
        );
    }
    assert_eq!(read(&sealed(b"\x00\x03bar", 9)[4..]), Err(Refusal::Untrusted));
}

#[test]
fn forms_that_redis_7_0_does_not_write_are_read() {
    let listpack = b"\x17\x00\x00\x00\x06\x00\x81f\x02\x81v\x02\x05\x01\x81g\x02\x81w\x02\x00\x01\xff";
    let listpack = [&[listpack.len() as u8], &listpack[..]].concat();
    let deadlines = [
        &1000_u64.to_le_bytes()[..],
        b"\x02\x00\x01f\x01v\x06\x01g\xc0\x07",
    ]
    .concat();
    let valkey = [
        &b"\x02\x01f\x01v"[..],
        &(-1_i64).to_le_bytes(),
        b"\x01g\x01w",
        &5_i64.to_le_bytes(),
    ]
    .concat();
    for (form, body, version, expected) in [
        (
            forms::SET_LISTPACK,
            b"\x0c\x0c\x00\x00\x00\x02\x00\x81a\x02\x05\x01\xff".to_vec(),
            11,
            r#"["5", "a"]"#,
        ),
        (
            forms::HASH_LISTPACK_DEADLINES_EARLY,
            listpack.clone(),
            12,
            r#"[("f", "v", Some(5)), ("g", "w", None)]"#,
        ),
        (
            forms::HASH_LISTPACK_DEADLINES,
            [&5_u64.to_le_bytes()[..], &listpack].concat(),
            12,
            r#"[("f", "v", Some(5)), ("g", "w", None)]"#,
        ),
        (
            forms::HASH_DEADLINES_EARLY,
            b"\x02\x00\x01f\x01v\x06\x01g\xc0\x07".to_vec(),
            12,
            r#"[("f", "v", None), ("g", "7", Some(6))]"#,
        ),
        (
            forms::HASH_DEADLINES,
            deadlines,
            12,
            r#"[("f", "v", None), ("g", "7", Some(1005))]"#,
        ),
        (
            forms::HASH_DEADLINES_VALKEY,
            valkey,
            80,
            r#"[("f", "v", None), ("g", "w", Some(5))]"#,
        ),
    ] {
        let payload = sealed([&[form], &body[..]].concat(), version);
        assert_eq!(read(&payload), Ok(expected.to_owned()), "{form}");
    }
}

#[test]
fn what_is_wrong_is_refused() {
    let nan = [&b"\x05\x01\x01f"[..], &f64::NAN.to_le_bytes()].concat();
    let far = [&b"\x18"[..], &u64::MAX.to_le_bytes(), b"\x01\x01\x01f\x01v"].concat();
    let negative = [&b"\x16\x01\x01f\x01v"[..], &(-2_i64).to_le_bytes()].concat();
    for (body, version) in [
        (&b"\x08\x01a"[..], 9),
        (b"\x06\x01a", 9),
        (b"\x07\x01a", 9),
        (b"\x1a\x01a", 13),
        (b"\xff", 9),
        (b"\x01\x00", 9),
        (b"\x02\x00", 9),
        (b"\x04\x00", 9),
        (b"\x05\x00", 9),
        (b"\x01\x81\xff\xff\xff\xff\xff\xff\xff\xff\x01a", 9),
        (b"\x01\x02\x01a", 9),
        (b"\x02\x02\x01a\x01a", 9),
        (b"\x02\x02\x015\xc0\x05", 9),
        (b"\x04\x02\x01f\x01v\x01f\x01w", 9),
        (
            b"\x05\x02\x01f\x00\x00\x00\x00\x00\x00\x00\x00\x01f\x00\x00\x00\x00\x00\x00\x00\x00",
            9,
        ),
        (&nan, 9),
        (b"\x03\x01\x01f\xfd", 9),
        (b"\x11\x0d\x0d\x00\x00\x00\x02\x00\x81a\x02\x81x\x02\xff", 10),
        (b"\x10\x0a\x0a\x00\x00\x00\x01\x00\x81a\x02\xff", 10),
        (b"\x12\x01\x03\x01a", 10),
        (b"\x12\x01\x01\x00", 10),
        (b"\x12\x01\x02\x07\x07\x00\x00\x00\x00\x00\xff", 10),
        (&far, 12),
        (&negative, 80),
    ] {
        assert_eq!(read(&sealed(body, version)), Err(Refusal::Malformed), "{body:?}");
    }
}

#[test]
fn fields_with_deadlines_come_back_without_the_dead() {
    let mut hash = Hash::default();
    for (name, deadline_ms) in [("a", None), ("b", Some(10)), ("c", Some(1000)), ("d", Some(2000))] {
        hash.set(name.as_bytes(), b"v", PACKED);
        hash.set_deadline(name.as_bytes(), deadline_ms);
    }
    let payload = encode(Value::Object(ObjectRef::Hash(&hash)), 10).unwrap();
    let expected = r#"[("a", "v", None), ("c", "v", Some(1000)), ("d", "v", Some(2000))]"#;
    assert_eq!(read(&payload), Ok(expected.to_owned()));
    hash.remove(b"a");
    assert!(encode(Value::Object(ObjectRef::Hash(&hash)), 2000).is_none());
}

fn stream() -> Stream {
    const NODES: NodeLimits = NodeLimits {
        bytes_max: 4096,
        entries_max: 100,
    };
    let mut stream = Stream::default();
    for number in 1..=250 {
        let words: [&[u8]; 4] = [b"field", b"value", b"n", b"7"];
        let id = StreamId::new(number, 3);
        let words = &words[..if number % 3 == 0 { 2 } else { 4 }];
        stream.entries.append(id, words.iter().copied(), NODES).unwrap();
    }
    stream.entries.remove(StreamId::new(7, 3));
    let mut group = Group::new(StreamId::new(9, 3), None);
    group.add_consumer(b"c", 77);
    group.add_consumer(b"idle", 78);
    group.assign(StreamId::new(8, 3), b"c", 99, 2);
    stream.add_group(b"g", group);
    stream
}

#[test]
fn streams_come_back_with_their_groups() {
    let stream = stream();
    let payload = encode(Value::Object(ObjectRef::Stream(&stream)), 0).unwrap();
    let decoded = decode(&payload, &limits()).unwrap();
    let Value::Object(ObjectRef::Stream(back)) = decoded.view() else {
        panic!("not a stream")
    };
    assert_eq!(back.entries.len(), 249);
    let blocks = |stream: &Stream| {
        stream
            .entries
            .blocks()
            .map(|(id, bytes)| (id, bytes.to_vec()))
            .collect::<Vec<_>>()
    };
    assert_eq!(blocks(back), blocks(&stream));
    assert_eq!(back.entries.last_id(), stream.entries.last_id());
    let group = back.group(b"g").unwrap();
    assert_eq!(group.consumer(b"c").unwrap().pending().len(), 1);
    assert_eq!(group.consumer(b"idle").unwrap().seen_ms, 78);
    let pending = &group.pending()[&StreamId::new(8, 3)];
    assert_eq!(
        (&*pending.consumer, pending.delivered_ms, pending.deliveries),
        (&b"c"[..], 99, 2)
    );
}

fn words() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let word = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..80),
        any::<i64>().prop_map(|number| number.to_string().into_bytes()),
        any::<i8>().prop_map(|number| number.to_string().into_bytes()),
    ];
    prop::collection::vec(word, 1..200)
}

proptest! {
    #[test]
    fn values_of_every_type_come_back(words in words(), scores in prop::collection::vec(any::<f64>(), 200)) {
        let (mut list, mut set) = (List::default(), Set::default());
        let (mut hash, mut sorted_set) = (Hash::default(), SortedSet::default());
        let limits = limits();
        for (index, word) in words.iter().enumerate() {
            list.push(End::Back, word, limits.list());
            set.add(word, limits.set());
            hash.set(word, &words[words.len() - 1 - index], PACKED);
            if index % 5 == 0 {
                hash.set_deadline(word, Some(1 + index as u64));
            }
            if !scores[index].is_nan() {
                sorted_set.insert(word, scores[index], PACKED);
            }
        }
        for object in [Object::List(Box::new(list)), Object::Set(Box::new(set)), Object::Hash(Box::new(hash))] {
            comes_back(&object);
        }
        if !sorted_set.is_void() {
            comes_back(&Object::SortedSet(Box::new(sorted_set)));
        }
    }

    #[test]
    fn mutilated_payloads_never_panic(
        words in words(),
        form in 0_u8..27,
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        end in any::<prop::sample::Index>(),
        version in prop::sample::select(vec![9_u16, 12, 80]),
    ) {
        for mut body in bodies(&words) {
            for (at, byte) in &edits {
                let at = at.index(body.len());
                body[at] = *byte;
            }
            let _ = read(&sealed(&body[..], version));
            body[0] = form;
            let _ = read(&sealed(&body[..], version));
            body.truncate(1 + end.index(body.len()));
            let _ = read(&sealed(&body[..], version));
        }
    }

    #[test]
    fn bytes_of_no_meaning_never_panic(body in prop::collection::vec(any::<u8>(), 1..200), form in 0_u8..27) {
        let _ = read(&sealed(&body[..], 12));
        let _ = read(&sealed([&[form], &body[..]].concat(), 80));
        let _ = read(&body);
    }
}

/// The beginnings of payloads in many forms, some of them with these words.
fn bodies(words: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let packed = listpack::tests::write(words);
    let mut plain = Writer::new(forms::LIST);
    plain.length(words.len() as u64);
    for word in words {
        plain.string(word);
    }
    let mut in_one = Writer::new(forms::SET_LISTPACK);
    in_one.blob(&packed);
    let mut quicklist = Writer::new(forms::LIST_QUICKLIST_2);
    quicklist.length(2);
    quicklist.length(2);
    quicklist.blob(&packed);
    quicklist.length(1);
    quicklist.string(&words[0]);
    let stream = encode(Value::Object(ObjectRef::Stream(&stream())), 0).unwrap();
    let written = [plain, in_one, quicklist].map(|writer| writer.finish(VERSION));
    let all = written.into_iter().chain([stream]);
    all.map(|payload| payload[..payload.len() - VERSION_BYTES - CHECKSUM_BYTES].to_vec())
        .collect()
}
