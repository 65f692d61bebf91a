//! The memory limits of the control groups (cgroups) that a Linux process is in, as it sees them itself: in a container
//! those of the container.
//!
//! `/proc/self/cgroup` says which group the process is in, `/proc/self/mountinfo` where the groups' files are. Every group
//! up to the root of the mount may have a limit; what the outermost visible group's own parents allow, only version 1
//! tells.

use std::fs::read_to_string;
use std::path::{Path, PathBuf};

/// Where groups are found where the list of mounts cannot be read: versions 2 and 1.
const USUAL: [(&str, bool); 2] = [("/sys/fs/cgroup", true), ("/sys/fs/cgroup/memory", false)];

/// A hierarchy of groups that counts memory.
#[derive(Debug, PartialEq)]
struct Mount {
    /// The group that is seen at `point`.
    root: String,
    point: String,
    /// Whether it is of version 2.
    unified: bool,
}

/// The least that any group of this process allows, in bytes; `None` where none has a limit. `system` is the root of the
/// file system.
pub(super) fn limit_bytes(system: &Path) -> Option<u64> {
    let groups = read_to_string(system.join("proc/self/cgroup")).ok()?;
    let mounts: Vec<Mount> = match read_to_string(system.join("proc/self/mountinfo")) {
        Ok(mounts) => mounts.lines().filter_map(mount).collect(),
        Err(_) => {
            USUAL.map(|(point, unified)| Mount { root: "/".into(), point: point.into(), unified }).into()
        }
    };
    let limits = mounts.iter().filter_map(|mount| {
        let group = groups.lines().find_map(|line| group_of(line, mount.unified))?;
        limit_of(system, mount, group)
    });
    limits.min()
}

/// The group that a line of `/proc/self/cgroup` names, `number:controllers:group`, if it counts memory in this version.
fn group_of(line: &str, unified: bool) -> Option<&str> {
    let (number, rest) = line.split_once(':')?;
    let (controllers, group) = rest.split_once(':')?;
    let counts = match unified {
        true => number == "0" && controllers.is_empty(),
        false => controllers.split(',').any(|name| name == "memory"),
    };
    counts.then_some(group)
}

/// The hierarchy that a line of `/proc/self/mountinfo` tells of, if it counts memory.
fn mount(line: &str) -> Option<Mount> {
    let (before, after) = line.split_once(" - ")?;
    let mut fields = before.split(' ').skip(3);
    let (root, point) = (plain(fields.next()?), plain(fields.next()?));
    let mut fields = after.split(' ');
    let (kind, options) = (fields.next()?, fields.nth(1)?);
    match kind {
        "cgroup2" => Some(Mount { root, point, unified: true }),
        "cgroup" if options.split(',').any(|name| name == "memory") => {
            Some(Mount { root, point, unified: false })
        }
        _ => None,
    }
}

/// A path of the list of mounts, in which spaces and the like are octal numbers behind a backslash.
fn plain(path: &str) -> String {
    let mut parts = path.split('\\');
    let mut text = parts.next().unwrap_or_default().to_string();
    for part in parts {
        match part.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                text.push(char::from(byte));
                text += &part[3..];
            }
            None => {
                text.push('\\');
                text += part;
            }
        }
    }
    text
}

/// The least limit of `group` and those above it, as far as `mount` shows them.
fn limit_of(system: &Path, mount: &Mount, group: &str) -> Option<u64> {
    let point = system.join(mount.point.trim_start_matches('/'));
    // A group outside of what the mount shows, or one that is gone: what is seen at the mount stands for it.
    let below = Path::new(group).strip_prefix(&mount.root).ok();
    let below = below.filter(|below| !below.starts_with("..") && point.join(below).is_dir());
    let mut directory = point.join(below.unwrap_or(Path::new("")));
    let mut least = None;
    loop {
        least = [least, limit_in(&directory, mount.unified)].into_iter().flatten().min();
        if directory == point || !directory.pop() {
            return least;
        }
    }
}

/// The limit of one group.
fn limit_in(directory: &Path, unified: bool) -> Option<u64> {
    let number = |name: &str| -> Option<u64> { read(directory.join(name))?.trim().parse().ok() };
    if unified {
        // "max" is no number.
        return number("memory.max");
    }
    let stat = read(directory.join("memory.stat")).unwrap_or_default();
    let above = stat.lines().find_map(|line| line.strip_prefix("hierarchical_memory_limit "));
    let above = above.and_then(|number| number.trim().parse().ok());
    // Version 1 writes the largest number of pages for no limit.
    let limits = [number("memory.limit_in_bytes"), above].into_iter().flatten();
    limits.filter(|&limit| limit < 1 << 62).min()
}

