//! Memory for large blocks, kept from one use to the next: once training is warm, the system is asked for no more.
//!
//! It comes in stretches from the system, which fills them with pages only where they are touched, and is given out
//! from their start on.

use super::ranges::FreeRanges;
use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr::NonNull;

/// Blocks start at multiples of this and take multiples of it: a line of the cache.
const GRAIN_BYTES: usize = 64;
/// What is asked for at once, at least: room in the address space, not memory.
const STRETCH_BYTES: usize = 256 << 20;
/// Stretches start at multiples of this, so that the system may use huge pages.
const STRETCH_ALIGN: usize = 2 << 20;
/// How many stretches there may be. Each is as large as all before it, so there will be few.
const STRETCHES: usize = 24;

/// Memory from the system.
#[derive(Clone, Copy)]
struct Stretch {
    start: NonNull<u8>,
    len: usize,
}

impl Stretch {
    /// Without its end: so no free range and no block reaches from one stretch into another that happens to follow.
    fn usable(&self) -> usize {
        self.len - GRAIN_BYTES
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
}

impl Pool {
    pub(super) const fn new() -> Self {
        Self { stretches: [None; STRETCHES], free: FreeRanges::new(), blocks: 0 }
    }

    /// A block for `layout`, and whether the system had to be asked for it; `None` when it has no more.
    pub(super) fn take(&mut self, layout: Layout) -> Option<(NonNull<u8>, bool)> {
        // A free range lies behind a block or at a stretch's start: there are no more of them than of both.
        if self.blocks + STRETCHES >= FreeRanges::CAPACITY {
            return None;
        }
        let (len, align) = (grains(layout.size())?, layout.align().max(GRAIN_BYTES));
        let mut grew = false;
        let address = match self.free.take(len, align) {
            Some(address) => address,
            None => {
                self.grow(len.checked_add(align)?.checked_add(GRAIN_BYTES)?)?;
                grew = true;
                self.free.take(len, align)?
            }
        };
        self.blocks += 1;
        let stretch = self.stretch_of(address)?;
        // SAFETY: the address lies in this stretch, so the sum stays in one allocation.
        Some((unsafe { stretch.start.add(address - stretch.start.addr().get()) }, grew))
    }

    /// Takes `block` of `layout` back.
    pub(super) fn give(&mut self, block: NonNull<u8>, layout: Layout) {
        if let Some(len) = grains(layout.size()) {
            self.free.give(block.addr().get(), len);
            self.blocks -= 1;
        }
    }

    /// Lets `block` have `new_size` bytes where it is, if that can be.
    pub(super) fn resize(&mut self, block: NonNull<u8>, layout: Layout, new_size: usize) -> bool {
        let (Some(old), Some(new)) = (grains(layout.size()), grains(new_size)) else { return false };
        let start = block.addr().get();
        if new < old {
            self.free.give(start + new, old - new);
            return true;
        }
        new == old || self.free.take_at(start + old, new - old)
    }

    /// Whether `block` came from here.
    pub(super) fn owns(&self, block: *const u8) -> bool {
        self.stretch_of(block.addr()).is_some()
    }

    /// Gives stretches of which nothing is in use back to the system.
    pub(super) fn release(&mut self) {
        for slot in &mut self.stretches {
            if let Some(stretch) = *slot
                && self.free.take_at(stretch.start.addr().get(), stretch.usable())
            {
                // SAFETY: it was allocated with this layout, and no block of it is in use.
                unsafe { System.dealloc(stretch.start.as_ptr(), stretch_layout(stretch.len)) };
                *slot = None;
            }
        }
    }

    fn stretch_of(&self, address: usize) -> Option<&Stretch> {
        self.stretches
            .iter()
            .flatten()
            .find(|s| (s.start.addr().get()..s.start.addr().get() + s.len).contains(&address))
    }

    /// Asks the system for a stretch in which at least `len` bytes fit.
    fn grow(&mut self, len: usize) -> Option<()> {
        let all: usize = self.stretches.iter().flatten().map(|stretch| stretch.len).sum();
        let least = len.checked_next_multiple_of(STRETCH_ALIGN)?;
        let slot = self.stretches.iter_mut().find(|slot| slot.is_none())?;
        // Where address space is scarce, no more than is needed.
        let stretch = [all.max(STRETCH_BYTES).max(least), least].into_iter().find_map(|len| {
            // SAFETY: the layout has a size, and its alignment is a power of two.
            let start = unsafe { System.alloc(stretch_layout(len)) };
            Some(Stretch { start: NonNull::new(start)?, len })
        })?;
        advise_huge_pages(stretch);
        *slot = Some(stretch);
        self.free.give(stretch.start.addr().get(), stretch.usable());
        Some(())
    }
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
fn advise_huge_pages(_stretch: Stretch) {
    #[cfg(target_os = "linux")]
    // SAFETY: the advice changes no content, and the stretch is ours. Where it is not taken nothing is lost.
    let _ = unsafe {
        rustix::mm::madvise(_stretch.start.as_ptr().cast(), _stretch.len, rustix::mm::Advice::LinuxHugepage)
    };
}
