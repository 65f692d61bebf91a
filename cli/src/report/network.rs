//! The network as it was trained: units as boxes in their blocks, auxiliary networks above, and where gradients
//! stop.

use super::palette::block_colour;
use super::runs::Run;
use super::section;
use super::text::{bytes, count, counted, escape, times};
use crate::metrics::{BlockRecord, Start, UnitRecord};

/// Height of a drawing of units; the line that features follow is in the middle.
const HEIGHT: f64 = 156.0;
/// Height of the largest feature map.
const TALLEST: f64 = 92.0;
/// Width of a column of the grid that blocks are laid out in.
const COLUMN: f64 = 215.0;
/// Width of a drawing with few units.
const NARROWEST: f64 = 200.0;
/// A label such as `128×16×16` needs this much.
const LABEL_WIDTH: f64 = 64.0;

/// A figure for each local run, or for the first run if none is local; nothing if no run says what it is.
pub(crate) fn network(runs: &[Run]) -> String {
    let known = |run: &&Run| run.start.as_ref().is_some_and(|start| !start.units.is_empty());
    let mut shown: Vec<&Run> = runs.iter().filter(known).filter(|run| run.is_local()).collect();
    if shown.is_empty() {
        shown.extend(runs.iter().find(known));
    }
    let figures: Vec<String> =
        shown.iter().filter_map(|run| Some(figure(run, run.start.as_ref()?, shown.len() > 1))).collect();
    if figures.is_empty() {
        return String::new();
    }
    let note = note(shown.iter().any(|run| run.is_local()));
    section("network", "The network and its blocks", &format!("{}{note}", figures.concat()))
}

fn figure(run: &Run, start: &Start, named: bool) -> String {
    let heading = if named { format!("<h3>{}</h3>", escape(&run.name)) } else { String::new() };
    let whole = [BlockRecord {
        last_unit: start.units.len() - 1,
        parameters: start.parameters,
        ..BlockRecord::default()
    }];
    let blocks = if start.blocks.is_empty() { &whole } else { start.blocks.as_slice() };
    let cells: String = (0..blocks.len()).map(|at| block(start, blocks, at)).collect();
    format!("<figure>{heading}<div class=\"blocks\">{cells}</div>{}</figure>", table(start, blocks))
}

fn note(local: bool) -> String {
    let way = if local {
        "Features go from left to right as constants: at each <span class=\"cut\"></span> dashed line gradients stop. \
         Each block is trained by the loss of the auxiliary network above it, the last one by the network’s own."
    } else {
        "One block: gradients run through the whole network."
    };
    format!(
        "<p class=\"note\">{way} The height of a box is the side of the feature map, its width the number of \
         channels.</p>"
    )
}

/// One cell: the auxiliary network, the units, and what they need.
fn block(start: &Start, blocks: &[BlockRecord], at: usize) -> String {
    let block = &blocks[at];
    let last = at + 1 == blocks.len();
    let drawing = Drawing::of(start, block, at == 0);
    let span = ((drawing.width / COLUMN).ceil() as usize).clamp(1, 4);
    let over = match (last, block.auxiliary.is_empty()) {
        (true, true) => "<div class=\"aux own\"><b>Loss of the network’s own output</b></div>".into(),
        _ => format!(
            "<div class=\"aux\"><b>Auxiliary network</b><span>{}</span><small>{}</small></div>",
            escape(&block.auxiliary),
            counted(block.auxiliary_parameters, "parameter")
        ),
    };
    let units = unit_range(block, start.units.len());
    let title = format!("Block {}: {}", at + 1, counted(units.len() as u64, "unit"));
    format!(
        "<div class=\"block{}\" style=\"--c:{};--span:{span}\">{over}<div class=\"units\">{}</div><div \
         class=\"about\"><b>Block {}</b> {}<br />{}<br />{} of activations</div></div>",
        if last { " last" } else { "" },
        block_colour(at, blocks.len()),
        drawing.svg(&title),
        at + 1,
        counted(units.len() as u64, "unit"),
        counted(block.parameters, "parameter"),
        bytes(block.activation_bytes as f64)
    )
}

/// The units of a block, within the network.
fn unit_range(block: &BlockRecord, units: usize) -> std::ops::Range<usize> {
    let end = block.last_unit.saturating_add(1).min(units);
    block.first_unit.min(end)..end
}

/// Channels and the side of the feature map, of `16x28x28` or of a length `10`.
fn feature_size(features: &str) -> (f64, f64) {
    let numbers: Vec<f64> = features.split('x').filter_map(|number| number.trim().parse().ok()).collect();
    match numbers.as_slice() {
        [channels, height, width] => (*channels, (height * width).sqrt()),
        [channels, length] => (*channels, length.sqrt()),
        [length] => (*length, 1.0),
        _ => (1.0, 1.0),
    }
}

/// The boxes of one block, placed.
struct Drawing {
    width: f64,
    content: String,
}

