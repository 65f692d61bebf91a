//! The small real data set inside the program: 6,000 images of Fashion-MNIST (`cli/data`).

use crate::fault::Outcome;
use localgrad::data::idx::Idx;
use localgrad::data::{Dataset, Split};

/// What the ten classes are.
pub const CLASS_NAMES: [&str; 10] =
    ["T-shirt", "trousers", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"];

/// 5,000 images to learn from, or 1,000 to be judged by.
pub fn open(split: Split) -> Outcome<Box<dyn Dataset>> {
    let (images, labels): (&'static [u8], &'static [u8]) = match split {
        Split::Train => (
            include_bytes!(concat!(env!("OUT_DIR"), "/train-images-idx3-ubyte")),
            include_bytes!(concat!(env!("OUT_DIR"), "/train-labels-idx1-ubyte")),
        ),
        Split::Test => (
            include_bytes!(concat!(env!("OUT_DIR"), "/t10k-images-idx3-ubyte")),
            include_bytes!(concat!(env!("OUT_DIR"), "/t10k-labels-idx1-ubyte")),
        ),
    };
    Ok(Box::new(Idx::from_static(images, labels, "the embedded Fashion-MNIST")?))
}
