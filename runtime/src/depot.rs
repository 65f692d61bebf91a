//! Where the weights of blocks wait that are not being trained: in a scratch file, with what the optimizer remembers.
//! Running statistics, which are small, stay in memory.

use crate::error::{Error, Result};
use crate::layers::{Variable, Visitor};
use crate::maps::counted::ledger::Part;
use crate::maps::slices::{elements, tensor};
use crate::maps::{Map, Place};
use crate::parameter::Parameter;
use crate::scratch::{Extent, Scratch, bytes_of, bytes_of_mut};

/// Shows every variable of a group to a visitor, always in the same order.
pub(crate) type Visit<'a> = dyn FnMut(&mut Visitor<'_>) -> Result<()> + 'a;

/// How much of a group is in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Presence {
    /// Nothing but running statistics.
    Away,
    /// The weights, to be read only.
    Values,
    /// All.
    Whole,
}

/// The groups of a trainer's weights that come and go together.
pub(crate) struct Depot {
    /// None where weights are only counted.
    scratch: Option<Scratch>,
    groups: Vec<Group>,
}

struct Group {
    presence: Presence,
    stored: Option<StoredGroup>,
}

/// A group in the file: of each parameter its value and then its states, a part each.
struct StoredGroup {
    extent: Option<Extent>,
    parameters: Vec<Waiting>,
}

/// Of a parameter in the file.
pub(crate) struct Waiting {
    /// Its shape.
    pub(crate) dims: Vec<usize>,
    /// How many tensors the optimizer remembers of it.
    pub(crate) states: usize,
}

/// The error of a group that has more parameters than were put away.
pub(crate) fn never_put_away(name: &str) -> Error {
    Error::internal(format!("{name} was never put away"))
}

/// Counts the bytes of a map that goes to storage or comes from it.
fn count(map: &Map) {
    if let Place::Counted(counter) = map.place() {
        counter.store(map.elem_count() * size_of::<f32>());
    }
}

impl Depot {
    /// So many groups, all of them in memory.
    pub(crate) fn new(scratch: Option<Scratch>, groups: usize) -> Self {
        let groups = (0..groups).map(|_| Group { presence: Presence::Whole, stored: None }).collect();
        Self { scratch, groups }
    }

    /// How much of a group is in memory.
    pub(crate) fn presence(&self, group: usize) -> Presence {
        self.groups[group].presence
    }

    /// Each parameter of a group of which not all is in memory.
    pub(crate) fn places(&self, group: usize) -> Option<&[Waiting]> {
        let Group { presence, stored } = &self.groups[group];
        let waiting = stored.as_ref().filter(|_| *presence != Presence::Whole);
        waiting.map(|stored| &stored.parameters[..])
    }

    /// Writes a group, of which all is in memory, to the file and lets it go.
    ///
    /// # Errors
    /// `Io`; the group is then still in memory.
    pub(crate) fn put(&mut self, group: usize, visit: &mut Visit<'_>) -> Result<()> {
        if self.groups[group].presence != Presence::Whole {
            return Err(Error::internal(format!("group {group} of weights is put away twice")));
        }
        let (mut tensors, mut parameters) = (Vec::new(), Vec::new());
        let brings = self.scratch.is_some();
        visit(&mut |_, variable| {
            if let Variable::Parameter(Parameter { value, state, .. }) = variable {
                parameters.push(Waiting { dims: value.dims().to_vec(), states: state.len() });
                for tensor in std::iter::once(&*value).chain(&*state) {
                    match brings {
                        true => tensors.push(tensor.to(&Place::Host)?.contiguous()?),
                        false => count(tensor),
                    }
                }
            }
            Ok(())
        })?;
        // Its old place may be taken by the new state.
        self.groups[group].stored = None;
        let all = tensors.iter().map(elements).collect::<Result<Vec<_>>>()?;
        let parts = all.iter().map(|numbers| bytes_of::<f32>(numbers));
        let extent = self.scratch.as_ref().map(|scratch| scratch.store(parts)).transpose()?;
        self.groups[group].stored = Some(StoredGroup { extent, parameters });
        drop(all);
        drop(tensors);
        self.forget(group, visit)
    }

    /// Lets a group go of which nothing has changed since it was fetched.
    ///
    /// # Errors
    /// Those of the device.
    pub(crate) fn forget(&mut self, group: usize, visit: &mut Visit<'_>) -> Result<()> {
        self.groups[group].presence = Presence::Away;
        visit(&mut |_, variable| {
            if let Variable::Parameter(parameter) = variable {
                parameter.value = parameter.value.place().full(&[0], 0.0)?;
                parameter.value.label(parameter.part);
                parameter.state = Vec::new();
            }
            Ok(())
        })
    }

    /// Brings a group into memory, or what of it is wanted.
    ///
    /// # Errors
    /// `Io` when it cannot be read.
    pub(crate) fn fetch(&mut self, group: usize, wanted: Presence, visit: &mut Visit<'_>) -> Result<()> {
        let Group { presence, stored } = &mut self.groups[group];
        if *presence >= wanted {
            return Ok(());
        }
        let stored = stored.as_ref().ok_or_else(|| Error::internal("a group of weights is nowhere"))?;
        let (mut part, mut places) = (0, stored.parameters.iter());
        visit(&mut |name, variable| {
            let Variable::Parameter(parameter) = variable else { return Ok(()) };
            let place = places.next().ok_or_else(|| never_put_away(name))?;
            let at = parameter.value.place();
            let mut read = |number: usize| -> Result<Map> {
                let Some(extent) = &stored.extent else {
                    let found = at.full(&place.dims, 0.0)?;
                    count(&found);
                    return Ok(found);
                };
                let mut numbers = vec![0.0; place.dims.iter().product()];
                extent.read(number..number + 1, bytes_of_mut::<f32>(&mut numbers))?;
                at.map(tensor(numbers, &place.dims[..])?)
            };
            if *presence == Presence::Away {
                parameter.value = read(part)?;
                parameter.value.label(parameter.part);
            }
            if wanted == Presence::Whole {
                parameter.state = (part + 1..=part + place.states).map(&mut read).collect::<Result<_>>()?;
                parameter.state.iter().for_each(|state| state.label(Part::Optimizer));
            }
            part += 1 + place.states;
            Ok(())
        })?;
        *presence = wanted;
        Ok(())
    }

    /// Lets the system read a group ahead that will be fetched soon.
    pub(crate) fn read_ahead(&self, group: usize) {
        if let Group { presence: Presence::Away, stored: Some(StoredGroup { extent: Some(extent), .. }) } =
            &self.groups[group]
        {
            extent.read_ahead();
        }
    }
}
