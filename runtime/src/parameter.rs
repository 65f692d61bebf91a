//! One weight of a network with all that training keeps about it.

use crate::maps::Map;
use crate::maps::coded::Coded;
use crate::maps::counted::ledger::Part;

/// Elements from which on state is kept in 8 bits if that is asked for: smaller weights, such as those of batch norm, have
/// little memory and much to lose (Dettmers et al. 2022).
const LEAST_CODED: usize = 4096;

/// A weight, and the optimizer's memory of it.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// The weight: contiguous f32. Updates write into its storage, so clones of the tensor see them.
    pub value: Map,
    /// Whether updates change it; frozen weights and the EMA of a boundary are not trained.
    pub trainable: bool,
    /// What the optimizer remembers, each of the shape of `value`: empty until the first update, then the momentum
    /// (SGD) or the first and second moments (AdamW).
    pub state: Vec<Map>,
    /// The same in 8 bits, where it is kept so.
    pub coded: Vec<Coded>,
    /// Whether what the optimizer remembers is kept in 8 bits, if the weight is large enough.
    pub eight_bit: bool,
    /// The gradient collected so far by the micro-batches of a step.
    pub accumulated: Option<Map>,
    /// Number of updates done.
    pub updates: u64,
    /// What its memory is for.
    pub part: Part,
}

impl Parameter {
    /// A trainable weight of the network that was never updated.
    pub fn new(value: Map) -> Self {
        Self::of_part(value, Part::Weights)
    }

    /// The same of a weight that serves `part`.
    pub fn of_part(value: Map, part: Part) -> Self {
        value.label(part);
        Self {
            value,
            trainable: true,
            state: Vec::new(),
            coded: Vec::new(),
            eight_bit: false,
            accumulated: None,
            updates: 0,
            part,
        }
    }

    /// Whether what the optimizer remembers of it is kept in 8 bits.
    pub fn is_coded(&self) -> bool {
        self.eight_bit && self.value.elem_count() >= LEAST_CODED
    }
}
