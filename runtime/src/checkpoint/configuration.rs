//! What a run is of: enough to tell whether another run would go on as this one would.

use crate::data::{Loader, LoaderConfig, Normalize};
use crate::error::{Error, Result};
use crate::fit::FitConfig;
use crate::maps::Place;
use crate::network::NetworkSpec;
use crate::precision::ProductPrecision;
use crate::trainer::TrainConfig;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::mem::discriminant;

/// Everything that decides which numbers a run computes. The number of threads does not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Configuration {
    /// The network.
    pub network: NetworkSpec,
    /// Rule, blocks, optimizer and seed.
    pub train: TrainConfig,
    /// Length and learning rate.
    pub fit: FitConfig,
    /// Order and augmentation of the data.
    pub loader: LoaderConfig,
    /// How images are normalised.
    pub normalize: Normalize,
    /// The data themselves.
    pub data: DataDescription,
    /// `cpu`, `cuda` or `metal`: their sums differ in the last bits, so that a run that goes on elsewhere is told of it.
    pub device: String,
    /// The CPU's vector instructions, such as `avx2`, whose sums differ in the last bits, too; empty on a GPU, and where
    /// it was not recorded.
    #[serde(default)]
    pub instructions: String,
    /// In what a device multiplies, whose results differ more where that is another; f32 is not written.
    #[serde(default, skip_serializing_if = "ProductPrecision::is_f32")]
    pub precision: ProductPrecision,
    /// Names of the classes, which decide no number; none where nobody named them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub class_names: Vec<String>,
}

/// What tells one training set from another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataDescription {
    /// Number of samples.
    pub samples: usize,
    /// Channels, height and width of an image.
    pub shape: [usize; 3],
    /// Number of classes.
    pub classes: usize,
    /// CRC-32 of all labels in order, each a little-endian u32.
    pub labels_checksum: u32,
    /// [`Survey::pixels_checksum`]; none where nobody has read them all: of samples that are given batch by batch, and
    /// in checkpoints of before there was one.
    ///
    /// [`Survey::pixels_checksum`]: crate::data::survey::Survey::pixels_checksum
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pixels_checksum: Option<u32>,
}

impl DataDescription {
    /// Describes the data set of `loader`, which is read once for that.
    ///
    /// # Errors
    /// Those of reading samples.
    pub fn of(loader: &Loader) -> Result<Self> {
        let (dataset, survey) = (loader.dataset(), loader.survey()?);
        let shape = dataset.shape();
        Ok(Self {
            samples: dataset.len(),
            shape: [shape.channels, shape.height, shape.width],
            classes: dataset.classes(),
            labels_checksum: survey.labels_checksum,
            pixels_checksum: Some(survey.pixels_checksum),
        })
    }
}

/// The field of which nobody wants to read what it was.
const PIXELS: &str = "data.pixels_checksum";

impl Configuration {
    /// The configuration of a run of `network` that learns from `loader` at `place`.
    ///
    /// # Errors
    /// Those of reading samples.
    pub fn new(
        network: &NetworkSpec,
        train: &TrainConfig,
        fit: &FitConfig,
        loader: &Loader,
        place: &Place,
    ) -> Result<Self> {
        let data = DataDescription::of(loader)?;
        let (loader, normalize) = (loader.config(), loader.normalize());
        Ok(Self { data, loader: *loader, ..Self::of_stream(network, train, fit, 0, normalize, place) })
    }

    /// The configuration of a run that is given its samples batch by batch, at most `batch` at once, from where nobody
    /// here knows.
    pub fn of_stream(
        network: &NetworkSpec,
        train: &TrainConfig,
        fit: &FitConfig,
        batch: usize,
        normalize: &Normalize,
        place: &Place,
    ) -> Self {
        Self {
            network: network.clone(),
            train: train.clone(),
            fit: fit.clone(),
            loader: LoaderConfig::evaluation(batch),
            normalize: normalize.clone(),
            data: DataDescription {
                samples: 0,
                shape: network.input.sides(),
                classes: network.classes,
                labels_checksum: 0,
                pixels_checksum: None,
            },
            device: place.kind().into(),
            instructions: place.instructions().into(),
            precision: place.products(),
            class_names: Vec::new(),
        }
    }

