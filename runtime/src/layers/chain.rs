//! Convolutions with batch norm, one after the other, where our kernels carry them out: each reads its input through
//! the batch norm before it, so that of every link only the convolution's output is kept. The first may read it through
//! an up-sampling.
//!
//! ```text
//!            link 0                 link 1                 link 2
//! x ─▶ conv ─▶ z0 ─(norm)─▶ conv ─▶ z1 ─(norm)─▶ conv ─▶ z2 ─(norm)─▶ y
//! ```
//! In memory are x and every z; what stands in brackets is made as it is read. So is, in backward, the gradient of each z:
//! it is made from that of the norm's output (`d`) and z itself, by two sums of each channel. The convolution behind a norm
//! gives both at once: the next `d`, and the sums for it.

use super::batch_norm::BatchNorm;
use super::conv::Conv;
use super::spec::{LayerSpec, NamedLayer, join};
use super::{Grad, GradientSink, Initializer, Layer, Mode, Need, Trains, Visitor, input_gradient};
use crate::error::{Error, Result};
use crate::maps::batch_norm::{self, Statistics};
use crate::maps::conv_norm::{self, ConvGradients};
use crate::maps::map_read::{Input, MapRead, Through, is_readable};
use crate::maps::norm::{Norm, NormGradient, NormSums};
use crate::maps::upsample::Resize;
use crate::maps::upsampled_conv;
use crate::maps::{Map, Place};
use crate::tape::{Kept, Tape};

/// One convolution and its batch norm, whose activation is one that maps are read through.
struct Link {
    names: [String; 2],
    conv: Conv,
    norm: BatchNorm,
}

/// The links; the same numbers as its layers one by one, up to rounding.
pub struct Chain {
    /// How the first link's input is made.
    resize: Option<Resize>,
    links: Vec<Link>,
}

/// What a chain at `place` can take of `layers`, from the first on: pairs of a convolution and a batch norm, perhaps after
/// an up-sampling.
fn prefix<'a>(layers: &'a [NamedLayer], place: &Place) -> (Option<Resize>, Vec<[&'a NamedLayer; 2]>) {
    let is_link = |pair: &[&NamedLayer; 2]| {
        matches!(pair[0].layer, LayerSpec::Conv { .. })
            && matches!(pair[1].layer, LayerSpec::BatchNorm { activation, .. } if is_readable(activation, place))
    };
    let links = |layers: &'a [NamedLayer]| -> Vec<_> {
        layers.chunks_exact(2).map(|pair| [&pair[0], &pair[1]]).take_while(is_link).collect()
    };
    match layers {
        [NamedLayer { layer: LayerSpec::Upsample { size, align_corners }, .. }, rest @ ..] => {
            match &rest.first() {
                Some(NamedLayer { layer: LayerSpec::Conv { config, .. }, .. }) if config.groups == 1 => {
                    (Some(Resize { size: *size, align_corners: *align_corners }), links(rest))
                }
                _ => (None, Vec::new()),
            }
        }
        _ => (None, links(layers)),
    }
}

/// Whether biases are trained before batch norms whose statistics stay where they are.
fn is_shifted(trains: Trains) -> bool {
    trains.biases && !trains.norms
}

impl Chain {
    /// The chain that the first of `layers` make, and how many they are; none where there is nothing to join.
    pub(super) fn of_prefix(
        layers: &[NamedLayer],
        path: &str,
        initializer: &Initializer,
    ) -> Result<Option<(Self, usize)>> {
        let (resize, mut pairs) = prefix(layers, &initializer.place);
        if is_shifted(initializer.trains) {
            // A link takes its convolution's bias for one that batch norm takes out again.
            let first =
                pairs.iter().position(|[conv, _]| matches!(conv.layer, LayerSpec::Conv { bias: true, .. }));
            pairs.truncate(first.unwrap_or(pairs.len()));
        }
        if pairs.is_empty() {
            return Ok(None);
        }
        let links =
            pairs.iter().map(|pair| Link::new(*pair, path, initializer)).collect::<Result<Vec<_>>>()?;
        let taken = usize::from(resize.is_some()) + 2 * links.len();
        Ok(Some((Self { resize, links }, taken)))
    }

    /// How an input of this shape is resized, if it is.
    fn resize_of(&self, shape: &[usize]) -> Option<Resize> {
        self.resize.filter(|resize| shape.get(1..3) != Some(&resize.size[..]))
    }

