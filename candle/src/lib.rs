//! Networks of localgrad in programs of candle: a trained one is a [`Module`], and weights go from one to the other through
//! [`VarBuilder`].
//!
//! A forward pass is carried out on the CPU, by localgrad's kernels: what is on another device is brought there, and the logits
//! back. No gradients go through it: train with localgrad.

use candle_core::{DType, Device, Error, Result, Tensor};
use candle_nn::{Module, VarBuilder};
use localgrad::data::Normalize;
use localgrad::inputs::Inputs;
use localgrad::maps::{Map, Place};
use localgrad::model::{Classifier, Model};
use localgrad::network::NetworkSpec;
use localgrad::weights::{self, Weights};
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// A network with weights.
pub struct Network {
    /// What it is.
    pub spec: NetworkSpec,
    /// What its images are to be normalised by, where its weights say it.
    pub normalize: Option<Normalize>,
    /// Names of its classes in order, where its weights say them.
    pub class_names: Vec<String>,
    /// A pass writes into what layers keep for themselves.
    model: Mutex<Model>,
}

impl Network {
    /// The network of this spec with the weights and running statistics of `weights`, under the names that localgrad exports
    /// them by (torchvision's); those of other types of numbers become f32. It lives on the CPU.
    ///
    /// # Errors
    /// One sentence with all weights that are missing or of another shape (sides of 1 are of no matter); those of a spec that
    /// cannot be, and of reading weights.
    pub fn new(spec: NetworkSpec, weights: &VarBuilder<'_>) -> Result<Self> {
        let mut model = Model::to_load(spec.clone(), &Device::Cpu).map_err(failed)?;
        let mut found = Weights::new();
        let read = model.read_forms(&mut |name, _| {
            if weights.contains_tensor(name) {
                let tensor = weights
                    .get_unchecked(name)?
                    .to_dtype(DType::F32)?
                    .to_device(&Device::Cpu)?
                    .contiguous()?;
                found.insert(name.to_string(), Map::from(tensor));
            }
            Ok(())
        });
        read.and_then(|()| weights::load(&mut model, &found)).map_err(failed)?;
        Ok(Self { spec, normalize: None, class_names: Vec::new(), model: Mutex::new(model) })
    }

    /// The network of a file that localgrad exported, with its weights, its normalisation and the names of its classes.
    ///
    /// # Errors
    /// Those of reading the file, and of one that does not say of which network it is.
    pub fn load(path: impl AsRef<Path>, device: &Device) -> Result<Self> {
        let path = path.as_ref();
        let card = weights::read_card(path).map_err(failed)?;
        let spec = card.network.ok_or_else(|| {
            Error::Msg(format!(
                "{} does not say of which network it is; make the network from its spec and a VarBuilder of the file",
                path.display()
            ))
        })?;
        let file = std::fs::read(path)?;
        let weights = VarBuilder::from_buffered_safetensors(file, DType::F32, device)?;
        let network = Self::new(spec, &weights)?;
        Ok(Self { normalize: card.normalize, class_names: card.class_names, ..network })
    }
}

impl Module for Network {
    /// Logits `[N, classes]` of normalised images `[N, C, H, W]`, or of tokens `[N, T]`, by running statistics.
    fn forward(&self, samples: &Tensor) -> Result<Tensor> {
        let device = samples.device();
        let samples = match (self.spec.input, samples.dims()) {
            (Inputs::Pixels(sides), &[_, c, h, w]) if [c, h, w] == sides => samples.permute((0, 2, 3, 1))?,
            (Inputs::Tokens(tokens), &[_, length]) if length == tokens.length => samples.clone(),
            (input, found) => {
                let (name, noun) = (&self.spec.name, input.noun());
                return Err(Error::Msg(format!("{name} takes {noun} of {input}, found {found:?}")));
            }
        };
        let samples = samples.to_dtype(DType::F32)?.to_device(&Device::Cpu)?.contiguous()?;
        let mut model = self.model.lock().unwrap_or_else(PoisonError::into_inner);
        let logits = model.logits(&Map::from(samples)).map_err(failed)?;
        logits.tensor().map_err(failed)?.to_device(device)
    }
}

/// The weights and running statistics of a network, such as a trainer's, for modules of candle: under torchvision's names, a
/// copy of each.
///
/// # Errors
/// Those of the device.
pub fn weights_of(
    network: &mut dyn Classifier,
    dtype: DType,
    device: &Device,
) -> Result<VarBuilder<'static>> {
    let weights = weights::of_model(network).map_err(failed)?;
    let copied = |(name, map): (String, Map)| {
        let map = map.to(&Place::Host).and_then(|map| map.copy()).map_err(failed)?;
        Ok((name, map.tensor().map_err(failed)?.to_device(device)?))
    };
    let tensors: Result<HashMap<String, Tensor>> = weights.into_iter().map(copied).collect();
    Ok(VarBuilder::from_tensors(tensors?, dtype, device))
}

fn failed(cause: localgrad::Error) -> Error {
    Error::Msg(cause.to_string())
}
