//! Devices by name; with the feature `device`, kernels for devices, their memory and their launches; with the feature
//! `emulated`, a device that runs kernels on the CPU.

pub(crate) mod peak;
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
mod pool;
#[cfg(feature = "device")]
pub mod engine;
#[cfg(feature = "device")]
pub mod array;
#[cfg(feature = "device")]
pub mod operations;
#[cfg(feature = "device")]
pub mod idle;
#[cfg(feature = "device")]
pub mod ptx;
#[cfg(feature = "nvidia")]
pub mod cuda;
#[cfg(feature = "emulated")]
pub mod emulated;

use crate::error::{Error, ErrorKind, Result};
use crate::kernels::simd::Isa;
use candle_core::{Device, utils};

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

/// Opens one of candle's: `cpu`, `cuda`, `cuda:1`, `metal` and the like. All work on a CUDA device goes through one stream.
pub fn open(name: &str) -> Result<Device> {
    let (kind, number) = kind_and_number(name)?;
    let (built, made) = match kind {
        "cpu" if number == 0 => return Ok(Device::Cpu),
        // A stream of its own: the other constructor takes the stream of whichever thread calls, so that what one thread
        // has begun would not be waited for by what another begins.
        "cuda" => (utils::cuda_is_available(), Device::new_cuda_with_stream(number)),
        "metal" => (utils::metal_is_available(), Device::new_metal(number)),
        _ => return Err(unknown(name)),
    };
    if !built {
        return Err(Error::config(format!(
            "this build has no {kind} support; build it with `--features {kind}`, or use --device cpu"
        )));
    }
    made.map_err(|cause| {
        let cause = Error::from(cause);
        Error::new(ErrorKind::Device, format!("cannot open device '{name}': {cause}"))
    })
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

/// Every kind of device, usable or not.
pub fn list() -> Vec<DeviceInfo> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let lanes = Isa::best().lanes();
    let mut devices = vec![DeviceInfo {
        name: "cpu".into(),
        description: format!("{}, {threads} threads, vectors of {lanes} f32", std::env::consts::ARCH),
        available: true,
    }];
    for name in ["cuda", "metal"] {
        let found = match name {
            #[cfg(feature = "nvidia")]
            "cuda" => cuda::Cuda::open(0).map(|card| card.name().to_owned()),
            name => open(name).map(|_| "ready".to_owned()),
        };
        let (description, available) = match found {
            Ok(description) => (description, true),
            Err(cause) => (cause.to_string(), false),
        };
        devices.push(DeviceInfo { name: name.into(), description, available });
    }
    #[cfg(feature = "emulated")]
    devices.push(DeviceInfo {
        name: "emulated".into(),
        description: "the kernels of devices on the CPU, each access checked: for tests".into(),
        available: true,
    });
    devices
}
