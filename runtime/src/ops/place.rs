//! Where an operation runs: in a kernel of ours, or composed from candle's primitives. Nothing else decides that.
//!
//! Kernels are for the CPU, compositions for every other device. With the feature `compositions`, which tests have, a
//! thread may compose on the CPU, too, so that whatever a GPU would run is run without one.

use crate::error::{Error, Result};
use candle_core::Device;

/// What carries out an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A kernel of ours, on the CPU.
    Kernels,
    /// The functions of [`crate::composed`].
    Composed,
}

/// What carries out operations on tensors that are on `device`.
///
/// Where the build knows no device but the CPU the second answer is never given, which leaves the compositions out of
/// the library, and with them what of candle they alone use.
///
/// # Errors
/// `Internal` for a device that this build does not know.
#[inline(always)]
pub fn place(device: &Device) -> Result<Place> {
    match device {
        Device::Cpu if !composes_on_cpu() => Ok(Place::Kernels),
        _ if cfg!(any(feature = "cuda", feature = "metal", feature = "compositions")) => Ok(Place::Composed),
        _ => Err(Error::internal("a tensor is on a device that this build does not know")),
    }
}

#[cfg(feature = "compositions")]
thread_local! {
    static COMPOSES: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

#[cfg(feature = "compositions")]
fn composes_on_cpu() -> bool {
    COMPOSES.get()
}

#[cfg(not(feature = "compositions"))]
#[inline(always)]
fn composes_on_cpu() -> bool {
    false
}

/// Runs `run` with all its operations composed, on the CPU as well. Holds for this thread alone, so whoever trains in a
/// pool of workers asks for it there. What a trainer or a model keeps depends on it: build and use it in one `run`.
#[cfg(feature = "compositions")]
pub fn composed<T>(run: impl FnOnce() -> T) -> T {
    /// Puts back what was, after a panic, too.
    struct Before(bool);
    impl Drop for Before {
        fn drop(&mut self) {
            COMPOSES.set(self.0);
        }
    }
    let _before = Before(COMPOSES.replace(true));
    run()
}
