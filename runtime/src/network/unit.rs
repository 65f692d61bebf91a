//! Units: the pieces of a network that are never cut.

use super::conv_norm::{NormConfig, conv_bn, conv_norm, depthwise, square};
use super::convnext::{ConvNextBlock, patches};
use super::dense;
use super::fire;
use super::mnas::MnasBlock;
use super::mobile::MobileBlock;
use super::regnet::RegnetBlock;
use super::separable;
use super::shuffle;
use super::temporal::TemporalBlock;
use crate::error::{Error, Result};
use crate::layers::spec::{Features, LayerSpec, NamedLayer, ShortcutSpec, named, output_of_all, unnamed};
use crate::maps::activation::Activation;
use crate::maps::conv::ConvConfig;
use crate::maps::pool::PoolConfig;
use serde::{Deserialize, Serialize};

/// How a residual unit that changes the shape carries its input around.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shortcut {
    /// 1x1 convolution and batch norm.
    #[default]
    Project,
    /// Strided slice and zero channels.
    Pad,
    /// 1x1 convolution with a bias, and no batch norm.
    Convolve,
    /// 2x2 average pool with the stride, rounded up, then 1x1 convolution and batch norm (He et al. 2019, "ResNet-D").
    Average,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn one() -> usize {
    1
}

fn is_one(number: &usize) -> bool {
    *number == 1
}

fn yes() -> bool {
    true
}

fn is_yes(value: &bool) -> bool {
    *value
}

fn relu6() -> Activation {
    Activation::Relu6
}

fn is_relu6(activation: &Activation) -> bool {
    *activation == Activation::Relu6
}

/// What a unit is made of. The shape it takes comes from the unit before, so that a unit of the same kind can
/// be made for another place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnitKind {
    /// Convolution, batch norm, ReLU: the stem of a residual network.
    Stem {
        /// Side of the square kernel.
        kernel: usize,
        /// Whether a 3x3 max pool with stride 2 follows, as for ImageNet-size input.
        pool: bool,
    },
    /// A unit of VGG: 2x2 max pool if the stride is 2, 3x3 convolution, batch norm if it has one, ReLU.
    Plain {
        /// Names of the convolution and the batch norm.
        names: [String; 2],
        /// Whether the convolution has a bias.
        bias: bool,
        /// Whether it has batch norm; it has where nothing is said.
        #[serde(default = "yes", skip_serializing_if = "is_yes")]
        norm: bool,
    },
    /// Two 3x3 convolutions and a shortcut (He et al. 2015).
    Basic {
        /// The way around where the shape changes.
        #[serde(default)]
        shortcut: Shortcut,
    },
    /// 1x1, 3x3, 1x1 convolutions and a shortcut; the stride is on the 3x3 one, as torchvision has it.
    Bottleneck {
        /// Channels between the 1x1 convolutions.
        inner: usize,
        /// Groups of the 3x3 convolution (Xie et al. 2017, "ResNeXt").
        #[serde(default = "one", skip_serializing_if = "is_one")]
        groups: usize,
        /// The way around where the shape changes.
        #[serde(default)]
        shortcut: Shortcut,
    },
    /// Convolution, batch norm, activation: the beginning of MobileNets.
    ConvNorm {
        /// Side of the square kernel.
        kernel: usize,
        /// After the batch norm; ReLU6 where nothing is said, as for MobileNetV2.
        #[serde(default = "relu6", skip_serializing_if = "is_relu6")]
        activation: Activation,
        /// Of the batch norm.
        #[serde(default, skip_serializing_if = "is_default")]
        norm: NormConfig,
    },
    /// A unit of MobileNetV2 (Sandler et al. 2018): 1x1 convolution to more channels, 3x3 depthwise one, 1x1 one to
    /// fewer; the input is added where the shape stays.
    InvertedResidual {
        /// Inner channels for each input channel; 1 leaves the first convolution out.
        expansion: usize,
    },
    /// A unit of MobileNetV3 or EfficientNet.
    MobileBlock(MobileBlock),
    /// A convolution of patches that touch, as wide as the stride, and layer norm: ConvNeXt's stem, and what is between its
    /// stages.
    Patches {
        /// Whether layer norm comes before the convolution.
        norm_first: bool,
    },
    /// A unit of ConvNeXt.
    ConvNext(ConvNextBlock),
    /// A unit of ShuffleNetV2; its width is even.
    Shuffle,
    /// A unit of DenseNet: puts new channels beside those that it is given.
    Dense {
        /// Channels between its convolutions.
        inner: usize,
        /// New channels.
        growth: usize,
    },
    /// What is between the stages of DenseNet: batch norm, 1x1 convolution, pool.
    Transition,
    /// A unit of SqueezeNet; its width is even.
    Fire {
        /// Channels between its convolutions.
        squeezed: usize,
    },
    /// A unit of MobileNetV1: depthwise convolution, 1x1 convolution, each with batch norm and activation.
    Separable {
        /// Side of the square depthwise kernel.
        kernel: usize,
        /// After the batch norms; ReLU6 where nothing is said.
        #[serde(default = "relu6", skip_serializing_if = "is_relu6")]
        activation: Activation,
    },
    /// A unit of MNASNet.
    MnasBlock(MnasBlock),
    /// A unit of a RegNet; its width is a multiple of that of a group.
    RegnetBlock(RegnetBlock),
    /// A unit for windows of time.
    TemporalBlock(TemporalBlock),
    /// Any layers, written out. They fit features as they are given where they stand: rules that build new units for other
    /// places refuse them where they do not fit.
    Layers(Vec<NamedLayer>),
}

