//! The pooled and counting allocator, installed in this test binary and held against allocations of known size.

use localgrad::memory::{
    LARGE_BYTES, Pooled, TRACE_CAPACITY, TRACE_STEP_BYTES, large_allocations, live, peak, release_unused,
    reset_peak, set_trace_block, start_trace, take_trace,
};
use std::hint::black_box;
use std::sync::{Barrier, Mutex, MutexGuard};

#[global_allocator]
static ALLOCATOR: Pooled = Pooled;

const MIB: usize = 1 << 20;
/// What the test harness may allocate beside a test.
const SLACK: usize = 128 * 1024;

/// The counters are of the whole process, so one test runs at a time.
fn alone() -> MutexGuard<'static, ()> {
    static LOCK: Mutex<()> = Mutex::new(());
    LOCK.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn assert_close(measured: usize, expected: usize) {
    assert!(measured.abs_diff(expected) <= SLACK, "{measured} bytes measured, {expected} expected");
}

#[test]
fn counts_allocations_and_frees() {
    let _alone = alone();
    let before = live();
    let filled = black_box(vec![1u8; 4 * MIB]);
    assert_close(live() - before, 4 * MIB);
    let zeroed = black_box(vec![0u64; MIB]);
    assert_close(live() - before, 12 * MIB);
    drop(filled);
    assert_close(live() - before, 8 * MIB);
    drop(zeroed);
    assert_close(live(), before);
}

#[test]
fn counts_only_the_difference_when_a_buffer_is_resized() {
    let _alone = alone();
    let before = live();
    let mut buffer: Vec<u8> = Vec::with_capacity(2 * MIB);
    buffer.resize(2 * MIB, 7);
    buffer.reserve_exact(3 * MIB);
    assert_close(live() - before, 5 * MIB);
    buffer.truncate(MIB);
    buffer.shrink_to_fit();
    assert_close(live() - before, MIB);
    assert!(black_box(&buffer).iter().all(|&byte| byte == 7));
    drop(buffer);
    assert_close(live(), before);
}

#[test]
fn keeps_the_peak_until_it_is_reset() {
    let _alone = alone();
    reset_peak();
    let before = live();
    drop(black_box(vec![1u8; 6 * MIB]));
    let kept = black_box(vec![1u8; 2 * MIB]);
    assert_close(peak() - before, 6 * MIB);
    reset_peak();
    assert_close(peak() - before, 2 * MIB);
    drop(kept);
}

#[test]
fn large_blocks_are_kept_for_the_next_use() {
    let _alone = alone();
    // Once, so that the pool has memory.
    drop(black_box(vec![1u8; 8 * MIB]));
    let before = large_allocations();
    for round in 0..100 {
        let mut buffers: Vec<Vec<u8>> = (1..20).map(|i| vec![i as u8; i * (LARGE_BYTES + round)]).collect();
        buffers.swap(3, 11);
        for buffer in &mut buffers {
            let len = buffer.len();
            buffer.reserve_exact(len);
        }
        assert!(buffers.iter().all(|buffer| buffer.iter().all(|&byte| byte == buffer[0])));
        drop(black_box(buffers));
    }
    assert_eq!(large_allocations(), before);
}

#[test]
fn zeroed_blocks_are_zero_whatever_was_there() {
    let _alone = alone();
    drop(black_box(vec![7u8; 4 * MIB]));
    assert!(black_box(vec![0u8; 4 * MIB]).iter().all(|&byte| byte == 0));
}

#[test]
fn what_no_block_is_in_goes_back_to_the_system() {
    let _alone = alone();
    drop(black_box(vec![1u8; 2 * MIB]));
    release_unused();
    let before = large_allocations();
    let kept = black_box(vec![3u8; 2 * MIB]);
    assert_eq!(large_allocations(), before + 1);
    release_unused();
    assert!(kept.iter().all(|&byte| byte == 3));
}

#[test]
fn counts_alignment_larger_than_usual() {
    #[repr(align(4096))]
    struct Page([u8; 4096]);
    let _alone = alone();
    let before = live();
    let pages: Vec<Page> = (0..512).map(|i| Page([i as u8; 4096])).collect();
    assert!(pages.iter().enumerate().all(|(i, page)| page.0[4095] == i as u8));
    assert_close(live() - before, 2 * MIB);
    drop(pages);
    assert_close(live(), before);
}

