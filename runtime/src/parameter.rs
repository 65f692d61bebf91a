//! One weight of a network with all that training keeps about it.

use candle_core::Tensor;

/// A weight, and the optimizer's memory of it.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// The weight: contiguous f32. Updates write into its storage, so clones of the tensor see them.
    pub value: Tensor,
    /// Whether updates change it; frozen weights and the EMA of a boundary are not trained.
    pub trainable: bool,
    /// What the optimizer remembers, each of the shape of `value`: empty until the first update, then the momentum
    /// (SGD) or the first and second moments (AdamW).
    pub state: Vec<Tensor>,
    /// The gradient collected so far by the micro-batches of a step.
    pub accumulated: Option<Tensor>,
    /// Number of updates done.
    pub updates: u64,
}

impl Parameter {
    /// A trainable weight that was never updated.
    pub fn new(value: Tensor) -> Self {
        Self { value, trainable: true, state: Vec::new(), accumulated: None, updates: 0 }
    }
}
