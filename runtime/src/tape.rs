//! What the forward pass leaves for the backward pass: a plain stack.

use crate::error::{Error, Result};
use candle_core::Tensor;

/// One saved thing.
#[derive(Debug)]
pub enum Saved {
    /// An activation or statistic.
    Tensor(Tensor),
    /// The shape of an input that itself need not be kept.
    Shape(Vec<usize>),
}

/// A stack: layers push in their forward pass and pop in their backward pass, in reverse order.
#[derive(Debug, Default)]
pub struct Tape {
    saved: Vec<Saved>,
}

impl Tape {
    /// An empty tape.
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps a tensor (its storage is shared, not copied).
    pub fn push(&mut self, tensor: &Tensor) {
        self.saved.push(Saved::Tensor(tensor.clone()));
    }

    /// Keeps the shape of a tensor.
    pub fn push_shape(&mut self, tensor: &Tensor) {
        self.saved.push(Saved::Shape(tensor.dims().to_vec()));
    }

    /// Takes the tensor on top, which the caller then owns.
    pub fn pop(&mut self) -> Result<Tensor> {
        match self.saved.pop() {
            Some(Saved::Tensor(tensor)) => Ok(tensor),
            other => Err(unexpected("a tensor", &other)),
        }
    }

    /// Takes the shape on top.
    pub fn pop_shape(&mut self) -> Result<Vec<usize>> {
        match self.saved.pop() {
            Some(Saved::Shape(shape)) => Ok(shape),
            other => Err(unexpected("a shape", &other)),
        }
    }

    /// Whether backward has consumed everything that forward pushed.
    pub fn is_empty(&self) -> bool {
        self.saved.is_empty()
    }

    /// Forgets everything, as after an abandoned step.
    pub fn clear(&mut self) {
        self.saved.clear();
    }
}

fn unexpected(wanted: &str, found: &Option<Saved>) -> Error {
    let found = match found {
        None => "nothing",
        Some(Saved::Tensor(_)) => "a tensor",
        Some(Saved::Shape(_)) => "a shape",
    };
    Error::internal(format!("the tape holds {found} where backward expects {wanted}"))
}
