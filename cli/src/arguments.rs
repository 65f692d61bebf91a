//! The command line's words.

mod trained;

use crate::class_weights::ClassWeights;
use crate::cooling;
use crate::fault::{Fault, Outcome};
pub use crate::recipe::{OptimizerName, RecipeArguments, ScheduleName, StateName};
use clap::{Args, Parser, Subcommand, ValueEnum};
use localgrad::checkpoint::Interval;
use localgrad::maps::Place;
use localgrad::precision::{Precision, ProductPrecision};
use std::path::PathBuf;
pub use trained::{EvalArguments, ExportArguments, PredictArguments, TrainedArguments};

/// Trains neural networks on the device they run on, block by block.
#[derive(Debug, Parser)]
#[command(name = "localgrad", version, about, disable_help_subcommand = true)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Every command.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train a network; with no argument, MAN beside end-to-end training on the embedded data
    Train(Box<TrainArguments>),
    /// Train on from given weights with a new last layer, for other classes
    Finetune(Box<FinetuneArguments>),
    /// Accuracy of trained weights on a data set
    Eval(EvalArguments),
    /// Classes of images (JPEG, PNG, WebP, BMP or GIF) or of a data set's samples
    Predict(PredictArguments),
    /// The memory that training would take, moment by moment, and what to do about it; trains nothing
    Plan(Box<PlanArguments>),
    /// A network's units, blocks and auxiliary networks as a table, without training
    Inspect(InspectArguments),
    /// A run's inference weights as a safetensors file
    Export(ExportArguments),
    /// Speed and memory of training steps on random data, beside the machine's matrix products
    Bench(BenchArguments),
    /// What this build can train on
    Devices(DevicesArguments),
    /// A run's table and its report.html, made anew
    Report(ReportArguments),
}

/// Which network.
#[derive(Args, Clone, Debug)]
pub struct ModelArguments {
    /// resnet20, …, resnet18, …, vgg11_bn, …, mobilenet_v2, …, efficientnet_b0 or a spec's .json file [default: resnet20]
    #[arg(long)]
    pub model: Option<String>,
    /// Way around residual units that change the shape [default: project]
    #[arg(long, value_enum)]
    pub shortcut: Option<ShortcutName>,
    /// How networks of ImageNet but VGGs begin: as published, as pretrained weights need it, or for small
    /// images [default: by the images' size]
    #[arg(long, value_enum)]
    pub stem: Option<StemName>,
    /// Widths of a CIFAR ResNet's stem and stages, such as 8,8,16,32
    #[arg(long, value_delimiter = ',')]
    pub widths: Option<Vec<usize>>,
}

/// `--shortcut`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ShortcutName {
    /// 1x1 convolution and batch norm
    Project,
    /// Strided slice and zero channels
    Pad,
}

/// `--objective`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ObjectiveName {
    /// One class a sample
    Classes,
    /// Several labels, each there or not
    Labels,
    /// Values
    Values,
}

/// `--stem`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StemName {
    /// 7x7 convolution with stride 2 and a max pool (of MobileNetV2: 3x3, stride 2)
    Imagenet,
    /// 3x3 convolution that keeps the size
    Small,
}

/// Which data.
#[derive(Args, Clone, Debug)]
pub struct DataArguments {
    /// `embedded`; a directory with a folder of pictures for each class, in parts (train beside val or test) or as one
    /// whole, or with IDX, CIFAR-10 or CIFAR-100 (binary or pickles), SVHN, STL-10, NumPy's or safetensors files; an
    /// archive of pictures or of CIFAR (.zip, .tar, .tar.gz), WebDataset's shards (a-{000..009}.tar or their folder), a list
    /// of pictures (.csv or .jsonl: path,label), .parquet, .npz [default: embedded]
    #[arg(long)]
    pub data: Option<String>,
    /// Let one picture that cannot be read be one too many, rather than leave it out
    #[arg(long)]
    pub strict: bool,
    /// How images are normalised: cifar10, imagenet, half, fashion or identity [default: as the weights say, or what suits the data]
    #[arg(long)]
    pub normalize: Option<String>,
    /// Names of the classes in order: a list such as cat,dog, or a file with one a line [default: the data's or the
    /// weights' own]
    #[arg(long, value_name = "NAMES")]
    pub class_names: Option<String>,
    /// Let samples be answered with themselves, as an autoencoder learns them: as values, channel by channel. Of NumPy's
    /// arrays images alone will do
    #[arg(long)]
    pub autoencode: bool,
    /// Only the first N samples (of training data when training); of pictures as many of each class
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
}

