//! What the name of a network leaves open.

use localgrad::inputs::Inputs;
use localgrad::layers::spec::NamedLayer;
use localgrad::network::unit::{Shortcut, UnitSpec};
use localgrad::network::{NetworkSpec, Objective};
use localgrad::{Error, Result};

/// What a name leaves open.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfig {
    /// What samples are: images of so many channels, rows and columns, or tokens.
    pub input: Inputs,
    /// Number of classes, or of the labels or values that `objective` is.
    pub classes: usize,
    /// What the network answers with.
    pub objective: Objective,
    /// Widths of the stem and the stages, where they are not the published ones (CIFAR ResNets only).
    pub widths: Option<Vec<usize>>,
    /// The way around where a residual unit changes the shape (ResNets only).
    pub shortcut: Shortcut,
    /// How ImageNet's networks begin, where the size of the images is not to say it (not VGGs, which begin in one way).
    pub stem: Option<Stem>,
}

impl ModelConfig {
    /// The network of these units and this head.
    pub(crate) fn network(&self, name: &str, units: Vec<UnitSpec>, head: Vec<NamedLayer>) -> NetworkSpec {
        let Self { input, classes, objective, .. } = *self;
        NetworkSpec { name: name.into(), input, classes, objective, units, head }
    }

    /// Whether a network of ImageNet begins without making images smaller.
    pub(crate) fn small_stem(&self) -> bool {
        match self.stem {
            None => {
                let [_, height, width] = self.input.sides();
                height.max(width) <= SMALL_SIDE
            }
            Some(stem) => stem == Stem::Small,
        }
    }
}

/// The largest side of images that no stem makes smaller.
const SMALL_SIDE: usize = 64;

/// How a network of ImageNet begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stem {
    /// As published for ImageNet: a convolution with stride 2 (of ResNets 7x7, and a max pool after it). Pretrained weights
    /// fit it.
    Imagenet,
    /// A 3x3 convolution that keeps the size, for small images.
    Small,
}

impl Default for ModelConfig {
    /// CIFAR-10.
    fn default() -> Self {
        Self {
            input: [3, 32, 32].into(),
            classes: 10,
            objective: Objective::Classes,
            widths: None,
            shortcut: Shortcut::Project,
            stem: None,
        }
    }
}

/// Refuses widths for a family that has none to choose.
pub(crate) fn no_widths(name: &str, config: &ModelConfig) -> Result<()> {
    match config.widths {
        None => Ok(()),
        Some(_) => Err(Error::config(format!("{name} has fixed widths; only CIFAR ResNets take others"))),
    }
}
