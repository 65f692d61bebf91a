//! The residual sum, replayed.

use super::context::{Context, ELEMENT_BYTES};
use super::ledger::Part;
use super::outline::{Lazy, Outline, Summands};
use super::replay::{Parameter, Replay, Tape};
use super::sequential::Sequential;
use crate::error::Result;
use crate::layers::Mode;
use crate::layers::spec::{NamedLayer, ShortcutSpec};
use crate::maps::activation::Activation;
use crate::maps::conv_norm::SHARES;
use crate::maps::map_read::is_clamp;

enum Shortcut {
    Identity,
    Pad { stride: usize, channels: usize },
    Projection(Sequential),
}

/// `layers::residual::Residual`
pub(super) struct Residual {
    main: Sequential,
    shortcut: Shortcut,
    activation: Option<Activation>,
}

impl Residual {
    pub(super) fn new(
        context: &Context,
        main: &[NamedLayer],
        shortcut: &ShortcutSpec,
        activation: Option<Activation>,
        part: Part,
    ) -> Self {
        let shortcut = match shortcut {
            ShortcutSpec::Identity => Shortcut::Identity,
            ShortcutSpec::Pad { stride, channels } => Shortcut::Pad { stride: *stride, channels: *channels },
            ShortcutSpec::Projection(layers) => Shortcut::Projection(Sequential::new(context, layers, part)),
        };
        Self { main: Sequential::new(context, main, part), shortcut, activation }
    }

    pub(super) fn has_weights(&self) -> bool {
        let around = matches!(&self.shortcut, Shortcut::Projection(layers) if layers.has_weights());
        self.main.has_weights() || around
    }

    fn summands(&mut self, context: &Context, x: Lazy, mode: Mode, tape: &mut Tape) -> Result<(Lazy, Lazy)> {
        let mut main = self.main.forward(context, x.clone(), mode, tape)?;
        if main.stored().shares(x.stored()) {
            main = Lazy::Plain(context.map(main.stored().dims()));
        }
        let around = match &mut self.shortcut {
            Shortcut::Identity => Lazy::Plain(context.resolve(x)?),
            Shortcut::Pad { stride, channels } => {
                let x = context.resolve(x)?;
                if mode.is_training() {
                    tape.push_shape(context, &x);
                }
                let mut dims = x.dims().to_vec();
                if let [_, h, w, c] = &mut dims[..] {
                    (*h, *w, *c) = (h.div_ceil(*stride), w.div_ceil(*stride), *channels);
                }
                Lazy::Plain(context.map(&dims))
            }
            Shortcut::Projection(layers) => layers.forward(context, x, mode, tape)?,
        };
        Ok((main, around))
    }
}

/// The mask of a map: a bit an element.
fn mask(context: &Context, elements: usize) -> Outline {
    context.byte_tensor(&[elements.div_ceil(8)])
}

/// `Lazy::without_normalization`
fn without_normalization(context: &Context, x: Lazy) -> Result<Lazy> {
    match x {
        Lazy::Normalized(..) => context.resolve(x).map(Lazy::Plain),
        x => Ok(x),
    }
}

impl Replay for Residual {
    fn forward(&mut self, context: &Context, x: Lazy, mode: Mode, tape: &mut Tape) -> Result<Lazy> {
        let x = without_normalization(context, x)?;
        let keeps_x = mode.is_training() && !matches!(x, Lazy::Sum(..));
        let (main, around) = self.summands(context, x, mode, tape)?;
        let summands = match (&main, &around, &self.shortcut) {
            (Lazy::Normalized(main, by), Lazy::Plain(around), Shortcut::Identity)
                if keeps_x && is_clamp(self.activation) =>
            {
                Some(Summands { main: main.clone(), _by: by.clone(), around: around.clone() })
            }
            _ => None,
        };
        let elements = main.stored().elements();
        context.sweep(4 * elements);
        let y = match (&main, &around) {
            // One of the two is written into.
            (Lazy::Plain(main), Lazy::Plain(_)) => main.clone(),
            _ => context.map(main.stored().dims()),
        };
        if !is_clamp(self.activation) {
            if mode.is_training() {
                tape.push(context, &y);
            }
            context.sweep(2 * elements);
            return Ok(Lazy::Plain(context.map(y.dims())));
        }
        let mask = mask(context, elements);
        if mode.is_training() && self.activation.is_some() {
            tape.push(context, &mask);
        }
        Ok(match summands {
            Some(summands) => Lazy::Sum(y, summands),
            None => Lazy::Plain(y),
        })
    }

    fn repeat(&mut self, context: &Context, x: Lazy, mode: Mode, tape: &mut Tape) -> Result<()> {
        let x = without_normalization(context, x)?;
        let (main, around) = self.summands(context, x, mode, tape)?;
        let (map, elements) = (main.stored(), main.stored().elements());
        let images = map.dims()[0];
        let each = elements / images;
        context.sweep(4 * elements);
        let masks = self.activation.is_some() && is_clamp(self.activation);
        let by_shares = matches!(main, Lazy::Normalized(..)) && masks && each % 8 == 0;
        if by_shares {
            let bits = mask(context, elements);
            context.scratch(images.div_ceil(SHARES) * each * (ELEMENT_BYTES + 1));
            tape.push(context, &bits);
            return Ok(());
        }
        let y = context.map(map.dims());
        if !is_clamp(self.activation) {
            tape.push(context, &y);
            return Ok(());
        }
        let mask = mask(context, elements);
        if self.activation.is_some() {
            tape.push(context, &mask);
        }
        drop(around);
        Ok(())
    }

    fn backward(
        &mut self,
        context: &Context,
        d_y: Outline,
        tape: &mut Tape,
        need_input: bool,
    ) -> Result<Option<Outline>> {
        if self.activation.is_some() {
            tape.pop(context)?;
            context.sweep(2 * d_y.elements());
        }
        let d_sum = d_y;
        let for_around = |writer: &Sequential| match writer.leaves_gradient() {
            true => d_sum.clone(),
            false => context.map(d_sum.dims()),
        };
        let d_around = match &mut self.shortcut {
            Shortcut::Identity => need_input.then(|| for_around(&self.main)),
            Shortcut::Pad { .. } => {
                let shape = tape.pop_shape()?;
                need_input.then(|| context.map(&shape))
            }
            Shortcut::Projection(layers) => {
                let d_around = for_around(layers);
                layers.backward(context, d_around, tape, need_input)?
            }
        };
        let d_main = self.main.backward(context, d_sum, tape, need_input)?;
        match (d_main, d_around) {
            (Some(d_main), Some(_)) => {
                context.sweep(3 * d_main.elements());
                Ok(Some(d_main))
            }
            _ => Ok(None),
        }
    }

    fn parameters(&mut self) -> Vec<&mut Parameter> {
        let mut parameters = self.main.parameters();
        if let Shortcut::Projection(layers) = &mut self.shortcut {
            parameters.extend(layers.parameters());
        }
        parameters
    }
}
