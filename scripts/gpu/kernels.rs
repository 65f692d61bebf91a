//! Writes the text of every kernel for a compiler: `kernels DIALECT DIRECTORY`, the dialects being `cuda`, `tensor-cores` (all that
//! a card with them runs), `tensor-tiles` (what it alone runs), `metal` and `metal-stand-in`.
//! Each kernel is a file, with the kernels' language before it, and `all` has all of them.

#[path = "../../runtime/src/device/table/mod.rs"]
#[allow(dead_code)]
mod table;

use std::path::Path;
use table::all::{Class, all};
use table::dialect::{Dialect, source};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [dialect, directory] = &arguments[..] else {
        return Err("usage: kernels cuda|tensor-cores|tensor-tiles|metal|metal-stand-in DIRECTORY".into());
    };
    let tensor_cores =
        [Class::TensorCores { passes: 3 }, Class::TensorCores { passes: 1 }, Class::HalfTensorCores];
    let metal = [Class::Scalar, Class::Simdgroups];
    let (dialect, classes, ending) = match dialect.as_str() {
        "cuda" => (Dialect::Cuda, &[Class::Scalar][..], "cu"),
        "tensor-cores" | "tensor-tiles" => (Dialect::Cuda, &tensor_cores[..], "cu"),
        "metal" => (Dialect::Metal, &metal[..], "metal"),
        "metal-stand-in" => (Dialect::MetalStandIn, &metal[..], "clcpp"),
        other => return Err(format!("there is no dialect '{other}'").into()),
    };
    let mut kernels = vec![];
    for kernel in classes.iter().flat_map(|&class| all(class)) {
        if !kernels.contains(&kernel) {
            kernels.push(kernel);
        }
    }
    if arguments[0] == "tensor-tiles" {
        let everywhere = all(Class::Scalar);
        kernels.retain(|kernel| !everywhere.contains(kernel));
    }
    let path = Path::new(directory);
    std::fs::create_dir_all(path)?;
    for kernel in &kernels {
        let file = path.join(format!("{}.{ending}", kernel.name()));
        std::fs::write(file, source(dialect, &[*kernel]))?;
    }
    std::fs::write(path.join(format!("all.{ending}")), source(dialect, &kernels))?;
    println!("{} kernels", kernels.len());
    Ok(())
}
