//! The journal as a whole, on a real disk and on one that fails.

use std::path::Path;

use super::simulated::SimulatedDisk;
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

#[test]
fn one_process_at_a_time_has_a_journal_open() {
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(SyncPolicy::Periodic, 1 << 20);
    let first = open(dir.path(), &settings);
    let error = Journal::open(dir.path(), &settings, Clock::new())
        .map(drop)
        .unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    assert!(error.to_string().contains("another process"), "{error}");
    drop(first);
    open(dir.path(), &settings);
}

/// Threads append and commit while segments rotate and are released; every record is there, each thread's in its order.
#[test]
fn many_threads_share_a_journal() {
    const THREADS: u8 = 4;
    const RECORDS: u32 = 3000;
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(SyncPolicy::Periodic, 8 << 20);
    let (journal, _) = open(dir.path(), &settings);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let journal = &journal;
            scope.spawn(move || {
                for number in 0..RECORDS {
                    let mut value = vec![thread; 200 + number as usize % 300];
                    value[1..5].copy_from_slice(&number.to_le_bytes());
                    while append(journal, &value).is_err() {
                        std::thread::yield_now();
                    }
                    if number % 7 == 0 {
                        journal.commit().unwrap();
                    }
                }
                journal.commit().unwrap();
            });
        }
    });
    let figures = journal.figures();
    assert_eq!(figures.written_sequence, u64::from(THREADS) * u64::from(RECORDS));
    assert!(
        figures.segments > 2 && figures.disk_bytes <= 8 << 20,
        "{figures:?}"
    );
    journal.shared.assert_room_is_right();
    drop(journal);
    let (_journal, mut recovered) = open(dir.path(), &settings);
    let all = read_all(&mut recovered);
    assert!(all.iter().map(|it| it.0).eq(1..=figures.last_sequence));
    for thread in 0..THREADS {
        let of_thread = all.iter().filter(|(_, value)| value[0] == thread);
        let numbers = of_thread.map(|(_, value)| u32::from_le_bytes(value[1..5].try_into().unwrap()));
        assert!(numbers.eq(0..RECORDS));
    }
}

/// A journal that is full accepts nothing until something is released, then goes on by itself.
#[tokio::test]
async fn room_comes_back_when_records_are_released() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = open(dir.path(), &settings(SyncPolicy::Periodic, 256 * 1024));
    let reason = loop {
        match append(&journal, &[1; 1000]) {
            Ok(_) => journal.commit().unwrap(),
            Err(Full::Behind) => std::thread::yield_now(),
            Err(reason) => break reason,
        }
    };
    assert_eq!(reason, Full::Limit);
    let figures = journal.figures();
    assert_eq!(
        (figures.full, figures.disk_bytes <= 256 * 1024),
        (Some(Full::Limit), true),
        "{figures:?}"
    );
    let last = journal.last_sequence();
    let wait = journal.reserve_in_turn(1000);
    let release = async { journal.release(last + 1) };
    let (reservation, ()) = tokio::join!(wait, release);
    assert_eq!(reservation.bytes(), 1000);
}

#[test]
fn what_is_not_used_of_a_reservation_is_given_back() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = open(dir.path(), &settings(SyncPolicy::Os, 1 << 20));
    let free = journal.figures().free_bytes;
    let mut reservation = journal.reserve(10_000).unwrap();
    assert_eq!(journal.figures().free_bytes, free - 10_000);
    journal.append(&mut reservation, &text(b"value"));
    let used = 10_000 - reservation.bytes();
    journal.append(&mut reservation, &text(b"value"));
    drop(reservation);
    assert_eq!(journal.figures().free_bytes, free - 2 * used);
    journal.commit().unwrap();
    journal.shared.assert_room_is_right();
}

#[test]
fn records_longer_than_a_segment_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(SyncPolicy::Periodic, 4 << 20);
    let (journal, _) = open(dir.path(), &settings);
    let large: Vec<u8> = (0..1_000_000u32).map(|it| it as u8).collect();
    append(&journal, b"small").unwrap();
    append(&journal, &large).unwrap();
    append(&journal, b"small").unwrap();
    journal.commit().unwrap();
    assert_eq!(journal.reserve(5 << 20).map(drop), Err(Full::Limit));
    drop(journal);
    let (journal, mut recovered) = open(dir.path(), &settings);
    let all = read_all(&mut recovered);
    assert_eq!(all.len(), 3);
    assert!(all[1].1 == large);
    assert!(journal.figures().disk_bytes < 3 << 20, "{:?}", journal.figures());
}