    /// What whoever goes on as `now` should know, although nothing forbids it.
    pub fn note(&self, now: &Self) -> Option<String> {
        let (before, after) = (&self.instructions, &now.instructions);
        let digits =
            if self.precision == now.precision { "last digits" } else { "third digit and behind it" };
        let (what, before, after) = match (&self.device, self.precision) == (&now.device, now.precision) {
            false => ("on", &self.words(), &now.words()),
            true if before == after || before.is_empty() || after.is_empty() => return None,
            true => ("with the vector instructions", before, after),
        };
        Some(format!(
            "this run began {what} {before} and goes on {} {after}: from here on its numbers differ in their {digits} from those \
             of a run that was left where it was",
            what.split(' ').next().unwrap_or(what)
        ))
    }

    /// The device, and in what it multiplies if that is not f32.
    fn words(&self) -> String {
        match self.precision {
            ProductPrecision::F32 => self.device.clone(),
            precision => format!("{} in {precision}", self.device),
        }
    }

    /// This configuration for a run that began as `begun`: what decides results is as it was then. What may change is as
    /// here: how far the run goes, what changes no result ([`Execution::going_on_from`]), what people call things, and the
    /// machine.
    ///
    /// [`Execution::going_on_from`]: crate::trainer::Execution::going_on_from
    fn going_on_from(&self, begun: &Self) -> Self {
        let execution = self.train.execution.going_on_from(&begun.train.execution);
        let is_as_long = discriminant(&self.fit.duration) == discriminant(&begun.fit.duration);
        let duration = if is_as_long { self.fit.duration } else { begun.fit.duration };
        Self {
            network: NetworkSpec { name: self.network.name.clone(), ..begun.network.clone() },
            train: TrainConfig { execution, ..begun.train.clone() },
            fit: FitConfig { duration, patience: self.fit.patience, ..begun.fit.clone() },
            loader: begun.loader,
            normalize: begun.normalize.clone(),
            data: DataDescription {
                // Not every state knows it.
                pixels_checksum: begun.data.pixels_checksum.or(self.data.pixels_checksum),
                ..begun.data
            },
            device: self.device.clone(),
            instructions: self.instructions.clone(),
            precision: self.precision,
            class_names: self.class_names.clone(),
        }
    }

    /// Refuses to go on as `now` what began as `self`, naming each field that decides results and differs.
    ///
    /// # Errors
    /// `Config`, with the fields.
    pub fn check_same(&self, now: &Self) -> Result<()> {
        let mut found = Vec::new();
        let kept = serde_json::to_value(now.going_on_from(self))?;
        differences("", &kept, &serde_json::to_value(now)?, &mut found);
        if found.is_empty() {
            return Ok(());
        }
        let list: Vec<String> = found
            .iter()
            .take(8)
            .map(|(field, before, after)| match field.as_str() {
                PIXELS => "the images are not those that it began with (data.pixels_checksum)".into(),
                _ => format!("{field} was {} and is {}", shown(before), shown(after)),
            })
            .collect();
        Err(Error::config(format!(
            "this run began with another configuration: {}; leave it as it was, or begin another run",
            list.join("; ")
        )))
    }
}

