//! What the forward pass leaves for the backward pass: a plain stack.

use crate::error::{Error, Result};
use crate::ops::conv_norm::Lazy;
use candle_core::Tensor;

/// One saved thing.
#[derive(Debug)]
pub enum Saved {
    /// An activation or statistic.
    Tensor(Tensor),
    /// An activation that whoever reads it normalizes.
    Lazy(Lazy),
    /// The shape of an input that itself need not be kept.
    Shape(Vec<usize>),
}

/// A stack: layers push in their forward pass and pop in their backward pass, in reverse order.
#[derive(Debug, Default)]
pub struct Tape {
    saved: Vec<Saved>,
    forgets: bool,
}

impl Tape {
    /// An empty tape.
    pub fn new() -> Self {
        Self::default()
    }

    /// A tape that keeps nothing, for a forward pass that will be repeated before its backward pass.
    pub fn forgetting() -> Self {
        Self { forgets: true, ..Self::default() }
    }

    fn save(&mut self, saved: Saved) {
        if !self.forgets {
            self.saved.push(saved);
        }
    }

    /// Keeps a tensor (its storage is shared, not copied).
    pub fn push(&mut self, tensor: &Tensor) {
        self.save(Saved::Tensor(tensor.clone()));
    }

    /// Keeps a map that may still have to be normalized.
    pub fn push_lazy(&mut self, map: Lazy) {
        self.save(match map {
            Lazy::Plain(tensor) => Saved::Tensor(tensor),
            map @ Lazy::Normalized(..) => Saved::Lazy(map),
        });
    }

    /// Keeps the shape of a tensor.
    pub fn push_shape(&mut self, tensor: &Tensor) {
        self.save(Saved::Shape(tensor.dims().to_vec()));
    }

    /// Takes the tensor on top, which the caller then owns.
    pub fn pop(&mut self) -> Result<Tensor> {
        match self.saved.pop() {
            Some(Saved::Tensor(tensor)) => Ok(tensor),
            other => Err(unexpected("a tensor", &other)),
        }
    }

    /// Takes the map on top, as it was pushed.
    pub fn pop_lazy(&mut self) -> Result<Lazy> {
        match self.saved.pop() {
            Some(Saved::Tensor(tensor)) => Ok(Lazy::Plain(tensor)),
            Some(Saved::Lazy(map)) => Ok(map),
            other => Err(unexpected("a map", &other)),
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
        Some(Saved::Lazy(_)) => "a map to be normalized",
        Some(Saved::Shape(_)) => "a shape",
    };
    Error::internal(format!("the tape holds {found} where backward expects {wanted}"))
}
