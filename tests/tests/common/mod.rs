//! Small networks and batches for whole-system tests.
#![allow(dead_code, unreachable_pub)] // each test binary uses its own part
#![allow(clippy::unwrap_used)]

use localgrad::Device;
use localgrad::data::{Batch, Dataset, ImageShape, Normalize};
use localgrad::inputs::Inputs;
use localgrad::layers::Variable;
use localgrad::maps::Map;
use localgrad::network::NetworkSpec;
use localgrad::random::Stream;
use localgrad::targets::Targets;
use localgrad::trainer::{TrainConfig, Trainer};
use localgrad_models::{ModelConfig, resnet};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Seven units of few channels.
pub fn small_resnet(input: [usize; 3]) -> NetworkSpec {
    let config = ModelConfig {
        input: input.into(),
        classes: 5,
        widths: Some(vec![4, 4, 8, 12]),
        ..ModelConfig::default()
    };
    resnet::cifar(&[2, 2, 2], &config, "small").unwrap()
}

/// Random images in the range of normalised ones, or tokens, and labels.
pub fn batch(spec: &NetworkSpec, samples: usize, seed: u64) -> Batch {
    let mut stream = Stream::new(seed, "test batch", &[]);
    let number = |_| match spec.input {
        Inputs::Pixels(_) => 2.0 * stream.uniform_f32() - 1.0,
        Inputs::Tokens(tokens) => stream.below(tokens.vocabulary as u64) as f32,
    };
    let numbers: Vec<f32> = (0..samples * spec.input.elements()).map(number).collect();
    let labels: Vec<u32> = (0..samples).map(|_| stream.below(spec.classes as u64) as u32).collect();
    Batch { inputs: Map::new(numbers, spec.input.dims(samples)).unwrap(), targets: labels.into() }
}

/// A data set of noise in three channels and five classes, and how often a sample was read.
pub struct Noise {
    samples: usize,
    side: usize,
    /// Samples that were read.
    pub reads: AtomicUsize,
}

impl Noise {
    /// So many samples, of which nothing was read yet.
    pub fn new(samples: usize, side: usize) -> Self {
        Self { samples, side, reads: AtomicUsize::new(0) }
    }
}

impl Dataset for Noise {
    fn len(&self) -> usize {
        self.samples
    }

    fn shape(&self) -> ImageShape {
        ImageShape { channels: 3, height: self.side, width: self.side }
    }

    fn classes(&self) -> usize {
        5
    }

    fn label(&self, index: usize) -> localgrad::Result<u32> {
        Ok(index as u32 % 5)
    }

    fn read(&self, index: usize, pixels: &mut [f32]) -> localgrad::Result<u32> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let mut stream = Stream::new(index as u64, "noise", &[]);
        pixels.iter_mut().for_each(|pixel| *pixel = stream.uniform_f32());
        self.label(index)
    }
}

/// The batch twice over.
pub fn repeated(batch: &Batch) -> Batch {
    Batch {
        inputs: Map::cat(&[batch.inputs.clone(), batch.inputs.clone()]).unwrap(),
        targets: Targets::joined([batch.targets.clone(), batch.targets.clone()]),
    }
}

/// The losses of one step from the start.
pub fn step_once(spec: &NetworkSpec, config: &TrainConfig, samples: usize) -> Vec<f64> {
    let normalize = Normalize::half(spec.input.channels());
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

/// The numbers of a map.
pub fn values(map: &Map) -> Vec<f32> {
    map.numbers().unwrap()
}
