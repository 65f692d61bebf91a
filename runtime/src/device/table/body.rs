//! The functions of `kernels/*.h` that are kernels, and the memory that each is given.

/// What memory holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Element {
    /// f32.
    F32,
    /// Bytes: masks and places.
    U8,
    /// The bits of numbers in 16 bits.
    U16,
    /// Words: labels and tables.
    U32,
    /// Where blocks are.
    Address,
}

impl Element {
    /// Bytes of one.
    pub const fn bytes(self) -> usize {
        match self {
            Self::F32 | Self::U32 => 4,
            Self::U8 => 1,
            Self::U16 => 2,
            Self::Address => 8,
        }
    }

    /// The type in the kernels' language.
    pub const fn text(self) -> &'static str {
        match self {
            Self::F32 => "float",
            Self::U8 => "u8",
            Self::U16 => "u16",
            Self::U32 => "unsigned",
            Self::Address => "Address",
        }
    }
}

/// What a kernel does with memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reads it.
    Read,
    /// Writes it, and may read it.
    Write,
}

/// A piece of memory that a kernel is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Its parameter.
    pub name: &'static str,
    /// What it holds.
    pub element: Element,
    /// What is done with it.
    pub access: Access,
}

/// A kernel but for what it is specialised for; in the order of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // Each is the function of its name, whose comment says what it does.
pub enum Body {
    ConvForward,
    ConvDInput,
    ConvDWeight,
    ConvBackward,
    DepthwiseForward,
    DepthwiseDInput,
    DepthwiseDWeight,
    NormMoments,
    NormSums,
    ColumnParts,
    NormFinish,
    NormStatistics,
    NormOf,
    NormSumsFinish,
    NormApply,
    NormSlope,
    ResidualSum,
    MaskOf,
    MaskApply,
    Activate,
    ActivateBackward,
    AddActivate,
    AddScaled,
    Scale,
    ProductParts,
    Reversed,
    MultiplyChannels,
    CopyChannels,
    Prelu,
    PreluBackward,
    GroupMoments,
    GroupSums,
    GroupApply,
    GroupBackward,
    ResponseFactors,
    ResponseBackward,
    Dropout,
    Narrow,
    Widen,
    MaxPool,
    MaxPoolBackward,
    Subsample,
    SubsampleBackward,
    Resample,
    MeanPool,
    CrossEntropy,
    SoftCrossEntropy,
    BinaryCrossEntropy,
    SquaredError,
    Huber,
    SumParts,
    Deviation,
    DeviationBackward,
    SimilarityRows,
    SimilarityErrors,
    SimilarityBackward,
    Sgd,
    AdamW,
    SumSplits,
    Average,
    SquareParts,
    ClipFactor,
}

/// What the table says of a body.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Which.
    pub body: Body,
    /// The function.
    pub function: &'static str,
    /// Its memory, in the order of its parameters: what [`Row::slots`] reads.
    memory: &'static str,
    /// The struct of its arguments.
    pub arguments: &'static str,
    /// Threads of a block; where there is a tile, its.
    pub threads: u32,
    /// Floats of shared memory; where there is a tile, its.
    pub shared: u32,
    /// Whether what it writes may be what it reads.
    pub may_overlap: bool,
}

impl Row {
    /// Its memory: names, with `=` behind what is written and `:u8` and the like behind what is no f32. What is done with memory
    /// that a table of addresses names is not said.
    pub fn slots(&self) -> Vec<Slot> {
        let slot = |text: &'static str| {
            let (text, access) = match text.strip_suffix('=') {
                Some(written) => (written, Access::Write),
                None => (text, Access::Read),
            };
            let (name, element) = match text.split_once(':') {
                Some((name, "u8")) => (name, Element::U8),
                Some((name, "u16")) => (name, Element::U16),
                Some((name, "addresses")) => (name, Element::Address),
                Some((name, _)) => (name, Element::U32),
                None => (text, Element::F32),
            };
            Slot { name, element, access }
        };
        self.memory.split(' ').map(slot).collect()
    }
}

