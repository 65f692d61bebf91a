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
#[cfg(feature = "cuda")]
mod refusal;
#[cfg(feature = "cuda")]
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

/// Opens one of candle's: `cpu`, or `metal` where it is built in.
pub fn open(name: &str) -> Result<Device> {
    let (kind, number) = kind_and_number(name)?;
    let made = match kind {
        "cpu" if number == 0 => return Ok(Device::Cpu),
        "metal" if utils::metal_is_available() => Device::new_metal(number),
        "metal" | "cuda" => {
            return Err(Error::config(format!(
                "this build has no {kind} support; build it with `--features {kind}`, or use --device cpu"
            )));
        }
        _ => return Err(unknown(name)),
    };
    made.map_err(|cause| {
        let cause = Error::from(cause);
        Error::new(ErrorKind::Device, format!("cannot open device '{name}': {cause}"))
    })
}

/// Bytes that candle has in use on a GPU now; 0 on the CPU.
pub(crate) fn used_bytes(device: &Device) -> usize {
    match device {
        #[cfg(feature = "metal")]
        Device::Metal(device) => device.metal_device().current_allocated_size(),
        _ => 0,
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
    devices.push(found("cuda".into(), open("cuda").map(|_| String::new())));
    devices.push(found("metal".into(), open("metal").map(|_| "ready".into())));
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
