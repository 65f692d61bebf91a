//! The momentum auxiliary network's pair: one copy of a later unit that is trained and one that follows it
//! as an exponential moving average. `y = bias(h) + ema(h)`, or `s·bias(h) + (2-s)·ema(h)` with a trained s, or
//! `y = ema(h)` without the trained copy.

use super::spec::PairSpec;
use crate::error::{Error, Result};
use crate::layers::spec::join;
use crate::layers::{GradientSink, Initializer, Layer, Mode, Sequential, Variable, Visitor};
use crate::maps::Map;
use crate::maps::counted::ledger::Part;
use crate::maps::elementwise;
use crate::maps::map_read::MapRead;
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

    /// The backward pass of one copy after the other, each after its forward pass.
    fn backward_again(
        &mut self,
        d_y: Map,
        tape: &mut Tape,
        sink: &mut dyn GradientSink,
        need_input: bool,
    ) -> Result<Option<Map>> {
        let (h, pass, balance) = (tape.pop()?, self.pass.again(), self.balance()?);
        let mut d_scale = 0.0;
        let mut repeat = |copy: &mut Sequential, h: Map, tape: &mut Tape, sign: f64| -> Result<()> {
            if balance.is_none() {
                return copy.repeat(MapRead::Plain(h), pass, tape);
            }
            let y = copy.forward(h, pass, tape)?;
            d_scale += sign * elementwise::sum_of_products(&d_y, &y)?;
            Ok(())
        };
        let scaled = |d: Map, factor: Option<f64>| match factor {
            Some(factor) => elementwise::scale(d, factor),
            None => Ok(d),
        };
        repeat(&mut self.ema, h.clone(), tape, -1.0)?;
        let Some(bias) = &mut self.bias else {
            return self.ema.backward(d_y, tape, sink, need_input);
        };
        let d_ema = scaled(d_y.copy()?, balance.map(|s| 2.0 - s))?;
        let through_ema = self.ema.backward(d_ema, tape, sink, need_input)?;
        repeat(bias, h, tape, 1.0)?;
        let through_bias = bias.backward(scaled(d_y, balance)?, tape, sink, need_input)?;
        if let Some(scale) = &mut self.scale {
            let d_scale = scale.value.place().full(&[1], d_scale as f32)?;
            sink.take(scale, d_scale)?;
        }
        sum(through_bias, through_ema)
    }
}

fn sum(a: Option<Map>, b: Option<Map>) -> Result<Option<Map>> {
    match (a, b) {
        (Some(a), Some(b)) => Ok(Some(elementwise::add(a, &b)?)),
        _ => Ok(None),
    }
}

impl Layer for Pair {
    fn forward(&mut self, h: Map, mode: Mode, tape: &mut Tape) -> Result<Map> {
        let recompute = self.recompute && mode.is_training();
        self.pass = mode;
        let mut forgetting = tape.for_later();
        let kept = if recompute { &mut forgetting } else { &mut *tape };
        let bias = self.bias.as_mut().map(|bias| bias.forward(h.clone(), mode, kept)).transpose()?;
        let ema = self.ema.forward(h.clone(), mode, kept)?;
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

    fn backward(
        &mut self,
        d_y: Map,
        tape: &mut Tape,
        sink: &mut dyn GradientSink,
        need_input: bool,
    ) -> Result<Option<Map>> {
        if self.recompute {
            return self.backward_again(d_y, tape, sink, need_input);
        }
        let balance = self.balance()?;
        let Some(copy) = &mut self.bias else {
            return self.ema.backward(d_y, tape, sink, need_input);
        };
        let (mut d_bias, mut d_ema) = (d_y.copy()?, d_y);
        if let (Some(scale), Some(s)) = (self.scale.as_mut(), balance) {
            let ema = tape.pop()?;
            let bias = tape.pop()?;
            let d_scale =
                elementwise::sum_of_products(&d_ema, &bias)? - elementwise::sum_of_products(&d_ema, &ema)?;
            d_bias = elementwise::scale(d_bias, s)?;
            d_ema = elementwise::scale(d_ema, 2.0 - s)?;
            let d_scale = scale.value.place().full(&[1], d_scale as f32)?;
            sink.take(scale, d_scale)?;
        }
        let through_ema = self.ema.backward(d_ema, tape, sink, need_input)?;
        let through_bias = copy.backward(d_bias, tape, sink, need_input)?;
        sum(through_bias, through_ema)
    }

    fn visit(&mut self, path: &str, visitor: &mut Visitor<'_>) -> Result<()> {
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
