//! Copies of some channels of rows: slices, rows put side by side, and channels dealt out anew.

use super::pieces::{PIECE, at_least_a_piece};
use crate::deal::pairs;

/// Writes `count` channels of `x: [rows, from]`, from `first` on, to those of `y: [rows, to]` from `at` on.
pub fn copy(x: &[f32], from: usize, first: usize, y: &mut [f32], to: usize, at: usize, count: usize) {
    let together = at_least_a_piece(y.len() / to, y.len());
    pairs((y, together * to), (x, together * from), &|y, x| {
        for (y, x) in y.chunks_exact_mut(to).zip(x.chunks_exact(from)) {
            y[at..at + count].copy_from_slice(&x[first..first + count]);
        }
    });
}

/// Channel `group · width + i` of `x: [rows, groups · width]` becomes channel `i · groups + group`.
pub fn shuffle(x: &[f32], groups: usize, width: usize) -> Vec<f32> {
    let channels = groups * width;
    let mut y = vec![0.0; x.len()];
    let piece = PIECE.div_ceil(channels) * channels;
    pairs((&mut y, piece), (x, piece), &|y, x| {
        for (y, x) in y.chunks_exact_mut(channels).zip(x.chunks_exact(channels)) {
            for (i, y) in y.chunks_exact_mut(groups).enumerate() {
                y.iter_mut().enumerate().for_each(|(group, y)| *y = x[group * width + i]);
            }
        }
    });
    y
}
