//! Numbers in 16 bits and back, each rounded to the nearest, ties to even.

use super::pieces::PIECE;
use super::unwritten::{Unwritten, overwritten};
use crate::deal::made_of;
use crate::deal::pairs;
use crate::precision::Precision;
use half::slice::{HalfBitsSliceExt, HalfFloatSliceExt};
use half::{bf16, f16};
use std::mem::MaybeUninit;

/// The bits of `x` in 16-bit `precision`; f32 has no such bits and is taken for bf16. `None` where a number of `x` is too
/// large for them; infinities and NaN stay what they are.
pub fn narrow(x: &[f32], precision: Precision) -> Option<Vec<u16>> {
    let mut bits = vec![0; x.len()];
    let piece = |(bits, x): (&mut [u16], &[f32])| {
        match precision {
            Precision::F16 => bits.reinterpret_cast_mut::<f16>().convert_from_f32_slice(x),
            Precision::Bf16 | Precision::F32 => {
                bits.reinterpret_cast_mut::<bf16>().convert_from_f32_slice(x);
            }
        }
        piece_fits(x, precision)
    };
    let pieces = bits.chunks_mut(PIECE).zip(x.chunks(PIECE));
    let fit: Vec<bool> = made_of(pieces, piece);
    fit.into_iter().all(|fits| fits).then_some(bits)
}

/// Whether [`narrow`] has bits for every number of `x`.
pub fn fits(x: &[f32], precision: Precision) -> bool {
    made_of(x.chunks(PIECE), |x| piece_fits(x, precision)).into_iter().all(|fits| fits)
}

/// Looks at every number, without a branch: of a piece that is at hand anyway this costs next to nothing.
fn piece_fits(x: &[f32], precision: Precision) -> bool {
    // What is rounded to infinity: from half way between the largest number and what would be the next one on.
    let first = match precision {
        Precision::F16 => 65520f32.to_bits(),
        Precision::Bf16 | Precision::F32 => 0x7F7F_8000,
    };
    let too_large = |x: &f32| (first..f32::INFINITY.to_bits()).contains(&(x.to_bits() & 0x7FFF_FFFF));
    !x.iter().fold(false, |any, x| any | too_large(x))
}

/// The numbers that [`narrow`] made `bits` of; writes every element of `y`, as many as there are bits.
pub fn widen<'a>(bits: &[u16], precision: Precision, y: impl Into<Unwritten<'a>>) {
    // SAFETY: only numbers are stored.
    let y = unsafe { y.into().room() };
    pairs((y, PIECE), (bits, PIECE), &|y, bits| {
        y.fill(MaybeUninit::new(0.0));
        // SAFETY: the line before has written every element.
        let y = unsafe { overwritten(y) };
        match precision {
            Precision::F16 => bits.reinterpret_cast::<f16>().convert_to_f32_slice(y),
            Precision::Bf16 | Precision::F32 => bits.reinterpret_cast::<bf16>().convert_to_f32_slice(y),
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::unwritten::unwritten;
    use proptest::prelude::*;

    /// The naive twin: of all 16-bit numbers the nearest, of two as near the even one.
    fn nearest(x: f32, precision: Precision) -> f64 {
        let value = |bits: u16| match precision {
            Precision::F16 => f16::from_bits(bits).to_f64(),
            _ => bf16::from_bits(bits).to_f64(),
        };
        let off = |bits: u16| (value(bits) - f64::from(x)).abs();
        let finite = (0..=u16::MAX).filter(|&bits| value(bits).is_finite());
        let best = finite.min_by(|&a, &b| off(a).total_cmp(&off(b)).then((a & 1).cmp(&(b & 1)))).unwrap();
        value(best)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn rounds_to_the_nearest(x in prop::collection::vec(-6e4f32..6e4, 1..5), small in -1e-6f32..1e-6) {
            let x: Vec<f32> = x.into_iter().chain([small, 0.0, 1.0]).collect();
            for precision in [Precision::F16, Precision::Bf16] {
                let mut y = vec![7.0; x.len()];
                widen(&narrow(&x, precision).unwrap(), precision, unwritten(&mut y));
                for (&x, &y) in x.iter().zip(&y) {
                    prop_assert_eq!(f64::from(y), nearest(x, precision), "{} in {}", x, precision);
                }
            }
        }
    }

    #[test]
    fn any_length_is_one_piece_after_the_other() {
        for len in [1, 7, PIECE - 1, PIECE + 1, 2 * PIECE + 3] {
            let x: Vec<f32> = (0..len).map(|i| (i % 256) as f32).collect();
            for precision in [Precision::F16, Precision::Bf16] {
                let mut y = vec![-1.0; len];
                widen(&narrow(&x, precision).unwrap(), precision, unwritten(&mut y));
                assert_eq!(y, x, "these numbers are exact in {precision}");
            }
        }
    }

    #[test]
    fn what_is_too_large_is_told_and_what_is_no_number_stays() {
        let long = |number: f32| {
            let mut x = vec![1.0; 2 * PIECE + 3];
            x[PIECE + 1] = number;
            x
        };
        for (number, f16_holds) in [(65504.0, true), (65519.9, true), (65520.0, false), (-1e9, false)] {
            assert_eq!(narrow(&long(number), Precision::F16).is_some(), f16_holds, "{number}");
            assert_eq!(fits(&long(number), Precision::F16), f16_holds, "{number}");
            assert!(narrow(&long(number), Precision::Bf16).is_some(), "{number}");
        }
        assert!(narrow(&long(f32::MAX), Precision::Bf16).is_none());
        for precision in [Precision::F16, Precision::Bf16] {
            for number in [f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
                let x = long(number);
                let mut y = vec![0.0; x.len()];
                widen(&narrow(&x, precision).unwrap(), precision, unwritten(&mut y));
                assert_eq!(y[PIECE + 1].to_bits() & 0x7F80_0000, 0x7F80_0000);
                assert_eq!(y[PIECE + 1].is_nan(), number.is_nan());
            }
        }
    }
}
