//! What the operating system counts as this process's memory.

/// The most bytes that were resident at one time since the process began, where the system tells: code, stacks and
/// what the allocator keeps for later included.
pub fn peak_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib << 10)
}
