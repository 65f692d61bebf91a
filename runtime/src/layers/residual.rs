//! The residual sum (He et al. 2015) as a layer.

use super::spec::{LayerSpec, NamedLayer, ShortcutSpec};
use super::{Grad, GradientSink, Initializer, Layer, Mode, Need, Sequential, Visitor};
use crate::error::Result;
use crate::maps::Map;
use crate::maps::activation::Activation;
use crate::maps::map_read::{MapRead, Summands, is_clamp};
use crate::maps::{elementwise, mask, pool, residual_sum};
use crate::tape::Tape;

enum ShortcutLayers {
    Identity,
    Pad { stride: [usize; 2], channels: usize },
    Projection(Sequential),
}

/// `activation(main(x) + shortcut(x))`; keeps its activation's mask, or the sum where the activation has none.
pub struct Residual {
    main: Sequential,
    shortcut: ShortcutLayers,
    activation: Option<Activation>,
    /// Whether main branch and shortcut end in an activation of their own.
    are_activated: [bool; 2],
}

/// Whether layers end in a batch norm with an activation, which a sum that normalizes on the way would leave out.
fn is_activated(layers: &[NamedLayer]) -> bool {
    let passes = |layer: &LayerSpec| matches!(layer, LayerSpec::Dropout { .. } | LayerSpec::DropPath { .. });
    let last = layers.iter().rev().map(|layer| &layer.layer).find(|layer| !passes(layer));
    matches!(last, Some(LayerSpec::BatchNorm { activation: Some(_), .. }))
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
        let around = match shortcut {
            ShortcutSpec::Projection(layers) => is_activated(layers),
            ShortcutSpec::Identity | ShortcutSpec::Pad { .. } => false,
        };
        let are_activated = [is_activated(main), around];
        let shortcut = match shortcut {
            ShortcutSpec::Identity => ShortcutLayers::Identity,
            ShortcutSpec::Pad { stride, channels } => {
                ShortcutLayers::Pad { stride: *stride, channels: *channels }
            }
            ShortcutSpec::Projection(layers) => {
                ShortcutLayers::Projection(Sequential::new(layers, path, initializer)?)
            }
        };
        let main = Sequential::new(main, path, initializer)?;
        Ok(Self { main, shortcut, activation, are_activated })
    }

    /// What is summed. `x` is not [`MapRead::Normalized`], as both branches read it.
    fn summands(&mut self, x: MapRead, mode: Mode, tape: &mut Tape) -> Result<(MapRead, MapRead)> {
        let mut main = self.main.forward(x.clone(), mode, tape)?;
        if self.are_activated[0] {
            main = main.without_normalization()?;
        }
        if main.stored().shares_memory(x.stored()) {
            // The sum may take the main branch's place, and others read `x`.
            main = MapRead::Plain(main.stored().copy()?);
        }
        let around = match &mut self.shortcut {
            ShortcutLayers::Identity => MapRead::Plain(x.resolve()?),
            ShortcutLayers::Pad { stride, channels } => {
                let x = x.resolve()?;
                if mode.is_training() {
                    tape.push_shape(&x);
                }
                MapRead::Plain(pool::subsample_forward(&x, *stride, *channels)?)
            }
            ShortcutLayers::Projection(layers) => match layers.forward(x, mode, tape)? {
                around if self.are_activated[1] => around.without_normalization()?,
                around => around,
            },
        };
        Ok((main, around))
    }

    /// The activation, if it is one that has no mask.
    fn unmasked(&self) -> Option<Activation> {
        self.activation.filter(|activation| !is_clamp(Some(*activation)))
    }
}

impl Layer for Residual {
    fn forward(&mut self, x: MapRead, mode: Mode, tape: &mut Tape) -> Result<MapRead> {
        let x = x.without_normalization()?;
        // Of two sums after each other the first is kept, and the second made again from it.
        let keeps_x = mode.is_training() && !matches!(x, MapRead::Sum(..));
        let (main, around) = self.summands(x, mode, tape)?;
        if let Some(activation) = self.unmasked() {
            let (sum, _) = residual_sum::add_activate(main, around, None, false)?;
            if mode.is_training() {
                tape.push(&sum)?;
            }
            return match mode.answers() {
                true => elementwise::activate(&sum, activation).map(MapRead::Plain),
                false => Ok(sum.into()),
            };
        }
        if !mode.answers() {
            let any = main.stored().clone();
            if let Some(mask) = residual_sum::sum_mask(main, around, self.activation)? {
                tape.push(&mask)?;
            }
            return Ok(any.into());
        }
        let summands = match (&main, &around, &self.shortcut) {
            (MapRead::Normalized(main, by), MapRead::Plain(around), ShortcutLayers::Identity) if keeps_x => {
                let (main, by, around) = (main.clone(), by.clone(), around.clone());
                Some(Summands { main, by, around, activation: self.activation })
            }
            _ => None,
        };
        let (y, mask) = residual_sum::add_activate(main, around, self.activation, mode.is_training())?;
        if let Some(mask) = mask {
            tape.push(&mask)?;
        }
        Ok(match summands {
            Some(summands) => MapRead::Sum(y, summands),
            None => y.into(),
        })
    }

    fn backward(
        &mut self,
        d_y: Grad,
        tape: &mut Tape,
        sink: &mut dyn GradientSink,
        need: Need<'_>,
    ) -> Result<Option<Map>> {
        let d_sum = match (self.activation, self.unmasked()) {
            (_, Some(activation)) => {
                elementwise::activate_backward(d_y.own()?, &tape.pop()?, activation)?.into()
            }
            (Some(_), None) => mask::apply(d_y.own()?, &tape.pop()?)?.into(),
            (None, None) => d_y,
        };
        // Both branches read this gradient, the main one last.
        let (d_around, d_main) = match &mut self.shortcut {
            ShortcutLayers::Identity if need.is_some() => {
                let d_around = d_sum.map().clone();
                (Some(d_around.clone()), Grad::Lent(d_around))
            }
            ShortcutLayers::Identity => (None, d_sum),
            ShortcutLayers::Pad { stride, .. } => {
                let shape = tape.pop_shape()?;
                let d_around = match need {
                    Need::Nothing => None,
                    _ => Some(pool::subsample_backward(d_sum.map(), &shape, *stride)?),
                };
                (d_around, d_sum)
            }
            ShortcutLayers::Projection(layers) => {
                let lent = Grad::Lent(d_sum.map().clone());
                (layers.backward(lent, tape, sink, need.alone())?, d_sum)
            }
        };
        let need_of_main = d_around.as_ref().map_or(Need::Nothing, Need::Sum);
        let d_x = self.main.backward(d_main, tape, sink, need_of_main)?;
        match (need, d_x) {
            (Need::Nothing, _) | (_, None) => Ok(None),
            (need, Some(d_x)) => need.of(|| Ok(d_x)),
        }
    }

    fn visit(&mut self, path: &str, visitor: &mut Visitor<'_>) -> Result<()> {
        self.main.visit(path, visitor)?;
        match &mut self.shortcut {
            ShortcutLayers::Projection(layers) => layers.visit(path, visitor),
            ShortcutLayers::Identity | ShortcutLayers::Pad { .. } => Ok(()),
        }
    }
}