#[test]
fn loses_nothing_between_threads() {
    let _alone = alone();
    let before = live();
    reset_peak();
    let all_hold = Barrier::new(4);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let all_hold = &all_hold;
            scope.spawn(move || {
                for round in 0..2000 {
                    drop(black_box(vec![thread as u8; 1 + round * 37 % 5000]));
                }
                let held = black_box(vec![thread as u8; 3 * MIB]);
                all_hold.wait();
                drop(held);
            });
        }
    });
    assert_close(peak() - before, 12 * MIB);
    assert_close(live(), before);
}

#[test]
fn a_buffer_may_be_freed_by_another_thread() {
    let _alone = alone();
    let before = live();
    let buffer = black_box(vec![1u8; 5 * MIB]);
    std::thread::spawn(move || drop(buffer)).join().unwrap();
    assert_close(live(), before);
}

#[test]
fn traces_live_bytes_and_blocks() {
    let _alone = alone();
    set_trace_block(0);
    start_trace();
    let first = black_box(vec![1u8; 2 * MIB]);
    set_trace_block(1);
    let second = black_box(vec![1u8; 3 * MIB]);
    drop(first);
    drop(second);
    let trace = take_trace();
    assert!(trace.complete);
    let start = trace.points[0];
    let heights: Vec<(usize, usize)> = trace.points.iter().map(|p| (p.block, p.bytes)).collect();
    let reached = |block: usize, rise: usize| {
        heights.iter().any(|(b, bytes)| *b == block && bytes.abs_diff(start.bytes + rise) <= SLACK)
    };
    assert!(reached(0, 2 * MIB) && reached(1, 5 * MIB) && reached(1, 3 * MIB), "{heights:?}");
    assert!(!reached(0, 5 * MIB), "{heights:?}");
    assert!(trace.points.windows(2).all(|pair| pair[0].seconds <= pair[1].seconds));
    assert_close(trace.points[trace.points.len() - 1].bytes, start.bytes);
}

#[test]
fn traces_the_sum_of_many_small_allocations() {
    let _alone = alone();
    start_trace();
    let small: Vec<Box<[u8; 1024]>> = (0..1024).map(|i| black_box(Box::new([i as u8; 1024]))).collect();
    let trace = take_trace();
    let highest = trace.points.iter().map(|p| p.bytes).max().unwrap();
    assert_close(highest - trace.points[0].bytes, MIB);
    assert!(trace.points.len() >= MIB / TRACE_STEP_BYTES / 2, "{} points", trace.points.len());
    drop(small);
}

#[test]
fn ignores_small_changes() {
    let _alone = alone();
    start_trace();
    for _ in 0..100 {
        drop(black_box(vec![1u8; 1000]));
    }
    let trace = take_trace();
    assert!(trace.points.len() < 20, "{} points", trace.points.len());
}

#[test]
fn stops_when_full_and_says_so() {
    let _alone = alone();
    start_trace();
    for _ in 0..TRACE_CAPACITY {
        drop(black_box(vec![1u8; 2 * TRACE_STEP_BYTES]));
    }
    let full = take_trace();
    assert!(!full.complete);
    assert_eq!(full.points.len(), TRACE_CAPACITY);
    start_trace();
    let next = take_trace();
    assert!(next.complete && next.points.len() < 20, "{} points", next.points.len());
}

#[test]
fn traces_from_several_threads() {
    let _alone = alone();
    start_trace();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..500 {
                    drop(black_box(vec![1u8; 100_000]));
                }
            });
        }
    });
    let trace = take_trace();
    assert!(trace.complete);
    assert!(trace.points.len() > 500, "{} points", trace.points.len());
    let base = trace.points[0].bytes;
    assert!(trace.points.iter().all(|p| p.bytes <= base + 400_000 + SLACK));
    assert_close(trace.points[trace.points.len() - 1].bytes, base);
}

#[test]
fn there_is_no_trace_without_a_start() {
    let _alone = alone();
    let trace = take_trace();
    assert!(trace.points.is_empty() && trace.complete);
}
