//! Line charts as SVG: a frame with axes, bands, levels and curves.

use super::axis::Axis;
use super::curve::{Point, pieces};
use super::text::escape;

/// A chart, before it is drawn at any size.
#[derive(Clone, Debug)]
pub(crate) struct Chart {
    /// Unique in the page; part of element ids.
    pub(crate) id: String,
    /// What it shows, for readers who do not see it.
    pub(crate) title: String,
    /// What can be seen in it, in a sentence or two.
    pub(crate) description: String,
    /// Left to right.
    pub(crate) x: Axis,
    /// Bottom to top.
    pub(crate) y: Axis,
    /// Drawn in order, the last on top.
    pub(crate) curves: Vec<Curve>,
    /// Stretches of x shaded behind the curves.
    pub(crate) bands: Vec<Band>,
    /// Values of y with a line across.
    pub(crate) levels: Vec<Level>,
}

/// One curve.
#[derive(Clone, Debug, Default)]
pub(crate) struct Curve {
    /// What the legend calls it.
    pub(crate) name: String,
    /// A CSS colour.
    pub(crate) colour: String,
    /// Whether the line is dashed.
    pub(crate) dashed: bool,
    /// The line; y that is not finite is a gap.
    pub(crate) points: Vec<Point>,
    /// A faint line behind, such as the values before smoothing; may be empty.
    pub(crate) faint: Vec<Point>,
    /// Whether each point has a dot.
    pub(crate) dots: bool,
    /// Written beside the last point, or beside `mark`.
    pub(crate) label: String,
    /// A point of interest to write the label at instead.
    pub(crate) mark: Option<Point>,
}

/// A shaded stretch.
#[derive(Clone, Debug)]
pub(crate) struct Band {
    /// Its left end.
    pub(crate) from: f64,
    /// Its right end.
    pub(crate) to: f64,
    /// A CSS colour.
    pub(crate) colour: String,
    /// Written at its top if there is room.
    pub(crate) label: String,
}

/// A line across.
#[derive(Clone, Debug)]
pub(crate) struct Level {
    /// Where.
    pub(crate) y: f64,
    /// A CSS colour.
    pub(crate) colour: String,
    /// Written at its right end, in two lines.
    pub(crate) label: [String; 2],
}

/// The size of a drawing and its margins, in pixels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    name: &'static str,
    pub(super) width: f64,
    pub(super) height: f64,
    pub(super) left: f64,
    pub(super) right: f64,
    pub(super) top: f64,
    pub(super) bottom: f64,
}

/// For desks.
pub(crate) const WIDE: Frame =
    Frame { name: "wide", width: 880.0, height: 338.0, left: 66.0, right: 72.0, top: 32.0, bottom: 46.0 };

/// For phones, and for two charts side by side.
pub(crate) const NARROW: Frame =
    Frame { name: "narrow", width: 400.0, height: 298.0, left: 58.0, right: 62.0, top: 32.0, bottom: 46.0 };

impl Frame {
    pub(super) fn x(&self, axis: &Axis, value: f64) -> f64 {
        self.left + axis.place(value) * (self.width - self.left - self.right)
    }

    pub(super) fn y(&self, axis: &Axis, value: f64) -> f64 {
        self.height - self.bottom - axis.place(value) * (self.height - self.top - self.bottom)
    }
}

impl Chart {
    /// The legend and the chart, in a wide drawing for desks and a narrow one for phones. The style sheet shows
    /// one of them.
    pub(crate) fn responsive(&self) -> String {
        format!("{}{}{}", self.legend(), self.draw(WIDE), self.draw(NARROW))
    }

    /// The legend and the narrow drawing alone.
    pub(crate) fn small(&self) -> String {
        let only = Frame { name: "only", ..NARROW };
        format!("{}{}", self.legend(), self.draw(only))
    }

    fn draw(&self, frame: Frame) -> String {
        let Frame { name, width, height, .. } = frame;
        let id = format!("{}-{name}", self.id);
        let inside: String = [
            self.draw_bands(frame),
            self.draw_axes(frame),
            self.draw_levels(frame),
            self.draw_curves(frame),
            self.draw_labels(frame),
        ]
        .concat();
        format!(
            "<svg class=\"plot {name}\" viewBox=\"0 0 {width} {height}\" role=\"img\" aria-labelledby=\"{id}-t \
             {id}-d\" {}><title id=\"{id}-t\">{}</title><desc id=\"{id}-d\">{}</desc>{inside}<line \
             class=\"cursor\" y1=\"{}\" y2=\"{}\" /></svg>",
            self.scale_for_script(frame),
            escape(&self.title),
            escape(&self.description),
            frame.top,
            height - frame.bottom,
        )
    }

    /// What the script needs to turn pixels back into values: for each axis its ends, their pixels, and the
    /// unit.
    fn scale_for_script(&self, frame: Frame) -> String {
        let axis = |axis: &Axis, from: f64, to: f64| {
            let kind = if axis.logarithmic { "log" } else { "linear" };
            format!("{} {} {from} {to} {kind} {}", axis.from, axis.to, axis.unit.name())
        };
        format!(
            "data-x=\"{}\" data-y=\"{}\" data-label=\"{}\"",
            axis(&self.x, frame.left, frame.width - frame.right),
            axis(&self.y, frame.height - frame.bottom, frame.top),
            escape(&self.x.label)
        )
    }

