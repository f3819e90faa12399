//! The audit log: what operators had the server do, and who was refused at the door.
//!
//! Each event is a line of JSON with its time. A thread of its own appends them to the file, so that a slow or failing
//! disk disturbs nobody; what it can't write is counted, and told once. The file may be moved away at any time: the
//! next line goes to a new one. Without a file, events go where the server logs what it says of itself.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use parking_lot::Mutex;

use crate::json::Object;
use crate::limits::{AUDIT_QUEUE, AUDIT_TEXT_BYTES_MAX};

/// What is known of an event beside its name and time: names, which are the program's own, and values, which are cut
/// when they are long.
pub type Fields<'a> = &'a [(&'static str, &'a str)];

/// Who may read the file: names of keys may be secrets.
const FILE_MODE: u32 = 0o600;

/// The log. Dropped, it ends when everything that waits is written.
#[derive(Default)]
pub struct Audit {
    destination: Mutex<Destination>,
    lost: Arc<AtomicU64>,
}

#[derive(Default)]
struct Destination {
    path: Option<Arc<Path>>,
    /// To the thread that writes, once there was something to write.
    writer: Option<Writer>,
}

struct Writer {
    lines: SyncSender<(Arc<Path>, String)>,
    /// Gives up when the thread has ended.
    ended: Receiver<()>,
}

impl Audit {
    /// Appends to this file from now on; `None`: to none.
    pub fn configure(&self, path: Option<PathBuf>) {
        self.destination.lock().path = path.map(Arc::from);
    }

    /// Notes an event of this time, in Unix milliseconds. Does not wait.
    pub fn note(&self, now_ms: u64, event: &str, fields: Fields<'_>) {
        if let Some(line) = self.append(line(now_ms, event, fields)) {
            tracing::info!(target: "audit", "{line}");
        }
    }

    /// The same for what anybody can cause, logged in or not: without a file it is told only to who looks for it, so
    /// that strangers don't fill the server's own log.
    pub fn note_stranger(&self, now_ms: u64, event: &str, fields: Fields<'_>) {
        if let Some(line) = self.append(line(now_ms, event, fields)) {
            tracing::debug!(target: "audit", "{line}");
        }
    }

    /// Has a line written; gives it back where there is no file.
    fn append(&self, line: String) -> Option<String> {
        let mut destination = self.destination.lock();
        let Some(path) = destination.path.clone() else {
            return Some(line);
        };
        let writer = match &destination.writer {
            Some(writer) => Some(writer),
            None => start(&self.lost).map(|writer| &*destination.writer.insert(writer)),
        };
        if writer.is_none_or(|writer| writer.lines.try_send((path, line)).is_err()) {
            self.lost.fetch_add(1, Relaxed);
        }
        None
    }

    /// Events that were not written to the file.
    pub fn lost(&self) -> u64 {
        self.lost.load(Relaxed)
    }

    /// Waits until everything is written that was noted so far, for so long at most; later events start anew.
    pub fn finish(&self, patience: Duration) {
        let writer = self.destination.lock().writer.take();
        if let Some(Writer { lines, ended }) = writer {
            drop(lines);
            // Nothing is ever sent: either the thread ends, or the time does.
            let _ = ended.recv_timeout(patience);
        }
    }
}

