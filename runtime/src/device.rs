//! Devices by name, and what each says of its own memory.

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

/// Opens `cpu`, `cuda`, `cuda:1`, `metal` and the like.
pub fn open(name: &str) -> Result<Device> {
    let (kind, number) = match name.split_once(':') {
        None => (name, 0),
        Some((kind, number)) => match number.parse() {
            Ok(number) => (kind, number),
            Err(_) => return Err(unknown(name)),
        },
    };
    let (built, made) = match kind {
        "cpu" if number == 0 => return Ok(Device::Cpu),
        "cuda" => (utils::cuda_is_available(), Device::new_cuda(number)),
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
        let (description, available) = match open(name) {
            Ok(_) => ("ready".to_string(), true),
            Err(cause) => (cause.to_string(), false),
        };
        devices.push(DeviceInfo { name: name.into(), description, available });
    }
    devices
}

/// Bytes in use on a GPU, by its driver's count; `None` on the CPU, where the process's allocator knows.
pub fn used_bytes(device: &Device) -> Option<usize> {
    match device {
        Device::Cpu => None,
        #[cfg(feature = "cuda")]
        Device::Cuda(_) => {
            let (free, total) = candle_core::cuda::cudarc::driver::result::mem_get_info().ok()?;
            Some(total.saturating_sub(free))
        }
        #[cfg(feature = "metal")]
        Device::Metal(device) => Some(device.metal_device().current_allocated_size()),
        #[allow(unreachable_patterns)] // which arms exist depends on the features
        _ => None,
    }
}