    fn draw_bands(&self, frame: Frame) -> String {
        let bottom = frame.height - frame.bottom;
        let draw = |band: &Band| {
            let (from, to) = (frame.x(&self.x, band.from), frame.x(&self.x, band.to));
            let rectangle = format!(
                "<rect class=\"band\" x=\"{from:.1}\" y=\"{}\" width=\"{:.1}\" height=\"{:.1}\" style=\"fill:{}\" />",
                frame.top,
                to - from,
                bottom - frame.top,
                band.colour
            );
            if to - from < 7.0 * band.label.chars().count() as f64 + 4.0 {
                return rectangle;
            }
            let centre = (from + to) / 2.0;
            let label = escape(&band.label);
            format!(
                "{rectangle}<text class=\"band-label\" x=\"{centre:.1}\" y=\"{}\">{label}</text>",
                frame.top - 7.0
            )
        };
        self.bands.iter().map(draw).collect()
    }

    fn draw_axes(&self, frame: Frame) -> String {
        let (right, bottom) = (frame.width - frame.right, frame.height - frame.bottom);
        let mut svg = String::new();
        for (value, label) in &self.y.marks {
            let y = frame.y(&self.y, *value);
            svg.push_str(&format!(
                "<line class=\"grid\" x1=\"{}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\" /><text class=\"tick\" \
                 text-anchor=\"end\" x=\"{}\" y=\"{:.1}\">{label}</text>",
                frame.left,
                frame.left - 8.0,
                y + 4.0
            ));
        }
        let longest = self.x.marks.iter().map(|(_, label)| label.chars().count()).max().unwrap_or(0);
        let room = (right - frame.left) / (7.0 * longest as f64 + 14.0);
        let every = (self.x.marks.len() as f64 / room).ceil().max(1.0) as usize;
        for (value, label) in self.x.marks.iter().step_by(every) {
            let x = frame.x(&self.x, *value);
            svg.push_str(&format!(
                "<line class=\"tick\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{bottom}\" y2=\"{}\" /><text class=\"tick\" \
                 text-anchor=\"middle\" x=\"{x:.1}\" y=\"{}\">{label}</text>",
                bottom + 4.0,
                bottom + 18.0
            ));
        }
        let (x_label, y_label) = (escape(&self.x.label), escape(&self.y.label));
        svg.push_str(&format!(
            "<line class=\"axis\" x1=\"{}\" x2=\"{right}\" y1=\"{bottom}\" y2=\"{bottom}\" /><text class=\"name\" \
             text-anchor=\"end\" x=\"{right}\" y=\"{}\">{x_label}</text>",
            frame.left,
            bottom + 37.0
        ));
        // Bands have their own labels where the name of the y axis would be.
        let y_name = if self.bands.is_empty() { (0.0, frame.top - 17.0) } else { (0.0, bottom + 37.0) };
        svg.push_str(&format!("<text class=\"name\" x=\"{}\" y=\"{}\">{y_label}</text>", y_name.0, y_name.1));
        svg
    }

    fn draw_levels(&self, frame: Frame) -> String {
        let draw = |level: &Level| {
            let y = frame.y(&self.y, level.y);
            let right = frame.width - frame.right;
            let [first, second] = level.label.each_ref().map(|line| escape(line));
            format!(
                "<line class=\"level\" x1=\"{}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\" style=\"stroke:{}\" />\
                 <text class=\"level-label\" x=\"{x}\" y=\"{:.1}\">{first}</text><text class=\"level-label\" x=\"{x}\" \
                 y=\"{:.1}\">{second}</text>",
                frame.left,
                level.colour,
                y - 3.0,
                y + 11.0,
                x = right + 6.0,
            )
        };
        self.levels.iter().map(draw).collect()
    }

    fn draw_curves(&self, frame: Frame) -> String {
        let faint = self.curves.iter().flat_map(|curve| {
            pieces(&curve.faint).map(move |piece| {
                let points = self.pixels(frame, piece);
                format!("<polyline class=\"faint\" style=\"stroke:{}\" points=\"{points}\" />", curve.colour)
            })
        });
        let lines = self
            .curves
            .iter()
            .flat_map(|curve| pieces(&curve.points).map(move |piece| self.draw_line(frame, curve, piece)));
        let marks =
            self.curves.iter().filter_map(|curve| Some(self.draw_dot(frame, &curve.colour, curve.mark?)));
        faint.chain(lines).chain(marks).collect()
    }

    fn draw_line(&self, frame: Frame, curve: &Curve, piece: &[Point]) -> String {
        let Curve { name, colour, .. } = curve;
        let dash = if curve.dashed { " stroke-dasharray=\"7 4\"" } else { "" };
        let mut svg = format!(
            "<polyline class=\"line\" data-name=\"{}\" style=\"stroke:{colour}\"{dash} points=\"{}\" />",
            escape(name),
            self.pixels(frame, piece)
        );
        // A line of one point shows nothing by itself.
        let dotted = if curve.dots || piece.len() == 1 { piece } else { &[] };
        svg.extend(dotted.iter().map(|&point| self.draw_dot(frame, colour, point)));
        svg
    }

    fn draw_dot(&self, frame: Frame, colour: &str, (x, y): Point) -> String {
        let (x, y) = (frame.x(&self.x, x), frame.y(&self.y, y));
        format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" style=\"fill:{colour}\" />")
    }

    fn pixels(&self, frame: Frame, piece: &[Point]) -> String {
        let pixel = |&(x, y): &Point| format!("{:.1},{:.1}", frame.x(&self.x, x), frame.y(&self.y, y));
        let pixels: Vec<String> = piece.iter().map(pixel).collect();
        pixels.join(" ")
    }
}