/// Where to compute.
#[derive(Args, Clone, Debug)]
pub struct DeviceArguments {
    /// cpu, cuda, cuda:1 or metal
    #[arg(long, default_value = "cpu")]
    pub device: String,
    /// In what products are multiplied on a card with tensor cores: f32 (in three passes of TF32), tf32 (11 bits, in one), or f16
    /// (forward; gradients in TF32, so that no loss needs scaling). Sums and maps stay f32
    #[arg(long, value_name = "f32|tf32|f16", default_value_t)]
    pub precision: ProductPrecision,
    /// Worker threads [default: one for each core]
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
}

impl DeviceArguments {
    /// Opens the device.
    pub fn open(&self) -> Outcome<Place> {
        Ok(Place::open_with(&self.device, self.precision)?)
    }
}

/// How hot the machine may be.
#[derive(Args, Clone, Debug)]
pub struct ThermalArguments {
    /// Rest whenever the hottest thermal zone, or the device that is trained on, is above C degrees Celsius, until it is 3 degrees
    /// below: training is slower for it, and its results are the same
    #[arg(long, value_name = "C", value_parser = cooling::temperature)]
    pub max_temperature: Option<f64>,
    /// Where the files are that tell of temperatures, clocks and power mode, such as /host in a container
    #[arg(long, value_name = "ROOT", default_value = "/")]
    pub board: PathBuf,
}

/// How it is told.
#[derive(Args, Clone, Copy, Debug)]
pub struct OutputArguments {
    /// One JSON object a line on standard output; everything for people goes to standard error
    #[arg(long)]
    pub json: bool,
}

/// Which rule, and its numbers.
#[derive(Args, Clone, Debug)]
pub struct RuleArguments {
    /// bp, greedy, dgl, predsim, infopro, auglocal, man or manpp; for train and plan also auto, which is bp where that
    /// keeps to the budget and a local rule where it does not [default: man; for bench, and with --train head or the last
    /// units where no other word is about blocks, bp]
    #[arg(long)]
    pub rule: Option<String>,
    /// Cut the network into K blocks: published places where there are any, even memory elsewhere; with auglocal, where K
    /// allows it, not within the last --aux-depth and one more units. With bp, which has one block: the pieces that its
    /// backward pass takes one at a time, each repeated from its input
    #[arg(long, value_name = "K", conflicts_with = "ends")]
    pub blocks: Option<usize>,
    /// Last unit of each block, such as 1,3,9 (units count from 0)
    #[arg(long, value_delimiter = ',', value_name = "UNITS")]
    pub ends: Option<Vec<usize>>,
    /// Head of each auxiliary network: greedy, dgl, predsim, imagenet, 1c2f and the like, infopro (1c2f and a decoder),
    /// auglocal (units made after those that follow, and a classifier; --aux-depth says how many), or path (units that
    /// follow as they are, and a classifier) [default: the rule's published one; of man for images auglocal, with
    /// --aux-depth 1 and --ema-momentum 0.9]
    #[arg(long)]
    pub head: Option<String>,
    /// Loss of the head: softmax or contrastive
    #[arg(long, value_enum, default_value_t = TaskName::Softmax)]
    pub task: TaskName,
    /// Temperature of the contrastive loss [default: 0.07]
    #[arg(long)]
    pub temperature: Option<f64>,
    /// Share of the old value in MAN's moving average, in [0, 1) [default: 0.995; without --head 0.9]
    #[arg(long, value_name = "M")]
    pub ema_momentum: Option<f64>,
    /// MAN's moving average without its trained copy
    #[arg(long)]
    pub average_alone: bool,
    /// Units of the first auxiliary networks, with AugLocal or a head of units [default: 2; of man without --head 1]
    #[arg(long, value_name = "D")]
    pub aux_depth: Option<usize>,
    /// AugLocal's pyramid coefficient: how fast their number shrinks from block to block [default: 0.5]
    #[arg(long, value_name = "C")]
    pub pyramid: Option<f64>,
    /// Let AugLocal's units take means over windows of P rows and columns of what a block gives, along sides of 16 and more:
    /// deeper auxiliary networks for the same time [default: 1, which is all there is]
    #[arg(long, value_name = "P")]
    pub aux_pool: Option<usize>,
    /// Weights of reconstruction (or similarity) and task at the first block
    #[arg(long, value_delimiter = ',', num_args = 1, value_name = "A,B")]
    pub lambda_first: Option<Vec<f64>>,
    /// The same at the last block but one
    #[arg(long, value_delimiter = ',', num_args = 1, value_name = "A,B")]
    pub lambda_last: Option<Vec<f64>>,
    /// Keep less of each block's forward pass and repeat it before its backward pass
    #[arg(long)]
    pub recompute: bool,
    /// Last units of pieces that backward passes take one at a time, such as 1,3: of each but a block's last piece only
    /// the input is kept, and its forward pass repeated
    #[arg(long, value_delimiter = ',', value_name = "UNITS")]
    pub pieces: Option<Vec<usize>>,
    /// Train blocks side by side, each on a thread of its own and one batch behind the block before: the same results, in
    /// less time where batches are small, and in more memory
    #[arg(long)]
    pub side_by_side: bool,
}

