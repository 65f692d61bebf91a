//! How a trainer is made: the struct of the header, and what its pointers point to.

use crate::guard;
use crate::pointers::{self, Versioned};
use crate::status::{Fault, Outcome, lg_status};
use localgrad_runtime::schedule::DEFAULT_FLOOR;
use std::ffi::c_char;
use std::mem::offset_of;

/// How gradients change weights.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum lg_optimizer {
    /// Stochastic gradient descent with `momentum` and `nesterov`.
    Sgd = 0,
    /// Adam with decoupled weight decay, `beta1`, `beta2` and `epsilon`.
    Adamw = 1,
}

/// How the learning rate changes from step to step.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum lg_schedule {
    /// It stays what it is.
    Constant = 0,
    /// Half a cosine from `learning_rate` to the share `schedule_floor` of it over `schedule_steps`, of which the first
    /// `warmup_steps` warm up from 0. Each step has the rate in its middle, so that all of them train: the last just above
    /// the floor, and so do those that follow.
    Cosine = 1,
}

/// How a trainer is made. lg_trainer_config_init gives each field the value that stands behind its semicolon. Texts
/// and arrays are read while the trainer is made and are not needed afterwards.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct lg_trainer_config {
    /// sizeof(lg_trainer_config).
    pub struct_size: usize,
    /// "bp", "greedy", "dgl", "predsim", "infopro", "auglocal", "man" or "manpp"; NULL, which is "man", or "bp" where `train` is
    /// "head" or last units and neither `blocks`, `ends`, `frozen_blocks` nor `head` is set.
    pub rule: *const c_char,
    /// The classifier of each auxiliary network: "greedy", "dgl", "predsim", "imagenet", "auglocal", "path", counts of
    /// convolutions and linear layers such as "1c2f", or "infopro", which is "1c2f" beside a decoder that rebuilds the
    /// image; NULL, which is the rule's own, and of "man" for images "auglocal" with `aux_depth` 1 and `ema_momentum` 0.9.
    /// "bp" and "auglocal" have none to choose.
    pub head: *const c_char,
    /// Local blocks to cut the network into, where published or even in memory, with "auglocal", where that allows it, not within
    /// the last `aux_depth` and one more units; 0, which is 4, or 1 for "bp", or with "auglocal" one a unit before those.
    /// What "bp", which has one block, is cut into by `blocks` or `ends` are pieces that its backward pass takes one at a
    /// time, which saves memory and changes no result.
    pub blocks: usize,
    /// The last unit of each block, rising, in place of `blocks`; NULL.
    pub ends: *const usize,
    /// How many they are; 0.
    pub ends_count: usize,
    /// The first blocks, as many as this, stay as they are; 0. Beside memory_budget_bytes it needs `blocks` or `ends`.
    pub frozen_blocks: usize,
    /// The most samples in a step; 32.
    pub batch: usize,
    /// Samples that pass through a block at once; 0, which is all.
    pub micro_batch: usize,
    /// 1 to repeat forward passes rather than keep what they leave: less memory, the same results; 0.
    pub recompute: i32,
    /// An lg_optimizer; LG_OPTIMIZER_SGD.
    pub optimizer: i32,
    /// Of SGD: share of the last direction that is kept; 0.9.
    pub momentum: f64,
    /// Of SGD: 1 to look one step of momentum ahead; 1.
    pub nesterov: i32,
    /// Of AdamW: decay of the mean of gradients; 0.9.
    pub beta1: f64,
    /// Of AdamW: decay of the mean of their squares; 0.999.
    pub beta2: f64,
    /// Of AdamW: keeps the divisor from 0; 1e-8.
    pub epsilon: f64,
    /// Weight decay; 1e-4.
    pub weight_decay: f64,
    /// Learning rate; 0.025.
    pub learning_rate: f64,
    /// An lg_schedule; LG_SCHEDULE_CONSTANT.
    pub schedule: i32,
    /// Steps of the schedule; 0.
    pub schedule_steps: usize,
    /// Steps of its warm-up; 0.
    pub warmup_steps: usize,
    /// Share of each label that is spread over all classes; 0.
    pub label_smoothing: f64,
    /// Largest norm of a block's gradient; 0, which is any.
    pub clip_norm: f64,
    /// How images are normalised: "cifar10", "imagenet", "fashion", "half", "identity"; NULL, which is as the network says
    /// that lg_network_load made, and "half" for others.
    pub normalize: *const c_char,
    /// In place of `normalize`, what is subtracted from each channel; NULL.
    pub mean: *const f32,
    /// And what it is then divided by; NULL.
    pub deviation: *const f32,
    /// "cpu", "cuda", "cuda:1", "metal"; NULL, which is "cpu".
    pub device: *const c_char,
    /// Worker threads; 0, which is one a core, or as many of them as keep to memory_budget_bytes.
    pub threads: usize,
    /// Seed of weights and dropout; 0.
    pub seed: u64,
    /// The most bytes of memory that one trainer may have in use at one time; 0, which is any. What `blocks`, `ends`,
    /// `micro_batch` and `recompute` leave open is then chosen so that training is fast; lg_network_plan tells what. Where
    /// nothing fits, no trainer is made. A trainer that goes back to a checkpoint or a state trains on as that was trained,
    /// where it keeps to the budget, too. On a device they are bytes of its memory.
    pub memory_budget_bytes: usize,
    /// 1 to take batch norm's statistics of the whole step in micro-batches, too, which repeats passes: the same results
    /// but for rounding; 0. On the CPU only.
    pub exact_micro_batches: i32,
    /// What activations wait in for the backward pass, an lg_precision; LG_PRECISION_F32, which loses nothing. With
    /// memory_budget_bytes it becomes LG_PRECISION_BF16 where nothing fits otherwise; numbers too large for
    /// LG_PRECISION_F16 end a step with LG_STATUS_NOT_FINITE.
    pub activations: i32,
    /// Directory (UTF-8) of a file without a name, which vanishes with the trainer; NULL, which is none. With
    /// memory_budget_bytes what is not at work waits there where nothing fits otherwise.
    pub scratch: *const c_char,
    /// The most bytes that the file may hold; 0, which is any.
    pub scratch_limit_bytes: u64,
    /// 1 to let weights, what the optimizer remembers of them, and features on their way wait in that file in any case:
    /// less memory, the same results; 0.
    pub offload: i32,
    /// New units of AugLocal's first auxiliary networks, of rule "auglocal" and heads "auglocal" and "path" only; 0, which
    /// is 2, or 1 where `head` says so.
    pub aux_depth: usize,
    /// Share of the old value that the moving averages of "man" and "manpp" keep in a step, from 0 up to, but not, 1; any
    /// negative number is the rule's own, 0.995, or 0.9 where `head` says so; -1.
    pub ema_momentum: f64,
    /// 1 to let the averages of "man" stand alone, without a trained copy beside each; 0.
    pub average_alone: i32,
    /// Of LG_SCHEDULE_COSINE: the share of `learning_rate` that it ends at, from 0 to 1; 0.01.
    pub schedule_floor: f64,
    /// What is trained of the blocks that are: "head", "norms" (scales and shifts of norms, beside the head), "biases" (beside
    /// the head), "last-2-units" (or another number, and the head) or "all"; NULL, which is "all". What comes before is passed
    /// by running statistics and keeps no activations, and batch norms that are not trained go by theirs, too.
    pub train: *const c_char,
    /// Rows and columns of windows whose means new units of AugLocal's take, along sides of 16 and more, so that more of them
    /// cost as little: of rule "auglocal" and head "auglocal" only; 0, which is 1, where they take all there is.
    pub aux_pool: usize,
    /// Bits of each number that the optimizer remembers of weights with 4,096 elements and more: 32, or 8, which is a quarter of
    /// that memory, rounded block by block (Dettmers et al. 2022), on the CPU and without `offload` only; 32.
    pub optimizer_state_bits: i32,
    /// In what products are multiplied on a device with tensor cores: "f32", "tf32" (11 bits), or "f16" (forward; gradients in
    /// TF32, so that no loss needs scaling). Sums and maps stay f32; NULL, which is "f32".
    pub precision: *const c_char,
}