/// One unit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UnitSpec {
    /// The part of its weights' names before the layers' own, for example `layer2.0`; may be empty.
    #[serde(default)]
    pub name: String,
    /// What it is made of.
    pub kind: UnitKind,
    /// Output channels.
    pub width: usize,
    /// Step between output positions.
    pub stride: usize,
}

impl UnitSpec {
    /// The unit's layers when it is given `inputs` channels.
    pub fn layers(&self, inputs: usize) -> Result<Vec<NamedLayer>> {
        if self.width == 0 || inputs == 0 || self.stride == 0 {
            return Err(Error::config(format!(
                "unit '{}' needs channels and a stride of at least 1, found {inputs} to {} channels, stride {}",
                self.name, self.width, self.stride
            )));
        }
        Ok(match &self.kind {
            UnitKind::Stem { kernel, pool } => self.stem(inputs, *kernel, *pool),
            UnitKind::Plain { names, bias, norm } => self.plain(inputs, names, [*bias, *norm]),
            UnitKind::Basic { shortcut } => {
                let mut main = conv_bn("conv1", "bn1", inputs, self.width, 3, self.stride, RELU);
                main.extend(conv_bn("conv2", "bn2", self.width, self.width, 3, 1, None));
                vec![self.residual(inputs, main, *shortcut)]
            }
            UnitKind::Bottleneck { inner, groups, shortcut } => {
                let mut main = conv_bn("conv1", "bn1", inputs, *inner, 1, 1, RELU);
                let config = ConvConfig { groups: *groups, ..square(3, self.stride) };
                let conv = LayerSpec::Conv { inputs: *inner, outputs: *inner, config, bias: false };
                main.push(named("conv2", conv));
                main.push(named("bn2", LayerSpec::batch_norm(*inner, RELU)));
                main.extend(conv_bn("conv3", "bn3", *inner, self.width, 1, 1, None));
                vec![self.residual(inputs, main, *shortcut)]
            }
            UnitKind::ConvNorm { kernel, activation, norm } => {
                let config = square(*kernel, self.stride);
                conv_norm("", [inputs, self.width], config, Some(*activation), *norm)
            }
            UnitKind::InvertedResidual { expansion } => self.inverted_residual(inputs, *expansion)?,
            UnitKind::Patches { norm_first } => patches([inputs, self.width], self.stride, *norm_first),
            UnitKind::ConvNext(block) => block.layers([inputs, self.width], self.stride),
            UnitKind::Shuffle => shuffle::layers(&self.name, [inputs, self.width], self.stride)?,
            UnitKind::Dense { inner, growth } => {
                dense::dense(&self.name, [inputs, self.width], [*inner, *growth], self.stride)?
            }
            UnitKind::Transition => dense::transition([inputs, self.width], self.stride),
            UnitKind::Fire { squeezed } => {
                fire::layers(&self.name, [inputs, self.width], *squeezed, self.stride)?
            }
            UnitKind::Separable { kernel, activation } => {
                separable::layers([inputs, self.width], *kernel, self.stride, *activation)
            }
            UnitKind::MnasBlock(block) => block.layers(&self.name, [inputs, self.width], self.stride)?,
            UnitKind::RegnetBlock(block) => block.layers(&self.name, [inputs, self.width], self.stride)?,
            UnitKind::TemporalBlock(block) => block.layers(&self.name, [inputs, self.width], self.stride)?,
            UnitKind::Layers(layers) => layers.clone(),
            UnitKind::MobileBlock(block) => block.layers(&self.name, [inputs, self.width], self.stride)?,
        })
    }

    /// The unit's layers on `features`, and what they give: a map of as many channels as the unit is wide.
    pub fn expand(&self, features: Features) -> Result<(Vec<NamedLayer>, Features)> {
        let layers = self.layers(features.channels())?;
        let output = output_of_all(&layers, features)?;
        match output.map()? {
            (channels, ..) if channels == self.width => Ok((layers, output)),
            (channels, ..) => Err(Error::config(format!(
                "the unit gives {channels} channels, and its width is {}",
                self.width
            ))),
        }
    }

