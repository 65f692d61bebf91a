//! Devices by name; with the feature `device`, kernels for devices, their memory and their launches; with the feature
//! `emulated`, a device that runs kernels on the CPU.

#[cfg(feature = "device")]
pub mod table;
#[cfg(feature = "device")]
pub mod arguments;
#[cfg(feature = "device")]
pub mod launch;
#[cfg(feature = "device")]
pub mod launches;
#[cfg(feature = "device")]
pub mod driver;
#[cfg(feature = "device")]
pub mod later;
#[cfg(feature = "device")]
mod deferred;
#[cfg(feature = "device")]
mod series;
#[cfg(feature = "device")]
mod pool;
#[cfg(feature = "device")]
pub mod engine;
#[cfg(feature = "device")]
pub mod array;
#[cfg(feature = "device")]
pub mod operations;
#[cfg(feature = "device")]
pub mod idle;
#[cfg(any(feature = "cuda", feature = "emulated"))]
pub mod ptx;
#[cfg(feature = "cuda")]
mod refusal;
#[cfg(feature = "cuda")]
mod nvml;
#[cfg(feature = "cuda")]
pub mod cuda;
#[cfg(any(test, all(feature = "metal", target_vendor = "apple")))]
mod metal_refusal;
#[cfg(all(feature = "metal", target_vendor = "apple"))]
pub mod metal;
#[cfg(feature = "emulated")]
pub mod emulated;

use crate::error::{Error, Result};
use crate::kernels::simd::Isa;

/// A device that this build could use, and whether it is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceInfo {
    /// What `open` takes.
    pub name: String,
    /// What it is, or why it cannot be used.
    pub description: String,
    /// Whether it can be used.
    pub available: bool,
}

/// The error of a device that this build has not.
pub(crate) fn absent(name: &str) -> Error {
    match name.split_once(':').map_or(name, |(kind, _)| kind) {
        "metal" if !cfg!(target_vendor = "apple") => {
            Error::config("Metal is of Apple's systems, and this is none of them; use --device cpu")
        }
        kind @ ("metal" | "cuda") => Error::config(format!(
            "this build has no {kind} support; build it with `--features {kind}`, or use --device cpu"
        )),
        _ => unknown(name),
    }
}

/// `cuda:1` is the second of its kind, `cuda` the first.
pub(crate) fn kind_and_number(name: &str) -> Result<(&str, usize)> {
    match name.split_once(':') {
        None => Ok((name, 0)),
        Some((kind, number)) => Ok((kind, number.parse().map_err(|_| unknown(name))?)),
    }
}

fn unknown(name: &str) -> Error {
    Error::config(format!("there is no device '{name}'; use cpu, cuda, cuda:<number> or metal"))
}

/// Every device that there is, and of each kind that has none usable why.
pub fn list() -> Vec<DeviceInfo> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let lanes = Isa::best().lanes();
    let mut devices = vec![DeviceInfo {
        name: "cpu".into(),
        description: format!("{}, {threads} threads, vectors of {lanes} f32", std::env::consts::ARCH),
        available: true,
    }];
    #[cfg(feature = "cuda")]
    devices.extend(match cuda::cards() {
        Ok(count) => (0..count).map(|number| found(card_name(number), cuda::description(number))).collect(),
        Err(cause) => vec![found("cuda".into(), Err(cause))],
    });
    #[cfg(not(feature = "cuda"))]
    devices.push(found("cuda".into(), Err(absent("cuda"))));
    #[cfg(all(feature = "metal", target_vendor = "apple"))]
    devices.push(found("metal".into(), metal::description(0)));
    #[cfg(not(all(feature = "metal", target_vendor = "apple")))]
    devices.push(found("metal".into(), Err(absent("metal"))));
    #[cfg(feature = "emulated")]
    devices.push(DeviceInfo {
        name: "emulated".into(),
        description: "the kernels of devices on the CPU, each access checked: for tests".into(),
        available: true,
    });
    devices
}

/// The first card needs no number.
#[cfg(feature = "cuda")]
fn card_name(number: usize) -> String {
    if number == 0 { "cuda".into() } else { format!("cuda:{number}") }
}

fn found(name: String, description: Result<String>) -> DeviceInfo {
    let available = description.is_ok();
    DeviceInfo { name, description: description.unwrap_or_else(|cause| cause.to_string()), available }
}
