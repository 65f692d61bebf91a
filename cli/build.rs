//! Unpacks the embedded data set, so that the program carries it plain: read where it lies, it takes no memory.

use std::io::Read;
use std::path::Path;

const FILES: [&str; 4] = [
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let out = std::env::var("OUT_DIR")?;
    for name in FILES {
        let packed = format!("data/{name}.gz");
        println!("cargo::rerun-if-changed={packed}");
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(std::fs::File::open(&packed)?).read_to_end(&mut plain)?;
        std::fs::write(Path::new(&out).join(name), plain)?;
    }
    Ok(())
}
