//! Pictures of any size with their classes, in parts or as one whole.

use crate::classes::{Classes, Order};
use crate::encoded::Encoded;
use crate::listing::{Listing, Part};
use crate::share::Share;
use image::ImageReader;
use localgrad::{Error, Result};
use std::io::Cursor;

/// Pictures whose size is looked at.
const LOOKED_AT: usize = 64;

/// Pictures with their classes.
#[derive(Clone, Debug, Default)]
pub struct Collection {
    pub(crate) train: Listing,
    pub(crate) validation: Option<Listing>,
    pub(crate) test: Option<Listing>,
}

impl Collection {
    /// Pictures by the folders of their classes, to learn from, for validation and for tests; none if there is no picture.
    ///
    /// # Errors
    /// Those of [`Order::of`].
    pub(crate) fn of_classes(
        name: &str,
        [train, validation, test]: [Option<Classes>; 3],
        listed: Option<(String, Vec<String>)>,
    ) -> Result<Option<Self>> {
        let parts: Vec<&Classes> = [&train, &validation, &test].into_iter().flatten().collect();
        let Some(order) = Order::of(name, listed, &parts)? else { return Ok(None) };
        let listing = |classes: Classes| order.listing(name, classes);
        Ok(Some(Self {
            train: listing(train.unwrap_or_default())?,
            validation: validation.map(listing).transpose()?,
            test: test.map(listing).transpose()?,
        }))
    }

    /// Whether it comes in parts, rather than as one whole of which some is to be held out.
    pub fn has_parts(&self) -> bool {
        self.validation.is_some() || self.test.is_some()
    }

    /// The pictures to learn from, or all of them where there are no parts.
    pub fn whole(&self) -> &Listing {
        &self.train
    }

    /// The pictures of a part; where there are no parts, `seed` draws them.
    ///
    /// # Errors
    /// `Format` when it has no picture, those of [`Listing::part`].
    pub fn part(&self, part: Part, seed: u64) -> Result<Listing> {
        if !self.has_parts() {
            return self.train.clone().part(part, seed);
        }
        let listing = Share::of(part).iter().find_map(|share| match share {
            Share::Train => Some(&self.train),
            Share::Validation => self.validation.as_ref(),
            Share::Test => self.test.as_ref(),
        });
        match listing {
            Some(listing) if !listing.items.is_empty() => Ok(listing.clone()),
            _ => {
                Err(Error::format(format!("{}: no picture lies in the part that is wanted", self.train.name)))
            }
        }
    }

    /// The median of the shorter sides of some of the pictures, in pixels; none if none can be read.
    pub fn shorter_side(&self) -> Option<usize> {
        let items = &self.whole().items;
        let every = items.len().div_ceil(LOOKED_AT).max(1);
        let mut sides: Vec<usize> =
            items.iter().step_by(every).filter_map(|item| shorter_side(&item.encoded)).collect();
        sides.sort_unstable();
        sides.get(sides.len() / 2).copied()
    }
}

fn shorter_side(encoded: &Encoded) -> Option<usize> {
    let bytes = encoded.bytes().ok()?;
    let reader = ImageReader::new(Cursor::new(&bytes)).with_guessed_format().ok()?;
    let (width, height) = reader.into_dimensions().ok()?;
    Some(width.min(height) as usize)
}