// SAFETY: repr(C), the size is first, and numbers and pointers take any bytes.
unsafe impl Versioned for lg_trainer_config {
    const NAME: &'static str = "lg_trainer_config";
    const FIRST_BYTES: usize = offset_of!(lg_trainer_config, schedule_floor);

    fn initial() -> Self {
        Self {
            struct_size: size_of::<Self>(),
            rule: std::ptr::null(),
            head: std::ptr::null(),
            blocks: 0,
            ends: std::ptr::null(),
            ends_count: 0,
            frozen_blocks: 0,
            batch: 32,
            micro_batch: 0,
            recompute: 0,
            optimizer: lg_optimizer::Sgd as i32,
            momentum: 0.9,
            nesterov: 1,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            weight_decay: 1e-4,
            learning_rate: 0.025,
            schedule: lg_schedule::Constant as i32,
            schedule_steps: 0,
            warmup_steps: 0,
            label_smoothing: 0.0,
            clip_norm: 0.0,
            normalize: std::ptr::null(),
            mean: std::ptr::null(),
            deviation: std::ptr::null(),
            device: std::ptr::null(),
            threads: 0,
            seed: 0,
            memory_budget_bytes: 0,
            exact_micro_batches: 0,
            activations: 0,
            scratch: std::ptr::null(),
            scratch_limit_bytes: 0,
            offload: 0,
            aux_depth: 0,
            ema_momentum: -1.0,
            average_alone: 0,
            schedule_floor: DEFAULT_FLOOR,
            train: std::ptr::null(),
            aux_pool: 0,
            optimizer_state_bits: 32,
            precision: std::ptr::null(),
        }
    }

