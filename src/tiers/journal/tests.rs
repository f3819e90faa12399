//! The journal as a whole, on a real disk and on one that fails.

use std::path::Path;

use super::*;

pub fn settings(sync: SyncPolicy, bytes_max: u64) -> Settings {
    Settings {
        sync,
        bytes_max,
        ignores_damage: false,
    }
}

pub fn open(dir: &Path, settings: &Settings) -> (Journal, Recovered) {
    Journal::open(dir, settings, Clock::new()).unwrap()
}

pub fn text(value: &[u8]) -> Record<'_> {
    Record {
        db: 0,
        key: b"key",
        state: State::Text {
            value,
            deadline_ms: None,
        },
    }
}

pub fn append(journal: &Journal, value: &[u8]) -> Result<u64, Full> {
    let mut reservation = journal.reserve(bytes_max(3, value.len()))?;
    Ok(journal.append(&mut reservation, &text(value)))
}

/// Sequences and values.
pub fn read_all(recovered: &mut Recovered) -> Vec<(u64, Vec<u8>)> {
    let mut all = Vec::new();
    while let Some((sequence, record)) = recovered.read().unwrap() {
        let State::Text { value, .. } = record.state else {
            panic!("{record:?}")
        };
        all.push((sequence, value.to_vec()));
    }
    all
}

#[test]
fn what_was_committed_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(SyncPolicy::Periodic, 1 << 20);
    let (journal, mut recovered) = open(dir.path(), &settings);
    assert_eq!(read_all(&mut recovered), []);
    for number in 0..100u8 {
        assert_eq!(append(&journal, &[number; 50]).unwrap(), u64::from(number) + 1);
    }
    journal.commit().unwrap();
    journal.release(91);
    journal.close().unwrap();
    drop(journal);
    let (journal, mut recovered) = open(dir.path(), &settings);
    assert_eq!(recovered.records(), 10);
    let all = read_all(&mut recovered);
    assert_eq!((all.len(), &all[0]), (10, &(91, vec![90; 50])));
    assert_eq!(append(&journal, b"next").unwrap(), 101);
}