/// An event as a line of JSON.
fn line(now_ms: u64, event: &str, fields: Fields<'_>) -> String {
    let object = Object::default()
        .text("time", &timestamp(now_ms))
        .text("event", event);
    let add = |object: Object, (name, value): &(&'static str, &str)| object.text(name, &shortened(value));
    fields.iter().fold(object, add).end()
}

/// Starts the thread that writes; `None` if there can't be one.
fn start(lost: &Arc<AtomicU64>) -> Option<Writer> {
    let (lines, taken) = sync_channel(AUDIT_QUEUE);
    let (ending, ended) = sync_channel(1);
    let mut log = Log {
        open: None,
        is_failing: false,
        lost: Arc::clone(lost),
    };
    let run = move || {
        for (path, line) in taken {
            log.append(&path, line);
        }
        drop::<SyncSender<()>>(ending);
    };
    let started = std::thread::Builder::new().name("audit".to_owned()).spawn(run);
    started.ok().map(|_| Writer { lines, ended })
}

/// The file, as the thread that writes sees it.
struct Log {
    open: Option<(Arc<Path>, File)>,
    is_failing: bool,
    lost: Arc<AtomicU64>,
}

impl Log {
    fn append(&mut self, path: &Arc<Path>, line: String) {
        match self.try_append(path, line) {
            Ok(()) => self.is_failing = false,
            Err(error) => {
                self.open = None;
                self.lost.fetch_add(1, Relaxed);
                if !std::mem::replace(&mut self.is_failing, true) {
                    tracing::error!(path = %path.display(), %error, "the audit log can't be written");
                }
            }
        }
    }

    /// One write for the whole line, at the end of the file, so that lines of several servers don't mix.
    fn try_append(&mut self, path: &Arc<Path>, mut line: String) -> io::Result<()> {
        line.push('\n');
        let file = match &mut self.open {
            Some((of_path, file)) if of_path == path && is_at(file, path) => file,
            open => {
                let mut options = OpenOptions::new();
                let file = options.append(true).create(true).mode(FILE_MODE).open(path)?;
                &mut open.insert((Arc::clone(path), file)).1
            }
        };
        file.write_all(line.as_bytes())
    }
}

/// Whether this file is still the one of that name.
fn is_at(file: &File, path: &Path) -> bool {
    let same = file.metadata().and_then(|open| {
        let named = std::fs::metadata(path)?;
        Ok((open.dev(), open.ino()) == (named.dev(), named.ino()))
    });
    same.unwrap_or(false)
}

/// The text, or its beginning where it is long.
fn shortened(text: &str) -> String {
    if text.len() <= AUDIT_TEXT_BYTES_MAX {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(AUDIT_TEXT_BYTES_MAX);
    format!("{}…", &text[..end])
}

/// A Unix time as RFC 3339 writes it, in UTC.
fn timestamp(unix_ms: u64) -> String {
    const DAY_MS: u64 = 24 * 60 * 60 * 1000;
    let (year, month, day) = date(unix_ms / DAY_MS);
    let of_day = unix_ms % DAY_MS;
    let (hours, minutes) = (of_day / 3_600_000, of_day / 60_000 % 60);
    let (seconds, ms) = (of_day / 1000 % 60, of_day % 1000);
    format!("{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}.{ms:03}Z")
}

/// Year, month and day that are so many days after 1970-01-01 (Howard Hinnant, "chrono-compatible low-level date
/// algorithms", `civil_from_days`): years begin in March there, so that the leap day is the last of them.
fn date(days: u64) -> (u64, u64, u64) {
    const ERA_DAYS: u64 = 146_097;
    let days = days + 719_468;
    let (era, of_era) = (days / ERA_DAYS, days % ERA_DAYS);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn noted(path: &Path) -> Vec<String> {
        let text = std::fs::read_to_string(path).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn times_are_those_of_the_calendar() {
        for (unix_ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_709_251_199_001, "2024-02-29T23:59:59.001Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(timestamp(unix_ms), text);
        }
    }

    #[test]
    fn events_are_lines_of_json() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let audit = Audit::default();
        audit.configure(Some(path.clone()));
        let long = "x".repeat(1000);
        audit.note(
            0,
            "config-set",
            &[("client", "127.0.0.1:1"), ("settings", "a\nb")],
        );
        audit.note(0, "tier-invalidate", &[("keys", &long)]);
        audit.finish(PATIENCE);
        let lines = noted(&path);
        let first = r#"{"time":"1970-01-01T00:00:00.000Z","event":"config-set","client":"127.0.0.1:1","settings":"a\nb"}"#;
        assert_eq!((lines.len(), &*lines[0], audit.lost()), (2, first, 0));
        assert!(lines[1].ends_with(&format!("\"keys\":\"{}…\"}}", &long[..AUDIT_TEXT_BYTES_MAX])));
    }

    #[test]
    fn a_file_that_was_moved_away_is_begun_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path: Arc<Path> = folder.path().join("audit.log").into();
        let moved = folder.path().join("audit.log.1");
        let mut log = Log {
            open: None,
            is_failing: false,
            lost: Arc::default(),
        };
        log.append(&path, "first".to_owned());
        log.append(&path, "second".to_owned());
        std::fs::rename(&path, &moved).unwrap();
        log.append(&path, "third".to_owned());
        std::fs::remove_file(&path).unwrap();
        log.append(&path, "fourth".to_owned());
        assert_eq!(
            (noted(&moved), noted(&path)),
            (
                vec!["first".to_owned(), "second".to_owned()],
                vec!["fourth".to_owned()]
            )
        );
    }

    #[test]
    fn what_cannot_be_written_is_counted_and_later_events_are_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("folder/audit.log");
        let audit = Audit::default();
        audit.configure(Some(path.clone()));
        audit.note(0, "lost", &[]);
        audit.note(0, "lost", &[]);
        audit.finish(PATIENCE);
        assert_eq!(audit.lost(), 2);
        std::fs::create_dir(folder.path().join("folder")).unwrap();
        audit.note(0, "written", &[]);
        audit.finish(PATIENCE);
        assert_eq!((noted(&path).len(), audit.lost()), (1, 2));
    }
}
