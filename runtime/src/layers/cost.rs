//! What layers cost, counted from their specs: weights, kept activations, multiplications.

use super::spec::{Features, LayerSpec, NamedLayer, ShortcutSpec};
use crate::error::Result;
use crate::maps::activation::Activation;
use crate::maps::map_read::is_clamp;

/// Counts for one sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Trained numbers, independent of the number of samples.
    pub parameters: usize,
    /// Elements that the forward pass keeps for the backward pass on the CPU, where convolutions read through the batch
    /// norm or the up-sampling before them.
    pub kept_elements: usize,
    /// Multiply-adds of the forward pass, convolutions counted directly.
    pub multiply_adds: usize,
}

impl Cost {
    /// The sum of two costs; as much as can be counted at most.
    #[must_use]
    pub fn plus(self, other: Cost) -> Cost {
        Cost {
            parameters: self.parameters.saturating_add(other.parameters),
            kept_elements: self.kept_elements.saturating_add(other.kept_elements),
            multiply_adds: self.multiply_adds.saturating_add(other.multiply_adds),
        }
    }
}

/// Bits of an f32: masks take one an element.
const ELEMENT_BITS: usize = 8 * size_of::<f32>();

/// What gave the current features, as far as a convolution that reads them must know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A convolution: a batch norm may be joined to it.
    Convolution,
    /// Something that a convolution reads through: it keeps nothing that is not kept already.
    ReadThrough,
    /// Anything else.
    Other,
}

/// Where a walk over layers stands: the current features, and whether they are already kept by someone.
#[derive(Clone, Copy, Debug)]
pub struct Walk {
    /// Shape of the current features.
    pub features: Features,
    /// Whether a layer before has kept them, so that keeping them again is free.
    pub kept: bool,
    /// Whether weights are trained; convolutions and linear layers keep their input only then.
    pub trained: bool,
    /// What the layers so far cost.
    pub cost: Cost,
    /// What gave the current features.
    pub origin: Origin,
}

impl Walk {
    /// A walk that starts with `features`, which nobody has kept.
    pub fn new(features: Features) -> Self {
        Self { features, kept: false, trained: true, cost: Cost::default(), origin: Origin::Other }
    }

    /// Goes through `layers` in order.
    pub fn through(mut self, layers: &[NamedLayer]) -> Result<Self> {
        self.origin = Origin::Other;
        for layer in layers {
            let before = self.origin;
            self = self.step(&layer.layer)?;
            self.origin = match (&layer.layer, before) {
                (LayerSpec::Conv { .. }, _) => Origin::Convolution,
                (LayerSpec::BatchNorm { activation, .. }, Origin::Convolution) if is_clamp(*activation) => {
                    Origin::ReadThrough
                }
                (LayerSpec::Upsample { .. }, _) => Origin::ReadThrough,
                _ => Origin::Other,
            };
        }
        self.origin = Origin::Other;
        Ok(self)
    }

    fn keep(&mut self) {
        if !self.kept {
            self.keep_more(self.features.elements());
            self.kept = true;
        }
    }

    fn keep_more(&mut self, kept_elements: usize) {
        self.cost = self.cost.plus(Cost { kept_elements, ..Cost::default() });
    }

    /// Counts a weight of `weights` numbers, each used once a position, and `others` beside it. Layers whose features
    /// are known have few enough of both.
    fn count(&mut self, weights: usize, others: usize, positions: usize) {
        let multiply_adds = weights.saturating_mul(positions);
        self.cost = self.cost.plus(Cost { parameters: weights + others, kept_elements: 0, multiply_adds });
    }

    /// Keeps the current features and counts so many numbers of a channel.
    fn keep_and_count(&mut self, numbers: usize) {
        self.keep();
        self.count(0, numbers, 0);
        self.kept = false;
    }

    fn keep_if_trained(&mut self) {
        if self.trained {
            self.keep();
        }
    }

    fn step(mut self, layer: &LayerSpec) -> Result<Self> {
        let output = layer.output(self.features)?;
        match layer {
            LayerSpec::Conv { inputs, outputs, config, bias } => {
                if self.origin != Origin::ReadThrough {
                    self.keep_if_trained();
                }
                let weights = inputs / config.groups * outputs * config.kernel[0] * config.kernel[1];
                self.count(weights, if *bias { *outputs } else { 0 }, output.elements() / outputs);
                self.kept = false;
            }
            LayerSpec::Linear { inputs, outputs, bias } => {
                self.keep_if_trained();
                self.count(inputs * outputs, if *bias { *outputs } else { 0 }, 1);
                self.kept = false;
            }
            LayerSpec::BatchNorm { channels, .. }
            | LayerSpec::LayerNorm { channels, .. }
            | LayerSpec::GroupNorm { channels, .. }
            | LayerSpec::ResponseNorm { channels } => self.keep_and_count(2 * channels),
            LayerSpec::Activation(_) => self.keep_and_count(0),
            LayerSpec::Prelu { slopes } => self.keep_and_count(*slopes),
            LayerSpec::Scale { channels, .. } => {
                self.keep_if_trained();
                self.count(0, *channels, 0);
                self.kept = false;
            }
            LayerSpec::MaxPool(_) => {
                // A byte for the position of each maximum.
                self.keep_more(output.elements().div_ceil(size_of::<f32>()));
                self.kept = false;
            }
            LayerSpec::Concat { branches } => {
                // Branches that keep their input keep one and the same.
                for branch in branches {
                    self.cost = self.through(branch)?.cost;
                    self.kept |= !branch.is_empty() && self.trained;
                }
                self.kept = false;
            }
            LayerSpec::Excite { gate } => {
                self.keep();
                self.cost = self.through(gate)?.cost;
                self.keep_more(output.channels());
                self.kept = false;
            }
            LayerSpec::Residual { main, shortcut, activation } => {
                self.sum(main, shortcut, *activation, output)?;
            }
            LayerSpec::Upsample { .. } => {
                self.keep_if_trained();
                self.kept = false;
            }
            LayerSpec::Dropout { .. }
            | LayerSpec::DropPath { .. }
            | LayerSpec::Slice { .. }
            | LayerSpec::Shuffle { .. }
            | LayerSpec::AveragePool(_)
            | LayerSpec::AdaptiveAveragePool(_)
            | LayerSpec::GlobalAveragePool
            | LayerSpec::Flatten => self.kept = false,
        }
        self.features = output;
        Ok(self)
    }

    /// Counts the two branches of a residual sum, and what is kept of the sum.
    fn sum(
        &mut self,
        main: &[NamedLayer],
        shortcut: &ShortcutSpec,
        activation: Option<Activation>,
        output: Features,
    ) -> Result<()> {
        let branch = self.through(main)?;
        let around = Walk { cost: branch.cost, kept: self.trained, ..*self };
        self.cost = match shortcut {
            ShortcutSpec::Projection(layers) => around.through(layers)?.cost,
            ShortcutSpec::Identity | ShortcutSpec::Pad { .. } => branch.cost,
        };
        self.kept = false;
        match activation {
            None => {}
            Some(_) if is_clamp(activation) => self.keep_more(output.elements().div_ceil(ELEMENT_BITS)),
            Some(_) => self.keep_more(output.elements()),
        }
        Ok(())
    }
}
