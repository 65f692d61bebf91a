//! Places by name. Nothing else decides which word means which.

use super::place::Place;
use crate::device;
#[cfg(feature = "nvidia")]
use crate::device::cuda::Cuda;
#[cfg(any(feature = "emulated", feature = "nvidia"))]
use crate::device::engine::Engine;
#[cfg(feature = "emulated")]
use crate::device::{emulated::Emulated, table::all::Class};
use crate::error::Result;
use crate::kernels::simd::Isa;
use candle_core::{Device, DeviceLocation};

impl Place {
    /// Opens `cpu`, `cuda`, `cuda:1`, `metal` and the like; with the feature `emulated` also `emulated`.
    ///
    /// # Errors
    /// `Config` for a name of nothing, or of what this build has not; `Device` for what cannot be opened.
    pub fn open(name: &str) -> Result<Self> {
        #[cfg(feature = "emulated")]
        if name == "emulated" {
            return Ok(Self::Device(Engine::new(name, Emulated::default(), Class::Scalar)));
        }
        #[cfg(feature = "nvidia")]
        if let ("cuda", number) = device::kind_and_number(name)? {
            let card = Cuda::open(number)?;
            let class = card.class();
            return Ok(Self::Device(Engine::new(name, card, class)));
        }
        device::open(name).map(|device| Self::from(&device))
    }

    /// What it is called: what [`Place::open`] takes, where there is such a word.
    pub fn name(&self) -> String {
        match self {
            Self::Host => "cpu".into(),
            Self::Composed(device) => match device.location() {
                DeviceLocation::Cpu => "composed".into(),
                DeviceLocation::Cuda { gpu_id } => format!("cuda:{gpu_id}"),
                DeviceLocation::Metal { gpu_id } => format!("metal:{gpu_id}"),
            },
            #[cfg(feature = "device")]
            Self::Device(engine) => engine.name().into(),
            Self::Counted(_) => "counted".into(),
        }
    }

    /// What kind of device computes here, whose sums differ in their last bits from those of other kinds.
    pub fn kind(&self) -> &str {
        match self {
            Self::Composed(device) if device.is_cuda() => "cuda",
            Self::Composed(device) if device.is_metal() => "metal",
            #[cfg(feature = "device")]
            Self::Device(engine) => engine.name(),
            _ => "cpu",
        }
    }

    /// The processor's vector instructions that kernels here use, such as `avx2`; of sums their last bits depend on them.
    /// Empty on a device.
    pub fn instructions(&self) -> &'static str {
        if self.kind() == "cpu" { Isa::best().name() } else { "" }
    }

    /// The device of candle's on which what is here is computed; the CPU where it has no part in that.
    pub fn candle(&self) -> Device {
        match self {
            Self::Composed(device) => device.clone(),
            _ => Device::Cpu,
        }
    }

    /// Waits until all is done that was begun there.
    ///
    /// # Errors
    /// Those of the device.
    pub fn wait(&self) -> Result<()> {
        match self {
            Self::Composed(device) => Ok(device.synchronize()?),
            #[cfg(feature = "device")]
            Self::Device(engine) => engine.wait(),
            Self::Host | Self::Counted(_) => Ok(()),
        }
    }
}
