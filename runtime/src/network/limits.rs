//! What no network may exceed, and names that tell all of its weights apart. Specs come from files that anyone may have
//! written.

use super::convnext::ConvNextBlock;
use super::mnas::MnasBlock;
use super::mobile::MobileBlock;
use super::regnet::RegnetBlock;
use super::spec::NetworkSpec;
use super::temporal::TemporalBlock;
use super::unit::{UnitKind, UnitSpec};
use crate::error::{Error, Result};
use crate::inputs::{Inputs, LARGEST_VOCABULARY, Tokens};
use crate::layers::cost::parameters;
use crate::layers::limits::{MOST_WEIGHTS, check_features, check_numbers};
use crate::layers::spec::{LayerSpec, NamedLayer, join};
use std::collections::HashSet;

/// Units of a network.
pub const MOST_UNITS: usize = 4096;
/// Layers of a head, and of a unit that is written out, those inside residual sums and the like among them.
pub const MOST_LAYERS: usize = 4096;
/// Classes of a network.
pub const MOST_CLASSES: usize = 1 << 24;
/// Bytes of a name.
pub const LONGEST_NAME_BYTES: usize = 255;

/// Refuses numbers and lists that are too large to look at any closer.
pub(super) fn check_sizes(spec: &NetworkSpec) -> Result<()> {
    check_name(&spec.name)?;
    if spec.classes > MOST_CLASSES {
        let (name, classes) = (&spec.name, spec.classes);
        return Err(Error::config(format!(
            "{name} has {classes} classes, which is too large a number; a network has at most {MOST_CLASSES}"
        )));
    }
    if spec.units.len() > MOST_UNITS {
        let (name, found) = (&spec.name, spec.units.len());
        return Err(Error::config(format!(
            "{name} has {found} units, and a network has at most {MOST_UNITS} units"
        )));
    }
    spec.units.iter().try_for_each(check_unit)?;
    check_list("a head", &spec.head)
}

/// Refuses samples of nothing, or of more than can be counted.
pub(super) fn check_input(spec: &NetworkSpec) -> Result<()> {
    let at = |error: Error| error.at(format!("{}, {}", spec.name, spec.input.noun()));
    check_numbers(&spec.input.sides()).map_err(at)?;
    if spec.input.elements() == 0 {
        let least = if spec.input.are_tokens() { "one token" } else { "one pixel" };
        return Err(Error::config(format!("{} needs {} of at least {least}", spec.name, spec.input.noun())));
    }
    if let Inputs::Tokens(Tokens { vocabulary, .. }) = spec.input
        && !(1..=LARGEST_VOCABULARY).contains(&vocabulary)
    {
        return Err(Error::config(format!(
            "{} has a vocabulary of {vocabulary}; give a number from 1 to {LARGEST_VOCABULARY}",
            spec.name
        )));
    }
    check_features(spec.input_features()).map_err(at).map(drop)
}

/// Refuses a list of too many layers, and names that are too long.
fn check_list(what: &str, layers: &[NamedLayer]) -> Result<()> {
    let mut count = 0;
    each_layer(layers, &mut |layer| {
        count += 1;
        if count > MOST_LAYERS {
            return Err(Error::config(format!("{what} has at most {MOST_LAYERS} layers")));
        }
        check_name(&layer.name)
    })
}

fn check_unit(unit: &UnitSpec) -> Result<()> {
    check_name(&unit.name)?;
    let of_kind = match &unit.kind {
        UnitKind::MobileBlock(MobileBlock { kernel, inner, squeezed, .. }) => {
            larger(*kernel).max(*inner).max(*squeezed)
        }
        UnitKind::MnasBlock(MnasBlock { kernel, expansion, .. }) => larger(*kernel).max(*expansion),
        UnitKind::RegnetBlock(RegnetBlock { group_width, squeezed, kernel }) => {
            larger(*kernel).max(*group_width).max(*squeezed)
        }
        UnitKind::TemporalBlock(TemporalBlock { kernels, dilation, .. }) => {
            kernels.iter().copied().fold(*dilation, usize::max)
        }
        UnitKind::Plain { names, kernel, .. } => {
            names.iter().try_for_each(|name| check_name(name))?;
            larger(*kernel)
        }
        UnitKind::Layers(layers) => {
            check_list("a unit", layers)?;
            if layers.is_empty() {
                return Err(Error::config(format!("unit '{}' has no layers; leave it out", unit.name)));
            }
            0
        }
        UnitKind::Patches { .. } | UnitKind::Shuffle | UnitKind::Transition => 0,
        UnitKind::Basic { kernel, .. }
        | UnitKind::ConvNext(ConvNextBlock { kernel, .. })
        | UnitKind::Separable { kernel, .. }
        | UnitKind::Stem { kernel, .. }
        | UnitKind::ConvNorm { kernel, .. } => larger(*kernel),
        UnitKind::Bottleneck { kernel, inner: number, .. }
        | UnitKind::Dense { kernel, inner: number, .. }
        | UnitKind::Fire { kernel, squeezed: number }
        | UnitKind::InvertedResidual { kernel, expansion: number, .. } => larger(*kernel).max(*number),
    };
    check_numbers(&[unit.width, larger(unit.stride), of_kind])
        .map_err(|e| e.at(format!("unit '{}'", unit.name)))
}

