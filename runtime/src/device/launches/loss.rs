//! Losses with their gradients.

use crate::device::arguments::{Elements, Loss, Similarity};
use crate::device::launch::{Launch, Traffic, whole};
use crate::device::launches::PART_CHANNELS;
use crate::device::table::body::Body;
use crate::device::table::kernel::Kernel;
use crate::error::Result;
use crate::kernels::{cross_entropy, similarity};

/// Softmax cross-entropy of `labels.len()` rows of logits; `class_weights` are one a class, or none.
///
/// # Errors
/// Of what is too large for a device.
pub fn cross_entropy(
    labels: &[u32],
    classes: usize,
    smoothing: f64,
    class_weights: &[f32],
) -> Result<Launch> {
    let weight_sum = match class_weights {
        [] => classes as f64,
        weights => weights.iter().map(|&weight| f64::from(weight)).sum(),
    };
    let total = cross_entropy::total_weight(labels, class_weights);
    let p = loss([labels.len(), classes], smoothing, [total, weight_sum], class_weights)?;
    let len = labels.len() * classes;
    let traffic = Traffic::floats(len + labels.len(), len + 2, 10 * len);
    Launch::new(Kernel::of(Body::CrossEntropy), [1, 1, 1], &p, traffic)
}

/// The same of `rows` whose targets are shares of classes, divided by `total`.
///
/// # Errors
/// Of what is too large for a device.
pub fn soft_cross_entropy(
    [rows, classes]: [usize; 2],
    smoothing: f64,
    total: f64,
    class_weights: &[f32],
) -> Result<Launch> {
    let p = loss([rows, classes], smoothing, [total, 0.0], class_weights)?;
    let len = rows * classes;
    Launch::new(
        Kernel::of(Body::SoftCrossEntropy),
        [1, 1, 1],
        &p,
        Traffic::floats(2 * len, len + 2, 14 * len),
    )
}

fn loss(
    [rows, classes]: [usize; 2],
    smoothing: f64,
    [total, weight_sum]: [f64; 2],
    class_weights: &[f32],
) -> Result<Loss> {
    whole(rows * classes)?;
    Ok(Loss {
        rows: whole(rows)?,
        classes: whole(classes)?,
        weighted: u32::from(!class_weights.is_empty()),
        smoothing: smoothing as f32,
        total: total as f32,
        weight_sum: weight_sum as f32,
    })
}

/// The mean over all elements of squared errors, or of Huber's loss of them: a part a block, as
/// [`parts`](super::elements::parts) counts them.
///
/// # Errors
/// Of what is too large for a device.
pub fn errors(elements: usize, delta: Option<f64>) -> Result<Launch> {
    let p = Elements {
        elements: whole(elements)?,
        factor: 1.0 / elements as f32,
        delta: delta.unwrap_or_default() as f32,
        ..Elements::default()
    };
    let body = if delta.is_some() { Body::Huber } else { Body::SquaredError };
    Launch::flat(body, elements, &p, Traffic::floats(2 * elements, elements, 5 * elements))
}

/// The arguments of similarity matching of `[samples, positions, channels]`.
///
/// # Errors
/// Of what is too large for a device.
pub fn similarity(samples: usize, positions: usize, channels: usize, classes: usize) -> Result<Similarity> {
    let (same, different) = similarity::label_similarities(classes);
    whole(samples * positions * channels)?;
    Ok(Similarity {
        samples: whole(samples)?,
        channels: whole(channels)?,
        positions: whole(positions)?,
        same: same as f32,
        different: different as f32,
    })
}

/// One of the launches of similarity matching: [`Body::Deviation`], [`Body::SimilarityRows`], [`Body::SimilarityErrors`],
/// [`Body::SimilarityBackward`], [`Body::DeviationBackward`], in this order.
///
/// # Errors
/// `Internal` for another body.
pub fn similarity_step(body: Body, p: &Similarity) -> Result<Launch> {
    let [samples, channels, positions] = [p.samples, p.channels, p.positions].map(|size| size as usize);
    let (rows, map, pairs) = (samples * channels, samples * channels * positions, samples * samples);
    match body {
        Body::Deviation => {
            let kernel = Kernel { is_wide: channels.is_multiple_of(4), ..Kernel::of(body) };
            let grid = [p.samples, whole(channels.div_ceil(PART_CHANNELS))?, 1];
            Launch::new(kernel, grid, p, Traffic::floats(map, 2 * rows, 5 * map))
        }
        Body::DeviationBackward => Launch::flat(body, map, p, Traffic::floats(map + 3 * rows, map, 4 * map)),
        _ => {
            let traffic = match body {
                Body::SimilarityRows => Traffic::floats(rows, rows + samples, 5 * rows),
                Body::SimilarityErrors => Traffic::floats(rows, pairs + samples, 2 * pairs * channels),
                _ => Traffic::floats(pairs + rows, rows, 2 * pairs * channels),
            };
            Launch::new(Kernel::of(body), [p.samples, 1, 1], p, traffic)
        }
    }
}
