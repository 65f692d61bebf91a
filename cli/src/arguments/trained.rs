//! The words of commands that take trained weights: a run's, or a file's.

use super::{DataArguments, DeviceArguments, ModelArguments, OutputArguments};
use clap::Args;
use std::path::PathBuf;

/// Trained weights: a run's, or a file's.
#[derive(Args, Clone, Debug)]
pub struct TrainedArguments {
    /// A run directory, which knows its network, data and normalisation; of its weights those of the best epoch, where they
    /// were kept (--keep-best, finetune)
    #[arg(long, value_name = "RUN", conflicts_with = "weights")]
    pub run: Option<PathBuf>,
    /// Weights: safetensors, or PyTorch's own (.pth, .pt, .bin, whose code is not run); those of localgrad know their network,
    /// normalisation and class names, others of published networks are known by their tensors, or need --model and
    /// --normalize
    #[arg(long, value_name = "W.safetensors|W.pth", required_unless_present = "run")]
    pub weights: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) model: ModelArguments,
    /// Images' channels, height and width where neither weights nor a data set say so, such as 3x32x32; or tokens and of
    /// how many to choose from, such as 128of5000
    #[arg(long, value_name = "CxHxW|TofV")]
    pub input: Option<String>,
    /// Number of classes where neither weights nor a data set say so
    #[arg(long, value_name = "N")]
    pub classes: Option<usize>,
}

/// `eval`.
#[derive(Args, Clone, Debug)]
pub struct EvalArguments {
    #[command(flatten)]
    pub(crate) trained: TrainedArguments,
    #[command(flatten)]
    pub(crate) data: DataArguments,
    /// Samples at once
    #[arg(long, default_value_t = 100)]
    pub batch: usize,
    /// Each exit that train --exits has kept, or that the weights' file has: accuracy, multiply-adds, parameters, bytes and
    /// milliseconds of the network that ends there; then what comes of leaving as soon as an exit is sure enough
    #[arg(long)]
    pub exits: bool,
    /// Let each sample leave by the first exit that is sure of its answer with this probability, from 0 to 1, and say what
    /// that comes to
    #[arg(long, value_name = "P")]
    pub confidence: Option<f64>,
    #[command(flatten)]
    pub(crate) device: DeviceArguments,
    #[command(flatten)]
    pub(crate) output: OutputArguments,
}

/// `predict`.
#[derive(Args, Clone, Debug)]
pub struct PredictArguments {
    #[command(flatten)]
    pub(crate) trained: TrainedArguments,
    #[command(flatten)]
    pub(crate) data: DataArguments,
    /// Pictures (JPEG, PNG, WebP, BMP or GIF files), or folders of them; without any, the test samples of --data
    pub images: Vec<PathBuf>,
    /// How many classes to name for each image
    #[arg(long, default_value_t = 3)]
    pub top: usize,
    /// With --json: also each image's file, its likeliest class, and what the network gives for every class, as `file`,
    /// `class`, `name`, `probability` and `logits`
    #[arg(long, requires = "json")]
    pub logits: bool,
    /// Leave the network by the first exit (train --exits) that is sure of its answer with this probability, from 0 to 1, and
    /// name the exit, too
    #[arg(long, value_name = "P")]
    pub confidence: Option<f64>,
    #[command(flatten)]
    pub(crate) device: DeviceArguments,
    #[command(flatten)]
    pub(crate) output: OutputArguments,
}

/// `export`.
#[derive(Args, Clone, Debug)]
pub struct ExportArguments {
    /// The run directory; of its weights those of the best epoch, where they were kept
    #[arg(long, value_name = "RUN")]
    pub run: PathBuf,
    /// The file to write
    #[arg(long, value_name = "W.safetensors")]
    pub out: PathBuf,
    /// Store f16 instead of f32
    #[arg(long)]
    pub half: bool,
    /// The network with all exits that train --exits has kept: `eval --exits` and `predict --confidence` take it as --weights
    #[arg(long)]
    pub exits: bool,
    /// The network that ends at exit K, counted from 1, as a network of its own
    #[arg(long, value_name = "K", conflicts_with = "exits")]
    pub exit: Option<usize>,
    /// Of the networks that end at an exit the one of the fewest multiply-adds that was as often right as this, such as 88%,
    /// of the samples that the run was judged by
    #[arg(long, value_name = "A%", conflicts_with_all = ["exits", "exit"], value_parser = share)]
    pub target_accuracy: Option<f64>,
    #[command(flatten)]
    pub(crate) output: OutputArguments,
}

/// `88%` or `0.88`.
fn share(text: &str) -> Result<f64, String> {
    let (number, whole) = text.strip_suffix('%').map_or((text, 1.0), |number| (number.trim_end(), 100.0));
    let share = number.parse::<f64>().ok().map(|number| number / whole);
    share.filter(|share| (0.0..=1.0).contains(share)).ok_or("give a share such as 88% or 0.88".into())
}