fn read(path: PathBuf) -> Option<String> {
    read_to_string(path).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// A file system of these files.
    fn system(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    fn limit(files: &[(&str, &str)]) -> Option<u64> {
        limit_bytes(system(files).path())
    }

    const UNIFIED: (&str, &str) = (
        "proc/self/mountinfo",
        "29 24 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n",
    );
    const SPLIT: (&str, &str) = (
        "proc/self/mountinfo",
        "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
         34 31 0:31 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n\
         35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:16 - cgroup cgroup rw,memory\n\
         41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
    );

    #[test]
    fn the_least_limit_up_to_the_root_counts() {
        let group = ("proc/self/cgroup", "0::/user.slice/session.scope\n");
        let max = |path, text| (path, text);
        let own = max("sys/fs/cgroup/user.slice/session.scope/memory.max", "max\n");
        let above = max("sys/fs/cgroup/user.slice/memory.max", "536870912\n");
        assert_eq!(limit(&[UNIFIED, group, own, above]), Some(512 << 20));
        let tighter = max("sys/fs/cgroup/user.slice/session.scope/memory.max", "1048576\n");
        assert_eq!(limit(&[UNIFIED, group, tighter, above]), Some(1 << 20));
        let free = max("sys/fs/cgroup/user.slice/memory.max", "max\n");
        assert_eq!(limit(&[UNIFIED, group, own, free]), None);
    }

    #[test]
    fn a_container_sees_its_own_limit_at_the_root() {
        // With a name space of its own.
        let group = ("proc/self/cgroup", "0::/\n");
        let limited = ("sys/fs/cgroup/memory.max", "67108864\n");
        assert_eq!(limit(&[UNIFIED, group, limited]), Some(64 << 20));
        // Without one the group has the host's name, which the mount does not show.
        let host = ("proc/self/cgroup", "0::/docker/8f2e\n");
        assert_eq!(limit(&[UNIFIED, host, limited]), Some(64 << 20));
        let outside = ("proc/self/cgroup", "0::/../other\n");
        assert_eq!(limit(&[UNIFIED, outside, limited]), Some(64 << 20));
    }

    #[test]
    fn version_1_is_read_where_memory_is_its_own() {
        let group = ("proc/self/cgroup", "8:pids:/\n4:memory:/jobs/one\n3:cpuset:/\n0::/\n");
        let own = ("sys/fs/cgroup/memory/jobs/one/memory.limit_in_bytes", "9223372036854771712\n");
        let above = ("sys/fs/cgroup/memory/jobs/memory.limit_in_bytes", "268435456\n");
        assert_eq!(limit(&[SPLIT, group, own]), None);
        assert_eq!(limit(&[SPLIT, group, own, above]), Some(256 << 20));
        // What is above the container is told by its own statistics.
        let told = (
            "sys/fs/cgroup/memory/jobs/one/memory.stat",
            "cache 0\nhierarchical_memory_limit 134217728\nhierarchical_memsw_limit 9223372036854771712\n",
        );
        assert_eq!(limit(&[SPLIT, group, own, told]), Some(128 << 20));
    }

    #[test]
    fn a_mount_may_show_a_part_of_the_tree() {
        let mounts = (
            "proc/self/mountinfo",
            "35 31 0:32 /docker/8f2e /sys/fs/my\\040groups/memory ro shared:16 - cgroup cgroup rw,memory\n",
        );
        let group = ("proc/self/cgroup", "4:cpu,memory:/docker/8f2e/inner\n");
        let inner = ("sys/fs/my groups/memory/inner/memory.limit_in_bytes", "100000000\n");
        let outer = ("sys/fs/my groups/memory/memory.limit_in_bytes", "50000000\n");
        assert_eq!(limit(&[mounts, group, inner, outer]), Some(50_000_000));
        assert_eq!(limit(&[mounts, group, inner]), Some(100_000_000));
    }

    #[test]
    fn what_cannot_be_read_limits_nothing() {
        let group = ("proc/self/cgroup", "0::/a\n");
        assert_eq!(limit(&[]), None);
        assert_eq!(limit(&[UNIFIED]), None);
        assert_eq!(limit(&[UNIFIED, group]), None);
        assert_eq!(limit(&[UNIFIED, group, ("sys/fs/cgroup/a/memory.max", "\u{0}?")]), None);
        assert_eq!(limit(&[UNIFIED, ("proc/self/cgroup", "nonsense\n\n:::\n")]), None);
        assert_eq!(limit(&[("proc/self/mountinfo", "36 35 - cgroup2\n- - -\n"), group]), None);
        // Without the list of mounts: the usual place.
        assert_eq!(limit(&[group, ("sys/fs/cgroup/a/memory.max", "4096")]), Some(4096));
    }
}
