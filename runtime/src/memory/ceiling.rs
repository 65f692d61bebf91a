//! How much memory this process may have allocated: what the machine has, and what limits leave of it.
//!
//! - Linux and Android: physical memory, the limits of the address space and of the data segment (`ulimit -v`, `-d`),
//!   and the control groups', as a container sees them.
//! - macOS: physical memory. iOS: what the system will still grant before it ends the app.
//!
//! Nothing here is a promise: others use the same machine. What is planned beyond it cannot work.

use std::fmt;

/// The most bytes that may be allocated at one time, and what says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ceiling {
    /// In the terms of [`super::live`]: what is allocated now is part of it.
    pub bytes: usize,
    /// What sets it.
    pub reason: Reason,
}

/// What sets a [`Ceiling`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The machine's memory.
    Machine,
    /// The limit of a control group, such as a container's.
    ControlGroup,
    /// `RLIMIT_AS`.
    AddressSpace,
    /// `RLIMIT_DATA`.
    DataSegment,
    /// The system's limit for this app.
    App,
}

impl fmt::Display for Reason {
    /// Continues a sentence that ends in a number of bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Machine => "all the memory that this machine has",
            Self::ControlGroup => "the memory limit of its container or control group",
            Self::AddressSpace => "what the limit of its address space (ulimit -v) leaves",
            Self::DataSegment => "what the limit of its data (ulimit -d) leaves",
            Self::App => "what the system grants this app",
        })
    }
}

impl Ceiling {
    /// What `--memory-budget auto` takes: three quarters, but leaves at least 24 MiB, for code, stacks and what the
    /// allocator keeps between uses.
    pub fn share(&self) -> usize {
        self.bytes.saturating_sub((self.bytes / 4).max(24 << 20))
    }
}

/// The lowest of this process's ceilings; `None` where the system tells of none.
pub fn ceiling() -> Option<Ceiling> {
    system::ceilings().into_iter().min_by_key(|ceiling| ceiling.bytes)
}

#[cfg(any(target_os = "linux", target_os = "android"))]
mod system {
    use super::super::{control_group, live, reserved};
    use super::{Ceiling, Reason};
    use std::fs::read_to_string;
    use std::path::Path;

    pub(super) fn ceilings() -> Vec<Ceiling> {
        of(Path::new("/"), live(), reserved())
    }

    /// The ceilings of a process that has `live` bytes allocated and `reserved` more mapped for allocations to come;
    /// `system` is the root of the file system.
    pub(super) fn of(system: &Path, live: usize, reserved: usize) -> Vec<Ceiling> {
        let text = |path: &str| read_to_string(system.join(path)).unwrap_or_default();
        let (limits, status) = (text("proc/self/limits"), text("proc/self/status"));
        // Of what is mapped the code, the stacks and the like stay; allocations to come are mapped beside them.
        let left = |limit: &str, used: &str| {
            let limit = number_after(&limits, limit)?;
            let used = number_after(&status, used)?.saturating_mul(1 << 10);
            Some(limit.saturating_sub(used).saturating_add((live + reserved) as u64))
        };
        let machine = number_after(&text("proc/meminfo"), "MemTotal:").map(|kib| kib.saturating_mul(1 << 10));
        let all = [
            (machine, Reason::Machine),
            (control_group::limit_bytes(system), Reason::ControlGroup),
            (left("Max address space", "VmSize:"), Reason::AddressSpace),
            (left("Max data size", "VmData:"), Reason::DataSegment),
        ];
        let known = all.into_iter().filter_map(|(bytes, reason)| Some((bytes?, reason)));
        known
            .map(|(bytes, reason)| Ceiling { bytes: usize::try_from(bytes).unwrap_or(usize::MAX), reason })
            .collect()
    }

    /// The number that follows `name` at the start of a line; of limits the one in force. `unlimited` is none.
    fn number_after(text: &str, name: &str) -> Option<u64> {
        let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
        rest.split_whitespace().next()?.parse().ok()
    }
}

#[cfg(target_vendor = "apple")]
mod system {
    use super::{Ceiling, Reason};

    pub(super) fn ceilings() -> Vec<Ceiling> {
        let machine = memory_bytes().map(|bytes| Ceiling { bytes, reason: Reason::Machine });
        let app = granted_bytes().map(|bytes| Ceiling { bytes, reason: Reason::App });
        machine.into_iter().chain(app).collect()
    }

