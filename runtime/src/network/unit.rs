//! Units: the pieces of a network that are never cut.

use super::conv_norm::{NormConfig, ONE, THREE, conv_bn, conv_norm, depthwise, padded};
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

fn three() -> [usize; 2] {
    THREE
}

/// Whether a kernel is that of most published units, which files do not name.
pub(super) fn is_three(kernel: &[usize; 2]) -> bool {
    *kernel == THREE
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
        /// Rows and columns of the kernel.
        #[serde(with = "crate::layers::axes")]
        kernel: [usize; 2],
        /// Whether a 3x3 max pool with stride 2 follows, as for ImageNet-size input; of rows alone, or of columns, where the
        /// kernel is of these alone.
        pool: bool,
    },
    /// A unit of VGG: a max pool of the stride if that is above 1, convolution, batch norm if it has one, ReLU.
    Plain {
        /// Names of the convolution and the batch norm.
        names: [String; 2],
        /// Whether the convolution has a bias.
        bias: bool,
        /// Whether it has batch norm; it has where nothing is said.
        #[serde(default = "yes", skip_serializing_if = "is_yes")]
        norm: bool,
        /// Rows and columns of the kernel; 3 of each where nothing is said, as published. So it is of the other kinds.
        #[serde(with = "crate::layers::axes", default = "three", skip_serializing_if = "is_three")]
        kernel: [usize; 2],
    },
    /// Two convolutions and a shortcut (He et al. 2015).
    Basic {
        /// Rows and columns of both kernels.
        #[serde(with = "crate::layers::axes", default = "three", skip_serializing_if = "is_three")]
        kernel: [usize; 2],
        /// The way around where the shape changes.
        #[serde(default)]
        shortcut: Shortcut,
    },
    /// 1x1, 3x3, 1x1 convolutions and a shortcut; the stride is on the second one, as torchvision has it.
    Bottleneck {
        /// Rows and columns of the second kernel.
        #[serde(with = "crate::layers::axes", default = "three", skip_serializing_if = "is_three")]
        kernel: [usize; 2],
        /// Channels between the 1x1 convolutions.
        inner: usize,
        /// Groups of the second convolution (Xie et al. 2017, "ResNeXt").
        #[serde(default = "one", skip_serializing_if = "is_one")]
        groups: usize,
        /// The way around where the shape changes.
        #[serde(default)]
        shortcut: Shortcut,
    },
    /// Convolution, batch norm, activation: the beginning of MobileNets.
    ConvNorm {
        /// Rows and columns of the kernel.
        #[serde(with = "crate::layers::axes")]
        kernel: [usize; 2],
        /// After the batch norm; ReLU6 where nothing is said, as for MobileNetV2.
        #[serde(default = "relu6", skip_serializing_if = "is_relu6")]
        activation: Activation,
        /// Of the batch norm.
        #[serde(default, skip_serializing_if = "is_default")]
        norm: NormConfig,
    },
    /// A unit of MobileNetV2 (Sandler et al. 2018): 1x1 convolution to more channels, depthwise one, 1x1 one to fewer;
    /// the input is added where the shape stays.
    InvertedResidual {
        /// Rows and columns of the depthwise kernel.
        #[serde(with = "crate::layers::axes", default = "three", skip_serializing_if = "is_three")]
        kernel: [usize; 2],
        /// Inner channels for each input channel; 1 leaves the first convolution out.
        expansion: usize,
        /// Of the batch norms.
        #[serde(default, skip_serializing_if = "is_default")]
        norm: NormConfig,
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
    /// A unit of ShuffleNetV2, of 3x3 kernels; its width is even.
    Shuffle,
    /// A unit of DenseNet: puts new channels beside those that it is given.
    Dense {
        /// Rows and columns of the kernel that gives the new channels.
        #[serde(with = "crate::layers::axes", default = "three", skip_serializing_if = "is_three")]
        kernel: [usize; 2],
        /// Channels between its convolutions.
        inner: usize,
        /// New channels.
        growth: usize,
    },
    /// What is between the stages of DenseNet: batch norm, 1x1 convolution, pool.
    Transition,
    /// A unit of SqueezeNet; its width is even.
    Fire {
        /// Rows and columns of the larger kernel.
        #[serde(with = "crate::layers::axes", default = "three", skip_serializing_if = "is_three")]
        kernel: [usize; 2],
        /// Channels between its convolutions.
        squeezed: usize,
    },
    /// A unit of MobileNetV1: depthwise convolution, 1x1 convolution, each with batch norm and activation.
    Separable {
        /// Rows and columns of the depthwise kernel.
        #[serde(with = "crate::layers::axes")]
        kernel: [usize; 2],
        /// After the batch norms; ReLU6 where nothing is said.
        #[serde(default = "relu6", skip_serializing_if = "is_relu6")]
        activation: Activation,
        /// Of the batch norms.
        #[serde(default, skip_serializing_if = "is_default")]
        norm: NormConfig,
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
    /// Rows and columns from one output position to the next.
    #[serde(with = "crate::layers::axes")]
    pub stride: [usize; 2],
}

impl UnitSpec {
    /// The unit's layers when it is given `inputs` channels.
    pub fn layers(&self, inputs: usize) -> Result<Vec<NamedLayer>> {
        if self.width == 0 || inputs == 0 || self.stride.contains(&0) {
            return Err(Error::config(format!(
                "unit '{}' needs channels and a stride of at least 1, found {inputs} to {} channels, stride {:?}",
                self.name, self.width, self.stride
            )));
        }
        Ok(match &self.kind {
            UnitKind::Stem { kernel, pool } => self.stem(inputs, *kernel, *pool),
            UnitKind::Plain { names, bias, norm, kernel } => {
                self.plain(inputs, names, [*bias, *norm], *kernel)
            }
            UnitKind::Basic { kernel, shortcut } => {
                let config = padded(*kernel, self.stride);
                let mut main = conv_bn(["conv1", "bn1"], [inputs, self.width], config, RELU);
                main.extend(conv_bn(["conv2", "bn2"], [self.width; 2], padded(*kernel, ONE), None));
                vec![self.residual(inputs, main, *shortcut)]
            }
            UnitKind::Bottleneck { kernel, inner, groups, shortcut } => {
                let point = ConvConfig::default();
                let config = ConvConfig { groups: *groups, ..padded(*kernel, self.stride) };
                let mut main = conv_bn(["conv1", "bn1"], [inputs, *inner], point, RELU);
                main.extend(conv_bn(["conv2", "bn2"], [*inner; 2], config, RELU));
                main.extend(conv_bn(["conv3", "bn3"], [*inner, self.width], point, None));
                vec![self.residual(inputs, main, *shortcut)]
            }
            UnitKind::ConvNorm { kernel, activation, norm } => {
                let config = padded(*kernel, self.stride);
                conv_norm("", [inputs, self.width], config, Some(*activation), *norm)
            }
            UnitKind::InvertedResidual { kernel, expansion, norm } => {
                self.inverted_residual(inputs, *expansion, *kernel, *norm)?
            }
            UnitKind::Patches { norm_first } => patches([inputs, self.width], self.stride, *norm_first),
            UnitKind::ConvNext(block) => block.layers([inputs, self.width], self.stride),
            UnitKind::Shuffle => shuffle::layers(&self.name, [inputs, self.width], self.stride)?,
            UnitKind::Dense { kernel, inner, growth } => {
                let sides = [*kernel, self.stride];
                dense::dense(&self.name, [inputs, self.width], [*inner, *growth], sides)?
            }
            UnitKind::Transition => dense::transition([inputs, self.width], self.stride),
            UnitKind::Fire { kernel, squeezed } => {
                fire::layers(&self.name, [inputs, self.width], *squeezed, [*kernel, self.stride])?
            }
            UnitKind::Separable { kernel, activation, norm } => {
                separable::layers([inputs, self.width], [*kernel, self.stride], *activation, *norm)
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
    pub fn elsewhere(&self, name: impl Into<String>, stride: [usize; 2]) -> UnitSpec {
        let kind = match &self.kind {
            UnitKind::Plain { bias, norm, kernel, .. } => {
                let names = ["conv".into(), "bn".into()];
                UnitKind::Plain { names, bias: *bias, norm: *norm, kernel: *kernel }
            }
            kind => kind.clone(),
        };
        UnitSpec { name: name.into(), kind, width: self.width, stride }
    }

    fn stem(&self, inputs: usize, kernel: [usize; 2], pool: bool) -> Vec<NamedLayer> {
        let config = padded(kernel, self.stride);
        let mut layers = conv_bn(["conv1", "bn1"], [inputs, self.width], config, RELU);
        if pool {
            let along = |side: usize| kernel == ONE || side > 1;
            let pool = PoolConfig {
                kernel: kernel.map(|side| if along(side) { 3 } else { 1 }),
                stride: kernel.map(|side| if along(side) { 2 } else { 1 }),
                padding: kernel.map(|side| usize::from(along(side))),
                ..PoolConfig::default()
            };
            layers.push(unnamed(LayerSpec::MaxPool(pool)));
        }
        layers
    }

    fn plain(
        &self,
        inputs: usize,
        names: &[String; 2],
        [bias, norm]: [bool; 2],
        kernel: [usize; 2],
    ) -> Vec<NamedLayer> {
        let mut layers = Vec::new();
        if self.stride != ONE {
            let pool = PoolConfig { kernel: self.stride, stride: self.stride, ..PoolConfig::default() };
            layers.push(unnamed(LayerSpec::MaxPool(pool)));
        }
        let conv = LayerSpec::Conv { inputs, outputs: self.width, config: padded(kernel, ONE), bias };
        layers.push(named(&names[0], conv));
        layers.push(match norm {
            true => named(&names[1], LayerSpec::batch_norm(self.width, RELU)),
            false => unnamed(LayerSpec::Activation(Activation::Relu)),
        });
        layers
    }

    fn residual(&self, inputs: usize, main: Vec<NamedLayer>, shortcut: Shortcut) -> NamedLayer {
        let shortcut = match shortcut {
            _ if self.stride == ONE && inputs == self.width => ShortcutSpec::Identity,
            Shortcut::Pad => ShortcutSpec::Pad { stride: self.stride, channels: self.width },
            Shortcut::Convolve => {
                let config = padded(ONE, self.stride);
                let conv = LayerSpec::Conv { inputs, outputs: self.width, config, bias: true };
                ShortcutSpec::Projection(vec![named("downsample.0", conv)])
            }
            Shortcut::Average => ShortcutSpec::Projection(self.averaged(inputs)),
            Shortcut::Project => {
                let names = ["downsample.0", "downsample.1"];
                let config = padded(ONE, self.stride);
                ShortcutSpec::Projection(conv_bn(names, [inputs, self.width], config, None))
            }
        };
        unnamed(LayerSpec::Residual { main, shortcut, activation: RELU })
    }

    /// The way around of ResNet-D, named as timm names it.
    fn averaged(&self, inputs: usize) -> Vec<NamedLayer> {
        let mut layers = Vec::new();
        if self.stride != ONE {
            let kernel = self.stride.map(|step| step.min(2));
            let pool = PoolConfig { kernel, stride: self.stride, round_up: true, ..PoolConfig::default() };
            layers.push(unnamed(LayerSpec::AveragePool(pool)));
        }
        let names = ["downsample.1", "downsample.2"];
        layers.extend(conv_bn(names, [inputs, self.width], ConvConfig::default(), None));
        layers
    }

    /// Named as torchvision names it: each convolution with its batch norm has a number, but the last stands alone.
    fn inverted_residual(
        &self,
        inputs: usize,
        expansion: usize,
        kernel: [usize; 2],
        norm: NormConfig,
    ) -> Result<Vec<NamedLayer>> {
        let inner = inputs.checked_mul(expansion).filter(|&inner| inner > 0).ok_or_else(|| {
            Error::config(format!("unit '{}' cannot expand {inputs} channels {expansion} times", self.name))
        })?;
        let mut main = Vec::new();
        let mut number = 0;
        let point = ConvConfig::default();
        if expansion > 1 {
            main.extend(conv_norm("conv.0", [inputs, inner], point, RELU6, norm));
            number += 1;
        }
        let config = depthwise(inner, kernel, self.stride);
        main.extend(conv_norm(&format!("conv.{number}"), [inner; 2], config, RELU6, norm));
        let (conv, bn) = (format!("conv.{}", number + 1), format!("conv.{}", number + 2));
        main.push(named(
            conv,
            LayerSpec::Conv { inputs: inner, outputs: self.width, config: point, bias: false },
        ));
        main.push(named(bn, norm.layer(self.width, None)));
        if self.stride != ONE || inputs != self.width {
            return Ok(main);
        }
        Ok(vec![unnamed(LayerSpec::Residual { main, shortcut: ShortcutSpec::Identity, activation: None })])
    }
}

const RELU6: Option<Activation> = Some(Activation::Relu6);
const RELU: Option<Activation> = Some(Activation::Relu);
