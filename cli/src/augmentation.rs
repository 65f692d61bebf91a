//! How images are varied: the words, and what they mean.

use crate::choices::EMBEDDED;
use crate::fault::{Fault, Outcome};
use clap::Args;
use localgrad::data::{
    AugmentConfig, BlendConfig, ColorJitter, ImageShape, Loader, RandAugment, RandomResizedCrop,
};
use localgrad::inputs::Inputs;
use std::str::FromStr;

/// How images are varied.
#[derive(Args, Clone, Debug)]
pub struct AugmentArguments {
    /// Leave images as they are, rather than shift them by up to 4 pixels and mirror half of them
    #[arg(long)]
    pub no_augment: bool,
    /// Mirror no image
    #[arg(long)]
    pub no_flip: bool,
    /// Instead of shifting images take a random part of each, of this share of its area (of pictures: as they are in their
    /// files), and resize it [without numbers: 0.08,1]
    #[arg(long, value_name = "MIN,MAX", num_args = 0..=1, require_equals = true, default_missing_value = "0.08,1")]
    pub random_resized_crop: Option<Numbers>,
    /// Change some of RandAugment's 14 operations an image, all of one magnitude of 0 to 30 [without numbers: 2,9]
    #[arg(long, value_name = "N,M", num_args = 0..=1, require_equals = true, default_missing_value = "2,9")]
    pub rand_augment: Option<Numbers>,
    /// Change brightness, contrast and saturation by random factors so far from 1, and turn hues by so much of a circle;
    /// one number is for the first three [without numbers: 0.4]
    #[arg(long, value_name = "B,C,S,H", num_args = 0..=1, require_equals = true, default_missing_value = "0.4")]
    pub color_jitter: Option<Numbers>,
    /// Show each sample of an epoch R times, varied anew each time, and so only one of R samples
    #[arg(long, value_name = "R", default_value_t = 1)]
    pub repeated_augment: usize,
    /// Average two samples of a batch and their labels, with a share drawn from Beta(A, A); 0.2 is usual
    #[arg(long, value_name = "A")]
    pub mixup: Option<f64>,
    /// Put a rectangle of one sample of a batch into another, and part their labels by its area, of which a share drawn from
    /// Beta(A, A) stays; 1 is usual. Beside --mixup each batch takes one of both
    #[arg(long, value_name = "A")]
    pub cutmix: Option<f64>,
}

/// How samples are mixed, if they are.
pub fn blend(arguments: &AugmentArguments) -> Option<BlendConfig> {
    let AugmentArguments { mixup, cutmix, .. } = *arguments;
    (mixup.is_some() || cutmix.is_some()).then_some(BlendConfig { mixup, cutmix })
}

/// Numbers with commas between them.
#[derive(Clone, Debug, PartialEq)]
pub struct Numbers(pub Vec<f64>);

impl FromStr for Numbers {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers: Result<Vec<f64>, _> = text.split(',').map(|number| number.trim().parse()).collect();
        numbers.map(Self).map_err(|_| format!("'{text}' is no row of numbers with commas between them"))
    }
}

/// Whether parts of images are wanted that are chosen anew each time.
pub fn takes_parts(arguments: &AugmentArguments) -> bool {
    arguments.random_resized_crop.is_some()
}

