//! The launches of each operation, made from shapes: which kernel, which grid, how large the parts are that a second launch
//! adds up in their order.

pub mod conv;
pub mod norm;
pub mod elements;
pub mod reorder;
pub mod group_norm;
pub mod loss;
pub mod update;

/// Blocks of this many rows have a part each, where no tile says otherwise.
pub const PART_ROWS: usize = 64;
/// Channels of a block of such parts.
const PART_CHANNELS: usize = 32;
