//! `Shelf` and what waits on it.

use super::context::Context;
use super::ledger::{Held, Part};
use super::outline::Outline;
use crate::precision::Precision;
use crate::trainer::TrainConfig;
use std::rc::Rc;

/// `Features`
#[derive(Clone, Debug)]
pub(super) enum Waiting {
    Nothing,
    Memory(Outline),
    Packed {
        dims: Vec<usize>,
        _bits: Rc<Held>,
        precision: Precision,
    },
    Disk {
        dims: Vec<usize>,
        precision: Precision,
    },
    /// Some of several parcels, which are put together when they are needed.
    Cut(Box<Waiting>),
}

impl Waiting {
    /// `Shelf::put`
    pub(super) fn put(context: &Context, config: &TrainConfig, x: Outline) -> Self {
        let (dims, precision) = (x.dims().to_vec(), config.features);
        let bytes = x.elements() * precision.bytes();
        let bits = || context.ledger.take(Part::Kept, bytes);
        match (config.features_on_disk, precision) {
            (false, Precision::F32) => {
                x.keep();
                Self::Memory(x)
            }
            (false, _) => Self::Packed { dims, _bits: Rc::new(bits()), precision },
            (true, _) => {
                if precision != Precision::F32 {
                    drop(bits());
                }
                context.store(bytes);
                Self::Disk { dims, precision }
            }
        }
    }

    /// `Shelf::put_exactly`
    pub(super) fn put_exactly(context: &Context, config: &TrainConfig, x: Outline) -> Self {
        let exact = TrainConfig { features: Precision::F32, ..config.clone() };
        Self::put(context, &exact, x)
    }

    /// `Features::get`
    pub(super) fn get(&self, context: &Context) -> Outline {
        match self {
            Self::Nothing => context.map(&[0]),
            Self::Memory(x) => x.clone(),
            Self::Packed { dims, .. } => {
                let x = context.map(dims);
                context.sweep(x.elements() + x.elements() / 2);
                x
            }
            Self::Disk { dims, precision } => {
                let elements: usize = dims.iter().product();
                context.store(elements * precision.bytes());
                let bits = (*precision != Precision::F32)
                    .then(|| context.ledger.take(Part::Passing, elements * precision.bytes()));
                let x = context.map(dims);
                drop(bits);
                x
            }
            Self::Cut(parts) => {
                let parts = parts.get(context);
                context.sweep(2 * parts.elements());
                context.map(parts.dims())
            }
        }
    }

    /// As many samples that wait as this does.
    pub(super) fn like(&self, context: &Context, samples: usize) -> Self {
        let dims = |dims: &[usize]| -> Vec<usize> {
            std::iter::once(samples).chain(dims.iter().skip(1).copied()).collect()
        };
        match self {
            Self::Nothing => Self::Nothing,
            Self::Memory(x) => Self::Memory(context.tensor(Part::Kept, &dims(x.dims()))),
            Self::Packed { dims: of, precision, .. } => {
                let dims = dims(of);
                let bytes = dims.iter().product::<usize>() * precision.bytes();
                Self::Packed {
                    dims,
                    _bits: Rc::new(context.ledger.take(Part::Kept, bytes)),
                    precision: *precision,
                }
            }
            Self::Disk { dims: of, precision } => Self::Disk { dims: dims(of), precision: *precision },
            Self::Cut(parts) => parts.like(context, samples),
        }
    }

    /// The same, put together of parts when it is needed.
    pub(super) fn cut(self) -> Self {
        Self::Cut(Box::new(self))
    }
}
