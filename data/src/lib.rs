//! Files of the world as data sets for `localgrad`: pictures in folders, decoded, turned and cut to size, and published
//! data sets as they are distributed.
//!
//! `localgrad` keeps the readers of plain numbers and stays lean; decoders and archives are here.

pub mod picture;
pub mod resize;
pub mod frame;
pub mod encoded;
pub mod listing;
pub mod folder;
pub mod pictures;
mod hold_out;
pub mod images;
pub mod pickle;
pub mod cifar;
pub mod mat;
pub mod stl;
pub mod open;

pub use images::Images;
pub use listing::{Listing, Part};
pub use open::{Found, look};
pub use pictures::Reading;
