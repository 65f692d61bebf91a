//! The same training natively and through C, turn by turn: the seconds of a step, and the speed of the one as a share of
//! the other's.
//!
//! usage: cargo bench -p localgrad-ffi --bench speed [-- STEPS THREADS ROUNDS]
#![allow(clippy::unwrap_used)] // nothing here is outside tests and measurements

#[path = "../tests/common/mod.rs"]
mod common;

use common::{Library, compile, succeed};
use localgrad_models::{ModelConfig, cut, network};
use localgrad_runtime::data::{Batch, Normalize};
use localgrad_runtime::maps::Map;
use localgrad_runtime::memory::Pooled;
use localgrad_runtime::rules::{Rule, RuleConfig};
use localgrad_runtime::threads::Workers;
use localgrad_runtime::trainer::{Method, TrainConfig, Trainer};
use localgrad_runtime::{Device, Result};
use std::process::Command;
use std::time::Instant;

/// The allocator of the C library, too.
#[global_allocator]
static ALLOCATOR: Pooled = Pooled;

const BATCH: usize = 64;
const ELEMENTS: usize = 32 * 32 * 3;

fn batch(normalize: &Normalize) -> Result<Batch> {
    let byte = |sample: usize, at: usize| (sample * 131 + at * at * 7) as u8;
    let mut pixels: Vec<f32> =
        (0..BATCH * ELEMENTS).map(|at| f32::from(byte(at / ELEMENTS, at % ELEMENTS)) / 255.0).collect();
    normalize.apply(&mut pixels);
    let images = Map::new(pixels, (BATCH, 32, 32, 3))?;
    Ok(Batch {
        inputs: images,
        targets: (0..BATCH as u32).map(|sample| sample % 10).collect::<Vec<_>>().into(),
    })
}

fn natively(steps: usize, threads: usize) -> Result<Vec<f64>> {
    let network = network("resnet20", &ModelConfig::default())?;
    let rule = RuleConfig::new(Rule::Man);
    let ends = cut::ends(&network, &rule, cut::DEFAULT_BLOCKS)?;
    let normalize = Normalize::half(3);
    let mut trainer = Trainer::new(
        network,
        TrainConfig::from(Method { rule, ends, ..Method::default() }),
        normalize.clone(),
        &Device::Cpu,
    )?;
    let workers = Workers::start(threads)?;
    let step = |_| {
        let began = Instant::now();
        let batch = batch(&normalize)?;
        workers.run(|| trainer.step(&batch, 0.025, &mut |_| {}))?;
        Ok(began.elapsed().as_secs_f64())
    };
    (0..steps).map(step).collect()
}

/// The median of all but the first two, which warm up.
fn median(seconds: &[f64]) -> f64 {
    let mut sorted = seconds.get(2..).unwrap_or_default().to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

fn main() {
    // cargo says `--bench` to every bench.
    let numbers: Vec<usize> = std::env::args().filter_map(|word| word.parse().ok()).collect();
    let [steps, threads, rounds] = [(0, 12), (1, 1), (2, 5)].map(|(at, or)| *numbers.get(at).unwrap_or(&or));
    let directory = tempfile::tempdir().unwrap();
    let program = compile("benches/speed.c", Library::Shared, &[], directory.path());
    let (mut native, mut c) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let output = Command::new(&program).args([steps.to_string(), threads.to_string()]).output().unwrap();
        let seconds: Vec<f64> = succeed("speed", output).lines().map(|line| line.parse().unwrap()).collect();
        c.push(median(&seconds));
        native.push(median(&natively(steps, threads).unwrap()));
        println!("round {round}: native {:.6} s, C {:.6} s", native[round], c[round]);
    }
    let least = |seconds: &[f64]| seconds.iter().copied().fold(f64::INFINITY, f64::min);
    let (native, c) = (least(&native), least(&c));
    println!("a step natively {native:.6} s, through C {c:.6} s: ratio {:.3}", native / c);
}
