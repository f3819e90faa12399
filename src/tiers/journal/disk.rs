//! The few things that the journal asks of a file system: real, or failing in tests.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

/// A directory in which names without a path stand for files.
pub trait Disk: Send + Sync {
    /// Makes an empty file; one of that name is replaced.
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;
    /// Gives a file another name, from one moment to the next; one that has the name already is replaced.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes names durable.
    fn sync_names(&self) -> io::Result<()>;
}

/// An open file.
pub trait DiskFile: Send + Sync {
    /// Makes sure that bytes below `end` can be written without asking the disk for more; what was not written
    /// reads as zeros.
    fn allocate(&self, end: u64) -> io::Result<()>;
    /// Writes all of `bytes`.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Makes what was written durable.
    fn sync(&self) -> io::Result<()>;
}

/// Whether the error says that there is no room: the disk, a quota or the limit of a file's size.
pub fn is_full(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::NOSPC | Errno::DQUOT | Errno::FBIG)
    )
}

/// A directory of the operating system's.
pub struct Directory {
    path: PathBuf,
}

impl Directory {
    /// `path` exists.
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
        }
    }
}

impl Disk for Directory {
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true);
        Ok(Arc::new(options.open(self.path.join(name))?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.path.join(name))
    }

    fn sync_names(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }
}

/// Zeros that are written at once where space can't be allocated.
static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];

impl DiskFile for File {
    fn allocate(&self, end: u64) -> io::Result<()> {
        let old_end = self.metadata()?.len();
        if end <= old_end {
            return Ok(());
        }
        loop {
            match fallocate(self, FallocateFlags::empty(), old_end, end - old_end) {
                Err(Errno::INTR) => {}
                Err(Errno::OPNOTSUPP | Errno::NOSYS) => return write_zeros(self, old_end, end),
                result => return Ok(result?),
            }
        }
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        FileExt::write_all_at(self, bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}

fn write_zeros(file: &File, from: u64, end: u64) -> io::Result<()> {
    let mut at = from;
    while at < end {
        let bytes = (end - at).min(ZEROS.len() as u64);
        FileExt::write_all_at(file, &ZEROS[..bytes as usize], at)?;
        at += bytes;
    }
    Ok(())
}

/// A file that exceeds the limit of its size (`RLIMIT_FSIZE`) sends a signal that ends the process unless somebody
/// listens; then the call fails instead, which is what is wanted.
pub fn survive_file_size_limit() -> io::Result<()> {
    // A runtime must not end on a thread that another one uses.
    let thread = std::thread::Builder::new().spawn(listen_for_file_size_limit)?;
    thread.join().expect("nothing in it panics")
}

/// Listening never ends, though the listener goes.
fn listen_for_file_size_limit() -> io::Result<()> {
    const SIGXFSZ: i32 = 25;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    let _entered = runtime.enter();
    tokio::signal::unix::signal(tokio::signal::unix::SignalKind::from_raw(SIGXFSZ)).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn space_without_fallocate_is_zeros() {
        let file = tempfile::tempfile().unwrap();
        FileExt::write_all_at(&file, b"head", 0).unwrap();
        write_zeros(&file, 4, 200_000).unwrap();
        let mut all = vec![1; 200_000];
        file.read_exact_at(&mut all, 0).unwrap();
        assert_eq!(
            (&all[..4], file.metadata().unwrap().len()),
            (b"head".as_slice(), 200_000)
        );
        assert!(all[4..].iter().all(|&byte| byte == 0));
    }

    #[test]
    fn allocating_keeps_what_is_there() {
        let file = tempfile::tempfile().unwrap();
        FileExt::write_all_at(&file, b"head", 0).unwrap();
        file.allocate(1 << 20).unwrap();
        file.allocate(10).unwrap();
        let mut head = [0; 5];
        file.read_exact_at(&mut head, 0).unwrap();
        assert_eq!((&head, file.metadata().unwrap().len()), (b"head\0", 1 << 20));
    }
}
