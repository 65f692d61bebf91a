//! What becomes of training where tensor cores round the factors of products, on the emulated device.

use crate::common::{small_resnet, weights_of};
use crate::trained::{batches, bp, local};
use localgrad::data::Normalize;
use localgrad::maps::Place;
use localgrad::network::NetworkSpec;
use localgrad::precision::ProductPrecision::{self, F16, F32, Tf32};
use localgrad::rules::{Rule, RuleConfig};
use localgrad::trainer::{TrainConfig, Trainer};

/// Steps of training.
const STEPS: usize = 3;

/// The weights after these, and the losses of these.
fn trained(spec: &NetworkSpec, config: &TrainConfig, place: &Place) -> (Vec<(String, Vec<u32>)>, Vec<f64>) {
    let mut trainer = Trainer::new(spec.clone(), config.clone(), Normalize::half(3), place.clone()).unwrap();
    let step = |batch| trainer.step(batch, 0.05, &mut |_| {}).unwrap().losses;
    let losses = batches(spec, STEPS as u64, 6).iter().flat_map(step).collect();
    (weights_of(&mut trainer), losses)
}

#[test]
fn device_products_of_11_bits_train_as_those_of_f32_do() {
    // Wide enough for tensor cores, which the first layer never has.
    let spec = small_resnet([3, 8, 8]);
    for config in [bp(), local(RuleConfig::new(Rule::Man))] {
        let (whole, losses) = trained(&spec, &config, &Place::Host);
        let mut found: Vec<Vec<(String, Vec<u32>)>> = vec![];
        for precision in [F32, Tf32, F16] {
            let place = Place::open_with("emulated", precision).unwrap();
            assert_eq!(place.products(), precision);
            let (weights, rounded_losses) = trained(&spec, &config, &place);
            // What a step rounds, the steps behind it go on from.
            for (i, (loss, rounded)) in losses.iter().zip(&rounded_losses).enumerate() {
                let most = match (precision, i < losses.len() / STEPS) {
                    (F32, _) => 1e-4,
                    (_, true) => 5e-3,
                    (_, false) => 0.05,
                };
                assert!((loss - rounded).abs() <= most * loss.abs(), "{precision}: {rounded} for {loss}");
            }
            let all = |weights: &[(String, Vec<u32>)]| -> Vec<f64> {
                weights
                    .iter()
                    .flat_map(|(_, bits)| bits)
                    .map(|&bits| f64::from(f32::from_bits(bits)))
                    .collect()
            };
            let (expected, found_now) = (all(&whole), all(&weights));
            let off = expected.iter().zip(&found_now).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
            let size = expected.iter().map(|a| a.powi(2)).sum::<f64>().sqrt();
            println!("{precision}: weights are off by {off} of {size}");
            assert!(off <= if precision == F32 { 1e-3 } else { 0.05 } * size, "{precision}: {off} of {size}");
            assert_eq!(trained(&spec, &config, &place).0, weights, "{precision} is not repeatable");
            assert!(!found.contains(&weights), "{precision} multiplies as another one");
            found.push(weights);
        }
    }
}

#[test]
fn a_device_without_tensor_cores_says_so() {
    for precision in [Tf32, F16] {
        let refused = Place::open_with("cpu", precision).unwrap_err().to_string();
        let expected =
            format!("the CPU has no tensor cores, which alone multiply {precision}; use precision f32");
        assert!(refused.starts_with(&expected), "{refused}");
        assert_eq!(precision.to_string().parse::<ProductPrecision>().unwrap(), precision);
    }
    assert!("bf16".parse::<ProductPrecision>().unwrap_err().to_string().contains("f32, tf32 or f16"));
}