    /// The gradients of the first link's convolution.
    fn first_back(&self, d_z: Through<'_>, tape: &mut Tape, need: Need<'_>) -> Result<ConvGradients> {
        let Conv { weight, config, .. } = &self.links[0].conv;
        let (weight, trainable) = (&weight.value, weight.trainable);
        let kept = if trainable { Some(tape.pop_input()?) } else { None };
        let shape = tape.pop_shape()?;
        let x = match &kept {
            None => Input::Shape(&shape),
            Some(Kept::Map(x)) => Input::Plain(x),
            Some(Kept::Sum(summands)) => Input::Sum(summands),
        };
        if let Some(to) = self.resize_of(&shape) {
            let x = kept.map(Kept::into_map).transpose()?;
            let x = x.as_ref();
            let found = upsampled_conv::backward(x, d_z, weight, &shape, (to, config), need.is_some())?;
            let d_x = found.d_x.map(|d_x| need.of(|| Ok(d_x))).transpose()?.flatten();
            return Ok(ConvGradients { d_x, ..found });
        }
        let need_input = need.is_some();
        let beside = match need {
            Need::Sum(beside) => Some(beside),
            Need::Nothing | Need::Input => None,
        };
        let geometry = config.geometry(&shape, weight.dims())?;
        let together = conv_norm::is_joint(&geometry, true)
            || conv_norm::is_apart(&geometry, x)
            || conv_norm::is_one_launch(d_z)
            || conv_norm::is_input_first(&geometry, true);
        if need_input && together {
            return conv_norm::backward(x, d_z, weight, config, trainable, true, beside);
        }
        let d_z = if trainable && need_input { d_z.settled()? } else { d_z };
        // One after the other, so that the input need not live beside its gradient.
        let d_weight = conv_norm::backward(x, d_z, weight, config, trainable, false, None)?.d_weight;
        drop(kept);
        let x = Input::Shape(&shape);
        let others = conv_norm::backward(x, d_z, weight, config, false, need_input, beside)?;
        Ok(ConvGradients { d_weight, ..others })
    }
}

impl Link {
    /// Builds the pair's layers.
    fn new([conv, norm]: [&NamedLayer; 2], path: &str, initializer: &Initializer) -> Result<Self> {
        let (
            LayerSpec::Conv { inputs, outputs, config, bias },
            LayerSpec::BatchNorm { channels, activation, epsilon, momentum },
        ) = (&conv.layer, &norm.layer)
        else {
            return Err(Error::internal(format!("{conv:?} and {norm:?} are no link of a chain")));
        };
        let path = join(path, &conv.name);
        Ok(Self {
            conv: Conv::new(*inputs, *outputs, *config, *bias, &path, initializer)?,
            norm: BatchNorm::new(*channels, *activation, [*epsilon, *momentum], initializer)?,
            names: [conv.name.clone(), norm.name.clone()],
        })
    }

    /// Answers the convolution's output, and what batch norm is to make of it.
    fn forward(&mut self, x: &MapRead, mode: Mode, tape: &mut Tape) -> Result<MapRead> {
        let bias = self.conv.bias.as_ref().map(|b| &b.value);
        let weight = &self.conv.weight.value;
        let behind = self.norm.takes_batch(mode).then(|| self.norm.parameters());
        let (z, statistics) = conv_norm::forward(x, weight, bias, &self.conv.config, behind.as_ref())?;
        self.normalized(z, statistics, mode, tape)
    }

    /// The same of an input that is resized on the way.
    fn forward_resized(&mut self, x: &Map, to: Resize, mode: Mode, tape: &mut Tape) -> Result<MapRead> {
        let bias = self.conv.bias.as_ref().map(|b| &b.value);
        let z = upsampled_conv::forward(x, to, &self.conv.weight.value, bias, &self.conv.config)?;
        let statistics = self.norm.takes_batch(mode).then(|| batch_norm::statistics(&z)).transpose()?;
        self.normalized(z, statistics, mode, tape)
    }

    /// Takes the batch's `statistics` of `z`, if it goes by them; in training both are kept.
    fn normalized(
        &mut self,
        z: Map,
        statistics: Option<Statistics>,
        mode: Mode,
        tape: &mut Tape,
    ) -> Result<MapRead> {
        let statistics = match statistics {
            None => self.norm.running(),
            Some(statistics) => {
                let statistics = tape.statistics(statistics)?;
                if mode.observes() {
                    self.norm.observe(&statistics, tape.rows(z.elem_count() / self.norm.channels()));
                }
                statistics
            }
        };
        if mode.is_training() {
            tape.push(&z)?;
            self.norm.keep(&statistics, tape);
        }
        Ok(MapRead::Normalized(z, self.norm.normalization(&statistics)?))
    }

    /// Takes what the forward pass has pushed.
    fn pop(&self, tape: &mut Tape) -> Result<NormInput> {
        let statistics = self.norm.kept(tape)?;
        Ok(NormInput { z: tape.pop()?, by: self.norm.normalization(&statistics)? })
    }

    /// Hands the gradients of batch norm to `sink` and steps before it.
    fn norm_backward(
        &mut self,
        behind: BehindNorm,
        tape: &mut Tape,
        sink: &mut dyn GradientSink,
    ) -> Result<BeforeNorm> {
        let BehindNorm { norm: NormInput { z, by }, d, sums } = behind;
        let like = &self.conv.weight.value;
        let (whole, rows) = self.norm.whole_sums(&sums, z.elem_count() / by.channels(), tape)?;
        let gradient = by.gradient(whole.as_deref(), rows, like)?;
        let (d_weight, d_bias) = sums.gradients(like)?;
        self.norm.give(d_weight, d_bias, sink)?;
        Ok(BeforeNorm { z, d, gradient })
    }

