//! Places by name. Nothing else decides which word means which.

use super::place::Place;
#[cfg(feature = "cuda")]
use crate::device::cuda::Cuda;
#[cfg(feature = "device")]
use crate::device::engine::Engine;
#[cfg(all(feature = "metal", target_vendor = "apple"))]
use crate::device::metal::Metal;
use crate::device::{absent, kind_and_number};
#[cfg(feature = "emulated")]
use crate::device::{emulated::Emulated, table::all::Class};
use crate::error::Result;
use crate::kernels::simd::Isa;

impl Place {
    /// Opens `cpu`, `cuda`, `cuda:1`, `metal` and the like; with the feature `emulated` also `emulated`, and `emulated:8`, which
    /// has 8 MiB of memory. A device with kernels of our own is held to the CPU first.
    ///
    /// # Errors
    /// `Config` for a name of nothing, or of what this build has not; `Device` for what cannot be opened, or computes wrongly.
    pub fn open(name: &str) -> Result<Self> {
        #[cfg(feature = "device")]
        if let Some(engine) = own(name)? {
            let place = Self::Device(engine);
            place.check_itself()?;
            // What that took is for nobody else, and no run's peak.
            place.allow(None, Some(0))?;
            place.allow(None, None)?;
            place.take_again();
            return Ok(place);
        }
        match kind_and_number(name)? {
            ("cpu", 0) => Ok(Self::Host),
            _ => Err(absent(name)),
        }
    }

    /// What it is called: what [`Place::open`] takes, where there is such a word.
    pub fn name(&self) -> String {
        match self {
            Self::Host => "cpu".into(),
            #[cfg(feature = "device")]
            Self::Device(engine) => engine.name().into(),
            Self::Counted(_) => "counted".into(),
        }
    }

    /// What kind of device computes here, whose sums differ in their last bits from those of other kinds.
    pub fn kind(&self) -> &str {
        match self {
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

    /// Waits until all is done that was begun there.
    ///
    /// # Errors
    /// Those of the device.
    pub fn wait(&self) -> Result<()> {
        match self {
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
    if let ("emulated", mebibytes) = kind_and_number(name)? {
        let memory_bytes = (mebibytes > 0).then(|| mebibytes.saturating_mul(1 << 20));
        let device = Emulated { memory_bytes, ..Emulated::default() };
        return Ok(Some(Engine::new(name, device, Class::Scalar)));
    }
    #[cfg(feature = "cuda")]
    if let ("cuda", number) = kind_and_number(name)? {
        let card = Cuda::open(number)?;
        let class = card.class();
        return Ok(Some(Engine::new(name, card, class)));
    }
    #[cfg(all(feature = "metal", target_vendor = "apple"))]
    if let ("metal", number) = kind_and_number(name)? {
        let gpu = Metal::open(number)?;
        let class = gpu.class();
        return Ok(Some(Engine::new(name, gpu, class)));
    }
    Ok(None)
}
