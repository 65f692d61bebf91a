//! Memory for large blocks, kept from one use to the next: once training is warm, the system is asked for no more.
//!
//! It comes in stretches from the system, which fills them with pages only where they are touched, and is given out
//! from their start on.

use super::LARGE_BYTES;
use super::ranges::FreeRanges;
use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr::NonNull;

/// Blocks start at multiples of this and take multiples of it: a line of the cache.
const GRAIN_BYTES: usize = 64;
/// What is asked for at once, at least: room in the address space, not memory.
const STRETCH_BYTES: usize = 256 << 20;
/// Stretches start at multiples of this, so that the system may use huge pages.
const STRETCH_ALIGN: usize = 2 << 20;
/// Parts of a stretch of which is known whether they have pages: a huge page each.
const PART_BYTES: usize = STRETCH_ALIGN;
/// The longest stretch: what is known of the parts of a longer one would be a large block itself, and asking the pool
/// for it would wait for a lock that is held.
const LONGEST_STRETCH_BYTES: usize = LARGE_BYTES.saturating_mul(PART_BYTES);
/// So much more than a limit may have pages before free parts give theirs back.
const SLACK_BYTES: usize = 4 * PART_BYTES;
/// How many stretches there may be. Each is as large as all before it, up to the longest, so there will be few.
const STRETCHES: usize = 24;

/// Memory from the system.
struct Stretch {
    start: NonNull<u8>,
    len: usize,
    /// Which of its parts were given out, so that they have pages.
    touched: Vec<bool>,
}

impl Stretch {
    /// Without its end: so no free range and no block reaches from one stretch into another that happens to follow.
    fn usable(&self) -> usize {
        self.len - GRAIN_BYTES
    }

    fn address(&self) -> usize {
        self.start.addr().get()
    }

    fn contains(&self, address: usize) -> bool {
        (self.address()..self.address() + self.len).contains(&address)
    }

    /// Notes that `len` bytes from `address` on will have pages; how many parts had none.
    fn touch(&mut self, address: usize, len: usize) -> usize {
        let first = (address - self.address()) / PART_BYTES;
        let last = (address + len - 1 - self.address()) / PART_BYTES;
        let parts = &mut self.touched[first..=last];
        let untouched = parts.iter().filter(|touched| !**touched).count();
        parts.fill(true);
        untouched
    }

    /// Gives the pages of a part that nobody uses back to the system.
    fn forget(&mut self, part: usize) {
        self.touched[part] = false;
        // SAFETY: the part lies in the stretch.
        let start = unsafe { self.start.add(part * PART_BYTES) };
        give_pages_back(start);
    }
}

// SAFETY: a stretch is an address and a length; memory behind it is reached by those alone to whom it was given out.
unsafe impl Send for Stretch {}

/// The stretches and what of them is free.
pub(super) struct Pool {
    stretches: [Option<Stretch>; STRETCHES],
    free: FreeRanges,
    /// Blocks that are given out.
    blocks: usize,
    /// Bytes of the parts that have pages.
    touched_bytes: usize,
}

impl Pool {
    pub(super) const fn new() -> Self {
        Self { stretches: [const { None }; STRETCHES], free: FreeRanges::new(), blocks: 0, touched_bytes: 0 }
    }

    /// A block for `layout`, and whether the system had to be asked for it; `None` when it has no more. Where more than
    /// `limit_bytes` have pages, those of free parts are given back.
    pub(super) fn take(&mut self, layout: Layout, limit_bytes: usize) -> Option<(NonNull<u8>, bool)> {
        // A free range lies behind a block or at a stretch's start: there are no more of them than of both.
        if self.blocks + STRETCHES >= FreeRanges::CAPACITY {
            return None;
        }
        let (len, align) = (grains(layout.size())?, layout.align().max(GRAIN_BYTES));
        let mut grew = false;
        let address = match self.take_free(len, align) {
            Some(address) => address,
            None => {
                self.grow(len.checked_add(align)?.checked_add(GRAIN_BYTES)?)?;
                grew = true;
                self.take_free(len, align)?
            }
        };
        self.blocks += 1;
        self.touch(address, len, limit_bytes);
        let stretch = self.stretch_of(address)?;
        // SAFETY: the address lies in this stretch, so the sum stays in one allocation.
        Some((unsafe { stretch.start.add(address - stretch.address()) }, grew))
    }

    /// Free bytes of the oldest stretch that has them, wherever it lies: so what is in use stays together there.
    fn take_free(&mut self, len: usize, align: usize) -> Option<usize> {
        let Self { stretches, free, .. } = self;
        stretches.iter().flatten().find_map(|stretch| {
            let bounds = stretch.address()..stretch.address() + stretch.len;
            free.take_within(bounds, len, align)
        })
    }