/// Each field below `path` that differs, with both values.
fn differences(path: &str, before: &Value, after: &Value, found: &mut Vec<(String, Value, Value)>) {
    let below = |name: &str| if path.is_empty() { name.to_string() } else { format!("{path}.{name}") };
    match (before, after) {
        (Value::Object(a), Value::Object(b)) => {
            let added = b.keys().filter(|name| !a.contains_key(*name));
            for name in a.keys().chain(added) {
                let value = |of: &serde_json::Map<_, _>| of.get(name).cloned().unwrap_or(Value::Null);
                differences(&below(name), &value(a), &value(b), found);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (number, (a, b)) in a.iter().zip(b).enumerate() {
                differences(&below(&number.to_string()), a, b, found);
            }
        }
        _ if before != after => found.push((path.to_string(), before.clone(), after.clone())),
        _ => {}
    }
}

/// A value as it stands in a message: cut where it is long.
fn shown(value: &Value) -> String {
    const LONGEST: usize = 60;
    let text = match value {
        Value::Null => "absent".into(),
        value => value.to_string(),
    };
    match text.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fit::Duration;
    use crate::network::Objective;
    use crate::rules::{Rule, RuleConfig};
    use crate::schedule::Schedule;
    use crate::trainer::Method;

    fn configuration() -> Configuration {
        let network = NetworkSpec {
            name: "none".into(),
            input: [1, 1, 1].into(),
            classes: 2,
            objective: Objective::Classes,
            units: Vec::new(),
            head: Vec::new(),
        };
        let train = TrainConfig::from(Method { rule: RuleConfig::new(Rule::Bp), ..Method::default() });
        let fit =
            FitConfig { duration: Duration::Steps(1), schedule: Schedule::Constant, ..FitConfig::default() };
        Configuration::of_stream(&network, &train, &fit, 4, &Normalize::half(1), &Place::Host)
    }

    #[test]
    fn another_instruction_set_is_told_and_not_refused() {
        let here = configuration();
        assert_eq!(here.instructions, Place::Host.instructions());
        assert_eq!(here.note(&here), None);
        let before = Configuration { instructions: "rvv".into(), ..here.clone() };
        before.check_same(&here).unwrap();
        let note = before.note(&here).unwrap();
        assert!(note.contains("rvv") && note.contains(Place::Host.instructions()), "{note}");
    }

    #[test]
    fn another_device_is_told_and_not_refused() {
        let here = configuration();
        let there = Configuration { device: "cuda".into(), instructions: String::new(), ..here.clone() };
        for (before, now) in [(&here, &there), (&there, &here)] {
            before.check_same(now).unwrap();
            let note = before.note(now).unwrap();
            assert!(
                note.contains(&format!("began on {} and goes on on {}", before.device, now.device)),
                "{note}"
            );
        }
    }

    #[test]
    fn another_precision_is_told_and_not_refused() {
        let here = Configuration { device: "cuda".into(), instructions: String::new(), ..configuration() };
        assert!(!serde_json::to_string(&here).unwrap().contains("\"precision\""));
        let there = Configuration { precision: ProductPrecision::Tf32, ..here.clone() };
        assert!(serde_json::to_string(&there).unwrap().contains("\"precision\":\"tf32\""));
        here.check_same(&there).unwrap();
        assert_eq!(there.note(&there), None);
        let note = there.note(&here).unwrap();
        assert!(
            note.contains("began on cuda in tf32 and goes on on cuda: ") && note.contains("third digit"),
            "{note}"
        );
    }

    #[test]
    fn a_network_may_go_on_by_another_name() {
        let here = configuration();
        let renamed = |name: &str, classes| {
            let network = NetworkSpec { name: name.into(), classes, ..here.network.clone() };
            Configuration { network, ..here.clone() }
        };
        here.check_same(&renamed("other", 2)).unwrap();
        let error = here.check_same(&renamed("other", 3)).unwrap_err().to_string();
        assert!(error.contains("network.classes") && !error.contains("network.name"), "{error}");
    }

    #[test]
    fn what_was_saved_without_it_is_read() {
        let here = configuration();
        let mut saved = serde_json::to_value(&here).unwrap();
        saved.as_object_mut().unwrap().remove("instructions").unwrap();
        let saved: Configuration = serde_json::from_value(saved).unwrap();
        saved.check_same(&here).unwrap();
        assert_eq!((saved.instructions.as_str(), saved.note(&here)), ("", None));
    }
}