/// What waits while other blocks, or other samples, are at work, and where.
#[derive(Args, Clone, Debug)]
pub struct WaitingArguments {
    /// In micro-batches, take batch norm's statistics of the whole batch: a step is then that of the whole batch, up to
    /// rounding, and takes as many more passes as a block has batch norms, twice
    #[arg(long)]
    pub exact: bool,
    /// What activations wait in for the backward pass: f32, f16 (more digits, up to 65504) or bf16 (fewer digits, as large
    /// as f32) [default: f32]
    #[arg(long, value_name = "BITS", value_parser = precision)]
    pub activations: Option<Precision>,
    /// What features wait in between blocks, of micro-batches or of a chunk, and between pieces: f32, f16 or bf16
    #[arg(long, value_name = "BITS", value_parser = precision, default_value = "f32")]
    pub features: Precision,
    /// Keep what the first units, which stay as they are (--train, --freeze), make of V showings of each sample, so that
    /// they are not passed every epoch: epochs show these in turn. 1 with --no-augment; as many as there are epochs show what
    /// they would without it
    #[arg(long, value_name = "V")]
    pub cache_features: Option<usize>,
    /// What these are kept in: f32, which loses nothing, f16 (half the bytes) or bf16 [default: that of --features]
    #[arg(long, value_name = "BITS", value_parser = precision, requires = "cache_features")]
    pub cache_precision: Option<Precision>,
    /// Let features wait in a scratch file
    #[arg(long)]
    pub features_on_disk: bool,
    /// Let weights, optimizer state and moving averages wait in a scratch file while other blocks are trained
    #[arg(long)]
    pub offload: bool,
    /// Batches that each block visits before the next one does; without a moving average the results are the same.
    /// Ends with the epoch at the latest
    #[arg(long, value_name = "C", default_value_t = 1)]
    pub chunk: usize,
    /// Samples that each block takes as its batch, one number a block, such as 32,64,128; features are cut anew between
    /// blocks, within a chunk
    #[arg(long, value_delimiter = ',', value_name = "N")]
    pub block_batches: Vec<usize>,
    /// Directory of the scratch file, which vanishes with the program [default: the run's]
    #[arg(long, value_name = "DIR")]
    pub scratch: Option<PathBuf>,
    /// The most that the scratch file may hold, such as 2GiB
    #[arg(long, value_name = "SIZE", value_parser = memory_size)]
    pub scratch_limit: Option<usize>,
}

