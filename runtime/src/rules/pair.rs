//! The momentum auxiliary network's pair: one copy of a later unit that is trained and one that follows it
//! as an exponential moving average. `y = bias(h) + ema(h)`, or `s·bias(h) + (2-s)·ema(h)` with a trained s, or
//! `y = ema(h)` without the trained copy.

use super::spec::PairSpec;
use crate::error::{Error, Result};
use crate::layers::spec::join;
use crate::layers::{
    Grad, GradientSink, Initializer, Layer, Mode, Need, Sequential, Variable, Visitor, input_gradient,
};
use crate::maps::Map;
use crate::maps::counted::ledger::Part;
use crate::maps::elementwise;
use crate::parameter::Parameter;
use crate::tape::Tape;

/// The two copies; the averaged one takes no gradients of its own, but gradients flow through it.
pub struct Pair {
    bias: Option<Sequential>,
    ema: Sequential,
    scale: Option<Parameter>,
    momentum: f64,
    /// Whether the backward pass repeats the forward pass of each copy instead of keeping what both made.
    pub(super) recompute: bool,
    /// The forward pass that backward belongs to.
    pass: Mode,
}

impl Pair {
    /// Both copies start from their own random draws.
    pub fn new(
        spec: &PairSpec,
        inputs: usize,
        recompute: bool,
        path: &str,
        initializer: &Initializer,
    ) -> Result<Self> {
        let layers = spec.unit.layers(inputs)?;
        let mut ema = Sequential::new(&layers, &join(path, "ema"), initializer)?;
        ema.visit("", &mut |_, variable| {
            if let Variable::Parameter(parameter) = variable {
                parameter.trainable = false;
                parameter.value.label(Part::Average);
                parameter.part = Part::Average;
            }
            Ok(())
        })?;
        let scale = if spec.scaled {
            Some(Parameter::of_part(initializer.constant(1, 1.0)?, initializer.part))
        } else {
            None
        };
        let bias = match spec.trained {
            true => Some(Sequential::new(&layers, &join(path, "bias"), initializer)?),
            false => None,
        };
        Ok(Self { bias, ema, scale, momentum: spec.momentum, recompute, pass: Mode::Evaluate })
    }

    /// `ema = m·ema + (1-m)·unit`, parameters only: running statistics are each unit's own.
    pub fn follow(&mut self, unit: &mut Sequential) -> Result<()> {
        let mut sources = Vec::new();
        unit.visit("", &mut |_, variable| {
            if let Variable::Parameter(parameter) = variable {
                sources.push(parameter.value.clone());
            }
            Ok(())
        })?;
        let mut sources = sources.into_iter();
        let momentum = self.momentum;
        self.ema.visit("", &mut |name, variable| {
            let Variable::Parameter(parameter) = variable else { return Ok(()) };
            let source = sources.next().ok_or_else(|| Error::internal(format!("no source for {name}")))?;
            let kept = elementwise::scale(parameter.value.clone(), momentum)?;
            parameter.value = elementwise::add_scaled(kept, &source, 1.0 - momentum)?;
            Ok(())
        })
    }

    fn balance(&self) -> Result<Option<f64>> {
        let Some(scale) = &self.scale else { return Ok(None) };
        if scale.value.place().is_counted() {
            return Ok(Some(1.0));
        }
        Ok(scale.value.numbers()?.first().map(|&scale| f64::from(scale)))
    }

    /// `y` of `h`.
    ///
    /// # Errors
    /// Those of its layers.
    pub fn forward(&mut self, h: Map, mode: Mode, tape: &mut Tape) -> Result<Map> {
        let recompute = self.recompute && mode.is_training();
        self.pass = mode;
        let mut forgetting = tape.for_later();
        let kept = if recompute { &mut forgetting } else { &mut *tape };
        let bias = self.bias.as_mut().map(|bias| bias.pass(h.clone(), mode, kept)).transpose()?;
        let ema = self.ema.pass(h.clone(), mode, kept)?;
        if recompute {
            tape.push(&h)?;
        }
        let Some(bias) = bias else { return Ok(ema) };
        let Some(s) = self.balance()? else { return elementwise::add(bias, &ema) };
        if recompute {
            return elementwise::add_scaled(elementwise::scale(bias, s)?, &ema, 2.0 - s);
        }
        if mode.is_training() {
            tape.push(&bias)?;
            tape.push(&ema)?;
        }
        // A copy, because the balance's gradient needs both.
        elementwise::add_scaled(elementwise::scale(bias.copy()?, s)?, &ema, 2.0 - s)
    }

