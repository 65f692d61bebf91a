//! Configurations, which Kotlin writes as JSON under the names of the C header.

use localgrad_bridge::config::{Pointed, lg_trainer_config};
use localgrad_bridge::network::lg_network_options;
use localgrad_bridge::pointers::Versioned;
use localgrad_bridge::status::{Fault, Outcome, lg_status};
use serde::Deserialize;

/// An `lg_network_options`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    channels: usize,
    height: usize,
    width: usize,
    vocabulary: usize,
    classes: usize,
    #[serde(default)]
    widths: Vec<usize>,
    shortcut: i32,
    huber_delta: f64,
    objective: i32,
}

/// An `lg_trainer_config`, all that Kotlin has a name for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    rule: Option<String>,
    head: Option<String>,
    blocks: usize,
    #[serde(default)]
    ends: Vec<usize>,
    frozen_blocks: usize,
    batch: usize,
    micro_batch: usize,
    recompute: bool,
    optimizer: i32,
    optimizer_state_bits: i32,
    momentum: f64,
    nesterov: bool,
    beta1: f64,
    beta2: f64,
    epsilon: f64,
    weight_decay: f64,
    learning_rate: f64,
    schedule: i32,
    schedule_steps: usize,
    warmup_steps: usize,
    label_smoothing: f64,
    clip_norm: f64,
    normalize: Option<String>,
    mean: Option<Vec<f32>>,
    deviation: Option<Vec<f32>>,
    device: Option<String>,
    precision: Option<String>,
    threads: usize,
    seed: i64,
    memory_budget_bytes: usize,
    exact_micro_batches: bool,
    activations: i32,
    scratch: Option<String>,
    scratch_limit_bytes: u64,
    offload: bool,
    aux_depth: usize,
    aux_pool: usize,
    ema_momentum: f64,
    average_alone: bool,
    train: Option<String>,
}

fn wrong(cause: &serde_json::Error) -> Fault {
    Fault::new(lg_status::Config, format!("a number of the configuration cannot be: {cause}"))
}

/// The options, and the widths that they point to in C.
pub(crate) fn network_options(json: &str) -> Outcome<(lg_network_options, Vec<usize>)> {
    let options: Options = serde_json::from_str(json).map_err(|cause| wrong(&cause))?;
    let Options { channels, height, width, vocabulary, classes, widths, shortcut, huber_delta, objective } =
        options;
    let options = lg_network_options {
        channels,
        height,
        width,
        vocabulary,
        classes,
        shortcut,
        huber_delta,
        objective,
        ..lg_network_options::initial()
    };
    Ok((options, widths))
}

/// Does `work` with the numbers of a configuration, and with what they point to in C.
pub(crate) fn with_config<T>(
    json: &str,
    work: impl FnOnce(&lg_trainer_config, &Pointed<'_>) -> Outcome<T>,
) -> Outcome<T> {
    let config: Config = serde_json::from_str(json).map_err(|cause| wrong(&cause))?;
    let numbers = config.numbers();
    let mean_and_deviation = match (&config.mean, &config.deviation) {
        (None, None) => None,
        (Some(mean), Some(deviation)) => Some((mean.as_slice(), deviation.as_slice())),
        _ => return Err(Fault::argument("mean and deviation belong together; set both or none")),
    };
    let pointed = Pointed {
        rule: config.rule.as_deref(),
        head: config.head.as_deref(),
        ends: &config.ends,
        normalize: config.normalize.as_deref(),
        mean_and_deviation,
        device: config.device.as_deref(),
        precision: config.precision.as_deref(),
        scratch: config.scratch.as_deref(),
        train: config.train.as_deref(),
    };
    work(&numbers, &pointed)
}

impl Config {
    fn numbers(&self) -> lg_trainer_config {
        lg_trainer_config {
            blocks: self.blocks,
            frozen_blocks: self.frozen_blocks,
            batch: self.batch,
            micro_batch: self.micro_batch,
            recompute: i32::from(self.recompute),
            optimizer: self.optimizer,
            momentum: self.momentum,
            nesterov: i32::from(self.nesterov),
            beta1: self.beta1,
            beta2: self.beta2,
            epsilon: self.epsilon,
            weight_decay: self.weight_decay,
            learning_rate: self.learning_rate,
            schedule: self.schedule,
            schedule_steps: self.schedule_steps,
            warmup_steps: self.warmup_steps,
            label_smoothing: self.label_smoothing,
            clip_norm: self.clip_norm,
            threads: self.threads,
            seed: self.seed as u64,
            memory_budget_bytes: self.memory_budget_bytes,
            exact_micro_batches: i32::from(self.exact_micro_batches),
            activations: self.activations,
            scratch_limit_bytes: self.scratch_limit_bytes,
            offload: i32::from(self.offload),
            aux_depth: self.aux_depth,
            aux_pool: self.aux_pool,
            optimizer_state_bits: self.optimizer_state_bits,
            ema_momentum: self.ema_momentum,
            average_alone: i32::from(self.average_alone),
            ..lg_trainer_config::initial()
        }
    }
}
