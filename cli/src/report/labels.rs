//! What a chart says about its curves in words: the legend, and a label beside each curve.

use super::chart::{Chart, Curve, Frame};
use super::text::escape;

/// With more curves than this the legend is a strip of their colours, in order.
const LEGEND_LIMIT: usize = 12;

impl Chart {
    /// Which colour is which curve.
    pub(super) fn legend(&self) -> String {
        let entry = |curve: &Curve| {
            let dash = if curve.dashed { " stroke-dasharray=\"5 4\"" } else { "" };
            format!(
                "<li><svg class=\"key\" width=\"22\" height=\"10\" aria-hidden=\"true\"><line x1=\"1\" y1=\"5\" \
                 x2=\"21\" y2=\"5\" style=\"stroke:{}\"{dash} /></svg>{}</li>",
                curve.colour,
                escape(&curve.name)
            )
        };
        if let [first, .., last] = self.curves.as_slice()
            && self.curves.len() > LEGEND_LIMIT
        {
            let swatch = |curve: &Curve| format!("<i style=\"background:{}\"></i>", curve.colour);
            let swatches: String = self.curves.iter().map(swatch).collect();
            let (first, last) = (escape(&first.name), escape(&last.name));
            return format!(
                "<p class=\"legend strip\">{first}<span class=\"swatches\">{swatches}</span>{last}</p>"
            );
        }
        let entries: String = self.curves.iter().map(entry).collect();
        format!("<ul class=\"legend\">{entries}</ul>")
    }

    /// The labels of the curves, moved apart where they would cover each other.
    pub(super) fn draw_labels(&self, frame: Frame) -> String {
        const LINE: f64 = 15.0;
        let mut labels: Vec<(f64, f64, &Curve)> = Vec::new();
        for curve in self.curves.iter().filter(|curve| !curve.label.is_empty()) {
            let last = curve.points.iter().rev().find(|(x, y)| x.is_finite() && y.is_finite());
            if let Some((x, y)) = curve.mark.or(last.copied()) {
                labels.push((frame.y(&self.y, y), frame.x(&self.x, x), curve));
            }
        }
        labels.sort_by(|a, b| a.0.total_cmp(&b.0));
        let bottom = frame.height - frame.bottom;
        let mut free = frame.top - LINE;
        for label in &mut labels {
            label.0 = label.0.max(free + LINE);
            free = label.0;
        }
        let mut limit = bottom + LINE;
        for label in labels.iter_mut().rev() {
            label.0 = label.0.min(limit - LINE);
            limit = label.0;
        }
        let draw = |(y, x, curve): &(f64, f64, &Curve)| {
            let (y, at_mark) = (y + 4.0, curve.mark.is_some());
            let (x, y) = if at_mark { (x + 6.0, y - 8.0) } else { (x + 8.0, y) };
            let anchor = if at_mark && x > frame.width - 90.0 { " text-anchor=\"end\"" } else { "" };
            let label = escape(&curve.label);
            format!(
                "<text class=\"label\"{anchor} x=\"{x:.1}\" y=\"{y:.1}\" style=\"fill:color-mix(in srgb,{} 70%,var(--fg))\">{label}</text>",
                curve.colour
            )
        };
        labels.iter().map(draw).collect()
    }
}
