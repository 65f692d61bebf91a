//! Rows of a weight, one for each token; and what each row learns, from all places of its token.

use super::pieces::at_least_a_piece;
use crate::deal::{all, pairs};

/// Numbers as tokens below `vocabulary`; else the place of the first that is none.
pub fn tokens(numbers: &[f32], vocabulary: usize) -> Result<Vec<u32>, usize> {
    let token = |(place, &number): (usize, &f32)| {
        let token = number as u32;
        if token as f32 == number && (token as usize) < vocabulary { Ok(token) } else { Err(place) }
    };
    numbers.iter().enumerate().map(token).collect()
}

/// `weight: [V, channels]` -> `[tokens, channels]`.
pub fn forward(tokens: &[u32], weight: &[f32], channels: usize) -> Vec<f32> {
    let mut y = vec![0.0; tokens.len() * channels];
    let together = at_least_a_piece(tokens.len(), y.len());
    pairs((&mut y, together * channels), (tokens, together), &|y, tokens| {
        for (y, &token) in y.chunks_exact_mut(channels).zip(tokens) {
            y.copy_from_slice(&weight[token as usize * channels..][..channels]);
        }
    });
    y
}

/// The gradient `[V, channels]` of the weight from `d_y: [tokens, channels]`. Each row adds up the places of its token in
/// their order.
pub fn d_weight(tokens: &[u32], d_y: &[f32], [vocabulary, channels]: [usize; 2]) -> Vec<f32> {
    let Places { starts, places } = places(tokens, vocabulary);
    let mut d_weight = vec![0.0; vocabulary * channels];
    let together = at_least_a_piece(vocabulary, d_y.len() + d_weight.len());
    all(d_weight.chunks_mut(together * channels).enumerate(), |(piece, d_rows)| {
        let mut sums = vec![0.0f64; channels];
        for (row, d_row) in d_rows.chunks_exact_mut(channels).enumerate() {
            let token = piece * together + row;
            sums.fill(0.0);
            for &place in &places[starts[token] as usize..starts[token + 1] as usize] {
                let d_y = &d_y[place as usize * channels..][..channels];
                sums.iter_mut().zip(d_y).for_each(|(sum, &d)| *sum += f64::from(d));
            }
            d_row.iter_mut().zip(&sums).for_each(|(d, &sum)| *d = sum as f32);
        }
    });
    d_weight
}

/// Where tokens stand.
pub struct Places {
    /// Of each token where its places begin, and where all end: `[V + 1]`.
    pub starts: Vec<u32>,
    /// The places of all tokens, token by token, each in order.
    pub places: Vec<u32>,
}

/// Finds where each token stands.
pub fn places(tokens: &[u32], vocabulary: usize) -> Places {
    let mut starts = vec![0u32; vocabulary + 1];
    for &token in tokens {
        starts[token as usize + 1] += 1;
    }
    for token in 0..vocabulary {
        starts[token + 1] += starts[token];
    }
    let mut places = vec![0; tokens.len()];
    // Each start moves on to the next token's while places are handed out, and is moved back.
    for (place, &token) in (0u32..).zip(tokens) {
        let next = &mut starts[token as usize];
        places[*next as usize] = place;
        *next += 1;
    }
    starts.rotate_right(1);
    starts[0] = 0;
    Places { starts, places }
}

/// Bytes that [`d_weight`] allocates beside its result.
pub fn d_weight_bytes(tokens: usize, [vocabulary, channels]: [usize; 2], threads: usize) -> usize {
    (vocabulary + 1 + tokens) * size_of::<u32>() + threads * channels * size_of::<f64>()
}