/// Threads of a block, and its floats of shared memory.
type Block = (u32, u32);
/// The tile's.
const TILE: Block = (0, 0);
/// 32 channels and 64 rows: `Lanes` of `depthwise.h`.
const LANES: Block = (128, 64 * 36 + 128 * 4);
/// The parts of 32 channels.
const FINISH: Block = (512, 2 * 512);
/// Elements.
const FLAT: Block = (256, 0);
/// Elements, and sums over the block.
const SUMS: Block = (256, 256 / 32);
const TWO_SUMS: Block = (256, 2 * 256 / 32);

const GATHER: &str = "in other norm weight bias beside mask:u8 z z_norm out= parts= norm_weight norm_bias made= first= second= \
                      arrivals:u32=";
const DEPTHWISE: &str =
    "in other norm weight z z_norm out= parts= norm_weight norm_bias made= first= second= arrivals:u32=";
const D_WEIGHT: &str = "in other norm d z z_norm parts=";
const BACKWARD: &str =
    "x x_norm d z z_norm weight beside mask:u8 d_x= parts= made= first= second= arrivals:u32= weight_parts=";
const ERRORS: &str = "outputs targets d_outputs= parts=";
const UPDATE: &str = "arrays:addresses table:u32 factor";

const fn row(
    body: Body,
    function: &'static str,
    memory: &'static str,
    arguments: &'static str,
    (threads, shared): Block,
) -> Row {
    Row { body, function, memory, arguments, threads, shared, may_overlap: false }
}

const fn in_place(body: Body, function: &'static str, memory: &'static str, arguments: &'static str) -> Row {
    overlapping(row(body, function, memory, arguments, FLAT))
}

const fn overlapping(row: Row) -> Row {
    Row { may_overlap: true, ..row }
}