    /// `hw.memsize`
    fn memory_bytes() -> Option<usize> {
        let mut bytes = 0u64;
        let mut len = size_of::<u64>();
        // SAFETY: the name ends in a zero; there is room for the u64 that this value is, and nothing is set.
        let failed = unsafe {
            libc::sysctlbyname(
                c"hw.memsize".as_ptr(),
                std::ptr::from_mut(&mut bytes).cast(),
                &mut len,
                std::ptr::null_mut(),
                0,
            )
        };
        (failed == 0 && len == size_of::<u64>()).then(|| usize::try_from(bytes).unwrap_or(usize::MAX))
    }

    /// What this app may still allocate, and what it has.
    #[cfg(not(target_os = "macos"))]
    fn granted_bytes() -> Option<usize> {
        unsafe extern "C" {
            /// Bytes until the limit of the app's memory, or 0 where it has none. Since iOS 13, in the system's library.
            safe fn os_proc_available_memory() -> usize;
        }
        let left = os_proc_available_memory();
        (left > 0).then(|| left.saturating_add(super::super::live()))
    }

    /// Programs on a Mac have no such limit.
    #[cfg(target_os = "macos")]
    fn granted_bytes() -> Option<usize> {
        None
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
mod system {
    pub(super) fn ceilings() -> Vec<super::Ceiling> {
        Vec::new()
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;
    use std::fs;

    const LIMITS: &str = "Limit                     Soft Limit           Hard Limit           Units     \n\
                          Max data size             unlimited            unlimited            bytes     \n\
                          Max address space         3072000000           unlimited            bytes     \n";
    const STATUS: &str =
        "Name:\tlocalgrad\nVmPeak:\t  400000 kB\nVmSize:\t  300000 kB\nVmData:\t  100000 kB\n";

    fn found(files: &[(&str, &str)], live: usize, reserved: usize) -> Vec<(usize, Reason)> {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("proc/self")).unwrap();
        fs::create_dir_all(root.path().join("sys/fs/cgroup")).unwrap();
        for (path, text) in files {
            fs::write(root.path().join(path), text).unwrap();
        }
        system::of(root.path(), live, reserved).into_iter().map(|c| (c.bytes, c.reason)).collect()
    }

    #[test]
    fn each_limit_is_found_and_named() {
        let files = [
            ("proc/meminfo", "MemTotal:       24625244 kB\nMemFree:         100 kB\n"),
            ("proc/self/limits", LIMITS),
            ("proc/self/status", STATUS),
            ("proc/self/cgroup", "0::/\n"),
            ("proc/self/mountinfo", "29 24 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"),
            ("sys/fs/cgroup/memory.max", "2000000000\n"),
        ];
        let (live, reserved) = (7 << 20, 200 << 20);
        let address_space = 3_072_000_000 - (300_000 << 10) + live + reserved;
        let expected = [
            (24_625_244 << 10, Reason::Machine),
            (2_000_000_000, Reason::ControlGroup),
            (address_space, Reason::AddressSpace),
        ];
        assert_eq!(found(&files, live, reserved), expected);
        let data =
            LIMITS.replace("Max data size             unlimited", "Max data size             204800000");
        let data = found(&[("proc/self/limits", &data), ("proc/self/status", STATUS)], live, 0);
        assert_eq!(data[1], (204_800_000 - (100_000 << 10) + live, Reason::DataSegment));
    }

    #[test]
    fn what_is_not_told_or_makes_no_sense_is_no_ceiling() {
        assert_eq!(found(&[], 5, 5), []);
        let files = [("proc/meminfo", "MemTotal: lots\n"), ("proc/self/limits", "Max address space\n")];
        assert_eq!(found(&files, 5, 5), []);
        // A limit below what is in use leaves what is allocated, and no more.
        let low = LIMITS.replace("3072000000", "1024");
        let found = found(&[("proc/self/limits", &low), ("proc/self/status", STATUS)], 5, 6);
        assert_eq!(found, [(11, Reason::AddressSpace)]);
    }

    #[test]
    fn this_machine_has_a_ceiling_and_a_share_of_it() {
        let ceiling = ceiling().unwrap();
        assert!(ceiling.bytes > 1 << 20, "{ceiling:?}");
        let of = |bytes| Ceiling { bytes, reason: Reason::Machine }.share();
        assert_eq!([of(16 << 30), of(64 << 20), of(1 << 20)], [12 << 30, 40 << 20, 0]);
    }
}
