//! What is wrong with data, or looks so, before anything is trained on them.

use crate::fault::{Fault, Outcome};
use crate::output::count;
use localgrad::data::survey::Survey;
use localgrad::data::{Dataset, Normalize};

/// Of numbers that are to lie in [0, 1]: how far outside they may be.
const MARGIN: f32 = 0.5;
/// Bytes that were stored as numbers reach beyond this.
const BYTES: f32 = 20.0;
/// With fewer classes than this, those that never occur cost next to nothing.
const FEW_CLASSES: usize = 1000;

/// Refuses data to be judged by that are not like those to learn from.
pub fn check_pair(train: &dyn Dataset, test: &dyn Dataset) -> Outcome<()> {
    if train.shape() != test.shape() {
        return Err(Fault::failed(format!(
            "images to learn from and to be judged by must be of one shape: train is {}, test {}",
            train.shape(),
            test.shape()
        )));
    }
    if test.classes() > train.classes() {
        return Err(Fault::failed(format!(
            "test has labels up to {}, where train has {} classes",
            test.classes() - 1,
            count(train.classes())
        )));
    }
    Ok(())
}

/// Looks for labels that make more classes than there are: refuses what can only be a mistake and warns of what may be one.
pub fn check_classes(train: &dyn Dataset, test: &dyn Dataset) -> Outcome<()> {
    let classes = train.classes();
    let mut occurs = vec![false; classes];
    let mut largest = (0, 0);
    for set in [train, test] {
        for index in 0..set.len() {
            let label = set.label(index)? as usize;
            largest = largest.max((label, index));
            if let Some(occurs) = occurs.get_mut(label) {
                *occurs = true;
            }
        }
    }
    let occurring = occurs.iter().filter(|occurs| **occurs).count();
    let seen = format!("{} classes of which {} occur", count(classes), count(occurring));
    let (label, sample) = largest;
    if classes > FEW_CLASSES && occurring < classes / 10 && label + 1 == classes {
        return Err(Fault::failed(format!(
            "{seen}: the label {label} of sample {sample} is a mistake, or labels should count up from 0 without gaps"
        )));
    }
    if occurring < classes / 2 || classes - occurring > FEW_CLASSES {
        log::warn!("{seen}; labels should count up from 0 without gaps");
    }
    Ok(())
}

/// Warns of images whose numbers are not what the normalisation takes.
pub fn check_range(survey: Survey, normalize: &Normalize, said: bool) {
    let Survey { least, largest, .. } = survey;
    if least >= -MARGIN && largest <= 1.0 + MARGIN {
        return;
    }
    let is_identity = *normalize == Normalize::identity(normalize.mean.len());
    let seen = format!("images hold numbers from {least} to {largest}");
    if largest.max(-least) > BYTES {
        log::warn!("{seen}, where [0, 1] is expected: divide them by 255, or store them as u8");
    } else if !is_identity {
        let now =
            if said { "what --normalize says is done to them all the same" } else { "they are normalised" };
        log::warn!(
            "{seen}, where [0, 1] is expected, and {now}: if they are normalised already, add --normalize identity"
        );
    }
}