fn precision(text: &str) -> Result<Precision, String> {
    text.parse().map_err(|cause: localgrad::Error| cause.to_string())
}

/// `--task`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TaskName {
    /// Softmax cross-entropy
    Softmax,
    /// Supervised contrastive loss
    Contrastive,
}

/// `train`.
#[derive(Args, Clone, Debug)]
pub struct TrainArguments {
    /// The data, as --data takes them
    #[arg(value_name = "DIR", conflicts_with = "data")]
    pub directory: Option<String>,
    #[command(flatten)]
    pub(crate) model: ModelArguments,
    #[command(flatten)]
    pub(crate) data: DataArguments,
    /// Channels, height and width that pictures are cut to, such as 3x64x64 [default: as the weights say, or what suits
    /// the network and the pictures]
    #[arg(long, value_name = "CxHxW")]
    pub input: Option<String>,
    /// Judge by N samples of the training data, drawn evenly over the classes with --seed and then not learnt from,
    /// instead of the test data [default, of pictures without a part to be judged by: a fifth of each class]
    #[arg(long, value_name = "N")]
    pub hold_out: Option<usize>,
    #[command(flatten)]
    pub(crate) rule: RuleArguments,
    #[command(flatten)]
    pub(crate) waiting: WaitingArguments,
    #[command(flatten)]
    pub(crate) recipe: RecipeArguments,
    #[command(flatten)]
    pub(crate) checkpoint: CheckpointArguments,
    #[command(flatten)]
    pub(crate) budget: BudgetArguments,
    #[command(flatten)]
    pub(crate) device: DeviceArguments,
    #[command(flatten)]
    pub(crate) thermal: ThermalArguments,
    #[command(flatten)]
    pub(crate) output: OutputArguments,
    /// What each class counts in the softmax loss: balanced, so that all classes count the same together, or a number a
    /// class such as 1,1,2.5 [default: as often as it occurs]
    #[arg(long, value_name = "balanced|W,W,…")]
    pub class_weights: Option<ClassWeights>,
    /// Keep the weights of the best epoch, too, in weights-best.safetensors: that of the best accuracy or, with
    /// --class-weights balanced, of the best mean of the classes' accuracies; of equal ones that of the least loss. finetune
    /// does so anyway
    #[arg(long)]
    pub keep_best: bool,
    /// Keep the auxiliary networks as exits of the network, in exits.safetensors: at the end, as the last step leaves them,
    /// each is judged by what the run is judged by (--hold-out: samples that no test knows), and its temperature set. Of
    /// bp, which has no auxiliary networks, the network's end is the one exit. For one class a sample
    #[arg(long)]
    pub exits: bool,
    /// End after N epochs that brought nothing better, by the measure of --keep-best
    #[arg(long, value_name = "N")]
    pub patience: Option<usize>,
    /// Directory of the run [default: the next free one of runs/1, runs/2, …]
    #[arg(long, value_name = "RUN")]
    pub out: Option<PathBuf>,
    /// Start from these weights instead of random ones: safetensors, or PyTorch's own (.pth, .pt, .bin)
    #[arg(long, alias = "weights", value_name = "W.safetensors|W.pth")]
    pub init: Option<PathBuf>,
}

/// `finetune`.
#[derive(Args, Clone, Debug)]
pub struct FinetuneArguments {
    #[command(flatten)]
    pub(crate) train: TrainArguments,
    /// Number of classes [default: that of the data]
    #[arg(long, value_name = "N")]
    pub classes: Option<usize>,
    /// Leave the first M blocks as they are: M or first-M-blocks
    #[arg(long, value_name = "first-M-blocks", value_parser = frozen_blocks)]
    pub freeze: Option<usize>,
}