fn larger([rows, columns]: [usize; 2]) -> usize {
    rows.max(columns)
}

fn check_name(name: &str) -> Result<()> {
    if name.len() <= LONGEST_NAME_BYTES {
        return Ok(());
    }
    let start: String = name.chars().take(40).collect();
    let bytes = name.len();
    Err(Error::config(format!("the name '{start}…' has {bytes} bytes; names go up to {LONGEST_NAME_BYTES}")))
}

fn each_layer(layers: &[NamedLayer], visit: &mut dyn FnMut(&NamedLayer) -> Result<()>) -> Result<()> {
    for layer in layers {
        visit(layer)?;
        layer.layer.branches().into_iter().try_for_each(|branch| each_layer(branch, visit))?;
    }
    Ok(())
}

/// Refuses a network whose weights no machine here could train, before it takes the memory.
pub(super) fn check_weights<'a>(
    spec: &'a NetworkSpec,
    units: impl Iterator<Item = &'a [NamedLayer]>,
) -> Result<()> {
    let parameters = units
        .chain([&spec.head[..]])
        .try_fold(0usize, |sum, layers| Ok::<_, Error>(sum.saturating_add(parameters(layers)?)))?;
    match parameters > MOST_WEIGHTS {
        true => Err(Error::config(format!(
            "{} has {parameters} weights, and at most {MOST_WEIGHTS} are trained",
            spec.name
        ))),
        false => Ok(()),
    }
}

/// Where auxiliary networks have their weights.
const RESERVED: &str = "aux";

/// Refuses two layers whose weights would have one name, so that one would take the other's place in a file, and two
/// dropouts that would always drop the same elements.
pub(super) fn check_names<'a>(
    spec: &'a NetworkSpec,
    units: impl Iterator<Item = (&'a str, &'a [NamedLayer])>,
) -> Result<()> {
    let mut names = Names::default();
    units
        .chain([("", &spec.head[..])])
        .try_for_each(|(path, layers)| names.add(path, layers))
        .map_err(|e| e.at(&spec.name))
}

#[derive(Default)]
struct Names {
    tensors: HashSet<String>,
    dropouts: HashSet<String>,
}

impl Names {
    fn add(&mut self, path: &str, layers: &[NamedLayer]) -> Result<()> {
        for NamedLayer { name, layer } in layers {
            let path = join(path, name);
            if !layer.tensors().is_empty() {
                self.claim(&path, layer.tensors())?;
            }
            layer.branches().into_iter().try_for_each(|branch| self.add(&path, branch))?;
            let drops = matches!(layer, LayerSpec::Dropout { .. } | LayerSpec::DropPath { .. });
            if drops && !self.dropouts.insert(path.to_string()) {
                return Err(Error::config(format!(
                    "two dropouts have the name '{path}' and would drop the same elements; name each of them, \
                     such as \"dropout1\" and \"dropout2\""
                )));
            }
        }
        Ok(())
    }

    fn claim(&mut self, path: &str, tensors: &[&str]) -> Result<()> {
        if path.split('.').next() == Some(RESERVED) {
            return Err(Error::config(format!(
                "the name '{path}' begins with '{RESERVED}', as those of auxiliary networks do; rename the unit or layer"
            )));
        }
        for tensor in tensors {
            let name = join(path, tensor);
            if name.is_empty() {
                return Err(Error::config(
                    "a scale has its layer's own name; give it one, such as \"layer_scale\"",
                ));
            }
            if self.tensors.contains(&*name) {
                return Err(Error::config(format!(
                    "two weights have the name '{name}'; rename one of the units or layers called '{path}'"
                )));
            }
            self.tensors.insert(name.into_owned());
        }
        Ok(())
    }
}