    /// Takes `block` of `layout` back.
    pub(super) fn give(&mut self, block: NonNull<u8>, layout: Layout) {
        if let Some(len) = grains(layout.size()) {
            self.free.give(block.addr().get(), len);
            self.blocks -= 1;
        }
    }

    /// Lets `block` have `new_size` bytes where it is, if that can be; `limit_bytes` as in [`Pool::take`].
    pub(super) fn resize(
        &mut self,
        block: NonNull<u8>,
        layout: Layout,
        new_size: usize,
        limit_bytes: usize,
    ) -> bool {
        let (Some(old), Some(new)) = (grains(layout.size()), grains(new_size)) else { return false };
        let start = block.addr().get();
        if new < old {
            self.free.give(start + new, old - new);
            return true;
        }
        let grows = new > old && self.free.take_at(start + old, new - old);
        if grows {
            self.touch(start + old, new - old, limit_bytes);
        }
        grows || new == old
    }

    /// Notes that bytes which were free will be used.
    fn touch(&mut self, address: usize, len: usize, limit_bytes: usize) {
        let Some(stretch) = self.stretches.iter_mut().flatten().find(|s| s.contains(address)) else { return };
        self.touched_bytes += PART_BYTES * stretch.touch(address, len);
        if self.touched_bytes > limit_bytes.saturating_add(SLACK_BYTES) {
            self.give_free_pages_back();
        }
    }

    /// Free parts have no pages any more.
    fn give_free_pages_back(&mut self) {
        for stretch in self.stretches.iter_mut().flatten() {
            for part in 0..stretch.touched.len() {
                let start = stretch.address() + part * PART_BYTES;
                let len = PART_BYTES.min(stretch.address() + stretch.usable() - start);
                if stretch.touched[part] && self.free.contains(start, len) {
                    stretch.forget(part);
                    self.touched_bytes -= PART_BYTES;
                }
            }
        }
    }

    /// Whether `block` came from here.
    pub(super) fn owns(&self, block: *const u8) -> bool {
        self.stretch_of(block.addr()).is_some()
    }

    /// Gives stretches of which nothing is in use back to the system.
    pub(super) fn release(&mut self) {
        for slot in &mut self.stretches {
            if let Some(stretch) = slot
                && self.free.take_at(stretch.address(), stretch.usable())
            {
                self.touched_bytes -= PART_BYTES * stretch.touched.iter().filter(|touched| **touched).count();
                // SAFETY: it was allocated with this layout, and no block of it is in use.
                unsafe { System.dealloc(stretch.start.as_ptr(), stretch_layout(stretch.len)) };
                *slot = None;
            }
        }
    }

    /// Bytes that nobody uses.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub(super) fn free_bytes(&self) -> usize {
        self.free.bytes()
    }

    fn stretch_of(&self, address: usize) -> Option<&Stretch> {
        self.stretches.iter().flatten().find(|stretch| stretch.contains(address))
    }

    /// Asks the system for a stretch in which at least `len` bytes fit; `None` when it has none, or none may be so
    /// long.
    fn grow(&mut self, len: usize) -> Option<()> {
        let all: usize = self.stretches.iter().flatten().map(|stretch| stretch.len).sum();
        let lengths = lengths(all, len)?;
        let slot = self.stretches.iter_mut().find(|slot| slot.is_none())?;
        let stretch = lengths.into_iter().find_map(|len| {
            // SAFETY: the layout has a size, and its alignment is a power of two.
            let start = unsafe { System.alloc(stretch_layout(len)) };
            Some(Stretch { start: NonNull::new(start)?, len, touched: Vec::new() })
        })?;
        advise_huge_pages(&stretch);
        self.free.give(stretch.address(), stretch.usable());
        *slot = Some(Stretch { touched: vec![false; stretch.len / PART_BYTES], ..stretch });
        Some(())
    }
}

/// How long the next stretch after `all` bytes of them may be for `len` bytes to fit: as it should be, and where
/// address space is scarce no longer than is needed. `None` when it would be too long.
fn lengths(all: usize, len: usize) -> Option<[usize; 2]> {
    let least =
        len.checked_next_multiple_of(STRETCH_ALIGN).filter(|least| *least <= LONGEST_STRETCH_BYTES)?;
    Some([all.clamp(STRETCH_BYTES, LONGEST_STRETCH_BYTES).max(least), least])
}

fn stretch_layout(len: usize) -> Layout {
    // SAFETY: the alignment is a power of two, and `len`, a multiple of it, was checked not to overflow.
    unsafe { Layout::from_size_align_unchecked(len, STRETCH_ALIGN) }
}

/// `size` rounded up.
fn grains(size: usize) -> Option<usize> {
    size.checked_next_multiple_of(GRAIN_BYTES)
}

