//! The small real data set inside the program: 6,000 images of Fashion-MNIST (`cli/data`).

use crate::fault::Outcome;
use localgrad::data::idx::Idx;
use localgrad::data::{Dataset, Split};

/// What the ten classes are.
pub const CLASS_NAMES: [&str; 10] =
    ["T-shirt", "trousers", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"];

/// 5,000 images to learn from, or 1,000 to be judged by.
pub fn open(split: Split) -> Outcome<Box<dyn Dataset>> {
    let (images, labels): (&[u8], &[u8]) = match split {
        Split::Train => (
            include_bytes!("../data/train-images-idx3-ubyte.gz"),
            include_bytes!("../data/train-labels-idx1-ubyte.gz"),
        ),
        Split::Test => (
            include_bytes!("../data/t10k-images-idx3-ubyte.gz"),
            include_bytes!("../data/t10k-labels-idx1-ubyte.gz"),
        ),
    };
    Ok(Box::new(Idx::from_bytes(images, labels, "the embedded Fashion-MNIST")?))
}
