//! Colours that stay apart for colour-blind readers, in a light and a dark version.
//!
//! The hues are those of Okabe and Ito (2008), "Color universal design", darkened or lightened until each has a
//! contrast of at least 3 to 1 with the surface it is drawn on.

use std::collections::BTreeSet;

/// A colour as red, green, blue from 0 to 255.
type Rgb = [u8; 3];

/// The surfaces that charts are drawn on: light, dark.
const SURFACES: [Rgb; 2] = [[0xff, 0xff, 0xff], [0x1a, 0x1e, 0x23]];

/// Colours of runs: light, dark. The run that others are compared with is grey.
const RUNS: [[Rgb; 2]; 5] = [
    [[0x00, 0x66, 0xa8], [0x5c, 0xb8, 0xee]],
    [[0xc8, 0x55, 0x00], [0xff, 0x95, 0x52]],
    [[0x00, 0x80, 0x5c], [0x35, 0xc7, 0x9a]],
    [[0xa8, 0x4a, 0x80], [0xdf, 0x92, 0xbf]],
    [[0x8a, 0x6d, 0x00], [0xe8, 0xc5, 0x3a]],
];
const BASELINE: [Rgb; 2] = [[0x5f, 0x68, 0x72], [0xa9, 0xb3, 0xbd]];

/// Colours of blocks, as long as there are no more blocks than these.
const BLOCKS: [[Rgb; 2]; 6] = [
    [[0xb5, 0x76, 0x00], [0xf0, 0xac, 0x1e]],
    [[0x1f, 0x86, 0xbf], [0x6c, 0xc2, 0xf2]],
    [[0x00, 0x85, 0x60], [0x2f, 0xc4, 0x97]],
    [[0xb2, 0x50, 0x88], [0xe0, 0x96, 0xc2]],
    [[0xcf, 0x58, 0x00], [0xff, 0x8f, 0x4a]],
    [[0x36, 0x4b, 0xb0], [0x98, 0xa6, 0xff]],
];

/// More blocks than that get a ramp from the first to the last, through these: blocks have an order.
const RAMPS: [[Rgb; 3]; 2] = [
    [[0xb5, 0x76, 0x00], [0x00, 0x85, 0x60], [0x36, 0x4b, 0xb0]],
    [[0xff, 0xc0, 0x4d], [0x2f, 0xc4, 0x97], [0x98, 0xa6, 0xff]],
];

/// The style sheet's variable for run number `run`, or for the run that others are compared with.
pub(crate) fn run_colour(run: usize, baseline: bool) -> String {
    if baseline { "var(--r)".into() } else { format!("var(--r{})", run % RUNS.len()) }
}

/// The style sheet's variable for block number `block` of `blocks`.
pub(crate) fn block_colour(block: usize, blocks: usize) -> String {
    format!("var({})", block_variable(block, blocks))
}

fn block_variable(block: usize, blocks: usize) -> String {
    if blocks <= BLOCKS.len() { format!("--b{block}") } else { format!("--b{blocks}-{block}") }
}

/// The declarations of all colours for runs with these numbers of blocks; `scheme` is 0 for light, 1 for dark.
pub(crate) fn declarations(scheme: usize, block_counts: &BTreeSet<usize>) -> String {
    let mut text = format!("--card:{};--r:{};", hex(SURFACES[scheme]), hex(BASELINE[scheme]));
    for (run, colours) in RUNS.iter().enumerate() {
        text.push_str(&format!("--r{run}:{};", hex(colours[scheme])));
    }
    let few = BLOCKS.len();
    for blocks in block_counts.iter().copied().filter(|blocks| *blocks > few).chain([few]) {
        for block in 0..blocks {
            let colour = hex(of_block(scheme, block, blocks));
            text.push_str(&format!("{}:{colour};", block_variable(block, blocks)));
        }
    }
    text
}

/// The colour of one block of `blocks`.
fn of_block(scheme: usize, block: usize, blocks: usize) -> Rgb {
    if blocks <= BLOCKS.len() {
        return BLOCKS[block % BLOCKS.len()][scheme];
    }
    let place = 2.0 * block as f64 / (blocks - 1) as f64;
    let [first, middle, last] = RAMPS[scheme];
    let (from, to, part) = if place < 1.0 { (first, middle, place) } else { (middle, last, place - 1.0) };
    std::array::from_fn(|i| {
        (f64::from(from[i]) + part * (f64::from(to[i]) - f64::from(from[i]))).round() as u8
    })
}

fn hex([red, green, blue]: Rgb) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative luminance as WCAG 2.2 defines it.
    fn luminance(colour: Rgb) -> f64 {
        let linear = colour.map(|channel| {
            let value = f64::from(channel) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        });
        0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    }

    fn contrast(a: Rgb, b: Rgb) -> f64 {
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn every_colour_stands_out_from_its_surface() {
        for (scheme, surface) in SURFACES.into_iter().enumerate() {
            let runs = RUNS.iter().chain([&BASELINE]).map(|colours| colours[scheme]);
            let few = (0..6).map(|block| of_block(scheme, block, 6));
            let many = (0..54).map(|block| of_block(scheme, block, 54));
            for colour in runs.chain(few).chain(many) {
                let ratio = contrast(colour, surface);
                assert!(ratio >= 3.0, "{} on {}: {ratio:.2}", hex(colour), hex(surface));
            }
        }
    }

    #[test]
    fn block_colours_differ_from_each_other() {
        for scheme in 0..2 {
            for blocks in [1, 2, 6, 7, 16, 54] {
                let mut colours: Vec<Rgb> =
                    (0..blocks).map(|block| of_block(scheme, block, blocks)).collect();
                colours.sort_unstable();
                colours.dedup();
                assert_eq!(colours.len(), blocks);
            }
        }
    }

    #[test]
    fn there_is_a_variable_for_every_colour_that_is_used() {
        let text = declarations(0, &BTreeSet::from([0, 1, 4, 9, 30]));
        for blocks in [1, 4, 9, 30] {
            for block in 0..blocks {
                let name = block_colour(block, blocks).replace("var(", "").replace(')', ":");
                assert_eq!(text.matches(&name).count(), 1, "{name} in {text}");
            }
        }
        assert!(text.contains("--r0:#0066a8;") && text.contains("--r:#") && text.contains("--card:#ffffff;"));
    }
}
