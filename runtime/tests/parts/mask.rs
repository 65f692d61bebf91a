//! Masks of clamping activations against their definition.

use crate::common::{Random, map, numbers, places, with_threads};
use localgrad::ErrorKind;
use localgrad::kernels::mask as kernels;
use localgrad::kernels::simd::Isa;
use localgrad::maps::Place;
use localgrad::maps::activation::Activation;
use localgrad::maps::mask;
use proptest::prelude::*;

fn inside(y: f64, activation: Activation) -> bool {
    y > 0.0 && (activation == Activation::Relu || y < 6.0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn passes_gradients_where_the_clamp_is_open(len in 1usize..70_000, seed: u64, six: bool) {
        let activation = if six { Activation::Relu6 } else { Activation::Relu };
        let mut random = Random::new(seed);
        let y: Vec<f64> = random
            .numbers(len)
            .into_iter()
            .map(|v| f64::from(activation.apply((8.0 * v) as f32)))
            .collect();
        let d: Vec<f64> = random.numbers(len);
        let expected: Vec<f32> =
            y.iter().zip(&d).map(|(&y, &d)| if inside(y, activation) { d as f32 } else { 0.0 }).collect();
        for place in places() {
            let (y, d) = (map(&y, &[len], &place), map(&d, &[len], &place));
            for threads in 1..=3 {
                let passed = with_threads(threads, || {
                    let mask = mask::of_output(&y, activation).unwrap();
                    mask::apply(d.copy().unwrap(), &mask).unwrap()
                });
                prop_assert_eq!(&numbers(&passed), &expected);
            }
        }
    }
}

#[test]
fn every_instruction_set_gives_the_same_bits() {
    let mut random = Random::new(3);
    for len in [1, 7, 8, 15, 16, 17, 33, 1000] {
        let y: Vec<f32> = random.numbers(len).iter().map(|&v| (8.0 * v) as f32).collect();
        let expected: Vec<f32> = y.iter().map(|&v| if v > 0.0 && v < 6.0 { v } else { 0.0 }).collect();
        for isa in Isa::available() {
            let bits = kernels::pack(isa, &y, 6.0);
            let mut kept = y.clone();
            kernels::apply(isa, &mut kept, &bits);
            assert_eq!(kept, expected, "{isa:?}, {len} elements");
        }
    }
}

#[test]
fn a_bit_an_element_on_the_host() {
    let y = map(&[0.0, 1.0, 2.0, 0.0, 7.0, 0.0, 0.0, 0.0, 3.0], &[9], &Place::Host);
    let mask = mask::of_output(&y, Activation::Relu6).unwrap();
    assert_eq!(mask.tensor().unwrap().to_vec1::<u8>().unwrap(), [0b110, 1]);
}

#[test]
fn refuses_what_has_no_mask_or_does_not_fit() {
    let y = map(&[1.0; 9], &[9], &Place::Host);
    assert_eq!(mask::of_output(&y, Activation::Silu).unwrap_err().kind(), ErrorKind::Config);
    let mask = mask::of_output(&y, Activation::Relu).unwrap();
    let longer = map(&[1.0; 17], &[17], &Place::Host);
    assert_eq!(mask::apply(longer, &mask).unwrap_err().kind(), ErrorKind::Shape);
}
