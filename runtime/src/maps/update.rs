//! Updates of weights by their gradients, in the memory of the weight and of what an optimizer remembers of it.

use super::Map;
use super::coded::Coded;
use super::elementwise::scaled;
use super::place::read;
use super::slices::{elements, update_in_place};
#[cfg(feature = "device")]
use crate::device::operations as device;
use crate::error::{Error, Result};
use crate::kernels::optimizer as kernels;
pub use crate::kernels::optimizer::{AdamWStep, SgdStep, Step};
use candle_core::Tensor;
use std::sync::Mutex;

/// One step of `value` by its gradient `d_value`, which shares no memory with it. `state` has as many maps as the step
/// asks for: none or the momentum, or the mean and the mean square; all are of one shape, and change with the value.
///
/// # Errors
/// Those of the device, and `Internal` for another number of maps.
pub fn step(value: &Map, state: &[Map], d_value: &Map, step: &Step) -> Result<()> {
    #[cfg(feature = "device")]
    if let Map::Device(value) = value {
        let state = state.iter().map(Map::array).collect::<Result<Vec<_>>>()?;
        return device::update::step(value, &state, d_value.array()?, step);
    }
    read(
        value,
        || step_on_host(value, state, d_value, step),
        |counter| counter.sweep(d_value.elem_count() * (3 + 2 * state.len())),
    )
}

/// [`step`] where the state is in 8 bits.
///
/// # Errors
/// As [`step`], and `Config` on a device.
pub fn step_coded(value: &Map, state: &mut [Coded], d_value: &Map, step: &Step) -> Result<()> {
    #[cfg(feature = "device")]
    if let Map::Device(_) = value {
        return Err(super::coded::on_the_cpu_only());
    }
    // A state's numbers are read and written in a quarter of their bytes.
    let swept = d_value.elem_count() * 3 + state.iter().map(|coded| coded.bytes() / 2).sum::<usize>();
    read(
        value,
        || {
            let d_value = d_value.clone().contiguous()?;
            let gradient = elements(&d_value)?;
            // In-place kernels are shared closures: what they change beside passes through a lock, taken once.
            let cell = Mutex::new((state, Ok(())));
            update_in_place(value.tensor()?, |value| {
                if let Ok(mut cell) = cell.lock() {
                    let (state, done) = &mut *cell;
                    let slices = state.iter_mut().map(Coded::slices);
                    let mut slices: heapless::Vec<_, MOST_CHANGED> = slices.collect();
                    *done = kernels::update_coded(value, &mut slices, &gradient, step);
                }
            })?;
            cell.into_inner().map_or_else(|_| Err(Error::internal("an update panicked")), |(_, done)| done)
        },
        |counter| counter.sweep(swept),
    )
}

/// `factor`·x as a sum that others are added to. Where the factor is 1, it is `x` itself: nobody else may read it then.
///
/// # Errors
/// Those of the device.
pub fn first_of_sum(x: Map, factor: f64) -> Result<Map> {
    if factor == 1.0 { x.contiguous() } else { scaled(&x, factor) }
}

/// sum += factor·x, in the memory of `sum`; both are of one shape.
///
/// # Errors
/// Those of the device.
pub fn add_to_sum(sum: &Map, x: Map, factor: f64) -> Result<()> {
    #[cfg(feature = "device")]
    if let Map::Device(sum) = sum {
        return device::elementwise::add_scaled(sum, x.array()?, factor as f32);
    }
    let x = x.contiguous()?;
    read(
        sum,
        || {
            let x = elements(&x)?;
            update_in_place(sum.tensor()?, |sum| kernels::add_scaled(sum, &x, factor as f32))
        },
        |counter| counter.sweep(3 * x.elem_count()),
    )
}

fn step_on_host(value: &Map, state: &[Map], d_value: &Map, step: &Step) -> Result<()> {
    let d_value = d_value.clone().contiguous()?;
    let gradient = elements(&d_value)?;
    let mut tensors = heapless::Vec::<_, MOST_CHANGED>::new();
    for map in std::iter::once(value).chain(state) {
        tensors.push(map.tensor()?).map_err(|_| too_many())?;
    }
    change_together(&tensors, heapless::Vec::new(), &|mut slices| {
        kernels::update(&mut slices, &gradient, step)
    })
}

/// A value, and what an optimizer remembers of it.
const MOST_CHANGED: usize = 3;

/// The elements of so many tensors.
type Slices<'a> = heapless::Vec<&'a mut [f32], MOST_CHANGED>;

/// Runs `kernel` on `slices` and the elements of all `tensors`, in place; no two may share storage.
fn change_together(
    tensors: &[&Tensor],
    slices: Slices<'_>,
    kernel: &(dyn Fn(Slices<'_>) -> Result<()> + Sync),
) -> Result<()> {
    let Some((first, rest)) = tensors.split_first() else {
        return kernel(slices);
    };
    // In-place kernels are shared closures: what they consume and return passes through a lock, taken once.
    let cell = Mutex::new((slices, Ok(())));
    update_in_place(first, |data| {
        if let Ok(mut cell) = cell.lock() {
            let mut slices = std::mem::take(&mut cell.0);
            cell.1 = match slices.push(data) {
                Ok(()) => change_together(rest, slices, kernel),
                Err(_) => Err(too_many()),
            };
        }
    })?;
    cell.into_inner().map_or_else(|_| Err(Error::internal("an update panicked")), |(_, done)| done)
}

fn too_many() -> Error {
    Error::internal(format!("an update of more than {MOST_CHANGED} tensors"))
}