/// The journal's files after a clean end, damaged at `offset` from the start of the records.
fn damaged(dir: &Path, settings: &Settings, offset: usize) -> std::path::PathBuf {
    let (journal, _) = open(dir, settings);
    for _ in 0..10 {
        append(&journal, &[7; 100]).unwrap();
    }
    journal.close().unwrap();
    drop(journal);
    let names = fs::read_dir(dir).unwrap().map(|it| it.unwrap().path());
    let path = names
        .filter(|it| it.extension().is_some_and(|it| it == "journal"))
        .last()
        .unwrap();
    let mut bytes = fs::read(&path).unwrap();
    bytes[offset] ^= 1;
    fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn damage_is_an_error_that_names_the_place_or_is_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings(SyncPolicy::Periodic, 1 << 20);
    let path = damaged(dir.path(), &settings, 500);
    let error = Journal::open(dir.path(), &settings, Clock::new())
        .map(drop)
        .unwrap_err();
    let text = error.to_string();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    assert!(
        text.contains(path.to_str().unwrap()) && text.contains("at byte 424"),
        "{text}"
    );
    settings.ignores_damage = true;
    let (journal, mut recovered) = open(dir.path(), &settings);
    assert_eq!(recovered.damage().len(), 1);
    assert_eq!(recovered.damage()[0].offset, 424);
    assert_eq!(read_all(&mut recovered).len(), 9);
    drop(journal);
    settings.ignores_damage = false;
    let (_journal, mut recovered) = open(dir.path(), &settings);
    assert_eq!(
        (recovered.damage().len(), read_all(&mut recovered).len()),
        (0, 9),
        "it was told"
    );
}

#[test]
fn damage_to_a_head_is_an_error_or_put_aside() {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings(SyncPolicy::Periodic, 1 << 20);
    let path = damaged(dir.path(), &settings, 20);
    let error = Journal::open(dir.path(), &settings, Clock::new())
        .map(drop)
        .unwrap_err();
    assert!(error.to_string().contains("at byte 0"), "{error}");
    settings.ignores_damage = true;
    let (_journal, recovered) = open(dir.path(), &settings);
    assert_eq!(recovered.records(), 0);
    assert!(path.with_extension("journal.damaged").exists());
}

/// With `always`, who waits for a record is told when it is on the disk, and is told when that can't be.
#[tokio::test]
async fn a_failed_sync_is_done_again_elsewhere_and_then_reported() {
    let dir = tempfile::tempdir().unwrap();
    let disk = SimulatedDisk::default();
    let always = settings(SyncPolicy::Always, 1 << 20);
    let open_with = || Journal::open_with(dir.path(), &always, Clock::new(), Box::new(disk.clone()));
    let (journal, _) = open_with().unwrap();
    let first = append(&journal, b"first").unwrap();
    journal.commit().unwrap();
    journal.settled(first).await.unwrap();
    assert!(!journal.must_settle(first) && journal.durable_sequence() == first);

    disk.set_faults(|it| it.syncs = 1);
    let second = append(&journal, b"second").unwrap();
    journal.commit().unwrap();
    journal.settled(second).await.unwrap();
    let figures = journal.figures();
    assert_eq!(
        (figures.syncs_failed, figures.fresh_starts, figures.full),
        (1, 1, None)
    );

    disk.set_faults(|it| it.syncs = usize::MAX);
    let third = append(&journal, b"third").unwrap();
    journal.commit().unwrap();
    journal.settled(third).await.unwrap_err();
    disk.set_faults(|it| it.syncs = 0);
    let mut reservation = journal.reserve_in_turn(100).await;
    let fourth = journal.append(&mut reservation, &text(b"fourth"));
    journal.commit().unwrap();
    journal.settled(fourth).await.unwrap();
    assert!(journal.durable_sequence() >= fourth);
}

/// Threads and time are left out: a disk without room refuses requests before anything has happened, and goes on when
/// there is some.
#[test]
fn a_full_disk_refuses_what_it_can_not_hold() {
    let dir = tempfile::tempdir().unwrap();
    let disk = SimulatedDisk::default();
    let periodic = settings(SyncPolicy::Periodic, 256 * 1024);
    let (journal, _) =
        Journal::open_idle(dir.path(), &periodic, Clock::new(), Box::new(disk.clone())).unwrap();
    disk.set_faults(|it| it.room = Some(0));
    let mut accepted = 0;
    let reason = loop {
        journal.shared.tend();
        match append(&journal, &[1; 1000]) {
            Ok(sequence) => accepted = sequence,
            Err(reason) => break reason,
        }
        journal.commit().unwrap();
    };
    assert_eq!((reason, accepted > 20), (Full::Disk, true));
    let figures = journal.figures();
    assert_eq!(
        (figures.full, figures.written_sequence),
        (Some(Full::Disk), accepted)
    );
    assert!(figures.trouble.unwrap().contains("No space left"));
    disk.set_faults(|it| it.room = None);
    journal.shared.tend();
    append(&journal, &[1; 1000]).unwrap();
    assert_eq!(journal.figures().trouble, None);
}