impl Drawing {
    fn of(start: &Start, block: &BlockRecord, first: bool) -> Self {
        let sizes: Vec<(f64, f64)> = start.units.iter().map(|unit| feature_size(&unit.features)).collect();
        let most = |f: fn(&(f64, f64)) -> f64| sizes.iter().map(f).fold(1.0, f64::max);
        let (most_channels, largest_side) = (most(|size| size.0), most(|size| size.1));
        let (mut x, mut content, mut label_end) = (12.0, String::new(), 0.0);
        if first {
            content.push_str(&label(0.0, "start", &format!("in {}", times(&start.input.to_string()))));
            content
                .push_str(&format!("<circle class=\"input\" cx=\"{x}\" cy=\"{}\" r=\"5\" />", HEIGHT / 2.0));
            (x, label_end) = (x + 16.0, LABEL_WIDTH + 14.0);
        }
        for at in unit_range(block, start.units.len()) {
            let (unit, (channels, side)) = (&start.units[at], sizes[at]);
            let width = 9.0 + 17.0 * (channels / most_channels).sqrt();
            let height = 16.0 + (TALLEST - 16.0) * (side / largest_side).sqrt();
            let changed = at == 0 || start.units[at - 1].features != unit.features;
            if changed {
                // Labels stand under the first box of a size and must not run into each other.
                x = f64::max(x, label_end);
                content.push_str(&label(x, "start", &times(&unit.features)));
                label_end = x + LABEL_WIDTH;
            }
            content.push_str(&unit_box(unit, x, width, height));
            x += width + 6.0;
        }
        let width = f64::max(x + 34.0, label_end + 6.0);
        if first {
            return Self { width: width.max(NARROWEST), content };
        }
        // In the middle of the cell if there is room.
        let shift = f64::max((NARROWEST - width) / 2.0, 0.0);
        Self {
            width: width.max(NARROWEST),
            content: format!("<g transform=\"translate({shift:.1} 0)\">{content}</g>"),
        }
    }

    fn svg(&self, title: &str) -> String {
        let Self { width, content } = self;
        let (middle, branch) = (HEIGHT / 2.0, width - 18.0);
        format!(
            "<svg width=\"{width:.0}\" height=\"{HEIGHT}\" viewBox=\"0 0 {width:.1} {HEIGHT}\" role=\"img\"><title>{}</title>\
             <line class=\"flow\" x1=\"0\" x2=\"{width:.1}\" y1=\"{middle}\" y2=\"{middle}\" /><path class=\"branch\" \
             d=\"M{branch:.1} {middle}V9\" /><path class=\"tip\" d=\"M{branch:.1} 0l-5 10h10z\" />{content}</svg>",
            escape(title)
        )
    }
}

fn label(x: f64, anchor: &str, text: &str) -> String {
    let y = HEIGHT - 8.0;
    format!("<text x=\"{x:.1}\" y=\"{y}\" text-anchor=\"{anchor}\">{}</text>", escape(text))
}

fn unit_box(unit: &UnitRecord, x: f64, width: f64, height: f64) -> String {
    let about = format!(
        "{} ({}), gives {}, {}, keeps {}",
        unit.name,
        unit.kind,
        times(&unit.features),
        counted(unit.parameters, "parameter"),
        bytes(unit.activation_bytes as f64)
    );
    format!(
        "<rect class=\"unit\" x=\"{x:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"2.5\">\
         <title>{}</title></rect>",
        (HEIGHT - height) / 2.0,
        escape(&about)
    )
}

/// All units in numbers.
fn table(start: &Start, blocks: &[BlockRecord]) -> String {
    let row = |(at, unit): (usize, &UnitRecord)| {
        let block = blocks.iter().position(|block| unit_range(block, start.units.len()).contains(&at));
        let block = block.map_or(String::new(), |block| {
            let colour = block_colour(block, blocks.len());
            format!("<span class=\"dot\" style=\"background:{colour}\"></span>{}", block + 1)
        });
        format!(
            "<tr><td>{block}</td><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            escape(&unit.name),
            escape(&unit.kind),
            escape(&times(&unit.features)),
            count(unit.parameters),
            bytes(unit.activation_bytes as f64)
        )
    };
    let rows: String = start.units.iter().enumerate().map(row).collect();
    let headings: String = ["Block", "Unit", "Kind", "Features", "Parameters", "Kept for backward"]
        .iter()
        .map(|heading| format!("<th scope=\"col\">{heading}</th>"))
        .collect();
    format!(
        "<details><summary>All {} in numbers</summary><div class=\"scroll\"><table class=\"settings \
         units-table\"><thead><tr>{headings}</tr></thead><tbody>{rows}</tbody></table></div></details>",
        counted(start.units.len() as u64, "unit")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn feature_sizes_are_read_from_their_text() {
        assert_eq!(feature_size("16x28x28"), (16.0, 28.0));
        assert_eq!(feature_size("10"), (10.0, 1.0));
        assert_eq!(feature_size("strange"), (1.0, 1.0));
    }

    #[test]
    fn blocks_that_name_absent_units_are_cut_to_the_network() {
        let block = |first_unit, last_unit| BlockRecord { first_unit, last_unit, ..BlockRecord::default() };
        assert_eq!(unit_range(&block(1, 2), 5), 1..3);
        assert_eq!(unit_range(&block(3, usize::MAX), 5), 3..5);
        assert_eq!(unit_range(&block(9, 12), 5), 5..5);
        assert!(unit_range(&block(4, 2), 5).is_empty());
    }
}
