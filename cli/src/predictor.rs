//! What answers samples one by one: a whole network, or one that is left where it is sure enough.

use crate::arguments::PredictArguments;
use crate::budget;
use crate::commands::eval_exits::check_confidence;
use crate::commands::trained;
use crate::exits::Leavable;
use crate::fault::Outcome;
use crate::{arguments::DataArguments, commands::trained::Trained};
use localgrad::data::{Dataset, Normalize};
use localgrad::exits::survey::answers;
use localgrad::maps::{Map, Place};
use localgrad::model::Model;
use localgrad::network::NetworkSpec;
use localgrad::threads::Workers;

/// A network, and what it wants its images to be.
pub struct Predictor {
    way: Way,
    /// What its images are normalised by.
    pub normalize: Normalize,
    /// Names of its classes, where they are known.
    pub class_names: Vec<String>,
}

enum Way {
    Whole(Box<Model>),
    /// Left where an exit is as sure as this.
    Leaving(Box<Leavable>, f64),
}

/// The outputs for a sample.
pub struct Outputs {
    /// As the network gives them.
    pub logits: Vec<f32>,
    /// The number of the exit that gave them, from 1, where samples leave.
    pub exit: Option<usize>,
    /// What they are divided by before they are probabilities.
    pub temperature: f64,
}

impl Predictor {
    /// What `--run` or `--weights` name, and `--confidence`; `dataset` holds the samples, if they are not pictures.
    ///
    /// # Errors
    /// Those of opening it.
    pub fn open(
        arguments: &PredictArguments,
        data: &DataArguments,
        dataset: Option<&dyn Dataset>,
        place: &Place,
    ) -> Outcome<Self> {
        let Some(confidence) = arguments.confidence else {
            let Trained { model, normalize, class_names, .. } =
                trained::load(&arguments.trained, data, dataset, place)?;
            return Ok(Self { way: Way::Whole(Box::new(model)), normalize, class_names });
        };
        check_confidence(confidence)?;
        let mut network = Leavable::open(&arguments.trained, data, dataset, place)?;
        let class_names = std::mem::take(&mut network.class_names);
        let normalize = network.normalize.clone();
        Ok(Self { way: Way::Leaving(Box::new(network), confidence), normalize, class_names })
    }

    /// The network.
    pub fn spec(&self) -> &NetworkSpec {
        match &self.way {
            Way::Whole(model) => &model.spec,
            Way::Leaving(network, _) => &network.trainer.model.spec,
        }
    }

    /// The most samples up to `wanted` that there is memory for at once.
    ///
    /// # Errors
    /// Where there is none for a single one.
    pub fn batch(
        &self,
        wanted: usize,
        reading_bytes: usize,
        place: &Place,
        workers: &Workers,
    ) -> Outcome<usize> {
        let exits = match &self.way {
            Way::Whole(_) => None,
            Way::Leaving(network, _) => Some(&network.exits),
        };
        budget::evaluation_batch((self.spec(), exits), wanted, reading_bytes, place, workers)
    }

    /// What each sample of a batch's inputs is answered.
    ///
    /// # Errors
    /// Those of the network.
    pub fn answers(&mut self, inputs: &Map) -> Outcome<Vec<Outputs>> {
        let (network, confidence) = match &mut self.way {
            Way::Whole(model) => {
                let logits = model.logits(inputs)?;
                let outputs = logits.dims().last().copied().unwrap_or(0).max(1);
                let rows = logits.numbers()?;
                let whole = |row: &[f32]| Outputs { logits: row.to_vec(), exit: None, temperature: 1.0 };
                return Ok(rows.chunks(outputs).map(whole).collect());
            }
            Way::Leaving(network, confidence) => (network, *confidence),
        };
        let temperatures = network.temperatures();
        let found = answers(&mut network.trainer, inputs, &temperatures, confidence)?;
        let left = |answer: localgrad::exits::survey::Answer| Outputs {
            exit: Some(answer.exit + 1),
            temperature: temperatures[answer.exit],
            logits: answer.logits,
        };
        Ok(found.into_iter().map(left).collect())
    }
}