#[test]
fn what_could_not_be_written_is_written_later() {
    let dir = tempfile::tempdir().unwrap();
    let disk = SimulatedDisk::default();
    let periodic = settings(SyncPolicy::Periodic, 256 * 1024);
    let (journal, _) =
        Journal::open_idle(dir.path(), &periodic, Clock::new(), Box::new(disk.clone())).unwrap();
    append(&journal, b"one").unwrap();
    disk.set_faults(|it| it.writes = usize::MAX);
    assert!(journal.commit().unwrap_err().to_string().contains("Input/output"));
    assert_eq!(append(&journal, b"two"), Err(Full::Broken));
    assert!(
        journal.commit().is_err(),
        "nothing is tried again at the cost of requests"
    );
    journal.shared.tend();
    assert_eq!(journal.figures().full, Some(Full::Broken));
    disk.set_faults(|it| it.writes = 0);
    journal.shared.tend();
    journal.commit().unwrap();
    append(&journal, b"two").unwrap();
    journal.commit().unwrap();
    let copy = tempfile::tempdir().unwrap();
    disk.after_kill(copy.path());
    let values: Vec<_> = read_all(&mut open(copy.path(), &periodic).1);
    assert_eq!(values, [(1, b"one".to_vec()), (2, b"two".to_vec())]);
}

/// Runs this test alone in another process, whose files may not grow beyond 40 KiB.
#[test]
fn a_limit_of_file_sizes_is_a_full_disk() {
    const CHILD: &str = "FOREBAY_JOURNAL_CHILD";
    if let Some(dir) = std::env::var_os(CHILD) {
        return under_a_limit(Path::new(&dir));
    }
    let dir = tempfile::tempdir().unwrap();
    let name = std::thread::current().name().unwrap().to_owned();
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args([&name, "--exact", "--nocapture"])
        .env(CHILD, dir.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

fn under_a_limit(dir: &Path) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = |bytes| {
        let maximum = getrlimit(Resource::Fsize).maximum;
        setrlimit(
            Resource::Fsize,
            Rlimit {
                current: bytes,
                maximum,
            },
        )
        .unwrap();
    };
    let periodic = settings(SyncPolicy::Periodic, 256 * 1024);
    let (journal, _) =
        Journal::open_idle(dir, &periodic, Clock::new(), Box::new(Directory::new(dir))).unwrap();
    limit(Some(40 * 1024));
    let reason = loop {
        match append(&journal, &[1; 1000]) {
            Ok(_) => journal.commit().unwrap(),
            Err(Full::Behind) => journal.shared.tend(),
            Err(reason) => break reason,
        }
    };
    assert_eq!(reason, Full::Disk);
    assert!(journal.figures().trouble.unwrap().contains("File too large"));
    limit(None);
    journal.shared.tend();
    append(&journal, &[1; 1000]).unwrap();
    journal.commit().unwrap();
}

/// What a process has committed is there when it was killed: nothing is left to what happens at an end.
#[test]
fn committed_records_survive_a_kill() {
    const CHILD: &str = "FOREBAY_JOURNAL_KILLED";
    let periodic = settings(SyncPolicy::Periodic, 1 << 20);
    if let Some(dir) = std::env::var_os(CHILD) {
        let (journal, _) = open(Path::new(&dir), &periodic);
        for number in 0..500u32 {
            append(&journal, &number.to_le_bytes()).unwrap();
        }
        journal.commit().unwrap();
        append(&journal, b"not committed").unwrap();
        let own = rustix::process::getpid();
        rustix::process::kill_process(own, rustix::process::Signal::KILL).unwrap();
    }
    let dir = tempfile::tempdir().unwrap();
    let name = std::thread::current().name().unwrap().to_owned();
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args([&name, "--exact"])
        .env(CHILD, dir.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), None);
    let (_journal, mut recovered) = open(dir.path(), &periodic);
    let all = read_all(&mut recovered);
    assert!(
        all.iter()
            .map(|it| it.1.clone())
            .eq((0..500u32).map(|it| it.to_le_bytes().to_vec()))
    );
}