    /// Hands the convolution's gradients to `sink`; answers those of its input.
    fn conv_backward(
        &mut self,
        x: Input<'_>,
        d_z: Through<'_>,
        sink: &mut dyn GradientSink,
    ) -> Result<(Option<Map>, Option<NormSums>)> {
        let Conv { weight, config, .. } = &self.conv;
        let gradients = conv_norm::backward(x, d_z, &weight.value, config, weight.trainable, true, None)?;
        self.update(gradients, sink)
    }

    /// Hands the convolution's gradients to `sink`; answers those of its input.
    fn update(
        &mut self,
        gradients: ConvGradients,
        sink: &mut dyn GradientSink,
    ) -> Result<(Option<Map>, Option<NormSums>)> {
        let Conv { weight, bias, .. } = &mut self.conv;
        if let Some(bias) = bias.as_mut().filter(|b| b.trainable) {
            // Batch norm takes a constant out again.
            let zeros = bias.value.place().full(bias.value.dims(), 0.0)?;
            sink.take(bias, zeros)?;
        }
        if let Some(d_weight) = gradients.d_weight {
            sink.take(weight, d_weight)?;
        }
        Ok((gradients.d_x, gradients.sums))
    }
}

/// What a batch norm of the chain read, and what it made of it.
struct NormInput {
    z: Map,
    by: Norm,
}

/// Where backward stands: behind a batch norm, whose output has the gradient `d`; behind an activation that is no clamp `d` is
/// the gradient of what that took.
struct BehindNorm {
    norm: NormInput,
    d: Map,
    sums: NormSums,
}

impl NormInput {
    /// Backward stands behind it; the sums are made of `d`, which an activation that is no clamp writes into.
    fn behind(self, d: Map) -> Result<BehindNorm> {
        Ok(BehindNorm { sums: batch_norm::pre_activation_sums(&d, &self.z, &self.by)?, d, norm: self })
    }
}

/// Where backward stands next: before it, at the convolution that made z. `d` is still the same.
struct BeforeNorm {
    z: Map,
    d: Map,
    gradient: NormGradient,
}

impl BeforeNorm {
    /// The gradient of z. Whoever reads it is the last to need `d` and z, so that its own gradient may take the place of z.
    fn through(&self) -> Through<'_> {
        Through { d: &self.d, z: &self.z, by: Some(&self.gradient), last_use: true }
    }
}

impl Layer for Chain {
    fn forward(&mut self, x: MapRead, mode: Mode, tape: &mut Tape) -> Result<MapRead> {
        let (x, summands) = match x {
            MapRead::Sum(x, summands) => (x, Some(summands)),
            x => (x.resolve()?, None),
        };
        let x = x.contiguous()?;
        if mode.is_training() {
            tape.push_shape(&x);
            if self.links.first().is_some_and(|link| link.conv.weight.trainable) {
                tape.push_input(&x, summands)?;
            }
        }
        match (self.resize_of(x.dims()), self.links.split_first_mut()) {
            (Some(to), Some((first, others))) => {
                let x = first.forward_resized(&x, to, mode, tape)?;
                others.iter_mut().try_fold(x, |x, link| link.forward(&x, mode, tape))
            }
            _ => self.links.iter_mut().try_fold(x.into(), |x, link| link.forward(&x, mode, tape)),
        }
    }

    fn backward(
        &mut self,
        d_y: Grad,
        tape: &mut Tape,
        sink: &mut dyn GradientSink,
        need: Need<'_>,
    ) -> Result<Option<Map>> {
        let mut links = self.links.iter_mut().rev();
        let Some(mut link) = links.next() else { return Err(Error::internal("a chain has no links")) };
        let d_y = match d_y {
            Grad::Lent(d_y) if !link.norm.is_bounded() => d_y.copy()?,
            // Only read: what lies in order serves whoever else reads it.
            Grad::Own(d_y) | Grad::Lent(d_y) => d_y,
        };
        let mut behind = link.pop(tape)?.behind(d_y.contiguous()?)?;
        for before in links {
            let d_z = link.norm_backward(behind, tape, sink)?;
            let norm = before.pop(tape)?;
            let x = Input::Normalized(&norm.z, &norm.by);
            let (d, sums) = link.conv_backward(x, d_z.through(), sink)?;
            let sums = sums.ok_or_else(|| Error::internal("a chain's link gave no sums"))?;
            behind = BehindNorm { d: input_gradient(d)?, sums, norm };
            link = before;
        }
        let d_z = link.norm_backward(behind, tape, sink)?;
        let gradients = self.first_back(d_z.through(), tape, need)?;
        Ok(self.links[0].update(gradients, sink)?.0)
    }

    fn visit(&mut self, path: &str, visitor: &mut Visitor<'_>) -> Result<()> {
        self.links.iter_mut().try_for_each(|link| {
            link.conv.visit(&join(path, &link.names[0]), visitor)?;
            link.norm.visit(&join(path, &link.names[1]), visitor)
        })
    }
}
