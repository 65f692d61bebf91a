//! Which parts of a stretch of memory are free: a list in order of address, of which the first that fits is taken, so
//! that what is in use stays together at the start.

use std::ops::Range;

/// Free bytes from `start` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Free {
    start: usize,
    len: usize,
}

/// Free ranges, in order and never adjacent. It never holds more than [`FreeRanges::CAPACITY`], so that it does not
/// grow: whoever keeps fewer blocks than that in use never has more ranges between them.
#[derive(Debug)]
pub(crate) struct FreeRanges {
    ranges: Vec<Free>,
}

impl FreeRanges {
    /// Ranges that there is room for.
    pub(crate) const CAPACITY: usize = 4000;

    /// Nothing is free; nothing is allocated.
    pub(crate) const fn new() -> Self {
        Self { ranges: Vec::new() }
    }

    /// Takes `len` bytes from the first range that has them at a multiple of `align`, a power of two.
    pub(crate) fn take(&mut self, len: usize, align: usize) -> Option<usize> {
        self.take_within(0..usize::MAX, len, align)
    }

    /// The same of ranges that begin within some bounds.
    pub(crate) fn take_within(&mut self, bounds: Range<usize>, len: usize, align: usize) -> Option<usize> {
        let first = self.ranges.partition_point(|range| range.start < bounds.start);
        let within =
            self.ranges.iter().enumerate().skip(first).take_while(|(_, free)| free.start < bounds.end);
        let (index, start) = within.into_iter().find_map(|(index, free)| {
            let start = free.start.checked_next_multiple_of(align)?;
            let end = start.checked_add(len)?;
            (end <= free.start + free.len).then_some((index, start))
        })?;
        let Free { start: first, len: all } = self.ranges[index];
        let (before, after) = (start - first, first + all - start - len);
        match (before > 0, after > 0) {
            (false, false) => drop(self.ranges.remove(index)),
            (true, false) => self.ranges[index].len = before,
            (false, true) => self.ranges[index] = Free { start: start + len, len: after },
            (true, true) => {
                self.ranges[index].len = before;
                self.insert(index + 1, Free { start: start + len, len: after });
            }
        }
        Some(start)
    }

    /// Takes back `len` bytes from `start` on, which were in use or are new.
    pub(crate) fn give(&mut self, start: usize, len: usize) {
        let next = self.ranges.partition_point(|range| range.start < start);
        let joins_next = self.ranges.get(next).is_some_and(|range| start + len == range.start);
        let joins_last = next > 0 && {
            let last = self.ranges[next - 1];
            last.start + last.len == start
        };
        match (joins_last, joins_next) {
            (true, true) => {
                self.ranges[next - 1].len += len + self.ranges[next].len;
                self.ranges.remove(next);
            }
            (true, false) => self.ranges[next - 1].len += len,
            (false, true) => {
                self.ranges[next] = Free { start, len: len + self.ranges[next].len };
            }
            (false, false) => self.insert(next, Free { start, len }),
        }
    }

    /// How many bytes are free.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub(crate) fn bytes(&self) -> usize {
        self.ranges.iter().map(|range| range.len).sum()
    }

    /// Whether all of `len` bytes from `start` on are free.
    pub(crate) fn contains(&self, start: usize, len: usize) -> bool {
        let next = self.ranges.partition_point(|range| range.start <= start);
        next > 0 && {
            let range = self.ranges[next - 1];
            start + len <= range.start + range.len
        }
    }

    /// Takes exactly `len` bytes from `start` on, if they are free.
    pub(crate) fn take_at(&mut self, start: usize, len: usize) -> bool {
        if !self.contains(start, len) {
            return false;
        }
        let index = self.ranges.partition_point(|range| range.start <= start) - 1;
        let Free { start: first, len: all } = self.ranges.remove(index);
        let (end, all_end) = (start + len, first + all);
        if end < all_end {
            self.insert(index, Free { start: end, len: all_end - end });
        }
        if first < start {
            self.insert(index, Free { start: first, len: start - first });
        }
        true
    }

    fn insert(&mut self, index: usize, range: Free) {
        if self.ranges.capacity() == 0 {
            self.ranges.reserve_exact(Self::CAPACITY);
        }
        self.ranges.insert(index, range);
    }
}

impl Default for FreeRanges {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The naive twin: one flag a byte.
    struct Flags(Vec<bool>);

    impl Flags {
        fn take(&mut self, len: usize, align: usize) -> Option<usize> {
            let fits = |start: &usize| self.0[*start..*start + len].iter().all(|free| *free);
            let start = (0..=self.0.len() - len).filter(|start| start % align == 0).find(fits)?;
            self.0[start..start + len].fill(false);
            Some(start)
        }
    }

    proptest! {
        #[test]
        fn takes_what_a_flag_a_byte_takes(moves in prop::collection::vec((1usize..40, 0u32..4, 0usize..8), 1..200)) {
            const LEN: usize = 300;
            let (mut ranges, mut flags) = (FreeRanges::new(), Flags(vec![true; LEN]));
            ranges.give(0, LEN);
            let mut held: Vec<(usize, usize)> = Vec::new();
            for (len, align, which) in moves {
                if which < 4 || held.is_empty() {
                    let (found, expected) = (ranges.take(len, 1 << align), flags.take(len, 1 << align));
                    prop_assert_eq!(found, expected);
                    held.extend(found.map(|start| (start, len)));
                } else {
                    let (start, len) = held.swap_remove(which % held.len());
                    ranges.give(start, len);
                    flags.0[start..start + len].fill(true);
                }
                for start in 0..LEN - len {
                    prop_assert_eq!(ranges.contains(start, len), flags.0[start..start + len].iter().all(|free| *free));
                }
                prop_assert!(ranges.ranges.windows(2).all(|pair| pair[0].start + pair[0].len < pair[1].start));
                prop_assert!(ranges.ranges.len() <= held.len() + 1);
            }
        }

        #[test]
        fn takes_a_given_place_only_where_it_is_free(places in prop::collection::vec((0usize..100, 1usize..30), 1..60)) {
            const LEN: usize = 120;
            let (mut ranges, mut flags) = (FreeRanges::new(), Flags(vec![true; LEN]));
            ranges.give(0, LEN);
            for (start, len) in places {
                let end = (start + len).min(LEN);
                let free = start + len <= LEN && flags.0[start..end].iter().all(|free| *free);
                prop_assert_eq!(ranges.take_at(start, len), free);
                if free {
                    flags.0[start..end].fill(false);
                }
            }
        }
    }
}
