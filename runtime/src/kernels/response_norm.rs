//! Global response norm: the few numbers a channel that its two passes over a map need.

/// Added to the mean of the norms (as published).
pub const EPSILON: f64 = 1e-6;

/// The norms of a sample's channels, and the mean of them with [`EPSILON`].
fn norms(squares: &[f32]) -> (Vec<f64>, f64) {
    let norms: Vec<f64> = squares.iter().map(|&sum| f64::from(sum).sqrt()).collect();
    let mean = norms.iter().sum::<f64>() / norms.len() as f64;
    (norms, mean + EPSILON)
}

/// What each channel of each sample is multiplied by, `[N, C]`, from the sums of its squares: 1 + weight · norm / mean.
pub fn factors(squares: &[f32], weight: &[f32]) -> Vec<f32> {
    let of_sample = |squares: &[f32]| {
        let (norms, mean) = norms(squares);
        let factor = |(norm, &weight): (f64, &f32)| (1.0 + f64::from(weight) * norm / mean) as f32;
        norms.into_iter().zip(weight).map(factor).collect::<Vec<f32>>()
    };
    squares.chunks_exact(weight.len()).flat_map(of_sample).collect()
}

/// What the gradient of the input has of `x` in each channel of each sample, `[N, C]`, and the gradient of the weight, `[C]`,
/// from the sums of squares of `x` and those of the products of `x` with the gradient of the output.
pub fn backward(squares: &[f32], products: &[f32], weight: &[f32]) -> [Vec<f32>; 2] {
    let channels = weight.len();
    let (mut of_x, mut d_weight) = (Vec::with_capacity(squares.len()), vec![0.0; channels]);
    for (squares, products) in squares.chunks_exact(channels).zip(products.chunks_exact(channels)) {
        let (norms, mean) = norms(squares);
        let d_ratio: Vec<f64> =
            products.iter().zip(weight).map(|(&p, &w)| f64::from(p) * f64::from(w)).collect();
        let all = d_ratio.iter().zip(&norms).map(|(d, norm)| d * norm).sum::<f64>();
        let d_mean = all / (mean * mean * channels as f64);
        for c in 0..channels {
            d_weight[c] += f64::from(products[c]) * norms[c] / mean;
            let d_norm = d_ratio[c] / mean - d_mean;
            // A channel of zeros has a norm of no slope.
            of_x.push(if norms[c] > 0.0 { (d_norm / norms[c]) as f32 } else { 0.0 });
        }
    }
    [of_x, d_weight.into_iter().map(|sum| sum as f32).collect()]
}

/// Bytes that [`backward`] takes for so many channels beside what it answers.
pub fn backward_bytes(channels: usize) -> usize {
    3 * channels * size_of::<f64>()
}
