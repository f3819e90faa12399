//! What the kernel knows of this process.

use std::fs;

/// Processor time, in seconds. The kernel counts it in ticks, mostly of 10 ms.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub struct CpuTimes {
    /// In this code.
    pub user_s: f64,
    /// In the kernel, on behalf of this code.
    pub system_s: f64,
}

/// Processor time of all threads. Zero where the kernel does not tell.
pub fn cpu_times() -> CpuTimes {
    cpu_times_in("/proc/self/stat")
}

/// Processor time of the thread that started the process: it accepts connections and sweeps.
pub fn main_thread_cpu_times() -> CpuTimes {
    let process = std::process::id();
    cpu_times_in(&format!("/proc/self/task/{process}/stat"))
}

/// Bytes of physical memory. Zero where the kernel does not tell.
pub fn resident_bytes() -> u64 {
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = statm
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse().ok())
        .unwrap_or(0);
    pages * rustix::param::page_size() as u64
}

/// Bytes of physical memory of the machine.
pub fn machine_bytes() -> u64 {
    let info = rustix::system::sysinfo();
    info.totalram as u64 * u64::from(info.mem_unit)
}

fn cpu_times_in(path: &str) -> CpuTimes {
    fs::read_to_string(path)
        .ok()
        .and_then(|stat| parse_stat(&stat))
        .unwrap_or_default()
}

/// Fields 14 and 15 of `/proc/<pid>/stat`: see proc(5). The second field is a name that may contain anything, so
/// counting begins behind its closing parenthesis.
fn parse_stat(stat: &str) -> Option<CpuTimes> {
    let (_, behind_name) = stat.rsplit_once(") ")?;
    let mut fields = behind_name.split(' ').skip(11);
    let mut seconds = || {
        let ticks: f64 = fields.next()?.parse().ok()?;
        Some(ticks / rustix::param::clock_ticks_per_second() as f64)
    };
    Some(CpuTimes {
        user_s: seconds()?,
        system_s: seconds()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_stands_behind_whatever_the_name_is() {
        let stat = "42 (a ) (b) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20";
        let second = rustix::param::clock_ticks_per_second() as f64;
        let times = CpuTimes {
            user_s: 250.0 / second,
            system_s: 50.0 / second,
        };
        assert_eq!(parse_stat(stat), Some(times));
        assert_eq!(parse_stat("42 (a) S 1"), None);
    }

    #[test]
    fn this_process_takes_memory() {
        assert!(resident_bytes() > 0 && resident_bytes() < machine_bytes());
    }
}
