//! Places by name. Nothing else decides which word means which.

use super::place::Place;
#[cfg(feature = "cuda")]
use crate::device::cuda::Cuda;
#[cfg(feature = "emulated")]
use crate::device::emulated::Emulated;
#[cfg(feature = "device")]
use crate::device::engine::Engine;
#[cfg(all(feature = "metal", target_vendor = "apple"))]
use crate::device::metal::Metal;
#[cfg(feature = "device")]
use crate::device::table::all::Class;
use crate::device::{absent, kind_and_number};
use crate::error::{Error, Result};
use crate::kernels::simd::Isa;
use crate::precision::ProductPrecision;

impl Place {
    /// Opens `cpu`, `cuda`, `cuda:1`, `metal` and the like; with the feature `emulated` also `emulated`, and `emulated:8`, which
    /// has 8 MiB of memory. A device with kernels of our own is held to the CPU first.
    ///
    /// # Errors
    /// `Config` for a name of nothing, or of what this build has not; `Device` for what cannot be opened, or computes wrongly.
    pub fn open(name: &str) -> Result<Self> {
        Self::open_with(name, ProductPrecision::F32)
    }

    /// The same, where products are of this precision.
    ///
    /// # Errors
    /// Those of [`Place::open`], and `Config` where nothing multiplies so.
    pub fn open_with(name: &str, products: ProductPrecision) -> Result<Self> {
        #[cfg(feature = "device")]
        if let Some(engine) = own(name, products)? {
            let place = Self::Device(engine);
            place.check_itself()?;
            // What that took is for nobody else, and no run's peak.
            place.allow(None, Some(0))?;
            place.allow(None, None)?;
            place.take_again();
            return Ok(place);
        }
        match kind_and_number(name)? {
            ("cpu", 0) if products.is_f32() => Ok(Self::Host),
            ("cpu", 0) => Err(without_tensor_cores("the CPU", products)),
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

    /// In what products are multiplied here.
    pub fn products(&self) -> ProductPrecision {
        match self {
            #[cfg(feature = "device")]
            Self::Device(engine) => engine.class().products(),
            _ => ProductPrecision::F32,
        }
    }

    /// Its name, and in what it multiplies if that is not f32.
    pub fn words(&self) -> String {
        match self.products() {
            ProductPrecision::F32 => self.name(),
            products => format!("{} in {products}", self.name()),
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

fn without_tensor_cores(name: &str, products: ProductPrecision) -> Error {
    Error::config(format!(
        "{name} has no tensor cores, which alone multiply {products}; use precision f32, or a card of compute capability 8.0 or \
         later"
    ))
}

#[cfg(feature = "device")]
impl Class {
    /// In what it multiplies.
    pub fn products(self) -> ProductPrecision {
        match self {
            Self::TensorCores { passes: 1 } => ProductPrecision::Tf32,
            Self::HalfTensorCores => ProductPrecision::F16,
            Self::Scalar | Self::TensorCores { .. } | Self::Simdgroups => ProductPrecision::F32,
        }
    }

    /// The same device, where products are of this precision.
    ///
    /// # Errors
    /// `Config` where it has no tensor cores and needs some, with its `name`.
    pub fn with_products(self, products: ProductPrecision, name: &str) -> Result<Self> {
        match (products, self) {
            (ProductPrecision::F32, class) => Ok(class),
            (ProductPrecision::Tf32, Self::TensorCores { .. }) => Ok(Self::TensorCores { passes: 1 }),
            (ProductPrecision::F16, Self::TensorCores { .. }) => Ok(Self::HalfTensorCores),
            _ => Err(without_tensor_cores(name, products)),
        }
    }

    /// That of the emulated device, which has tensor cores where they are asked for.
    #[cfg(feature = "emulated")]
    pub fn emulated(products: ProductPrecision) -> Self {
        let cores = Self::TensorCores { passes: 3 };
        match products {
            ProductPrecision::F32 => Self::Scalar,
            products => cores.with_products(products, "").unwrap_or(cores),
        }
    }
}

/// A device with kernels of our own, if that is what the name means.
#[cfg(feature = "device")]
fn own(name: &str, products: ProductPrecision) -> Result<Option<Engine>> {
    #[cfg(feature = "emulated")]
    if let ("emulated", mebibytes) = kind_and_number(name)? {
        let memory_bytes = (mebibytes > 0).then(|| mebibytes.saturating_mul(1 << 20));
        let device = Emulated { memory_bytes, ..Emulated::default() };
        return Ok(Some(Engine::new(name, device, Class::emulated(products))));
    }
    #[cfg(feature = "cuda")]
    if let ("cuda", number) = kind_and_number(name)? {
        let card = Cuda::open(number)?;
        let class = card.class().with_products(products, card.name())?;
        return Ok(Some(Engine::new(name, card, class)));
    }
    #[cfg(all(feature = "metal", target_vendor = "apple"))]
    if let ("metal", number) = kind_and_number(name)? {
        let gpu = Metal::open(number)?;
        let class = gpu.class().with_products(products, name)?;
        return Ok(Some(Engine::new(name, gpu, class)));
    }
    Ok(None)
}
