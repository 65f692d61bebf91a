//! Activation functions, and their derivatives as functions of the input.

use super::normal::{cumulative, exp_below_zero_by};
use super::simd::Simd;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// An elementwise non-linearity.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Activation {
    /// max(x, 0); the derivative at 0 is 0.
    Relu,
    /// min(max(x, 0), 6); the derivative is 0 at 0 and at 6.
    Relu6,
    /// x · sigmoid(x).
    Silu,
    /// 1 / (1 + exp(-x)).
    Sigmoid,
    /// x · Φ(x), with Φ the normal distribution's (Hendrycks and Gimpel 2016); not its approximation by tanh.
    Gelu,
    /// x · min(max(x + 3, 0), 6) / 6 (Howard et al. 2019); the derivative is 0 at -3 and 1 at 3.
    HardSwish,
    /// min(max(x + 3, 0), 6) / 6; the derivative is 0 at -3 and at 3.
    HardSigmoid,
    /// x, and `slope` · x below 0; the derivative at 0 is `slope`.
    LeakyRelu {
        /// Below 0.
        slope: f32,
    },
}

impl Activation {
    /// The function's value.
    #[inline(always)]
    pub fn apply(self, x: f32) -> f32 {
        match self {
            // Not `max`, which would turn a NaN into 0 and hide that training diverged.
            Self::Relu => {
                if x < 0.0 {
                    0.0
                } else {
                    x
                }
            }
            Self::Relu6 => x.clamp(0.0, 6.0),
            Self::Silu => x * sigmoid(x),
            Self::Sigmoid => sigmoid(x),
            Self::Gelu => x * cumulative(x)[0],
            Self::HardSwish => x * hard_sigmoid(x),
            Self::HardSigmoid => hard_sigmoid(x),
            Self::LeakyRelu { slope } => {
                if x > 0.0 {
                    x
                } else {
                    slope * x
                }
            }
        }
    }

    /// The derivative at `x`, the function's input.
    #[inline(always)]
    pub fn derivative(self, x: f32) -> f32 {
        match self {
            Self::Relu => f32::from(u8::from(x > 0.0)),
            Self::Relu6 => f32::from(u8::from(x > 0.0 && x < 6.0)),
            Self::Silu => {
                let s = sigmoid(x);
                s * (1.0 + x * (1.0 - s))
            }
            Self::Sigmoid => {
                let s = sigmoid(x);
                s * (1.0 - s)
            }
            Self::Gelu => {
                let [below, bell] = cumulative(x);
                below + x * bell * NORMAL_DENSITY
            }
            Self::HardSwish => {
                if x <= -3.0 {
                    0.0
                } else if x >= 3.0 {
                    1.0
                } else {
                    x * (1.0 / 3.0) + 0.5
                }
            }
            Self::HardSigmoid => f32::from(u8::from(x > -3.0 && x < 3.0)) * (1.0 / 6.0),
            Self::LeakyRelu { slope } => {
                if x > 0.0 {
                    1.0
                } else {
                    slope
                }
            }
        }
    }

    /// Refuses a slope that is no number.
    ///
    /// # Errors
    /// `Config`.
    pub fn check(self) -> Result<()> {
        match self {
            Self::LeakyRelu { slope } if !slope.is_finite() => Err(Error::config(format!(
                "the slope of a leaky ReLU is {slope}; give a finite number, such as 0.01"
            ))),
            _ => Ok(()),
        }
    }
}

/// 1 / √(2π), the normal distribution's density at 0.
const NORMAL_DENSITY: f32 = 0.398_942_3;

#[inline(always)]
fn hard_sigmoid(x: f32) -> f32 {
    (x + 3.0).clamp(0.0, 6.0) * (1.0 / 6.0)
}

/// By an exponential of no number above 0, so that both tails have all digits, and without a call, so that loops over it fill
/// vectors. 0 below -87.
#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    sigmoid_by(x, |a, b, c| a * b + c)
}

/// The same where `multiply_add(a, b, c)` is a · b + c.
#[inline(always)]
fn sigmoid_by(x: f32, multiply_add: impl Fn(f32, f32, f32) -> f32) -> f32 {
    let e = if x.abs() > 87.0 { 0.0 } else { exp_below_zero_by(-x.abs(), multiply_add) };
    (if x < 0.0 { e } else { 1.0 }) / (1.0 + e)
}

/// [`Activation::Silu`] on vectors of `S`, by fewer instructions where these multiply and add at once.
#[inline(always)]
pub fn silu<S: Simd>(x: f32) -> f32 {
    x * sigmoid_by(x, multiply_add::<S>)
}

/// The derivative of [`silu`].
#[inline(always)]
pub fn d_silu<S: Simd>(x: f32) -> f32 {
    let s = sigmoid_by(x, multiply_add::<S>);
    s * (1.0 + x * (1.0 - s))
}

#[inline(always)]
fn multiply_add<S: Simd>(a: f32, b: f32, c: f32) -> f32 {
    if S::FUSES { a.mul_add(b, c) } else { a * b + c }
}

#[cfg(test)]
mod tests {
    use super::{Activation, sigmoid};

    #[test]
    fn sigmoid_agrees_with_its_twin_in_both_tails() {
        for i in -86_900..=86_900 {
            let x = i as f32 * 1e-3;
            let expected = 1.0 / (1.0 + (-f64::from(x)).exp());
            let found = f64::from(sigmoid(x));
            assert!((found / expected - 1.0).abs() < 5e-7, "{x}: {found} and {expected}");
        }
    }

    #[test]
    fn ends_and_nans() {
        for (x, expected) in [(f32::MIN, 0.0), (f32::MAX, 1.0), (0.0, 0.5)] {
            assert_eq!(sigmoid(x), expected);
            assert!(Activation::Silu.apply(x).is_finite());
            assert!(Activation::Silu.derivative(x).is_finite());
        }
        assert!(sigmoid(f32::NAN).is_nan());
    }
}
