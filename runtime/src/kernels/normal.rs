//! The standard normal distribution in f32, without branches or calls, so that loops over it fill vectors.

/// Φ(x), the share of the distribution below `x`, and exp(-x² / 2), its density but for a factor.
///
/// Both come from one exponential: Φ(-|x|) is exp(-x² / 2) times what erfc(z) · exp(z²) / 2 is at z = |x| / √2, and that is
/// smooth in t = 1 / (1 + 0.35 z), by a Chebyshev fit with an error of 2.3e-9. So a tail has as many digits as the middle.
#[inline(always)]
pub fn cumulative(x: f32) -> [f32; 2] {
    /// 0.35 / √2
    const NEARNESS: f32 = 0.247_487_37;
    /// Of rising powers of t.
    const TAIL: [f32; 10] = [
        0.098_744_63,
        0.098_515_37,
        0.094_403_2,
        0.073_457_89,
        0.079_277_344,
        0.031_702_556,
        0.000_522_806_7,
        0.079_820_61,
        -0.074_771_77,
        0.018_327_365,
    ];
    let bell = exp_below_zero(-0.5 * x * x);
    let t = 1.0 / (1.0 + NEARNESS * x.abs());
    let tail = bell * t * polynomial(&TAIL, t);
    [if x < 0.0 { tail } else { 1.0 - tail }, bell]
}

/// exp(x) of no number above 0; below -87 that of -87.
#[inline(always)]
pub(super) fn exp_below_zero(x: f32) -> f32 {
    exp_below_zero_by(x, |a, b, c| a * b + c)
}

/// The same where `multiply_add(a, b, c)` is a · b + c.
#[inline(always)]
pub(super) fn exp_below_zero_by(x: f32, multiply_add: impl Fn(f32, f32, f32) -> f32) -> f32 {
    /// Added to a small number it leaves the nearest integer, plus 127, in the last bits.
    const ROUND: f32 = 12_582_912.0 + 127.0;
    /// ln 2 in two parts, the first of few enough bits that its products with exponents are exact.
    const LN_2: [f32; 2] = [0.693_359_4, -0.000_212_194_44];
    /// Of rising powers, by a Chebyshev fit between -ln 2 / 2 and ln 2 / 2 with an error of 2e-9.
    const POWERS: [f32; 7] = [1.0, 1.0, 0.5, 0.166_664_15, 0.041_666_35, 0.008_375_126, 0.001_394_110_8];
    // A NaN stays one.
    let x = if x < -87.0 { -87.0 } else { x };
    let rounded = multiply_add(x, std::f32::consts::LOG2_E, ROUND);
    let exponent = rounded - ROUND;
    let rest = multiply_add(exponent, -LN_2[1], multiply_add(exponent, -LN_2[0], x));
    let power = POWERS.iter().rev().fold(0.0, |sum, &c| multiply_add(sum, rest, c));
    power * f32::from_bits(rounded.to_bits() << 23)
}

/// By Horner's rule; coefficients of rising powers.
#[inline(always)]
fn polynomial<const N: usize>(coefficients: &[f32; N], x: f32) -> f32 {
    coefficients.iter().rev().fold(0.0, |sum, c| sum * x + c)
}

#[cfg(test)]
mod tests {
    use super::{cumulative, exp_below_zero};

    /// Φ(x) of x up to 0, in f64: by the series of erf near 0, by the continued fraction of erfc far from it.
    fn twin(x: f64) -> f64 {
        let bell = (-x * x / 2.0).exp() / std::f64::consts::TAU.sqrt();
        if x > -3.0 {
            let (mut term, mut sum) = (x, x);
            for n in 1..80 {
                term *= x * x / f64::from(2 * n + 1);
                sum += term;
            }
            return 0.5 + bell * sum;
        }
        let fraction = (1..200).rev().fold(-x, |fraction, n| -x + f64::from(n) / fraction);
        bell / fraction
    }

    #[test]
    fn agrees_with_the_twin_in_the_tails_too() {
        for i in -1250..=0 {
            let x = i as f32 / 100.0;
            let expected = twin(f64::from(x));
            let [below, bell] = cumulative(x);
            // The square of x is rounded before its exponential is taken.
            let allowed = 4e-7 + 1e-7 * f64::from(x * x);
            assert!((f64::from(below) / expected - 1.0).abs() < allowed, "{x}: {below} and {expected}");
            assert_eq!(bell, cumulative(-x)[1]);
            assert!((cumulative(-x)[0] - (1.0 - below)).abs() <= f32::EPSILON);
        }
    }

    #[test]
    fn ends_and_nans() {
        assert_eq!(cumulative(-1e30)[0], 0.0);
        assert_eq!(cumulative(1e30)[0], 1.0);
        assert!(cumulative(f32::NAN).iter().all(|v| v.is_nan()));
        assert_eq!(exp_below_zero(0.0), 1.0);
        assert!(exp_below_zero(f32::NEG_INFINITY) < 2e-38);
    }
}