    /// The gradient of `h`; those of the trained copy and of the scale go to `sink`.
    ///
    /// # Errors
    /// Those of its layers and of `sink`.
    pub fn backward(&mut self, d_y: Map, tape: &mut Tape, sink: &mut dyn GradientSink) -> Result<Map> {
        if self.recompute {
            return self.backward_again(d_y, tape, sink);
        }
        let balance = self.balance()?;
        let Some(copy) = &mut self.bias else {
            return self.ema.backward_to_input(d_y, tape, sink);
        };
        let (d_bias, d_ema) = match (self.scale.as_mut(), balance) {
            (Some(scale), Some(s)) => {
                let ema = tape.pop()?;
                let bias = tape.pop()?;
                let d_scale =
                    elementwise::sum_of_products(&d_y, &bias)? - elementwise::sum_of_products(&d_y, &ema)?;
                let d_bias = elementwise::scale(d_y.copy()?, s)?;
                let d_ema = elementwise::scale(d_y, 2.0 - s)?;
                let d_scale = scale.value.place().full(&[1], d_scale as f32)?;
                sink.take(scale, d_scale)?;
                (d_bias, Grad::Own(d_ema))
            }
            _ => (d_y.clone(), Grad::Lent(d_y)),
        };
        let through_ema = input_gradient(self.ema.backward(d_ema, tape, sink, Need::Input)?)?;
        elementwise::add(copy.backward_to_input(d_bias, tape, sink)?, &through_ema)
    }

    /// The backward pass of one copy after the other, each after its forward pass.
    fn backward_again(&mut self, d_y: Map, tape: &mut Tape, sink: &mut dyn GradientSink) -> Result<Map> {
        let (h, pass, balance) = (tape.pop()?, self.pass.again(), self.balance()?);
        let mut d_scale = 0.0;
        let mut repeat = |copy: &mut Sequential, h: Map, tape: &mut Tape, sign: f64| -> Result<()> {
            if balance.is_none() {
                return copy.forward(h.into(), pass.without_answer(), tape).map(drop);
            }
            let y = copy.pass(h, pass, tape)?;
            d_scale += sign * elementwise::sum_of_products(&d_y, &y)?;
            Ok(())
        };
        repeat(&mut self.ema, h.clone(), tape, -1.0)?;
        let Some(bias) = &mut self.bias else {
            return self.ema.backward_to_input(d_y, tape, sink);
        };
        let d_ema = match balance {
            Some(s) => Grad::Own(elementwise::scale(d_y.copy()?, 2.0 - s)?),
            None => Grad::Lent(d_y.clone()),
        };
        let through_ema = input_gradient(self.ema.backward(d_ema, tape, sink, Need::Input)?)?;
        repeat(bias, h, tape, 1.0)?;
        let d_bias = match balance {
            Some(s) => elementwise::scale(d_y, s)?,
            None => d_y,
        };
        let through_bias = bias.backward_to_input(d_bias, tape, sink)?;
        if let Some(scale) = &mut self.scale {
            let d_scale = scale.value.place().full(&[1], d_scale as f32)?;
            sink.take(scale, d_scale)?;
        }
        elementwise::add(through_bias, &through_ema)
    }

    /// Shows every weight and running statistic, named from `path` down.
    ///
    /// # Errors
    /// Those of `visitor`.
    pub fn visit(&mut self, path: &str, visitor: &mut Visitor<'_>) -> Result<()> {
        if let Some(bias) = &mut self.bias {
            bias.visit(&join(path, "bias"), visitor)?;
        }
        self.ema.visit(&join(path, "ema"), visitor)?;
        match &mut self.scale {
            Some(scale) => visitor(&join(path, "scale"), Variable::Parameter(scale)),
            None => Ok(()),
        }
    }
}
