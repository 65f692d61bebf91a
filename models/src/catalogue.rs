//! Every network that can be asked for by name.

use crate::{convnext, densenet, efficientnet, mobilenet, mobilenet_v3, resnet, shufflenet, vgg};
use localgrad::network::NetworkSpec;
use localgrad::network::unit::Shortcut;
use localgrad::{Error, Result};

/// What a name leaves open.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfig {
    /// Channels, height and width of an image.
    pub input: [usize; 3],
    /// Number of classes.
    pub classes: usize,
    /// Widths of the stem and the stages, where they are not the published ones (CIFAR ResNets only).
    pub widths: Option<Vec<usize>>,
    /// The way around where a residual unit changes the shape (ResNets only).
    pub shortcut: Shortcut,
    /// How ImageNet's networks begin, where the size of the images is not to say it (all but VGGs).
    pub stem: Option<Stem>,
}

impl ModelConfig {
    /// Whether a network of ImageNet begins without making images smaller.
    pub(crate) fn small_stem(&self) -> bool {
        match self.stem {
            None => self.input[1].max(self.input[2]) <= SMALL_SIDE,
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
        Self { input: [3, 32, 32], classes: 10, widths: None, shortcut: Shortcut::Project, stem: None }
    }
}

/// The names, smallest network of a family first.
pub const MODELS: &[&str] = &[
    "resnet8",
    "resnet14",
    "resnet20",
    "resnet26",
    "resnet32",
    "resnet44",
    "resnet56",
    "resnet110",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
    "vgg11",
    "vgg13",
    "vgg16",
    "vgg19",
    "mobilenet_v2",
    "resnext50_32x4d",
    "resnext101_32x8d",
    "resnext101_64x4d",
    "wide_resnet50_2",
    "wide_resnet101_2",
    "mobilenet_v3_small",
    "mobilenet_v3_large",
    "efficientnet_b0",
    "convnext_tiny",
    "shufflenet_v2_x0_5",
    "shufflenet_v2_x1_0",
    "shufflenet_v2_x1_5",
    "shufflenet_v2_x2_0",
    "densenet121",
    "densenet169",
    "densenet201",
];

/// Whether a network is of those made for images of 32 pixels a side, rather than for photographs.
pub fn is_small(name: &str) -> bool {
    let depth = name.strip_prefix("resnet").and_then(|depth| depth.parse().ok());
    matches!(depth, Some(8 | 14 | 20 | 26 | 32 | 44 | 56 | 110))
}

/// The spec of the network called `name`.
pub fn network(name: &str, config: &ModelConfig) -> Result<NetworkSpec> {
    let depth = name.strip_prefix("resnet").and_then(|depth| depth.parse().ok());
    if config.stem.is_some() && MODELS.contains(&name) && (is_small(name) || name.starts_with("vgg")) {
        return Err(Error::config(format!(
            "{name} has one stem for images of any size; only networks made for ImageNet, from resnet18 on, have two"
        )));
    }
    let spec = match depth {
        Some(depth @ (18 | 34 | 50 | 101 | 152)) => resnet::imagenet(depth, config)?,
        Some(depth @ (8 | 14 | 20 | 26 | 32 | 44 | 56 | 110)) => {
            resnet::cifar(&[(depth - 2) / 6; 3], config, name)?
        }
        _ => match name {
            "vgg11" | "vgg13" | "vgg16" | "vgg19" => vgg::vgg(name, config)?,
            "mobilenet_v2" => mobilenet::mobilenet_v2(config)?,
            "mobilenet_v3_small" => mobilenet_v3::small(config)?,
            "mobilenet_v3_large" => mobilenet_v3::large(config)?,
            "efficientnet_b0" => efficientnet::efficientnet_b0(config)?,
            "shufflenet_v2_x0_5" | "shufflenet_v2_x1_0" | "shufflenet_v2_x1_5" | "shufflenet_v2_x2_0" => {
                shufflenet::shufflenet_v2(name, config)?
            }
            "densenet121" | "densenet169" | "densenet201" => densenet::densenet(name, config)?,
            "convnext_tiny" => convnext::convnext_tiny(config)?,
            "resnext50_32x4d" => resnet::widened(name, 50, [2, 32], config)?,
            "resnext101_32x8d" => resnet::widened(name, 101, [4, 32], config)?,
            "resnext101_64x4d" => resnet::widened(name, 101, [4, 64], config)?,
            "wide_resnet50_2" => resnet::widened(name, 50, [2, 1], config)?,
            "wide_resnet101_2" => resnet::widened(name, 101, [2, 1], config)?,
            _ => {
                return Err(Error::config(format!(
                    "there is no model '{name}'; choose one of {}",
                    MODELS.join(", ")
                )));
            }
        },
    };
    spec.validate()?;
    Ok(spec)
}

/// Refuses widths for a family that has none to choose.
pub(crate) fn no_widths(name: &str, config: &ModelConfig) -> Result<()> {
    match config.widths {
        None => Ok(()),
        Some(_) => Err(Error::config(format!("{name} has fixed widths; only CIFAR ResNets take others"))),
    }
}
