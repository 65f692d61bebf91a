//! The command line's words for how training goes.

use crate::augmentation::AugmentArguments;
use clap::{Args, ValueEnum};
use localgrad::optimizer::StateFormat;
use localgrad::trainer::Selection;

/// What is done where nobody says otherwise.
#[derive(Clone, Copy, Debug)]
pub struct Defaults {
    /// Samples a step.
    pub batch: usize,
    /// Passes over the data.
    pub epochs: usize,
    /// Rate of sgd for 128 samples a step; others have it in proportion.
    pub sgd_rate: f64,
    /// Rate of adamw.
    pub adamw_rate: f64,
}

impl Defaults {
    /// A network that starts from nothing.
    pub const TRAIN: Self = Self { batch: 128, epochs: 30, sgd_rate: 0.1, adamw_rate: 1e-3 };
    /// One that starts from weights, on few samples: more steps an epoch, and smaller ones.
    pub const FINETUNE: Self = Self { batch: 32, epochs: 30, sgd_rate: 0.02, adamw_rate: 2e-4 };
    /// A new last layer alone: it starts from nothing, on features that stay as they are.
    pub const HEAD: Self = Self { batch: Self::FINETUNE.batch, ..Self::TRAIN };
}

/// How training goes.
#[derive(Args, Clone, Debug)]
pub struct RecipeArguments {
    /// Samples a step [default: 128, of finetune 32; of folders of pictures fewer, by how many there are]
    #[arg(long, value_name = "N")]
    pub batch: Option<usize>,
    /// Samples that pass through a block at once. Without --exact each such share moves batch norm's running statistics by
    /// a tenth, the last of a batch, too, however few samples it has: let N divide the batch
    #[arg(long, value_name = "N")]
    pub micro_batch: Option<usize>,
    /// Passes over the data
    #[arg(long, value_name = "N", conflicts_with = "steps")]
    pub epochs: Option<usize>,
    /// Steps, instead of epochs
    #[arg(long, value_name = "N")]
    pub steps: Option<usize>,
    /// Base learning rate [default: 0.1 a 128 samples for sgd, 0.001 for adamw; of finetune a fifth of these, where more
    /// than the head is trained]
    #[arg(long)]
    pub lr: Option<f64>,
    /// How the rate changes
    #[arg(long, value_enum, default_value_t = ScheduleName::Cosine)]
    pub schedule: ScheduleName,
    /// Epochs (or steps) of warm-up, at most a quarter of the run [default: 10]
    #[arg(long)]
    pub warmup: Option<usize>,
    /// Share of --lr that the cosine ends at [default: 0.01]
    #[arg(long, value_name = "SHARE")]
    pub lr_floor: Option<f64>,
    /// Last epoch (or step) at each rate, for --schedule step
    #[arg(long, value_delimiter = ',')]
    pub milestones: Option<Vec<usize>>,
    /// What each milestone multiplies the rate by [default: 0.1]
    #[arg(long)]
    pub step_factor: Option<f64>,
    /// How gradients change weights
    #[arg(long, value_enum, default_value_t = OptimizerName::Sgd)]
    pub optimizer: OptimizerName,
    /// In what the optimizer remembers what it does: 8bit takes a quarter of the memory, rounded block by block, on the CPU
    /// only; weights of less than 4,096 numbers keep f32
    #[arg(long, value_enum, default_value_t = StateName::F32)]
    pub optimizer_state: StateName,
    /// Momentum of sgd [default: 0.9]
    #[arg(long)]
    pub momentum: Option<f64>,
    /// Weight decay [default: 0.0001 for sgd, 0.01 for adamw]
    #[arg(long)]
    pub weight_decay: Option<f64>,
    /// Share of each label spread over all classes [default: 0]
    #[arg(long)]
    pub label_smoothing: Option<f64>,
    /// The error from which on the loss of values grows in proportion to it, rather than to its square
    #[arg(long, value_name = "DELTA")]
    pub huber: Option<f64>,
    /// Largest norm of a block's gradient
    #[arg(long, value_name = "NORM")]
    pub clip_norm: Option<f64>,
    /// What is trained: head (from the pool over the whole picture on), norms, biases (both beside the head), the last units
    /// and all behind them as in last-2-units, or all. What comes before is passed by running statistics, and batch norms that
    /// are not trained go by theirs
    #[arg(long = "train", value_name = "WHAT", default_value = "all", value_parser = selection)]
    pub selection: Selection,
    #[command(flatten)]
    pub(crate) augment: AugmentArguments,
    /// Keep the order of the data
    #[arg(long)]
    pub no_shuffle: bool,
    /// Seed of weights, order and augmentation
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
}

/// `--optimizer`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OptimizerName {
    /// SGD with Nesterov momentum
    Sgd,
    /// AdamW
    Adamw,
}

/// `--optimizer-state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StateName {
    /// 32 bits a number
    F32,
    /// 8 bits a number, and a scale for each 256
    #[value(name = "8bit")]
    EightBit,
}

impl From<StateName> for StateFormat {
    fn from(name: StateName) -> Self {
        match name {
            StateName::F32 => Self::F32,
            StateName::EightBit => Self::EightBit,
        }
    }
}

/// `--schedule`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ScheduleName {
    /// Half a cosine with warm-up, from --lr to a share of it (--lr-floor) that the last epoch trains just above
    Cosine,
    /// The same as published, to 0: the last epoch changes no weight
    CosineToZero,
    /// Times 0.1 (--step-factor) after each of --milestones
    Step,
    /// The same rate throughout
    Constant,
}

fn selection(text: &str) -> Result<Selection, String> {
    text.parse().map_err(|cause: localgrad::Error| cause.to_string())
}