/// The number in `first-3-blocks`, or `3`.
fn frozen_blocks(text: &str) -> Result<usize, String> {
    let number =
        text.strip_prefix("first-").and_then(|rest| rest.split_once("-block")).map_or(text, |(n, _)| n);
    number.parse().map_err(|_| "give a number of blocks, such as first-2-blocks or 2".into())
}

/// What outlasts a kill.
#[derive(Args, Clone, Debug)]
pub struct CheckpointArguments {
    /// Save after so many steps (100), so much time (30s, 5m), or only at the end (end)
    #[arg(long, value_name = "N|30s", default_value_t = Interval::default())]
    pub checkpoint_every: Interval,
    /// How many checkpoints to keep
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub keep: usize,
    /// Go on with the run in --out from its last checkpoint; what is said again must be as it was, but for
    /// --epochs, --steps, --patience, --keep-best, --device, --precision, --threads, --checkpoint-every, --keep, what changes no result
    /// (--recompute, --pieces, --offload, --features-on-disk, --scratch, --max-temperature), and --activations where f16 was too small
    #[arg(long, requires = "out")]
    pub resume: bool,
}

/// What a network is given where there are no data.
#[derive(Args, Clone, Debug)]
pub struct ShapeArguments {
    /// Images' channels, height and width; or tokens and of how many to choose from, such as 128of5000
    #[arg(long, value_name = "CxHxW|TofV", default_value = "3x32x32")]
    pub input: String,
    /// Number of classes, or of what --objective says
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub classes: usize,
    /// What a network by its name answers with
    #[arg(long, value_enum, default_value = "classes")]
    pub objective: ObjectiveName,
}

/// `inspect`.
#[derive(Args, Clone, Debug)]
pub struct InspectArguments {
    #[command(flatten)]
    pub(crate) model: ModelArguments,
    #[command(flatten)]
    pub(crate) rule: RuleArguments,
    #[command(flatten)]
    pub(crate) shape: ShapeArguments,
    /// Samples a step, for the activations' bytes
    #[arg(long, value_name = "N", default_value_t = 128)]
    pub batch: usize,
    /// Say what a file of weights is instead: whose names its tensors have, its network and its classes
    #[arg(long, value_name = "W.safetensors|W.pth", conflicts_with_all = ["model", "spec"])]
    pub weights: Option<PathBuf>,
    /// Print the network's spec as JSON instead; --model reads it back
    #[arg(long)]
    pub spec: bool,
    #[command(flatten)]
    pub(crate) output: OutputArguments,
}

/// `plan`.
#[derive(Args, Clone, Debug)]
pub struct PlanArguments {
    #[command(flatten)]
    pub(crate) model: ModelArguments,
    #[command(flatten)]
    pub(crate) rule: RuleArguments,
    #[command(flatten)]
    pub(crate) shape: ShapeArguments,
    #[command(flatten)]
    pub(crate) waiting: WaitingArguments,
    #[command(flatten)]
    pub(crate) recipe: RecipeArguments,
    #[command(flatten)]
    pub(crate) budget: BudgetArguments,
    /// Samples to learn from, whose features --cache-features keeps
    #[arg(long, value_name = "N", requires = "cache_features")]
    pub samples: Option<usize>,
    /// Samples to be judged by, whose features it keeps, too; without this no evaluation is planned
    #[arg(long, value_name = "N", requires = "cache_features")]
    pub judged: Option<usize>,
    /// The main rules beside each other instead of one rule's plan, and which to prefer
    #[arg(long)]
    pub compare: bool,
    #[command(flatten)]
    pub(crate) device: DeviceArguments,
    #[command(flatten)]
    pub(crate) output: OutputArguments,
}

/// How much memory there is.
#[derive(Args, Clone, Copy, Debug)]
pub struct BudgetArguments {
    /// Keep to so much memory: 64MiB, 500MB, 1GiB or bytes. Blocks, micro-batches and recomputation that are not said
    /// are chosen, the fastest that fit; what cannot be kept to is refused at once. auto: three quarters of what the
    /// machine has, or its limits or its container allow; on a card nearly all of its memory that is free
    #[arg(long, value_name = "SIZE|auto", value_parser = memory_budget)]
    pub memory_budget: Option<MemoryBudget>,
    /// Should training nevertheless need more than its budget: name the functions that asked for it
    #[arg(long, requires = "memory_budget")]
    pub memory_debug: bool,
}

