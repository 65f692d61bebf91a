//! Places by name. Nothing else decides which word means which.

use super::place::Place;
use crate::device;
#[cfg(feature = "cuda")]
use crate::device::cuda::Cuda;
#[cfg(feature = "device")]
use crate::device::engine::Engine;
#[cfg(feature = "emulated")]
use crate::device::{emulated::Emulated, table::all::Class};
use crate::error::Result;
use crate::kernels::simd::Isa;
use candle_core::{Device, DeviceLocation};

impl Place {
    /// Opens `cpu`, `cuda`, `cuda:1`, `metal` and the like; with the feature `emulated` also `emulated`. A device with kernels of
    /// our own is held to the CPU first.
    ///
    /// # Errors
    /// `Config` for a name of nothing, or of what this build has not; `Device` for what cannot be opened, or computes wrongly.
    pub fn open(name: &str) -> Result<Self> {
        #[cfg(feature = "device")]
        if let Some(engine) = own(name)? {
            let place = Self::Device(engine);
            place.check_itself()?;
            return Ok(place);
        }
        device::open(name).map(|device| Self::from(&device))
    }

    /// What it is called: what [`Place::open`] takes, where there is such a word.
    pub fn name(&self) -> String {
        match self {
            Self::Host => "cpu".into(),
            Self::Composed(device) => match device.location() {
                DeviceLocation::Cpu => "composed".into(),
                DeviceLocation::Metal { gpu_id } => format!("metal:{gpu_id}"),
                other => format!("{other:?}"),
            },
            #[cfg(feature = "device")]
            Self::Device(engine) => engine.name().into(),
            Self::Counted(_) => "counted".into(),
        }
    }

    /// What kind of device computes here, whose sums differ in their last bits from those of other kinds.
    pub fn kind(&self) -> &str {
        match self {
            Self::Composed(device) if device.is_metal() => "metal",
            #[cfg(feature = "device")]
            Self::Device(engine) => engine.name().split(':').next().unwrap_or_default(),
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

/// A device with kernels of our own, if that is what the name means.
#[cfg(feature = "device")]
fn own(name: &str) -> Result<Option<Engine>> {
    #[cfg(feature = "emulated")]
    if name == "emulated" {
        return Ok(Some(Engine::new(name, Emulated::default(), Class::Scalar)));
    }
    #[cfg(feature = "cuda")]
    if let ("cuda", number) = device::kind_and_number(name)? {
        let card = Cuda::open(number)?;
        let class = card.class();
        return Ok(Some(Engine::new(name, card, class)));
    }
    Ok(None)
}
