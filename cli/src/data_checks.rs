//! What is wrong with data, or looks so, before anything is trained on them.

use crate::augmentation::check_colors;
use crate::fault::{Fault, Outcome};
use crate::output::count;
use localgrad::data::survey::range_of_some;
use localgrad::data::{Dataset, Loader, Normalize};
use localgrad::targets::TargetKind;

/// Of numbers that are to lie in [0, 1]: how far outside they may be.
const MARGIN: f32 = 0.5;
/// Bytes of 0 and 1, and numbers that were divided by 255 twice, reach no further than one byte's step.
const DARKEST: f32 = 1.5 / 255.0;
/// Bytes that were stored as numbers reach beyond this.
const BYTES: f32 = 20.0;
/// Images that are looked at where not all need be.
const LOOKED_AT: usize = 500;
/// With fewer classes than this, those that never occur cost next to nothing.
const FEW_CLASSES: usize = 1000;

/// Refuses data to be judged by that are not like those to learn from.
pub fn check_pair(train: &dyn Dataset, test: &dyn Dataset) -> Outcome<()> {
    let inputs = [train.input(), test.input()];
    if !inputs[0].take(inputs[1]) {
        return Err(Fault::failed(format!(
            "{} to learn from and to be judged by must be of one shape: train is {}, test {}",
            inputs[0].noun(),
            inputs[0],
            inputs[1]
        )));
    }
    let kinds = [train.target_kind(), test.target_kind()];
    if kinds[0] != kinds[1] || kinds[0] != TargetKind::Class && train.classes() != test.classes() {
        return Err(Fault::failed(format!(
            "train has {} {} and test {} {}, where both must have the same",
            train.classes(),
            kinds[0].noun(),
            test.classes(),
            kinds[1].noun()
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
/// Warns of classes, too, that would be judged and cannot be learnt.
pub fn check_classes(train: &dyn Dataset, test: &dyn Dataset) -> Outcome<()> {
    if train.target_kind() != TargetKind::Class {
        return Ok(());
    }
    let classes = train.classes();
    let mut largest = (0, "train", 0);
    let mut occurring = |name, set: &dyn Dataset| -> Outcome<Vec<bool>> {
        let mut occurs = vec![false; classes];
        for index in 0..set.len() {
            let label = set.label(index)? as usize;
            if label > largest.0 {
                largest = (label, name, index);
            }
            if let Some(occurs) = occurs.get_mut(label) {
                *occurs = true;
            }
        }
        Ok(occurs)
    };
    let (learnt, judged) = (occurring("train", train)?, occurring("test", test)?);
    let count_of = |occurs: &mut dyn Iterator<Item = bool>| occurs.filter(|occurs| *occurs).count();
    let found = count_of(&mut learnt.iter().zip(&judged).map(|(learnt, judged)| *learnt || *judged));
    let seen = format!("{} classes of which {} occur", count(classes), count(found));
    let (label, name, sample) = largest;
    if classes > FEW_CLASSES && found < classes / 10 && label + 1 == classes {
        return Err(Fault::failed(format!(
            "{seen}: the label {label} of {name}'s sample {sample} is a mistake, or labels should count up from 0 \
             without gaps"
        )));
    }
    if found < classes / 2 || classes - found > FEW_CLASSES {
        log::warn!(
            "{seen}, the largest, {label}, in {name}'s sample {sample}; labels should count up from 0 without gaps"
        );
    }
    let occurs = |class: usize| learnt[class] || judged[class];
    if classes > 2 && !occurs(0) && (1..classes).all(occurs) {
        log::warn!(
            "no sample has the label 0, and all of 1 to {} occur: if they count up from 1, take 1 from each, or one output \
             of the network stands for nothing",
            classes - 1
        );
    }
    let unlearnt: Vec<usize> = (0..classes).filter(|&class| judged[class] && !learnt[class]).collect();
    if let Some(first) = unlearnt.first() {
        log::warn!(
            "{} of the classes to be judged, such as {first}, occur in no sample to learn from, and cannot be learnt",
            count(unlearnt.len())
        );
    }
    Ok(())
}

/// Looks at all images to learn from and at some of those to be judged.
///
/// # Errors
/// Those of reading samples and of [`check_colors`].
pub fn check_ranges(train: &Loader, test: &Loader, said: bool) -> Outcome<()> {
    check_colors(train)?;
    if train.dataset().input().are_tokens() {
        return Ok(());
    }
    let survey = train.survey()?;
    check_range([survey.least, survey.largest], train.normalize(), said, "images to learn from");
    check_range_of_some(test, said)
}

/// Warns of images whose numbers, from the least to the largest, are not what the normalisation takes; `what` names them.
fn check_range([least, largest]: [f32; 2], normalize: &Normalize, said: bool, what: &str) {
    let seen = format!("{what} hold numbers from {least} to {largest}");
    if least == largest {
        log::warn!(
            "{what} hold one number, {least}, and nothing else: there is nothing to tell them apart by"
        );
        return;
    }
    if least >= 0.0 && largest <= DARKEST {
        log::warn!(
            "{seen}, where [0, 1] is expected: they may have been divided by 255 twice, or be bytes of 0 and 1"
        );
        return;
    }
    if least >= -MARGIN && largest <= 1.0 + MARGIN {
        return;
    }
    let is_identity = *normalize == Normalize::identity(normalize.mean.len());
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

/// The same of images to be judged by, of which some are looked at.
///
/// # Errors
/// Those of reading samples.
pub fn check_range_of_some(loader: &Loader, said: bool) -> Outcome<()> {
    if loader.dataset().input().are_tokens() {
        return Ok(());
    }
    let range = range_of_some(loader.dataset(), LOOKED_AT)?;
    check_range(range, loader.normalize(), said, "images to be judged");
    Ok(())
}
