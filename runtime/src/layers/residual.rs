//! The residual sum (He et al. 2015) as a layer.

use super::spec::{NamedLayer, ShortcutSpec};
use super::{GradientSink, Initializer, Layer, Mode, Sequential, Visitor};
use crate::error::Result;
use crate::maps::Map;
use crate::maps::activation::Activation;
use crate::maps::map_read::{MapRead, Summands, is_clamp};
use crate::maps::{elementwise, mask, pool, residual_sum};
use crate::tape::Tape;

enum Shortcut {
    Identity,
    Pad { stride: usize, channels: usize },
    Projection(Sequential),
}

/// `activation(main(x) + shortcut(x))`; keeps its activation's mask, or the sum where the activation has none.
pub struct Residual {
    main: Sequential,
    shortcut: Shortcut,
    activation: Option<Activation>,
}

impl Residual {
    /// Builds both branches; their weights are named from `path` down.
    pub fn new(
        main: &[NamedLayer],
        shortcut: &ShortcutSpec,
        activation: Option<Activation>,
        path: &str,
        initializer: &Initializer,
    ) -> Result<Self> {
        let shortcut = match shortcut {
            ShortcutSpec::Identity => Shortcut::Identity,
            ShortcutSpec::Pad { stride, channels } => Shortcut::Pad { stride: *stride, channels: *channels },
            ShortcutSpec::Projection(layers) => {
                Shortcut::Projection(Sequential::new(layers, path, initializer)?)
            }
        };
        Ok(Self { main: Sequential::new(main, path, initializer)?, shortcut, activation })
    }

    /// What is summed. `x` is not [`MapRead::Normalized`], as both branches read it.
    fn summands(&mut self, x: MapRead, mode: Mode, tape: &mut Tape) -> Result<(MapRead, MapRead)> {
        let mut main = self.main.forward_from(x.clone(), mode, tape)?;
        if main.stored().shares_memory(x.stored()) {
            // The sum may take the main branch's place, and others read `x`.
            main = MapRead::Plain(main.stored().copy()?);
        }
        let around = match &mut self.shortcut {
            Shortcut::Identity => MapRead::Plain(x.resolve()?),
            Shortcut::Pad { stride, channels } => {
                let x = x.resolve()?;
                if mode.is_training() {
                    tape.push_shape(&x);
                }
                MapRead::Plain(pool::subsample_forward(&x, *stride, *channels)?)
            }
            Shortcut::Projection(layers) => layers.forward_from(x, mode, tape)?,
        };
        Ok((main, around))
    }

    /// The activation, if it is one that has no mask.
    fn unmasked(&self) -> Option<Activation> {
        self.activation.filter(|activation| !is_clamp(Some(*activation)))
    }
}

impl Layer for Residual {
    fn forward(&mut self, x: Map, mode: Mode, tape: &mut Tape) -> Result<Map> {
        self.forward_lazy(x, mode, tape)?.resolve()
    }

    fn forward_lazy(&mut self, x: Map, mode: Mode, tape: &mut Tape) -> Result<MapRead> {
        self.forward_from(MapRead::Plain(x), mode, tape)
    }

    fn forward_from(&mut self, x: MapRead, mode: Mode, tape: &mut Tape) -> Result<MapRead> {
        let x = x.without_normalization()?;
        // Of two sums after each other the first is kept, and the second made again from it.
        let keeps_x = mode.is_training() && !matches!(x, MapRead::Sum(..));
        let (main, around) = self.summands(x, mode, tape)?;
        let summands = match (&main, &around, &self.shortcut) {
            (MapRead::Normalized(main, by), MapRead::Plain(around), Shortcut::Identity)
                if keeps_x && self.unmasked().is_none() =>
            {
                let (main, by, around) = (main.clone(), by.clone(), around.clone());
                Some(Summands { main, by, around, activation: self.activation })
            }
            _ => None,
        };
        if let Some(activation) = self.unmasked() {
            let (sum, _) = residual_sum::add_activate(main, around, None, false)?;
            if mode.is_training() {
                tape.push(&sum)?;
            }
            return Ok(MapRead::Plain(elementwise::activate(&sum, activation)?));
        }
        let (y, mask) = residual_sum::add_activate(main, around, self.activation, mode.is_training())?;
        if let Some(mask) = mask {
            tape.push(&mask)?;
        }
        Ok(match summands {
            Some(summands) => MapRead::Sum(y, summands),
            None => MapRead::Plain(y),
        })
    }

    fn repeat(&mut self, x: MapRead, mode: Mode, tape: &mut Tape) -> Result<()> {
        let (main, around) = self.summands(x.without_normalization()?, mode, tape)?;
        if self.unmasked().is_some() {
            return tape.push(&residual_sum::add_activate(main, around, None, false)?.0);
        }
        if let Some(mask) = residual_sum::sum_mask(main, around, self.activation)? {
            tape.push(&mask)?;
        }
        Ok(())
    }

    fn backward(
        &mut self,
        d_y: Map,
        tape: &mut Tape,
        sink: &mut dyn GradientSink,
        need_input: bool,
    ) -> Result<Option<Map>> {
        let d_sum = match (self.activation, self.unmasked()) {
            (_, Some(activation)) => elementwise::activate_backward(d_y, &tape.pop()?, activation)?,
            (Some(_), None) => mask::apply(d_y, &tape.pop()?)?,
            (None, None) => d_y,
        };
        // Both branches read this gradient: one that writes into it must not have what the other reads.
        let for_around = |writer: &Sequential| {
            if writer.leaves_gradient() { Ok(d_sum.clone()) } else { d_sum.copy() }
        };
        let d_around = match &mut self.shortcut {
            Shortcut::Identity => need_input.then(|| for_around(&self.main)).transpose()?,
            Shortcut::Pad { stride, .. } => {
                let shape = tape.pop_shape()?;
                need_input.then(|| pool::subsample_backward(&d_sum, &shape, *stride)).transpose()?
            }
            Shortcut::Projection(layers) => {
                let d_around = for_around(layers)?;
                layers.backward(d_around, tape, sink, need_input)?
            }
        };
        match d_around {
            Some(d_around) => self.main.backward_beside(d_sum, &d_around, tape, sink).map(Some),
            None => self.main.backward(d_sum, tape, sink, false).map(|_| None),
        }
    }

    fn visit(&mut self, path: &str, visitor: &mut Visitor<'_>) -> Result<()> {
        self.main.visit(path, visitor)?;
        match &mut self.shortcut {
            Shortcut::Projection(layers) => layers.visit(path, visitor),
            Shortcut::Identity | Shortcut::Pad { .. } => Ok(()),
        }
    }
}