    fn size_field(&mut self) -> &mut usize {
        &mut self.struct_size
    }
}

/// Fills in a struct of `struct_size` bytes, which is sizeof(lg_trainer_config).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lg_trainer_config_init(
    config: *mut lg_trainer_config,
    struct_size: usize,
) -> lg_status {
    // SAFETY: the caller promises that the pointer is what the header says.
    guard::call(std::ptr::null_mut(), || unsafe { pointers::init_struct(config, struct_size) })
}

/// What the pointers of an lg_trainer_config point to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pointed<'a> {
    /// `rule`.
    pub rule: Option<&'a str>,
    /// `head`.
    pub head: Option<&'a str>,
    /// `ends`; none where `blocks` says it.
    pub ends: &'a [usize],
    /// `normalize`.
    pub normalize: Option<&'a str>,
    /// `mean` and `deviation`, a number for each channel.
    pub mean_and_deviation: Option<(&'a [f32], &'a [f32])>,
    /// `device`.
    pub device: Option<&'a str>,
    /// `precision`.
    pub precision: Option<&'a str>,
    /// `scratch`.
    pub scratch: Option<&'a str>,
    /// `train`.
    pub train: Option<&'a str>,
}

impl<'a> Pointed<'a> {
    /// Reads what is pointed to, for a network that takes images of so many channels.
    ///
    /// # Safety
    /// The pointers in `config` are null, or what the header says for as long as the result is used.
    pub unsafe fn read(config: &lg_trainer_config, channels: usize) -> Outcome<Self> {
        // SAFETY: the caller promises that all pointers are what the header says.
        unsafe {
            let has_numbers = !config.mean.is_null() || !config.deviation.is_null();
            let numbers = || {
                let mean = pointers::slice(config.mean, channels, "mean")?;
                Ok::<_, Fault>((mean, pointers::slice(config.deviation, channels, "deviation")?))
            };
            Ok(Self {
                rule: pointers::optional_text(config.rule, "rule")?,
                head: pointers::optional_text(config.head, "head")?,
                ends: pointers::slice(config.ends, config.ends_count, "ends")?,
                normalize: pointers::optional_text(config.normalize, "normalize")?,
                mean_and_deviation: has_numbers.then(numbers).transpose()?,
                device: pointers::optional_text(config.device, "device")?,
                precision: pointers::optional_text(config.precision, "precision")?,
                scratch: pointers::optional_text(config.scratch, "scratch")?,
                train: pointers::optional_text(config.train, "train")?,
            })
        }
    }
}
