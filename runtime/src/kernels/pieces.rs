//! How work is cut into pieces: by shape alone, so that results are the same on any number of threads.

/// Elements of one piece of elementwise work: 64 KiB, which stays in a core's own cache.
pub const PIECE: usize = 16 * 1024;
/// Rows that one f32 accumulator sums before it is added to an f64 one.
pub const STRIP: usize = 32;
const MOST_PIECES: usize = 64;

/// Rows of one piece of a reduction over `rows` rows of `channels` elements. There are at most 64 pieces, so
/// that their partial sums stay small beside the tensor.
pub fn rows_per_piece(rows: usize, channels: usize) -> usize {
    let pieces = (rows * channels / PIECE).clamp(1, MOST_PIECES);
    rows.div_ceil(pieces).next_multiple_of(STRIP)
}

/// Items, of `items` that hold `elements` elements together, that make work enough to wake another thread for.
pub fn at_least_a_piece(items: usize, elements: usize) -> usize {
    (PIECE * items).div_ceil(elements.max(1)).max(1)
}

/// Adds partial sums, each `width` wide, in their order.
pub fn add_in_order(partials: &[f64], width: usize) -> Vec<f64> {
    let mut sums = vec![0.0; width];
    for partial in partials.chunks_exact(width) {
        for (sum, part) in sums.iter_mut().zip(partial) {
            *sum += part;
        }
    }
    sums
}

/// Rows that a reduction reads at once, which saves most of the traffic to its accumulators.
pub const AT_ONCE: usize = 4;

/// The `R` rows that `x: [R, channels]` holds.
#[inline(always)]
pub fn rows_of<const R: usize>(x: &[f32], channels: usize) -> [&[f32]; R] {
    std::array::from_fn(|row| &x[row * channels..][..channels])
}

/// Adds f32 accumulators to f64 ones.
pub fn add_strip(sums: &mut [f64], strip: &[f32]) {
    for (sum, &part) in sums.iter_mut().zip(strip) {
        *sum += f64::from(part);
    }
}
