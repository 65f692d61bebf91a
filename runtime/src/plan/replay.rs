//! Layers replayed: each does with memory what the layer of its name does, and nothing else.

use super::context::{Context, ELEMENT_BYTES, TENSOR_BYTES};
use super::ledger::{Held, Part};
use super::outline::{Lazy, Outline, Summands};
use crate::error::{Error, Result};
use crate::layers::Mode;
use crate::tape::{self, packs};
use std::rc::Rc;

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
    /// What the weight is for.
    part: Part,
    /// Tensors that the optimizer keeps.
    state_tensors: usize,
    /// Handles and names, which stay where numbers wait in a file.
    _handles: Held,
    value: Option<Held>,
    state: Option<Held>,
}

impl Parameter {
    /// A weight that serves `part`.
    pub(super) fn new(context: &Context, dims: &[usize], part: Part) -> Self {
        let trainable = part != Part::Average;
        let state_tensors = if trainable && context.remembers.get() { context.state_tensors } else { 0 };
        let handles = (1 + state_tensors) * TENSOR_BYTES + VARIABLE_BYTES;
        let mut parameter = Self {
            dims: dims.to_vec(),
            trainable,
            accumulated: None,
            part,
            state_tensors,
            _handles: context.ledger.take(part, handles),
            value: None,
            state: None,
        };
        parameter.fetch(context, true);
        parameter
    }

    /// Its numbers come into memory, what the optimizer remembers among them if `whole`.
    pub(super) fn fetch(&mut self, context: &Context, whole: bool) {
        let bytes = self.elements() * ELEMENT_BYTES;
        let Self { part, state_tensors, value, state, .. } = self;
        value.get_or_insert_with(|| context.ledger.take(*part, bytes));
        if whole && *state_tensors > 0 {
            state.get_or_insert_with(|| context.ledger.take(Part::Optimizer, *state_tensors * bytes));
        }
    }

    /// Its numbers wait in a file.
    pub(super) fn release(&mut self) {
        (self.value, self.state) = (None, None);
    }

    /// Bytes of its numbers, what the optimizer remembers among them if `whole`.
    pub(super) fn bytes(&self, whole: bool) -> usize {
        self.elements() * ELEMENT_BYTES * if whole { 1 + self.state_tensors } else { 1 }
    }

    /// `GradientSink::take`
    pub(super) fn take(&mut self, context: &Context, gradient: Outline) {
        let elements = self.dims.iter().product::<usize>();
        context.sweep(elements * (3 + 2 * context.state_tensors));
        if !self.trainable || self.accumulated.is_some() {
            return;
        }
        if context.gathers {
            // The first gradient itself.
            gradient.gather();
            self.accumulated = Some(gradient);
        } else if context.waits.get() {
            self.accumulated = Some(gradient);
        }
    }

    /// Its gathered gradient is used and forgotten.
    pub(super) fn apply(&mut self) {
        self.accumulated = None;
    }

    /// Whether it is a number a channel, as batch norm's are.
    pub(super) fn is_vector(&self) -> bool {
        self.dims.len() == 1
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
    Sum(Summands),
    /// Dimensions, 16 bits a number, and what is to become of it.
    Packed(Vec<usize>, Held, Option<Rc<Held>>),
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
        if self.forgets {
            return;
        }
        if packs(context.activations, x.stored().dims().len()) && !x.stored().is_bytes() {
            let map = x.stored();
            let held = context.ledger.take(Part::Kept, map.elements() * context.activations.bytes());
            context.sweep(map.elements() + map.elements() / 2);
            let by = match &x {
                Lazy::Plain(_) | Lazy::Sum(..) => None,
                Lazy::Normalized(_, by) => Some(by.clone()),
            };
            self.save(context, Saved::Packed(map.dims().to_vec(), held, by));
            return;
        }
        x.stored().keep();
        self.save(context, Saved::Map(x));
    }

    pub(super) fn push_input(&mut self, context: &Context, x: &Outline, summands: Option<Summands>) {
        match summands {
            Some(summands) if !packs(context.activations, x.dims().len()) => {
                summands.main.keep();
                summands.around.keep();
                self.save(context, Saved::Sum(summands));
            }
            _ => self.push(context, x),
        }
    }

    pub(super) fn push_shape(&mut self, context: &Context, x: &Outline) {
        self.save(context, Saved::Shape(x.dims().to_vec()));
    }

    pub(super) fn pop(&mut self, context: &Context) -> Result<Outline> {
        match self.pop_lazy(context)? {
            Lazy::Plain(x) => Ok(x),
            Lazy::Normalized(..) | Lazy::Sum(..) => Err(unexpected("a tensor")),
        }
    }

    pub(super) fn pop_lazy(&mut self, context: &Context) -> Result<Lazy> {
        match self.saved.pop() {
            Some(Saved::Map(x)) => Ok(x),
            Some(Saved::Packed(dims, _held, by)) => {
                let x = context.map(&dims);
                context.sweep(x.elements() + x.elements() / 2);
                Ok(match by {
                    None => Lazy::Plain(x),
                    Some(by) => Lazy::Normalized(x, by),
                })
            }
            _ => Err(unexpected("a map")),
        }
    }

    /// The maps that `push_input` kept.
    pub(super) fn pop_input(&mut self, context: &Context) -> Result<Vec<Outline>> {
        match self.saved.pop_if(|saved| matches!(saved, Saved::Sum(_))) {
            Some(Saved::Sum(Summands { main, around, .. })) => Ok(vec![main, around]),
            _ => Ok(vec![self.pop(context)?]),
        }
    }

    pub(super) fn pop_shape(&mut self) -> Result<Vec<usize>> {
        match self.saved.pop() {
            Some(Saved::Shape(shape)) => Ok(shape),
            _ => Err(unexpected("a shape")),
        }
    }

    pub(super) fn height(&self) -> usize {
        self.saved.len()
    }

    pub(super) fn cut_back(&mut self, height: usize) {
        self.saved.truncate(height);
    }

    pub(super) fn clear(&mut self) {
        self.saved.clear();
    }
}

fn unexpected(wanted: &str) -> Error {
    Error::internal(format!("the plan's tape lacks {wanted}: it does not mirror the layers"))
}
