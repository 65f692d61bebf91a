//! How a batch is cut into units: whole images, several if they are small, or bands of a large one.

use std::ops::Range;

/// Images and rows (of pixels or of tiles) of one unit.
#[derive(Clone, Debug)]
pub(super) struct TileUnit {
    pub(super) images: Range<usize>,
    pub(super) rows: Range<usize>,
}

/// The cut.
#[derive(Clone, Debug)]
pub(super) struct TileUnits {
    /// Images of the batch, and of a unit; those of a unit are one where it holds not all rows.
    pub(super) images: usize,
    pub(super) unit_images: usize,
    /// Rows of an image, and of a unit.
    pub(super) rows: usize,
    pub(super) unit_rows: usize,
}

impl TileUnits {
    /// Bands of an image.
    fn bands(&self) -> usize {
        self.rows.div_ceil(self.unit_rows)
    }

    pub(super) fn count(&self) -> usize {
        self.images.div_ceil(self.unit_images) * self.bands()
    }

    pub(super) fn unit(&self, index: usize) -> TileUnit {
        let part = |i: usize, size: usize, end: usize| i * size..((i + 1) * size).min(end);
        TileUnit {
            images: part(index / self.bands(), self.unit_images, self.images),
            rows: part(index % self.bands(), self.unit_rows, self.rows),
        }
    }

    /// The units of the first `images` images.
    pub(super) fn of(&self, images: usize) -> impl Iterator<Item = TileUnit> {
        let units = Self { images, ..self.clone() };
        (0..units.count()).map(move |index| units.unit(index))
    }
}
