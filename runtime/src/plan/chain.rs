//! A chain of convolutions and batch norms, replayed.

use super::context::Context;
use super::layers::{BatchNorm, Conv};
use super::ledger::Part;
use super::outline::{Lazy, Outline};
use super::replay::{Parameter, Replay, Tape};
use crate::error::{Error, Result};
use crate::kernels::conv::{Geometry, PassKind};
use crate::layers::Mode;
use crate::layers::chain::prefix;
use crate::layers::spec::{LayerSpec, NamedLayer};
use crate::maps::conv_norm::{images_at_once, is_input_first, is_joint};
use crate::maps::upsample::Resize;

struct Link {
    conv: Conv,
    norm: BatchNorm,
}

/// `layers::chain::Chain`
pub(super) struct Chain {
    resize: Option<Resize>,
    links: Vec<Link>,
}

impl Chain {
    /// `Chain::of_prefix`
    pub(super) fn of_prefix(context: &Context, layers: &[NamedLayer], part: Part) -> Option<(Self, usize)> {
        let (resize, pairs) = prefix(layers);
        let link = |pair: &[&NamedLayer; 2]| match (&pair[0].layer, &pair[1].layer) {
            (LayerSpec::Conv { inputs, outputs, config, bias }, LayerSpec::BatchNorm { channels, .. }) => {
                let conv = Conv::new(context, *inputs, *outputs, *config, *bias, part);
                Some(Link { conv, norm: BatchNorm::new(context, *channels, part) })
            }
            _ => None,
        };
        let links = pairs.iter().map(link).collect::<Option<Vec<_>>>().filter(|links| !links.is_empty())?;
        let taken = usize::from(resize.is_some()) + 2 * links.len();
        Some((Self { resize, links }, taken))
    }

    /// `Chain::resize_of`
    fn resize_of(&self, shape: &[usize]) -> Option<Resize> {
        self.resize.filter(|resize| shape.get(1..3) != Some(&resize.size[..]))
    }
}

impl Link {
    fn normalized(&self, context: &Context, z: Outline, mode: Mode, tape: &mut Tape) -> Lazy {
        let channels = z.channels();
        if mode.is_training() {
            context.sum_rows(&z);
            let [mean, variance] = self.norm.statistics(context, channels, mode);
            tape.push(context, &z);
            tape.push(context, &mean);
            tape.push(context, &variance);
        }
        let by = context.normalization(channels);
        Lazy::Normalized(z, by)
    }

    fn forward(&self, context: &Context, x: &Lazy, mode: Mode, tape: &mut Tape) -> Result<Lazy> {
        let z = self.conv.output(context, x.stored().dims())?;
        Ok(self.normalized(context, z, mode, tape))
    }

    /// The up-sampled input's geometry.
    fn resized(&self, shape: &[usize], to: Resize) -> Result<Geometry> {
        let [n, _, _, c] = *shape else {
            return Err(Error::shape(format!("a map is needed here, found {shape:?}")));
        };
        self.conv.config.geometry(&[n, to.size[0], to.size[1], c], &self.conv.weight_dims)
    }

    /// Whether `Chain::first_back` asks for both gradients at once.
    fn goes_together(&self, shape: &[usize]) -> Result<bool> {
        let geometry = self.conv.config.geometry(shape, &self.conv.weight_dims)?;
        Ok(is_joint(&geometry, true) || is_input_first(&geometry, true))
    }

    /// `conv_norm::backward` of an input of this shape, of which `last` says what `d_y.z` is.
    fn backward(
        &self,
        context: &Context,
        shape: &[usize],
        z: &Outline,
        need_weight: bool,
        need_input: bool,
    ) -> Result<(Option<Outline>, Option<Outline>)> {
        let geometry = self.conv.config.geometry(shape, &self.conv.weight_dims)?;
        if need_input && is_joint(&geometry, true) {
            let d_weight = need_weight.then(|| context.map(&self.conv.weight_dims));
            context.convolve(&geometry, PassKind::Joint);
            return Ok((d_weight, Some(z.clone().reshaped(shape.to_vec()))));
        }
        let input_first = is_input_first(&geometry, true);
        let of_weight = || need_weight.then(|| self.conv.d_weight(context, shape)).transpose();
        let early = if input_first { None } else { of_weight()? };
        if !need_input {
            let d_weight = if input_first { of_weight()? } else { early };
            return Ok((d_weight, None));
        }
        let d_x = match images_at_once(&geometry, true) {
            None => {
                let d_x = context.map(shape);
                context.convolve(&geometry, PassKind::DInput);
                d_x
            }
            Some(images) => {
                let share = Geometry { images, ..geometry };
                let _share = context.map(&[share.x_len()]);
                for _ in 0..geometry.images.div_ceil(images) {
                    context.convolve(&share, PassKind::DInput);
                }
                z.clone().reshaped(shape.to_vec())
            }
        };
        let d_weight = if input_first { of_weight()? } else { early };
        Ok((d_weight, Some(d_x)))
    }

