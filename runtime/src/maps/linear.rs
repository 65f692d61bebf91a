//! The linear layer y = x · Wᵀ + b and its gradients; that of the bias is `elementwise::sum_rows(d_y)`.

#[cfg(feature = "device")]
use crate::device::operations::linear as device;
use crate::error::{Error, Result};
use crate::kernels::product::{Matrix, product};
use crate::maps::Map;
use crate::maps::elementwise::one_per_channel;
use crate::maps::place::make;
use crate::maps::slices::{elements, tensor};

/// `x: [N, I]`, `weight: [O, I]`, `bias: [O]` -> `[N, O]`.
pub fn forward(x: &Map, weight: &Map, bias: Option<&Map>) -> Result<Map> {
    let ([rows, inputs], [outputs, columns]) = (matrix("x", x)?, matrix("weight", weight)?);
    agree("the inputs of x and weight", inputs, columns, x, weight)?;
    if let Some(bias) = bias {
        one_per_channel(outputs, &[("bias", bias)])?;
    }
    #[cfg(feature = "device")]
    if let Map::Device(x) = x {
        let bias = bias.map(Map::array).transpose()?;
        return device::forward(x, weight.array()?, bias, [rows, inputs, outputs]).map(Map::Device);
    }
    make(
        x,
        &[rows, outputs],
        || {
            let (x, weight) = (elements(x)?, elements(weight)?);
            let bias = bias.map(elements).transpose()?;
            let weight = Matrix::new(&weight, inputs).transposed();
            tensor(product(Matrix::new(&x, inputs), weight, bias.as_deref()), (rows, outputs))
        },
        |counter| counter.product(rows, outputs, inputs),
    )
}

/// The gradient of the input: `d_y: [N, O]`, `weight: [O, I]` -> `[N, I]`.
pub fn d_input(d_y: &Map, weight: &Map) -> Result<Map> {
    let ([rows, columns], [outputs, inputs]) = (matrix("d_y", d_y)?, matrix("weight", weight)?);
    agree("the outputs of d_y and weight", columns, outputs, d_y, weight)?;
    #[cfg(feature = "device")]
    if let Map::Device(d_y) = d_y {
        return device::d_input(d_y, weight.array()?, [rows, inputs, outputs]).map(Map::Device);
    }
    make(
        d_y,
        &[rows, inputs],
        || {
            let (d_y, weight) = (elements(d_y)?, elements(weight)?);
            let d_y = Matrix::new(&d_y, outputs);
            tensor(product(d_y, Matrix::new(&weight, inputs), None), (rows, inputs))
        },
        |counter| counter.product(rows, inputs, outputs),
    )
}

/// The gradient of the weight: `x: [N, I]`, `d_y: [N, O]` -> `[O, I]`.
pub fn d_weight(x: &Map, d_y: &Map) -> Result<Map> {
    let ([rows, inputs], [samples, outputs]) = (matrix("x", x)?, matrix("d_y", d_y)?);
    agree("the rows of x and d_y", rows, samples, x, d_y)?;
    #[cfg(feature = "device")]
    if let Map::Device(x) = x {
        return device::d_weight(x, d_y.array()?, [rows, inputs, outputs]).map(Map::Device);
    }
    make(
        x,
        &[outputs, inputs],
        || {
            let (x, d_y) = (elements(x)?, elements(d_y)?);
            let d_y = Matrix::new(&d_y, outputs).transposed();
            tensor(product(d_y, Matrix::new(&x, inputs), None), (outputs, inputs))
        },
        |counter| counter.product(outputs, inputs, rows),
    )
}

fn matrix(name: &str, x: &Map) -> Result<[usize; 2]> {
    match x.dims() {
        &[rows, columns] if rows * columns > 0 => Ok([rows, columns]),
        dims => {
            Err(Error::shape(format!("a linear layer needs {name} as a matrix with elements, got {dims:?}")))
        }
    }
}

fn agree(what: &str, a: usize, b: usize, x: &Map, other: &Map) -> Result<()> {
    if a == b {
        return Ok(());
    }
    Err(Error::shape(format!("{what} differ: {:?} and {:?}", x.dims(), other.dims())))
}
