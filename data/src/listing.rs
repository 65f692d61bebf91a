//! Pictures with their classes, before any of them is decoded.

use crate::encoded::Encoded;
use crate::hold_out::held_out;
use localgrad::targets::TargetKind;
use localgrad::{Error, Result};

/// Which samples are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Those to learn from.
    Train,
    /// Those to be judged by while training: a part for validation, or else for tests.
    Judge,
    /// Those to be judged by in the end: a part for tests, or else for validation.
    Test,
    /// All of them, where they come in no parts.
    All,
}

/// One picture.
#[derive(Clone, Debug)]
pub struct Item {
    /// Where it is.
    pub encoded: Encoded,
    /// What people call it: its path in the data set.
    pub name: String,
    /// Its class; 0 where it has labels or values.
    pub label: u32,
    /// Its labels, by 0 and 1, or its values; none where it has a class.
    pub row: Box<[f32]>,
}

/// The pictures of one part of a data set.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// What people call the whole: its path.
    pub name: String,
    /// The pictures, in an order that depends on nothing but their names.
    pub items: Vec<Item>,
    /// Names of the classes, by label, or of the labels or values.
    pub class_names: Vec<String>,
    /// What the pictures have.
    pub kind: TargetKind,
}

impl Listing {
    /// The part of a data set without parts: a fifth of every class is to be judged by, drawn by `seed`.
    ///
    /// # Errors
    /// `Config` when nothing is left.
    pub fn part(mut self, part: Part, seed: u64) -> Result<Self> {
        if part == Part::All {
            return Ok(self);
        }
        let labels: Vec<u32> = self.items.iter().map(|item| item.label).collect();
        let is_held = held_out(&labels, self.class_names.len(), seed);
        let mut is_held = is_held.into_iter();
        self.items.retain(|_| is_held.next() == Some(part != Part::Train));
        if self.items.is_empty() {
            return Err(Error::config(format!(
                "{}: no class has the two pictures that it takes to learn from one and be judged by the other",
                self.name
            )));
        }
        Ok(self)
    }

    /// At most so many pictures, as many of each class as of the others, as far as there are; the first by their order.
    #[must_use]
    pub fn limited(mut self, limit: usize) -> Self {
        if self.items.len() <= limit {
            return self;
        }
        let mut seen = vec![0_usize; self.class_names.len()];
        let mut turns: Vec<(usize, usize)> = Vec::with_capacity(self.items.len());
        for (place, item) in self.items.iter().enumerate() {
            let turn = seen.get_mut(item.label as usize).map_or(0, |seen| {
                *seen += 1;
                *seen
            });
            turns.push((turn, place));
        }
        turns.sort_unstable();
        let mut kept = vec![false; self.items.len()];
        turns.into_iter().take(limit).for_each(|(_, place)| kept[place] = true);
        let mut kept = kept.into_iter();
        self.items.retain(|_| kept.next() == Some(true));
        self
    }

    /// The same with the labels of `names`, the classes that a network knows.
    ///
    /// # Errors
    /// `Config` when it knows none of one of the classes that occur, or of the labels, or has another number of values.
    pub fn relabelled(mut self, names: &[String]) -> Result<Self> {
        if self.class_names == names {
            return Ok(self);
        }
        if self.kind == TargetKind::Values {
            return self.revalued(names);
        }
        let known: Vec<Option<u32>> = self
            .class_names
            .iter()
            .map(|name| (0..).zip(names).find(|(_, known)| *known == name).map(|(label, _)| label))
            .collect();
        if self.kind == TargetKind::Labels {
            return self.reordered(names, &known);
        }
        for item in &mut self.items {
            let label = known.get(item.label as usize).copied().flatten();
            item.label = label.ok_or_else(|| {
                let name = self.class_names.get(item.label as usize).map_or("", String::as_str);
                Error::config(format!(
                    "{}: {} is of the class {name:?}, which the network does not know; it knows {}",
                    self.name,
                    item.name,
                    few(names)
                ))
            })?;
        }
        self.class_names = names.to_vec();
        Ok(self)
    }