/// A size, or what there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryBudget {
    /// Bytes.
    Bytes(usize),
    /// A share of what may be had where training takes place.
    Auto,
}

/// Of a card's free memory the part that is left to its driver, which keeps kernels there.
const DRIVERS_SHARE: usize = 16;

impl BudgetArguments {
    /// The bytes that are allowed at `place`.
    pub fn bytes(&self, place: &Place) -> Outcome<Option<usize>> {
        let Some(budget) = self.memory_budget else { return Ok(None) };
        let own = |free_bytes: usize| free_bytes - free_bytes / DRIVERS_SHARE;
        let share = || localgrad::memory::ceiling().map(|ceiling| ceiling.share());
        let bytes = match budget {
            MemoryBudget::Bytes(bytes) => Some(bytes),
            // What a place has in common with the processor it does not tell.
            MemoryBudget::Auto => place.free_bytes().map(own).or_else(share),
        };
        let unknown =
            || Fault::usage("this system does not say how much memory it has; give a size, such as 1GiB");
        Ok(Some(bytes.ok_or_else(unknown)?))
    }
}

fn memory_budget(text: &str) -> Result<MemoryBudget, String> {
    match text {
        "auto" => Ok(MemoryBudget::Auto),
        text => memory_size(text).map(MemoryBudget::Bytes),
    }
}

fn memory_size(text: &str) -> Result<usize, String> {
    localgrad::plan::size::parse(text).map_err(|cause| cause.to_string())
}

/// `bench`.
#[derive(Args, Clone, Debug)]
pub struct BenchArguments {
    #[command(flatten)]
    pub(crate) model: ModelArguments,
    #[command(flatten)]
    pub(crate) rule: RuleArguments,
    #[command(flatten)]
    pub(crate) shape: ShapeArguments,
    /// Samples a step
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub batch: usize,
    /// Samples that pass through a block at once
    #[arg(long, value_name = "N")]
    pub micro_batch: Option<usize>,
    /// Timed steps, after two that are not
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub steps: usize,
    /// How gradients change weights
    #[arg(long, value_enum, default_value_t = OptimizerName::Sgd)]
    pub optimizer: OptimizerName,
    /// In what it remembers what it does
    #[arg(long, value_enum, default_value_t = StateName::F32)]
    pub optimizer_state: StateName,
    #[command(flatten)]
    pub(crate) device: DeviceArguments,
    /// Where the files are that tell of temperatures, clocks and power mode, such as /host in a container
    #[arg(long, value_name = "ROOT", default_value = "/")]
    pub board: PathBuf,
    /// Also time each different convolution and batch norm of the network alone
    #[arg(long)]
    pub ops: bool,
    /// Step on demand: each line `step N` on standard input runs N steps and prints {"seconds":[…]}; at the end of
    /// the input comes the usual result, over all these steps
    #[arg(long, conflicts_with_all = ["steps", "ops"])]
    pub serve: bool,
    /// Instead of time, count what a step launches, moves and computes on --device emulated, and the least it could move:
    /// each map written once, and read twice forward and twice backward
    #[cfg(feature = "emulated")]
    #[arg(long, conflicts_with_all = ["steps", "ops", "serve"])]
    pub count: bool,
    #[command(flatten)]
    pub(crate) output: OutputArguments,
}

/// `devices`.
#[derive(Args, Clone, Debug)]
pub struct DevicesArguments {
    #[command(flatten)]
    pub(crate) output: OutputArguments,
}

/// `report`.
#[derive(Args, Clone, Debug)]
pub struct ReportArguments {
    /// The run directory
    #[arg(long, value_name = "RUN")]
    pub run: PathBuf,
    #[command(flatten)]
    pub(crate) output: OutputArguments,
}