use Body as B;
#[rustfmt::skip] // A table.
const ROWS: [Row; 62] = [
    row(B::ConvForward, "conv_gather", GATHER, "Conv", TILE),
    row(B::ConvDInput, "conv_gather", GATHER, "Conv", TILE),
    row(B::ConvDWeight, "conv_d_weight", D_WEIGHT, "Conv", TILE),
    row(B::ConvBackward, "conv_backward", BACKWARD, "Conv", TILE),
    row(B::DepthwiseForward, "depthwise_gather", DEPTHWISE, "Conv", LANES),
    row(B::DepthwiseDInput, "depthwise_gather", DEPTHWISE, "Conv", LANES),
    row(B::DepthwiseDWeight, "depthwise_d_weight", D_WEIGHT, "Conv", LANES),
    row(B::NormMoments, "norm_moments", "x parts= weight bias made= first= arrivals:u32=", "Norm", LANES),
    row(B::NormSums, "norm_sums", "d z norm parts= made= first= second= arrivals:u32=", "Norm", LANES),
    row(B::ColumnParts, "column_parts", "x parts=", "Norm", LANES),
    row(B::NormFinish, "norm_finish", "parts weight bias norm= variance=", "Norm", FINISH),
    row(B::NormStatistics, "norm_statistics", "parts statistics=", "Norm", FINISH),
    row(B::NormOf, "norm_of", "weight bias mean variance norm=", "Norm", FLAT),
    overlapping(row(B::NormSumsFinish, "norm_sums_finish", "parts norm through= d_weight= d_bias=", "Norm", FINISH)),
    in_place(B::NormApply, "norm_apply", "x other norm out=", "Norm"),
    row(B::NormSlope, "norm_slope", "d= x norm", "Norm", FLAT),
    in_place(B::ResidualSum, "residual_sum", "x norm around around_norm y= mask:u8=", "Norm"),
    row(B::MaskOf, "mask_of", "y mask:u8=", "Norm", FLAT),
    row(B::MaskApply, "mask_apply", "d= mask:u8", "Norm", FLAT),
    in_place(B::Activate, "activate", "x y=", "Elements"),
    row(B::ActivateBackward, "activate_backward", "d= x", "Elements", FLAT),
    row(B::AddActivate, "add_activate", "a= b", "Elements", FLAT),
    row(B::AddScaled, "add_scaled", "a= b", "Elements", FLAT),
    in_place(B::Scale, "scale", "x y=", "Elements"),
    row(B::ProductParts, "product_parts", "a b parts=", "Elements", SUMS),
    row(B::Reversed, "reversed", "x y=", "Axes", FLAT),
    in_place(B::MultiplyChannels, "multiply_channels", "x factors y=", "Axes"),
    row(B::CopyChannels, "copy_channels", "x y=", "Channels", FLAT),
    in_place(B::Prelu, "prelu", "x slopes y=", "Axes"),
    row(B::PreluBackward, "prelu_backward", "d= x slopes products=", "Axes", FLAT),
    row(B::GroupMoments, "group_moments", "x moments=", "Groups", SUMS),
    row(B::GroupSums, "group_sums", "d x moments weight sums=", "Groups", SUMS),
    in_place(B::GroupApply, "group_apply", "x moments weight bias y=", "Groups"),
    row(B::GroupBackward, "group_backward", "d= x moments sums weight products=", "Groups", FLAT),
    row(B::ResponseFactors, "response_factors", "squares weight factors=", "Groups", SUMS),
    row(B::ResponseBackward, "response_backward", "squares products weight of_x= d_weight=", "Groups", SUMS),
    in_place(B::Dropout, "dropout", "x y=", "Elements"),
    row(B::Narrow, "narrow", "x y:u16=", "Elements", FLAT),
    row(B::Widen, "widen", "x:u16 y=", "Elements", FLAT),
    row(B::MaxPool, "max_pool", "x y= places:u8=", "Pool", FLAT),
    row(B::MaxPoolBackward, "max_pool_backward", "d_y places:u8 d_x=", "Pool", FLAT),
    row(B::Subsample, "subsample", "x y=", "Pool", FLAT),
    row(B::SubsampleBackward, "subsample_backward", "d_y d_x=", "Pool", FLAT),
    row(B::Resample, "resample", "x table:u32 y=", "Resample", FLAT),
    row(B::MeanPool, "mean_pool", "x y=", "Norm", LANES),
    row(B::CrossEntropy, "cross_entropy", "logits labels:u32 class_weights d_logits= found=", "Loss", TWO_SUMS),
    row(B::SoftCrossEntropy, "soft_cross_entropy", "logits shares class_weights d_logits= found=", "Loss", TWO_SUMS),
    row(B::BinaryCrossEntropy, "binary_cross_entropy", "logits targets d_logits= parts=", "Elements", SUMS),
    row(B::SquaredError, "squared_error", ERRORS, "Elements", SUMS),
    row(B::Huber, "huber", ERRORS, "Elements", SUMS),
    row(B::SumParts, "sum_parts", "parts found=", "Elements", SUMS),
    row(B::Deviation, "deviation", "x mean= deviations=", "Similarity", LANES),
    row(B::DeviationBackward, "deviation_backward", "x mean deviations d d_x=", "Similarity", FLAT),
    row(B::SimilarityRows, "similarity_rows", "x rows= norms=", "Similarity", SUMS),
    row(B::SimilarityErrors, "similarity_errors", "rows labels:u32 errors= parts=", "Similarity", SUMS),
    row(B::SimilarityBackward, "similarity_backward", "errors rows norms d_x=", "Similarity", SUMS),
    row(B::Sgd, "sgd", UPDATE, "Update", FLAT),
    row(B::AdamW, "adamw", UPDATE, "Update", FLAT),
    row(B::SumSplits, "sum_splits", "x y=", "Elements", FLAT),
    row(B::Average, "average", "arrays:addresses table:u32", "Update", FLAT),
    row(B::SquareParts, "square_parts", "arrays:addresses table:u32 parts=", "Update", SUMS),
    row(B::ClipFactor, "clip_factor", "parts found=", "Elements", SUMS),
];

impl Body {
    /// All, in the order of the table.
    pub fn all() -> impl Iterator<Item = Self> {
        ROWS.iter().map(|row| row.body)
    }

    /// What the table says of it.
    pub fn row(self) -> Row {
        ROWS[self as usize]
    }
}
