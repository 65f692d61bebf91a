//! Binary cross-entropy with logits: loss and gradient in one pass.
//!
//! The exponential and the logarithm are polynomials without branches, which the compiler turns into vector code:
//! a decoder's image has millions of elements, and the platform's functions take one at a time.

use crate::deal::made_of;

/// Elements that one task takes; also the pieces whose sums are added in order.
const CHUNK: usize = 8192;
/// Elements whose losses are kept before they are summed.
const BLOCK: usize = 256;

/// Mean loss and its gradient with respect to the logits. Both slices are of one length, not 0.
pub fn sigmoid_binary_cross_entropy(logits: &[f32], targets: &[f32]) -> (f64, Vec<f32>) {
    let count = logits.len();
    let scale = (1.0 / count as f64) as f32;
    let mut d_logits = vec![0.0f32; count];
    let chunks = d_logits.chunks_mut(CHUNK).zip(logits.chunks(CHUNK).zip(targets.chunks(CHUNK)));
    let sum = |(d_logits, (logits, targets)): (&mut [f32], (&[f32], &[f32]))| {
        let inputs = logits.chunks(BLOCK).zip(targets.chunks(BLOCK));
        d_logits.chunks_mut(BLOCK).zip(inputs).map(|(d, (z, t))| block(d, z, t, scale)).sum()
    };
    let sums: Vec<f64> = made_of(chunks, sum);
    (sums.iter().sum::<f64>() / count as f64, d_logits)
}

/// Sum of the losses of at most BLOCK elements; writes their gradients times `scale`.
fn block(d_logits: &mut [f32], logits: &[f32], targets: &[f32], scale: f32) -> f64 {
    let mut losses = [0.0f32; BLOCK];
    let inputs = logits.iter().zip(targets);
    for ((loss, d), (&z, &t)) in losses.iter_mut().zip(d_logits).zip(inputs) {
        let e = exp_of_negative(-z.abs());
        let sigmoid = if z < 0.0 { e } else { 1.0 } / (1.0 + e);
        *d = (sigmoid - t) * scale;
        // Not f32::max, which would hide a NaN.
        let positive = if z < 0.0 { 0.0 } else { z };
        *loss = positive - z * t + ln_one_plus(e);
    }
    // Four sums at once, because one sum waits for each addition.
    let mut sums = [0.0f64; 4];
    for four in losses.chunks_exact(4) {
        for (sum, &loss) in sums.iter_mut().zip(four) {
            *sum += f64::from(loss);
        }
    }
    sums.iter().sum()
}

/// exp(x) for x ≤ 0, to a relative error of 3e-7; below -87 it stays at exp(-87), about 1.6e-38.
#[inline(always)]
fn exp_of_negative(x: f32) -> f32 {
    // Adding 1.5·2²³ leaves the nearest whole number in the low bits.
    const ROUND: f32 = 12_582_912.0;
    // ln 2 in two parts, the first so short that its multiples are exact.
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let x = if x < -87.0 { -87.0 } else { x };
    let rounded = x * std::f32::consts::LOG2_E + ROUND;
    let k = rounded - ROUND;
    let r = x - k * LN2_HIGH - k * LN2_LOW;
    // exp(r) = 1 + r + r²/2! + … for |r| ≤ ½·ln 2.
    let tail = 1.0 / 24.0 + r * (1.0 / 120.0 + r * (1.0 / 720.0));
    let exp_r = 1.0 + r * (1.0 + r * (0.5 + r * (1.0 / 6.0 + r * tail)));
    let power_of_two = f32::from_bits((rounded.to_bits() << 23).wrapping_add(127 << 23));
    exp_r * power_of_two
}

/// ln(1 + e) for e in [0, 1], to a relative error of 3e-7.
#[inline(always)]
fn ln_one_plus(e: f32) -> f32 {
    // 2·artanh(s) = 2·(s + s³/3 + s⁵/5 + …) for s = e / (2 + e), at most 1/3.
    let s = e / (2.0 + e);
    let q = s * s;
    let tail = 1.0 / 9.0 + q * (1.0 / 11.0 + q * (1.0 / 13.0));
    2.0 * s * (1.0 + q * (1.0 / 3.0 + q * (0.2 + q * (1.0 / 7.0 + q * tail))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polynomials_agree_with_the_functions() {
        for i in 0..=870_000u32 {
            let x = i as f32 * -1e-4;
            let (e, exact) = (exp_of_negative(x), f64::from(x).exp());
            assert!((f64::from(e) / exact - 1.0).abs() < 3e-7, "exp({x}) is {e}, expected {exact}");
            let (l, exact) = (ln_one_plus(e), f64::from(e).ln_1p());
            assert!((f64::from(l) / exact - 1.0).abs() < 3e-7, "ln(1 + {e}) is {l}, expected {exact}");
        }
        assert_eq!(exp_of_negative(0.0), 1.0);
        assert_eq!(exp_of_negative(f32::NEG_INFINITY), exp_of_negative(-87.0));
        assert!(exp_of_negative(f32::NAN).is_nan() && ln_one_plus(f32::NAN).is_nan());
    }
}
