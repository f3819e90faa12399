//! How much memory this process may use.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Bytes that the process may use: the smallest limit of its control groups (version 2 or 1), or
/// the machine's memory where none is smaller. `None` where neither can be read.
///
/// Read once: all configurations of one run have the same idea of a share of it.
pub fn usable_bytes() -> Option<u64> {
    static USABLE: OnceLock<Option<u64>> = OnceLock::new();
    *USABLE.get_or_init(|| usable_bytes_under(Path::new("/")))
}

fn usable_bytes_under(root: &Path) -> Option<u64> {
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    groups
        .lines()
        .filter_map(|line| group_limit(root, line))
        .chain(machine_bytes(root))
        .min()
}

/// The limit that one line of `/proc/self/cgroup` leads to: `hierarchy:controllers:path`.
fn group_limit(root: &Path, line: &str) -> Option<u64> {
    let mut fields = line.splitn(3, ':');
    let (_hierarchy, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
    let (mount, file) = if controllers.is_empty() {
        ("sys/fs/cgroup", "memory.max")
    } else if controllers.split(',').any(|name| name == "memory") {
        ("sys/fs/cgroup/memory", "memory.limit_in_bytes")
    } else {
        return None;
    };
    smallest_limit(&root.join(mount), path, file)
}

/// The smallest limit of a group and the groups around it. A container often sees its group as
/// the mount itself, below which the path that it reads about itself does not exist.
fn smallest_limit(mount: &Path, path: &str, file: &str) -> Option<u64> {
    let group: PathBuf = mount.join(path.trim_start_matches('/'));
    group
        .ancestors()
        .take_while(|directory| directory.starts_with(mount))
        .filter_map(|directory| fs::read_to_string(directory.join(file)).ok())
        .filter_map(|limit| limit.trim().parse().ok())
        .min()
}

fn machine_bytes(root: &Path) -> Option<u64> {
    let info = fs::read_to_string(root.join("proc/meminfo")).ok()?;
    let total = info.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = total.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file system root with the given files.
    fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    const MEMINFO: (&str, &str) = ("proc/meminfo", "MemTotal:        2048 kB\nMemFree: 9 kB\n");

    #[test]
    fn a_machine_without_groups_offers_all_its_memory() {
        assert_eq!(usable_bytes_under(root(&[MEMINFO]).path()), Some(2 << 20));
        assert_eq!(usable_bytes_under(root(&[]).path()), None);
    }

    #[test]
    fn version_2_takes_the_smallest_limit_on_the_way_up() {
        let root = root(&[
            MEMINFO,
            ("proc/self/cgroup", "0::/pod/box\n"),
            ("sys/fs/cgroup/pod/box/memory.max", "max\n"),
            ("sys/fs/cgroup/pod/memory.max", "1048576\n"),
        ]);
        assert_eq!(usable_bytes_under(root.path()), Some(1 << 20));
    }

    #[test]
    fn version_1_is_found_at_the_mount_when_the_path_is_the_hosts() {
        let root = root(&[
            MEMINFO,
            (
                "proc/self/cgroup",
                "9:cpu:/docker/abc\n4:memory:/docker/abc\n0::/\n",
            ),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "524288\n"),
        ]);
        assert_eq!(usable_bytes_under(root.path()), Some(512 << 10));
    }

    #[test]
    fn an_unlimited_version_1_group_means_the_machine() {
        let root = root(&[
            MEMINFO,
            ("proc/self/cgroup", "4:memory:/\n"),
            (
                "sys/fs/cgroup/memory/memory.limit_in_bytes",
                "9223372036854771712\n",
            ),
        ]);
        assert_eq!(usable_bytes_under(root.path()), Some(2 << 20));
    }
}