/// Fewer and larger pages: a step goes through all its memory, and the processor remembers few pages at a time.
fn advise_huge_pages(_stretch: &Stretch) {
    #[cfg(target_os = "linux")]
    // SAFETY: the advice changes no content, and the stretch is ours. Where it is not taken nothing is lost.
    let _ = unsafe {
        rustix::mm::madvise(_stretch.start.as_ptr().cast(), _stretch.len, rustix::mm::Advice::LinuxHugepage)
    };
}

/// The system may take the pages of a part, whose content is lost.
fn give_pages_back(_part: NonNull<u8>) {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    // SAFETY: the part is ours, and in no block that is given out. Where the advice is not taken nothing is lost.
    let _ =
        unsafe { rustix::mm::madvise(_part.as_ptr().cast(), PART_BYTES, rustix::mm::Advice::LinuxDontNeed) };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(len: usize) -> Layout {
        Layout::from_size_align(len, 64).unwrap()
    }

    fn fill(block: NonNull<u8>, len: usize, value: u8) {
        // SAFETY: the block has so many bytes, and is the test's alone.
        unsafe { block.write_bytes(value, len) };
    }

    fn holds(block: NonNull<u8>, len: usize, value: u8) -> bool {
        // SAFETY: as above; `fill` has written every byte.
        unsafe { std::slice::from_raw_parts(block.as_ptr(), len) }.iter().all(|&byte| byte == value)
    }

    #[test]
    fn gives_the_pages_of_free_parts_back_when_a_limit_is_passed() {
        const BLOCK_BYTES: usize = 5 << 20;
        const LIMIT_BYTES: usize = 48 << 20;
        let mut pool = Pool::new();
        let mut held: Vec<_> = (0..8u8)
            .map(|value| {
                let block = pool.take(layout(BLOCK_BYTES), LIMIT_BYTES).unwrap().0;
                fill(block, BLOCK_BYTES, value);
                (block, value)
            })
            .collect();
        for position in [6, 4, 2, 0] {
            pool.give(held.remove(position).0, layout(BLOCK_BYTES));
        }
        assert!(pool.touched_bytes >= 8 * BLOCK_BYTES, "nothing has passed the limit yet");
        // None of the holes has room for this.
        let large = pool.take(layout(4 * BLOCK_BYTES), LIMIT_BYTES).unwrap().0;
        fill(large, 4 * BLOCK_BYTES, 9);
        assert!(pool.touched_bytes <= LIMIT_BYTES + SLACK_BYTES, "{} bytes have pages", pool.touched_bytes);
        assert!(held.iter().all(|&(block, value)| holds(block, BLOCK_BYTES, value)));
        for (block, _) in held {
            pool.give(block, layout(BLOCK_BYTES));
        }
        pool.give(large, layout(4 * BLOCK_BYTES));
        pool.release();
        assert_eq!(pool.touched_bytes, 0);
    }

    #[test]
    fn what_is_in_use_stays_in_the_oldest_stretch() {
        let large = STRETCH_BYTES / 4 * 3;
        let mut pool = Pool::new();
        let blocks: Vec<_> = (0..4).map(|_| pool.take(layout(large), usize::MAX).unwrap().0).collect();
        let first = blocks[0];
        blocks.into_iter().for_each(|block| pool.give(block, layout(large)));
        // Wherever the system has put the others.
        assert_eq!(pool.take(layout(large), usize::MAX).unwrap().0, first);
        pool.give(first, layout(large));
        pool.release();
    }

    #[test]
    fn no_stretch_needs_a_large_block_to_describe_it() {
        let longest = LONGEST_STRETCH_BYTES;
        assert!(longest / PART_BYTES <= LARGE_BYTES);
        assert_eq!(lengths(0, 1), Some([STRETCH_BYTES, STRETCH_ALIGN]));
        assert_eq!(lengths(4 * STRETCH_BYTES, 1), Some([4 * STRETCH_BYTES, STRETCH_ALIGN]));
        assert_eq!(lengths(STRETCH_BYTES, 4 * STRETCH_BYTES), Some([4 * STRETCH_BYTES; 2]));
        assert_eq!(lengths(longest + STRETCH_ALIGN, 1), Some([longest, STRETCH_ALIGN]));
        assert_eq!(lengths(0, longest), Some([longest; 2]));
        assert_eq!(lengths(0, longest + 1), None);
        assert!(Pool::new().take(layout(longest), usize::MAX).is_none());
    }

    #[test]
    fn keeps_all_pages_without_a_limit() {
        let mut pool = Pool::new();
        let blocks: Vec<_> = (0..9).map(|_| pool.take(layout(4 << 20), usize::MAX).unwrap().0).collect();
        blocks.into_iter().for_each(|block| pool.give(block, layout(4 << 20)));
        assert!(pool.touched_bytes >= 36 << 20);
        pool.release();
    }
}