    /// A unit of the same kind for another place: its own name and stride, the same width.
    #[must_use]
    pub fn again(&self, name: impl Into<String>, stride: usize) -> UnitSpec {
        let kind = match &self.kind {
            UnitKind::Plain { bias, norm, .. } => {
                UnitKind::Plain { names: ["conv".into(), "bn".into()], bias: *bias, norm: *norm }
            }
            kind => kind.clone(),
        };
        UnitSpec { name: name.into(), kind, width: self.width, stride }
    }

    fn stem(&self, inputs: usize, kernel: usize, pool: bool) -> Vec<NamedLayer> {
        let mut layers = conv_bn("conv1", "bn1", inputs, self.width, kernel, self.stride, RELU);
        if pool {
            let pool =
                PoolConfig { kernel: [3, 3], stride: [2, 2], padding: [1, 1], ..PoolConfig::default() };
            layers.push(unnamed(LayerSpec::MaxPool(pool)));
        }
        layers
    }

    fn plain(&self, inputs: usize, names: &[String; 2], [bias, norm]: [bool; 2]) -> Vec<NamedLayer> {
        let mut layers = Vec::new();
        if self.stride > 1 {
            let pool =
                PoolConfig { kernel: [self.stride; 2], stride: [self.stride; 2], ..PoolConfig::default() };
            layers.push(unnamed(LayerSpec::MaxPool(pool)));
        }
        let config = ConvConfig { kernel: [3, 3], padding: [1, 1], ..ConvConfig::default() };
        let conv = LayerSpec::Conv { inputs, outputs: self.width, config, bias };
        layers.push(named(&names[0], conv));
        layers.push(match norm {
            true => named(&names[1], LayerSpec::batch_norm(self.width, RELU)),
            false => unnamed(LayerSpec::Activation(Activation::Relu)),
        });
        layers
    }

    fn residual(&self, inputs: usize, main: Vec<NamedLayer>, shortcut: Shortcut) -> NamedLayer {
        let shortcut = match shortcut {
            _ if self.stride == 1 && inputs == self.width => ShortcutSpec::Identity,
            Shortcut::Pad => ShortcutSpec::Pad { stride: self.stride, channels: self.width },
            Shortcut::Convolve => {
                let config = square(1, self.stride);
                let conv = LayerSpec::Conv { inputs, outputs: self.width, config, bias: true };
                ShortcutSpec::Projection(vec![named("downsample.0", conv)])
            }
            Shortcut::Average => ShortcutSpec::Projection(self.averaged(inputs)),
            Shortcut::Project => ShortcutSpec::Projection(conv_bn(
                "downsample.0",
                "downsample.1",
                inputs,
                self.width,
                1,
                self.stride,
                None,
            )),
        };
        unnamed(LayerSpec::Residual { main, shortcut, activation: RELU })
    }

    /// The way around of ResNet-D, named as timm names it.
    fn averaged(&self, inputs: usize) -> Vec<NamedLayer> {
        let mut layers = Vec::new();
        if self.stride > 1 {
            let pool = PoolConfig { stride: [self.stride; 2], round_up: true, ..PoolConfig::default() };
            layers.push(unnamed(LayerSpec::AveragePool(pool)));
        }
        layers.extend(conv_bn("downsample.1", "downsample.2", inputs, self.width, 1, 1, None));
        layers
    }

    /// Named as torchvision names it: each convolution with its batch norm has a number, but the last stands alone.
    fn inverted_residual(&self, inputs: usize, expansion: usize) -> Result<Vec<NamedLayer>> {
        let inner = inputs.checked_mul(expansion).filter(|&inner| inner > 0).ok_or_else(|| {
            Error::config(format!("unit '{}' cannot expand {inputs} channels {expansion} times", self.name))
        })?;
        let mut main = Vec::new();
        let mut number = 0;
        if expansion > 1 {
            main.extend(conv_bn("conv.0.0", "conv.0.1", inputs, inner, 1, 1, RELU6));
            number += 1;
        }
        let config = depthwise(inner, 3, self.stride);
        main.extend(conv_norm(&format!("conv.{number}"), [inner; 2], config, RELU6, NormConfig::default()));
        let (conv, bn) = (format!("conv.{}", number + 1), format!("conv.{}", number + 2));
        main.extend(conv_bn(&conv, &bn, inner, self.width, 1, 1, None));
        if self.stride > 1 || inputs != self.width {
            return Ok(main);
        }
        Ok(vec![unnamed(LayerSpec::Residual { main, shortcut: ShortcutSpec::Identity, activation: None })])
    }
}

const RELU6: Option<Activation> = Some(Activation::Relu6);
const RELU: Option<Activation> = Some(Activation::Relu);
