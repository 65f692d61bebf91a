//! Small networks and batches for whole-system tests.
#![allow(dead_code, unreachable_pub)] // each test binary uses its own part
#![allow(clippy::unwrap_used)]

use localgrad::data::{Batch, Normalize};
use localgrad::layers::Variable;
use localgrad::network::NetworkSpec;
use localgrad::random::Stream;
use localgrad::trainer::{TrainConfig, Trainer};
use localgrad::{Device, Tensor};
use localgrad_models::{ModelConfig, resnet};

/// Seven units of few channels.
pub fn small_resnet(input: [usize; 3]) -> NetworkSpec {
    let config = ModelConfig { input, classes: 5, widths: Some(vec![4, 4, 8, 12]), ..ModelConfig::default() };
    resnet::cifar(&[2, 2, 2], &config, "small").unwrap()
}

/// Random images in the range of normalised ones, and labels.
pub fn batch(spec: &NetworkSpec, samples: usize, seed: u64) -> Batch {
    let [channels, height, width] = spec.input;
    let mut stream = Stream::new(seed, "test batch", &[]);
    let pixels: Vec<f32> =
        (0..samples * channels * height * width).map(|_| 2.0 * stream.uniform_f32() - 1.0).collect();
    let labels = (0..samples).map(|_| stream.below(spec.classes as u64) as u32).collect();
    Batch {
        images: Tensor::from_vec(pixels, (samples, height, width, channels), &Device::Cpu).unwrap(),
        labels,
    }
}

/// The batch twice over.
pub fn repeated(batch: &Batch) -> Batch {
    Batch {
        images: Tensor::cat(&[&batch.images, &batch.images], 0).unwrap(),
        labels: [batch.labels.clone(), batch.labels.clone()].concat(),
    }
}

/// The losses of one step from the start.
pub fn step_once(spec: &NetworkSpec, config: &TrainConfig, samples: usize) -> Vec<f64> {
    let normalize = Normalize::half(spec.input[0]);
    let mut trainer = Trainer::new(spec.clone(), config.clone(), normalize, &Device::Cpu).unwrap();
    trainer.step(&batch(spec, samples, 3), 0.05, &mut |_| {}).unwrap().losses
}

/// The bits of everything that training changes.
pub fn weights_of(trainer: &mut Trainer) -> Vec<(String, Vec<u32>)> {
    let mut all = Vec::new();
    trainer
        .visit(&mut |name, variable| {
            all.push((name.to_string(), values(variable.value()).iter().map(|v| v.to_bits()).collect()));
            Ok(())
        })
        .unwrap();
    all
}

/// The trained weights.
pub fn parameters_of(trainer: &mut Trainer) -> Vec<(String, Vec<f32>)> {
    let mut all = Vec::new();
    trainer
        .visit(&mut |name, variable| {
            if let Variable::Parameter(parameter) = variable {
                all.push((name.to_string(), values(&parameter.value)));
            }
            Ok(())
        })
        .unwrap();
    all
}

/// The numbers of a tensor.
pub fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}
