//! Memory that the system has given to this process, where the system tells.

use std::fs;

/// Bytes of the process that are in memory now.
pub fn resident_bytes() -> Option<u64> {
    status("VmRSS:")
}

/// The most bytes that were in memory at one time since the last `reset_peak`, or since the program began.
pub fn peak_bytes() -> Option<u64> {
    status("VmHWM:")
}

/// Lets the peak begin again at what is in memory now, where the system allows it.
pub fn reset_peak() {
    // 5 resets the high-water mark (proc(5)). Where that is refused the mark stays, and says too much.
    let _ = fs::write("/proc/self/clear_refs", "5");
}

fn status(key: &str) -> Option<u64> {
    field(&fs::read_to_string("/proc/self/status").ok()?, key)
}

/// Bytes of the line `KEY:   123 kB`.
fn field(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_line() {
        let text = "Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t  nonsense\n";
        assert_eq!(field(text, "VmHWM:"), Some(2 << 20));
        assert_eq!((field(text, "VmRSS:"), field(text, "VmSwap:")), (None, None));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn growth_is_seen() {
        reset_peak();
        let before = resident_bytes().unwrap();
        let filled = std::hint::black_box(vec![1u8; 64 << 20]);
        assert!(peak_bytes().unwrap() > before + (60 << 20));
        drop(filled);
    }
}
