//! Which weights of layers are trained.

use super::spec::LayerSpec;

/// Which kinds of weights are trained; the others stay as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trains {
    /// Those of convolutions and linear layers, slopes and factors.
    pub weights: bool,
    /// Scales and shifts of norms. Batch norms that are not trained go by their running statistics, in training, too.
    pub norms: bool,
    /// Whatever is added: biases, and the shifts of norms.
    pub biases: bool,
}

impl Trains {
    /// All of them.
    pub const ALL: Self = Self { weights: true, norms: true, biases: true };
    /// None of them.
    pub const NONE: Self = Self { weights: false, norms: false, biases: false };

    /// Whether anything of a layer is trained.
    pub fn any_of(self, layer: &LayerSpec) -> bool {
        let has_bias = match layer {
            LayerSpec::BatchNorm { .. }
            | LayerSpec::LayerNorm { .. }
            | LayerSpec::GroupNorm { .. }
            | LayerSpec::ResponseNorm { .. } => return self.shifts(),
            LayerSpec::Conv { bias, .. } | LayerSpec::Linear { bias, .. } => *bias,
            _ => false,
        };
        let within = || layer.branches().into_iter().flatten().any(|inner| self.any_of(&inner.layer));
        (self.weights && !layer.tensors().is_empty()) || (self.biases && has_bias) || within()
    }

    /// Whether the shifts of norms are.
    pub fn shifts(self) -> bool {
        self.norms || self.biases
    }
}
