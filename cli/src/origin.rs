//! What is known of the weights that a run starts from: their network, and what they want of images.

use crate::arguments::{ModelArguments, TrainArguments};
use crate::choices;
use crate::commands::trained;
use crate::fault::Outcome;
use crate::run_directory::RunDirectory;
use crate::weights_file;
use localgrad::data::{Dataset, Normalize};
use localgrad::inputs::Inputs;
use localgrad::network::{NetworkSpec, Objective};
use localgrad::weights::Card;
use localgrad_models::adapt::adapt;
use std::path::Path;

/// Of `--init`, what its file says of itself; of a run that goes on, what it began with.
#[derive(Debug, Default)]
pub struct Origin {
    /// What its file, or its run, says.
    pub card: Card,
    /// A line for people about a file whose network was found by its tensors.
    pub words: Option<String>,
}

impl Origin {
    /// What the words and the run say.
    ///
    /// # Errors
    /// Those of reading it.
    pub fn of(arguments: &TrainArguments, directory: Option<&RunDirectory>) -> Outcome<Self> {
        let card = match (&arguments.init, directory) {
            (None, None) => Card::default(),
            (None, Some(directory)) => {
                Card { network: Some(directory.read_run_file()?.network), ..Card::default() }
            }
            (Some(_), Some(directory)) => {
                let run = directory.read_run_file()?;
                Card::of(&run.network, &run.normalize, &run.class_names)
            }
            (Some(path), None) => return Self::of_file(&arguments.model, path),
        };
        Ok(Self { card, words: None })
    }

    /// What a file says of itself. One that says nothing of its network is known by its tensors, where none is named, and one
    /// for photographs then wants them normalised as all are.
    ///
    /// # Errors
    /// Those of reading its header.
    pub fn of_file(model: &ModelArguments, path: &Path) -> Outcome<Self> {
        let card = weights_file::card(path)?;
        if card.network.is_some() || model.model.is_some() {
            return Ok(Self { card, words: None });
        }
        let Some(found) = trained::identity(path)? else { return Ok(Self { card, words: None }) };
        let words = Some(format!("{}: {}", path.display(), found.words()));
        let normalize = card.normalize.or_else(|| found.normalize());
        Ok(Self { card: Card { network: Some(found.network()?), normalize, ..card }, words })
    }

    /// The network to train on samples of `input`, with so many outputs of that objective: the one that is named, or else the
    /// weights' own.
    ///
    /// # Errors
    /// A request for its name, where neither says it.
    pub fn network(
        &self,
        arguments: &TrainArguments,
        input: Inputs,
        (classes, objective): (usize, Objective),
    ) -> Outcome<NetworkSpec> {
        let Some(path) = arguments.init.as_deref().filter(|_| arguments.model.model.is_none()) else {
            let (of_file, answers) = (self.card.network.as_ref(), (classes, objective));
            return choices::network_of_weights(&arguments.model, of_file, input, answers);
        };
        let network = self.card.network.clone().ok_or_else(|| trained::unknown_network(path))?;
        trained::refuse_without_model(&arguments.model)?;
        Ok(adapt(NetworkSpec { objective, ..network }, input, classes)?)
    }

    /// The samples that the weights were made for, where that is known.
    pub fn input(&self) -> Option<Inputs> {
        self.card.network.as_ref().map(|network| network.input)
    }

    /// How images are normalised; `are_pictures` if they come from files of pictures.
    ///
    /// # Errors
    /// A request for it, where nothing says what the weights want.
    pub fn normalize(
        &self,
        arguments: &TrainArguments,
        dataset: &dyn Dataset,
        are_pictures: bool,
    ) -> Outcome<Normalize> {
        let input = dataset.input();
        match &arguments.init {
            None => choices::normalize(&arguments.data, input, are_pictures),
            Some(path) => {
                let of_file = self.card.normalize.clone();
                choices::normalize_of_weights(&arguments.data, of_file, input.channels(), path)
            }
        }
    }

    /// Names of `classes` classes: as said, or the data's, or else (where the weights' head is kept) the weights'.
    ///
    /// # Errors
    /// When there are others than classes.
    pub fn class_names(
        &self,
        arguments: &TrainArguments,
        dataset: &dyn Dataset,
        classes: usize,
        keeps_head: bool,
    ) -> Outcome<Vec<String>> {
        if let Some(names) = choices::class_names(&arguments.data, classes)? {
            return Ok(names);
        }
        let names = choices::names_of(&arguments.data, dataset);
        if names.is_empty() && keeps_head && self.card.class_names.len() == classes {
            return Ok(self.card.class_names.clone());
        }
        Ok(names)
    }
}
