//! Layers replayed: each does with memory what the layer of its name does, and nothing else.

use super::context::{Context, ELEMENT_BYTES, TENSOR_BYTES};
use super::ledger::{Held, Part};
use super::outline::{Lazy, Outline};
use crate::error::{Error, Result};
use crate::layers::Mode;
use crate::tape;

/// A layer without its numbers; compare [`crate::layers::Layer`], whose methods these mirror.
pub(super) trait Replay {
    /// `Layer::forward_from`
    fn forward(&mut self, context: &Context, x: Lazy, mode: Mode, tape: &mut Tape) -> Result<Lazy>;

    /// `Layer::repeat`
    fn repeat(&mut self, context: &Context, x: Lazy, mode: Mode, tape: &mut Tape) -> Result<()> {
        self.forward(context, x, mode, tape).map(drop)
    }

    /// `Layer::backward`
    fn backward(
        &mut self,
        context: &Context,
        d_y: Outline,
        tape: &mut Tape,
        need_input: bool,
    ) -> Result<Option<Outline>>;

    /// `Layer::leaves_gradient`
    fn leaves_gradient(&self) -> bool {
        false
    }

    /// Every parameter, for updates by gathered gradients.
    fn parameters(&mut self) -> Vec<&mut Parameter> {
        Vec::new()
    }
}

/// What a name, its place in a layer and an optimizer's notes take for each variable.
const VARIABLE_BYTES: usize = 192;

/// A weight and what training keeps about it.
pub(super) struct Parameter {
    dims: Vec<usize>,
    /// Whether updates change it.
    pub(super) trainable: bool,
    accumulated: Option<Outline>,
    _value: Held,
    _state: Option<Held>,
}

impl Parameter {
    /// A weight that serves `part`.
    pub(super) fn new(context: &Context, dims: &[usize], part: Part) -> Self {
        let elements: usize = dims.iter().product();
        let tensor = elements * ELEMENT_BYTES + TENSOR_BYTES;
        let trainable = part != Part::Average;
        let tensors = if trainable && context.remembers.get() { context.state_tensors } else { 0 };
        Self {
            dims: dims.to_vec(),
            trainable,
            accumulated: None,
            _value: context.ledger.take(part, tensor + VARIABLE_BYTES),
            _state: (tensors > 0).then(|| context.ledger.take(Part::Optimizer, tensors * tensor)),
        }
    }

    /// `GradientSink::take`
    pub(super) fn take(&mut self, context: &Context, _gradient: Outline) {
        let elements = self.dims.iter().product::<usize>();
        context.sweep(elements * (3 + 2 * context.state_tensors));
        if context.gathers && self.trainable && self.accumulated.is_none() {
            self.accumulated = Some(context.tensor(Part::Gathered, &self.dims));
        }
    }

    /// Its gathered gradient is used and forgotten.
    pub(super) fn apply(&mut self) {
        self.accumulated = None;
    }

    /// Number of elements.
    pub(super) fn elements(&self) -> usize {
        self.dims.iter().product()
    }
}

/// A running statistic that serves `part`.
pub(super) fn statistic(context: &Context, channels: usize, part: Part) -> Held {
    context.ledger.take(part, channels * ELEMENT_BYTES + TENSOR_BYTES + VARIABLE_BYTES)
}

/// One saved thing.
enum Saved {
    Map(Lazy),
    Shape(Vec<usize>),
}

/// `Tape`
#[derive(Default)]
pub(super) struct Tape {
    saved: Vec<Saved>,
    forgets: bool,
    /// Its list, which grows by doubling and stays as long as it was.
    room: Option<Held>,
    places: usize,
}

impl Tape {
    /// A tape that keeps nothing.
    pub(super) fn forgetting() -> Self {
        Self { forgets: true, ..Self::default() }
    }

    fn save(&mut self, context: &Context, saved: Saved) {
        if self.forgets {
            return;
        }
        self.saved.push(saved);
        if self.saved.len() > self.places {
            self.places = (2 * self.places).max(4);
            self.room = None;
            self.room = Some(context.ledger.take(Part::Kept, self.places * size_of::<tape::Saved>()));
        }
    }

    pub(super) fn push(&mut self, context: &Context, x: &Outline) {
        self.push_lazy(context, Lazy::Plain(x.clone()));
    }

    pub(super) fn push_lazy(&mut self, context: &Context, x: Lazy) {
        if !self.forgets {
            x.stored().keep();
        }
        self.save(context, Saved::Map(x));
    }

    pub(super) fn push_shape(&mut self, context: &Context, x: &Outline) {
        self.save(context, Saved::Shape(x.dims().to_vec()));
    }

    pub(super) fn pop(&mut self) -> Result<Outline> {
        match self.saved.pop() {
            Some(Saved::Map(Lazy::Plain(x))) => Ok(x),
            _ => Err(unexpected("a tensor")),
        }
    }

    pub(super) fn pop_lazy(&mut self) -> Result<Lazy> {
        match self.saved.pop() {
            Some(Saved::Map(x)) => Ok(x),
            _ => Err(unexpected("a map")),
        }
    }

    pub(super) fn pop_shape(&mut self) -> Result<Vec<usize>> {
        match self.saved.pop() {
            Some(Saved::Shape(shape)) => Ok(shape),
            _ => Err(unexpected("a shape")),
        }
    }

    pub(super) fn clear(&mut self) {
        self.saved.clear();
    }
}

fn unexpected(wanted: &str) -> Error {
    Error::internal(format!("the plan's tape lacks {wanted}: it does not mirror the layers"))
}
