//! Pictures as a data set: decoded, cut to the size that a network takes, and held in bytes.

use crate::images::{Images, Values, room};
use crate::listing::{Item, Listing};
use crate::picture;
use localgrad::data::ImageShape;
use localgrad::deal::made_of;
use localgrad::targets::TargetKind;
use localgrad::{Error, Result};

/// How pictures are read.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// Channels, rows and columns of every image.
    pub shape: ImageShape,
    /// Whether one bad file is one too many, rather than left out.
    pub strict: bool,
}

/// Bad files that are named.
const NAMED: usize = 5;
/// Pictures that are decoded before the next are begun, so that what waits stays small.
const AT_ONCE: usize = 256;

/// Decodes all of `listing`, with the threads of the pool that it is called from. Files that are no whole pictures are
/// left out, counted and named in a warning.
///
/// # Errors
/// With `strict` the first bad file's; `Memory` where all of them do not fit into memory; `Format` when no picture is left.
pub fn load(listing: Listing, reading: &Reading) -> Result<Images> {
    let shape = reading.shape;
    let all = listing.items.len();
    let mut bytes = room(
        all.saturating_mul(shape.elements()),
        &format!("{all} pictures of {shape} (a smaller --input, or a --limit, makes them fewer)"),
    )?;
    let (mut labels, mut names, mut rows) = (Vec::with_capacity(all), Vec::with_capacity(all), Vec::new());
    pass(
        &listing,
        reading,
        |item| picture::seen(&item.encoded.bytes()?, shape),
        |item, image: Vec<u8>| {
            bytes.extend(image);
            labels.push(item.label);
            rows.extend_from_slice(&item.row);
            names.push(item.name.clone());
        },
    )?;
    bytes.shrink_to_fit();
    let Listing { name, class_names, kind, .. } = listing;
    let classes = (class_names.len(), class_names);
    let images = Images::new(&name, shape, Values::Bytes(bytes), labels, classes)?.named(names);
    if kind == TargetKind::Class { Ok(images) } else { images.with_rows(&name, kind, rows) }
}

/// Makes something of each picture, with the threads of the pool that it is called from, and hands it on in their order. Bad
/// files are left out, counted and named in a warning.
///
/// # Errors
/// With `strict` the first bad file's; `Format` when no picture is left.
pub(crate) fn pass<T: Send>(
    listing: &Listing,
    reading: &Reading,
    make: impl Fn(&Item) -> Result<T> + Sync,
    mut keep: impl FnMut(&Item, T),
) -> Result<()> {
    let (mut kept, mut bad) = (0_usize, Vec::new());
    for items in listing.items.chunks(AT_ONCE) {
        let made = made_of(items.iter(), &make);
        for (item, made) in items.iter().zip(made) {
            match made {
                Ok(made) => {
                    keep(item, made);
                    kept += 1;
                }
                Err(cause) if reading.strict => {
                    return Err(cause.at(format!("{}: {}", listing.name, item.name)));
                }
                Err(cause) => bad.push(format!("{}: {cause}", item.name)),
            }
        }
    }
    tell(&listing.name, &bad, listing.items.len());
    if kept == 0 {
        let first = bad.first().map_or("it holds none", String::as_str);
        return Err(Error::format(format!("{}: no picture could be read: {first}", listing.name)));
    }
    Ok(())
}

/// Warns of pictures that are left out.
fn tell(name: &str, bad: &[String], all: usize) {
    if bad.is_empty() {
        return;
    }
    let shown = bad[..bad.len().min(NAMED)].join("; ");
    let more = if bad.len() > NAMED { format!("; and {} more", bad.len() - NAMED) } else { String::new() };
    log::warn!("{name}: {} of {all} pictures could not be read and are left out: {shown}{more}", bad.len());
}
