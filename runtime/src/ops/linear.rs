//! The linear layer y = x · Wᵀ + b and its gradients; that of the bias is `elementwise::sum_rows(d_y)`.

use crate::composed::linear as composed;
use crate::error::{Error, Result};
use crate::kernels::product::{Matrix, product};
use crate::ops::elementwise::one_per_channel;
use crate::ops::place::{Place, place};
use crate::ops::slices::{elements, tensor};
use candle_core::Tensor;

/// `x: [N, I]`, `weight: [O, I]`, `bias: [O]` -> `[N, O]`.
pub fn forward(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let ([rows, inputs], [outputs, columns]) = (matrix("x", x)?, matrix("weight", weight)?);
    agree("the inputs of x and weight", inputs, columns, x, weight)?;
    if let Some(bias) = bias {
        one_per_channel(outputs, &[("bias", bias)])?;
    }
    match place(x.device())? {
        Place::Kernels => {
            let (x, weight) = (elements(x)?, elements(weight)?);
            let bias = bias.map(elements).transpose()?;
            let weight = Matrix::new(&weight, inputs).transposed();
            tensor(product(Matrix::new(&x, inputs), weight, bias.as_deref()), (rows, outputs))
        }
        Place::Composed => composed::forward(x, weight, bias),
    }
}

/// The gradient of the input: `d_y: [N, O]`, `weight: [O, I]` -> `[N, I]`.
pub fn d_input(d_y: &Tensor, weight: &Tensor) -> Result<Tensor> {
    let ([rows, columns], [outputs, inputs]) = (matrix("d_y", d_y)?, matrix("weight", weight)?);
    agree("the outputs of d_y and weight", columns, outputs, d_y, weight)?;
    match place(d_y.device())? {
        Place::Kernels => {
            let (d_y, weight) = (elements(d_y)?, elements(weight)?);
            let d_y = Matrix::new(&d_y, outputs);
            tensor(product(d_y, Matrix::new(&weight, inputs), None), (rows, inputs))
        }
        Place::Composed => composed::d_input(d_y, weight),
    }
}

/// The gradient of the weight: `x: [N, I]`, `d_y: [N, O]` -> `[O, I]`.
pub fn d_weight(x: &Tensor, d_y: &Tensor) -> Result<Tensor> {
    let ([rows, inputs], [samples, outputs]) = (matrix("x", x)?, matrix("d_y", d_y)?);
    agree("the rows of x and d_y", rows, samples, x, d_y)?;
    match place(x.device())? {
        Place::Kernels => {
            let (x, d_y) = (elements(x)?, elements(d_y)?);
            let d_y = Matrix::new(&d_y, outputs).transposed();
            tensor(product(d_y, Matrix::new(&x, inputs), None), (outputs, inputs))
        }
        Place::Composed => composed::d_weight(x, d_y),
    }
}

fn matrix(name: &str, x: &Tensor) -> Result<[usize; 2]> {
    match x.dims() {
        &[rows, columns] if rows * columns > 0 => Ok([rows, columns]),
        dims => {
            Err(Error::shape(format!("a linear layer needs {name} as a matrix with elements, got {dims:?}")))
        }
    }
}

fn agree(what: &str, a: usize, b: usize, x: &Tensor, other: &Tensor) -> Result<()> {
    if a == b {
        return Ok(());
    }
    Err(Error::shape(format!("{what} differ: {:?} and {:?}", x.dims(), other.dims())))
}