    /// The same with the labels in the places that are `known`.
    fn reordered(mut self, names: &[String], known: &[Option<u32>]) -> Result<Self> {
        if let Some(place) = known.iter().position(Option::is_none) {
            return Err(Error::config(format!(
                "{}: the network does not know the label {:?}; it knows {}",
                self.name,
                self.class_names[place],
                few(names)
            )));
        }
        for item in &mut self.items {
            let mut row = vec![0.0; names.len()];
            for (place, number) in known.iter().zip(&item.row) {
                if let Some(number_of) = place.and_then(|place| row.get_mut(place as usize)) {
                    *number_of = *number;
                }
            }
            item.row = row.into();
        }
        self.class_names = names.to_vec();
        Ok(self)
    }

    /// The same with other names for its values.
    fn revalued(mut self, names: &[String]) -> Result<Self> {
        if names.len() != self.class_names.len() {
            return Err(Error::config(format!(
                "{}: {} values a picture, and the network gives {}",
                self.name,
                self.class_names.len(),
                names.len()
            )));
        }
        self.class_names = names.to_vec();
        Ok(self)
    }
}

/// Some of many names.
pub(crate) fn few(names: &[String]) -> String {
    const NAMED: usize = 8;
    match names.len() {
        0 => "none".into(),
        count if count <= NAMED => names.join(", "),
        count => format!("{} and {} more", names[..NAMED].join(", "), count - NAMED),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn listing(labels: &[u32]) -> Listing {
        let item = |(place, &label): (usize, &u32)| Item {
            encoded: Encoded::File(PathBuf::new()),
            name: place.to_string(),
            label,
            row: Box::default(),
        };
        Listing {
            name: "photos".into(),
            items: labels.iter().enumerate().map(item).collect(),
            class_names: ["a", "b", "c"].map(String::from).to_vec(),
            kind: TargetKind::Class,
        }
    }

    fn names(listing: &Listing) -> Vec<&str> {
        listing.items.iter().map(|item| item.name.as_str()).collect()
    }

    #[test]
    fn parts_make_the_whole() {
        let whole = listing(&[0, 0, 0, 1, 1, 2]);
        let [train, test] = [Part::Train, Part::Judge].map(|part| whole.clone().part(part, 5).unwrap());
        assert_eq!((train.items.len(), test.items.len()), (4, 2));
        let mut all = [names(&train), names(&test)].concat();
        all.sort_unstable();
        assert_eq!(all, names(&whole));
        assert_eq!(names(&whole.clone().part(Part::Test, 5).unwrap()), names(&test));
        assert_eq!(whole.clone().part(Part::All, 5).unwrap().items.len(), 6);
        assert!(listing(&[0, 1, 2]).part(Part::Test, 0).is_err());
    }

    #[test]
    fn a_limit_takes_of_every_class() {
        let limited = listing(&[0, 0, 0, 0, 1, 1, 2]).limited(5);
        assert_eq!(names(&limited), ["0", "1", "4", "5", "6"]);
        assert_eq!(listing(&[0, 1]).limited(2).items.len(), 2);
    }

    #[test]
    fn labels_are_those_of_the_network() {
        let order = ["c", "x", "a"].map(String::from);
        let found = listing(&[0, 2]).relabelled(&order).unwrap();
        assert_eq!(found.items.iter().map(|item| item.label).collect::<Vec<_>>(), [2, 0]);
        let error = listing(&[1]).relabelled(&order).unwrap_err().to_string();
        assert!(error.contains("\"b\"") && error.contains("c, x, a"), "{error}");
    }

    #[test]
    fn labels_go_where_the_network_has_them() {
        let mut labelled = listing(&[0, 0]);
        labelled.kind = TargetKind::Labels;
        labelled.items[0].row = [1.0, 0.0, 1.0].into();
        labelled.items[1].row = [0.0, 1.0, 0.0].into();
        let order = ["c", "x", "a", "b"].map(String::from);
        let found = labelled.clone().relabelled(&order).unwrap();
        assert_eq!(found.items[0].row[..], [1.0, 0.0, 1.0, 0.0]);
        assert_eq!(found.items[1].row[..], [0.0, 0.0, 0.0, 1.0]);
        assert!(labelled.clone().relabelled(&order[..3]).unwrap_err().to_string().contains("\"b\""));
        labelled.kind = TargetKind::Values;
        assert_eq!(labelled.clone().relabelled(&order[1..]).unwrap().items[0].row[..], [1.0, 0.0, 1.0]);
        assert!(labelled.relabelled(&order).is_err());
    }
}