    /// `Link::update`
    fn update(&mut self, context: &Context, d_weight: Option<Outline>) {
        if let Some(bias) = self.conv.bias.as_mut().filter(|bias| bias.trainable) {
            bias.take(context, context.map(&[bias.elements()]));
        }
        if let Some(d_weight) = d_weight {
            self.conv.weight.take(context, d_weight);
        }
    }
}

/// `chain::pop`
fn pop(context: &Context, tape: &mut Tape) -> Result<Outline> {
    tape.pop(context)?;
    tape.pop(context)?;
    tape.pop(context)
}

impl Replay for Chain {
    fn forward(&mut self, context: &Context, x: Lazy, mode: Mode, tape: &mut Tape) -> Result<Lazy> {
        let summands = match &x {
            Lazy::Sum(_, summands) => Some(summands.clone()),
            _ => None,
        };
        let x = context.resolve(x)?;
        let [first, others @ ..] = &self.links[..] else { return Ok(Lazy::Plain(x)) };
        if mode.is_training() {
            tape.push_shape(context, &x);
            if first.conv.weight.trainable {
                tape.push_input(context, &x, summands);
            }
        }
        let y = match self.resize_of(x.dims()) {
            Some(to) => {
                let geometry = first.resized(x.dims(), to)?;
                let z = context.map(&[
                    geometry.images,
                    geometry.output[0],
                    geometry.output[1],
                    geometry.out_channels,
                ]);
                context.convolve_upsampled(&geometry, [x.dims()[1], x.dims()[2]], false);
                let z = first.normalized(context, z, mode, tape);
                drop(x);
                z
            }
            None => {
                let x = Lazy::Plain(x);
                first.forward(context, &x, mode, tape)?
            }
        };
        others.iter().try_fold(y, |x, link| link.forward(context, &x, mode, tape))
    }

    fn backward(
        &mut self,
        context: &Context,
        d_y: Outline,
        tape: &mut Tape,
        need_input: bool,
    ) -> Result<Option<Outline>> {
        let mut d = d_y;
        let last = self.links.len() - 1;
        let mut z = pop(context, tape)?;
        let mut _by = context.normalization(z.channels());
        context.sum_rows(&z);
        for position in (1..=last).rev() {
            let _gradient = [(); 2].map(|()| context.normalization(z.channels()));
            self.links[position].norm.give(context);
            let z_before = pop(context, tape)?;
            _by = context.normalization(z_before.channels());
            let link = &mut self.links[position];
            let trainable = link.conv.weight.trainable;
            let (d_weight, d_x) = link.backward(context, z_before.dims(), &z, trainable, true)?;
            context.sum_rows(&z_before);
            link.update(context, d_weight);
            if let Some(d_x) = d_x {
                d = d_x;
            }
            z = z_before;
        }
        let _gradient = [(); 2].map(|()| context.normalization(z.channels()));
        let link = &mut self.links[0];
        link.norm.give(context);
        let trainable = link.conv.weight.trainable;
        let kept = if trainable { Some(tape.pop_input(context)?) } else { None };
        let shape = tape.pop_shape()?;
        let resize = self.resize_of(&shape);
        let link = &mut self.links[0];
        let (d_weight, d_x) = match resize {
            Some(to) => {
                let geometry = link.resized(&shape, to)?;
                let d_weight = trainable.then(|| context.map(&link.conv.weight_dims));
                let d_x = need_input.then(|| context.map(&shape));
                context.convolve_upsampled(&geometry, [shape[1], shape[2]], true);
                (d_weight, d_x)
            }
            None if need_input && link.goes_together(&shape)? => {
                link.backward(context, &shape, &z, trainable, true)?
            }
            None => {
                let (d_weight, _) = link.backward(context, &shape, &z, trainable, false)?;
                drop(kept);
                (d_weight, link.backward(context, &shape, &z, false, need_input)?.1)
            }
        };
        link.update(context, d_weight);
        // What the output's gradient is made from lives until the weight has its own.
        drop((d, z));
        Ok(d_x)
    }

    fn leaves_gradient(&self) -> bool {
        true
    }

    fn parameters(&mut self) -> Vec<&mut Parameter> {
        self.links.iter_mut().flat_map(|link| link.conv.parameters().chain(link.norm.parameters())).collect()
    }
}
