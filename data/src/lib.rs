//! Files of the world as data sets for `localgrad`: pictures in folders, decoded, turned and cut to size, and published
//! data sets as they are distributed.
//!
//! `localgrad` keeps the readers of plain numbers and stays lean; decoders and archives are here.

pub mod reduced;
pub mod picture;
pub mod resize;
pub mod frame;
pub mod encoded;
pub mod archive;
pub mod files;
pub mod share;
pub mod listing;
mod labels;
pub mod targets;
mod classes;
pub mod collection;
mod flat;
pub mod folder;
mod archived;
pub mod list;
mod shards;
mod unpack;
mod pages;
mod columns;
mod parquet;
pub mod pictures;
mod hold_out;
pub mod images;
pub mod photos;
pub mod pickle;
mod storage;
pub mod torch;
pub mod cifar;
pub mod mnist;
pub mod mat;
pub mod stl;
pub mod npy;
pub mod npz;
pub mod open;

pub use collection::Collection;
pub use images::Images;
pub use listing::{Listing, Part};
pub use open::{Found, look};
pub use pictures::Reading;
