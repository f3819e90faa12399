//! A disk in memory that fails as it is told, and forgets at a loss of power what was not synced.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use rustix::io::Errno;

use super::disk::{Disk, DiskFile};

/// What goes wrong next.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    /// So many writes fail, each after half of its bytes.
    pub writes: usize,
    /// So many syncs fail, and what they were for is forgotten though later ones succeed.
    pub syncs: usize,
    /// So many renamings fail.
    pub renames: usize,
    /// There is room for so many bytes in all files together.
    pub room: Option<u64>,
}

/// A disk; clones are the same disk.
#[derive(Clone, Default)]
pub struct SimulatedDisk(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    faults: Faults,
    files: Vec<Contents>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
}

#[derive(Default)]
struct Contents {
    now: Vec<u8>,
    durable: Vec<u8>,
    /// Since the last sync.
    writes: Vec<(u64, Vec<u8>)>,
    /// For which a sync failed.
    doomed: Vec<(u64, Vec<u8>)>,
}

struct SimulatedFile {
    disk: SimulatedDisk,
    index: usize,
}

fn eio() -> io::Error {
    Errno::IO.into()
}

/// Uses up one fault, if there is one.
fn strikes(faults: &mut usize) -> bool {
    let strikes = *faults > 0;
    *faults -= usize::from(strikes);
    strikes
}

fn put(contents: &mut Vec<u8>, offset: u64, bytes: &[u8]) {
    let end = offset as usize + bytes.len();
    if contents.len() < end {
        contents.resize(end, 0);
    }
    contents[offset as usize..end].copy_from_slice(bytes);
}

/// How much of a write survives: nothing, all, or some whole sectors.
fn surviving_bytes(offset: u64, len: usize, survives: u8) -> usize {
    const SECTOR_BYTES: u64 = 512;
    match survives {
        0..64 => 0,
        64..192 => len,
        part => {
            let end = offset + (len * usize::from(part - 192) / 64) as u64;
            (end / SECTOR_BYTES * SECTOR_BYTES).saturating_sub(offset) as usize
        }
    }
}

impl SimulatedDisk {
    /// A disk with the files that are in `dir`.
    pub fn of(dir: &Path) -> Self {
        let disk = Self::default();
        let mut state = disk.0.lock();
        for entry in fs::read_dir(dir).unwrap() {
            let entry = entry.unwrap();
            let now = fs::read(entry.path()).unwrap();
            let index = state.files.len();
            state.files.push(Contents {
                durable: now.clone(),
                now,
                ..Contents::default()
            });
            state
                .names
                .insert(entry.file_name().into_string().unwrap(), index);
        }
        state.durable_names = state.names.clone();
        drop(state);
        disk
    }

    /// Changes what goes wrong.
    pub fn set_faults(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut self.0.lock().faults);
    }

    /// Names and lengths of all files.
    pub fn list(&self) -> Vec<(String, usize)> {
        let state = self.0.lock();
        let lens = state
            .names
            .iter()
            .map(|(name, &index)| (name.clone(), state.files[index].now.len()));
        lens.collect()
    }

    /// Writes into `dir` what is there after the process has died.
    pub fn after_kill(&self, dir: &Path) {
        let state = self.0.lock();
        for (name, &index) in &state.names {
            fs::write(dir.join(name), &state.files[index].now).unwrap();
        }
    }

    /// Writes into `dir` what is there after a loss of power. What was not synced is as `survives` says.
    pub fn after_power_loss(&self, dir: &Path, mut survives: impl FnMut() -> u8) {
        let state = self.0.lock();
        let names = if survives() < 128 {
            &state.names
        } else {
            &state.durable_names
        };
        for (name, &index) in names {
            let file = &state.files[index];
            let mut contents = file.durable.clone();
            for (offset, bytes) in file.doomed.iter().chain(&file.writes) {
                let part = surviving_bytes(*offset, bytes.len(), survives());
                put(&mut contents, *offset, &bytes[..part]);
            }
            if survives() < 128 && contents.len() < file.now.len() {
                contents.resize(file.now.len(), 0);
            }
            fs::write(dir.join(name), contents).unwrap();
        }
    }
}

impl State {
    fn used_bytes(&self) -> u64 {
        self.names
            .values()
            .map(|&index| self.files[index].now.len() as u64)
            .sum()
    }

    fn check_room(&self, index: usize, end: u64) -> io::Result<()> {
        let more = end.saturating_sub(self.files[index].now.len() as u64);
        match self.faults.room {
            Some(room) if more > 0 && self.used_bytes() + more > room => Err(Errno::NOSPC.into()),
            _ => Ok(()),
        }
    }
}

impl Disk for SimulatedDisk {
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.0.lock();
        let index = state.files.len();
        state.files.push(Contents::default());
        state.names.insert(name.to_owned(), index);
        Ok(Arc::new(SimulatedFile {
            disk: self.clone(),
            index,
        }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.0.lock();
        if strikes(&mut state.faults.renames) {
            return Err(eio());
        }
        let index = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        assert!(!state.names.contains_key(to), "{to} is replaced");
        state.names.insert(to.to_owned(), index);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let removed = self.0.lock().names.remove(name);
        removed.map(|_| ()).ok_or(io::ErrorKind::NotFound.into())
    }

    fn sync_names(&self) -> io::Result<()> {
        let mut state = self.0.lock();
        state.durable_names = state.names.clone();
        Ok(())
    }
}

impl DiskFile for SimulatedFile {
    fn allocate(&self, end: u64) -> io::Result<()> {
        let mut state = self.disk.0.lock();
        state.check_room(self.index, end)?;
        let contents = &mut state.files[self.index].now;
        if contents.len() < end as usize {
            contents.resize(end as usize, 0);
        }
        Ok(())
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.disk.0.lock();
        let fails = strikes(&mut state.faults.writes);
        state.check_room(self.index, offset + bytes.len() as u64)?;
        let bytes = if fails { &bytes[..bytes.len() / 2] } else { bytes };
        let file = &mut state.files[self.index];
        put(&mut file.now, offset, bytes);
        file.writes.push((offset, bytes.to_vec()));
        if fails { Err(eio()) } else { Ok(()) }
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.0.lock();
        if strikes(&mut state.faults.syncs) {
            let file = &mut state.files[self.index];
            file.doomed.append(&mut file.writes);
            return Err(eio());
        }
        let file = &mut state.files[self.index];
        for (offset, bytes) in std::mem::take(&mut file.writes) {
            put(&mut file.durable, offset, &bytes);
        }
        Ok(())
    }
}
