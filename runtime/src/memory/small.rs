//! Small blocks, which the system's allocator gives out.

#[cfg(all(target_os = "linux", target_env = "gnu"))]
use std::alloc::{GlobalAlloc, Layout, System};

/// Of this many free bytes at the end of a heap the GNU allocator must keep the pages. A step gives a few hundred
/// kilobytes of small blocks back at once.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const KEPT_BYTES: usize = 2 << 20;

/// Lets the system's allocator keep the pages of small blocks from one step to the next.
///
/// As it begins, GNU's gives all but 128 KiB back whenever that much is free at the end of a heap, and each page must be
/// had and cleared anew: a twentieth of a step of ResNet-20 at batch 1. When a block is freed that was mapped by itself, it
/// keeps twice that block's bytes from then on (`mallopt(3)`, `M_TRIM_THRESHOLD`).
pub(super) fn keep_pages() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // SAFETY: the block's size is not zero; it goes back, unread, with the layout it came with.
        unsafe {
            let layout = Layout::from_size_align_unchecked(KEPT_BYTES / 2, 16);
            // An optimizer would leave a pair of these out.
            let block = std::hint::black_box(System.alloc(layout));
            if !block.is_null() {
                System.dealloc(block, layout);
            }
        }
    }
}

#[cfg(test)]
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod tests {
    use super::*;

    /// How many pages this thread has had to wait for.
    fn faults() -> u64 {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        let (_, fields) = stat.rsplit_once(')').unwrap();
        fields.split_whitespace().nth(7).unwrap().parse().unwrap()
    }

    #[test]
    fn small_blocks_keep_their_pages() {
        const ROUNDS: u64 = 50;
        keep_pages();
        let mut before = 0;
        for round in 0..=ROUNDS {
            let blocks: Vec<Vec<u8>> = (0..16).map(|value| vec![value + 1; 60_000]).collect();
            assert!(blocks.iter().zip(1..).all(|(block, value)| block.iter().all(|byte| *byte == value)));
            drop(blocks);
            before = if round == 0 { faults() } else { before };
        }
        // They have 235 pages; other tests may have a share in this heap.
        let each = (faults() - before) / ROUNDS;
        assert!(each < 24, "{each} pages a round");
    }
}