/// How images of `data` are varied: as the words say, and else shifted and mirrored, where they are large enough for it.
///
/// # Errors
/// A sentence for words that say nothing, or too much.
pub fn augmentation(
    arguments: &AugmentArguments,
    data: &str,
    input: Inputs,
) -> Outcome<Option<AugmentConfig>> {
    if arguments.no_augment {
        return match said(arguments) {
            Some(flag) => {
                Err(Fault::usage(format!("--no-augment leaves images as they are; leave it or {flag} out")))
            }
            None => Ok(None),
        };
    }
    if arguments.repeated_augment == 0 {
        return Err(Fault::usage("--repeated-augment shows each sample at least once; give 1 or more"));
    }
    let [channels, height, width] = input.sides();
    let shape = ImageShape { channels, height, width };
    let crop = arguments.random_resized_crop.as_ref().map(random_resized_crop).transpose()?;
    let rand_augment = arguments.rand_augment.as_ref().map(rand_augment).transpose()?;
    let color_jitter = arguments.color_jitter.as_ref().map(color_jitter).transpose()?;
    let usual = AugmentConfig {
        // Clothes are centred: a small shift, and mirrored ones are still clothes.
        padding: if data == EMBEDDED { 2 } else { AugmentConfig::default().padding },
        flip: !arguments.no_flip,
        rand_augment,
        color_jitter,
        ..AugmentConfig::default()
    };
    let is_small = usual.padding >= shape.height.min(shape.width);
    if is_small && said(arguments).is_none() {
        return Ok(None);
    }
    let padding = if is_small || crop.is_some() { 0 } else { usual.padding };
    let augment = AugmentConfig { padding, crop, ..usual };
    augment.check(shape)?;
    Ok(Some(augment))
}

/// The first of the words that say how images are varied, if any does.
pub fn said(arguments: &AugmentArguments) -> Option<&'static str> {
    let words = [
        ("--no-flip", arguments.no_flip),
        ("--random-resized-crop", arguments.random_resized_crop.is_some()),
        ("--rand-augment", arguments.rand_augment.is_some()),
        ("--color-jitter", arguments.color_jitter.is_some()),
        ("--repeated-augment", arguments.repeated_augment != 1),
    ];
    words.into_iter().find(|(_, is_said)| *is_said).map(|(flag, _)| flag)
}

fn random_resized_crop(Numbers(numbers): &Numbers) -> Outcome<RandomResizedCrop> {
    match numbers[..] {
        [least, largest] => Ok(RandomResizedCrop { scale: [least, largest], ..RandomResizedCrop::default() }),
        _ => Err(Fault::usage(format!(
            "--random-resized-crop takes the least and the largest share of the area, such as =0.08,1; found {} numbers",
            numbers.len()
        ))),
    }
}

fn rand_augment(Numbers(numbers): &Numbers) -> Outcome<RandAugment> {
    let whole = |number: f64| (number >= 0.0 && number.fract() == 0.0).then_some(number as usize);
    match numbers.iter().map(|&number| whole(number)).collect::<Option<Vec<usize>>>().as_deref() {
        Some(&[operations, magnitude]) => Ok(RandAugment { operations, magnitude }),
        _ => Err(Fault::usage(
            "--rand-augment takes how many operations and their magnitude, two whole numbers such as =2,9",
        )),
    }
}

fn color_jitter(Numbers(numbers): &Numbers) -> Outcome<ColorJitter> {
    let hue = numbers.get(3).copied().unwrap_or(0.0);
    match numbers[..] {
        [all] => Ok(ColorJitter { brightness: all, contrast: all, saturation: all, hue }),
        [brightness, contrast, saturation] | [brightness, contrast, saturation, _] => {
            Ok(ColorJitter { brightness, contrast, saturation, hue })
        }
        _ => Err(Fault::usage(
            "--color-jitter takes one number for brightness, contrast and saturation, or one each, and one of hue behind \
             them, such as =0.4,0.4,0.4,0.1",
        )),
    }
}

/// Refuses to change colours of images whose numbers are none.
///
/// # Errors
/// Those of reading samples, and a sentence for numbers outside of [0, 1].
pub fn check_colors(train: &Loader) -> Outcome<()> {
    if !train.config().augment.is_some_and(|augment| augment.changes_colors()) {
        return Ok(());
    }
    let survey = train.survey()?;
    match survey.least >= 0.0 && survey.largest <= 1.0 {
        true => Ok(()),
        false => Err(Fault::usage(format!(
            "--color-jitter and --rand-augment change colours of 0 to 1, and these images hold numbers from {} to {}; leave \
             them out, or store the images as bytes",
            survey.least, survey.largest
        ))),
    }
}
