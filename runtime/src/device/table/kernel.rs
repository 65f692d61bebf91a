//! A kernel: a body and what it is specialised for.

use super::body::{Body, Row};
use super::tile::Tile;

/// What a map or a gradient is read through, as `kernels/source.h` has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ReadKind {
    /// As it is.
    Plain,
    /// Through a norm and a clamp.
    Normalized,
    /// Through a norm, plus another map, and a clamp.
    Sum,
    /// A gradient, through a clamp and a norm.
    Through,
    /// Between its pixels.
    Upsampled,
}

impl ReadKind {
    /// As it stands in a kernel's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Normalized => "normalized",
            Self::Sum => "sum",
            Self::Through => "through",
            Self::Upsampled => "upsampled",
        }
    }

    /// The constant in the kernels' language.
    pub fn text(self) -> String {
        self.name().to_uppercase()
    }
}

/// What one entry point is made of. Fields that a body does not look at stay at what [`Kernel::of`] gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Kernel {
    /// Its body.
    pub body: Body,
    /// Of a product of matrices.
    pub tile: Option<Tile>,
    /// What its input is read through; of an input's gradient, what the output's is.
    pub map: ReadKind,
    /// What the gradient is read through where both a map and a gradient are read.
    pub gradient: ReadKind,
    /// Whether channels are read four at a time, as all their numbers are multiples of 4.
    pub is_wide: bool,
}

impl Kernel {
    /// A kernel that is specialised for nothing.
    pub fn of(body: Body) -> Self {
        Self { body, tile: None, map: ReadKind::Plain, gradient: ReadKind::Plain, is_wide: false }
    }

    /// What the table says, with what depends on the tile.
    pub fn row(&self) -> Row {
        let mut row = self.body.row();
        for (_, tile) in self.tiles() {
            (row.threads, row.shared) = (tile.threads(), row.shared.max(tile.shared()));
        }
        row
    }

    /// Its tiles, each with the end of its name: of both gradients that of the weight's comes second.
    pub fn tiles(&self) -> Vec<(&'static str, Tile)> {
        let own = self.tile.map(|tile| ("tile", tile));
        let of_weight = self.tile.filter(|_| self.body == Body::ConvBackward);
        own.into_iter().chain(of_weight.map(|tile| ("weight_tile", tile.of_weight()))).collect()
    }

    /// The name of its entry point, which says everything: `conv_d_input_s64x64_through_v4`.
    pub fn name(&self) -> String {
        let mut parts = vec![self.function_name().to_owned()];
        parts.extend(self.tile.map(|tile| tile.name()));
        if self.reads_sources() {
            parts.push(self.map.name().to_owned());
        }
        if self.reads_both() {
            parts.push(self.gradient.name().to_owned());
        }
        if self.has_width() {
            parts.push(format!("v{}", self.width()));
        }
        parts.join("_")
    }

    /// The name without what it is specialised for.
    pub fn function_name(&self) -> &'static str {
        match self.body {
            Body::ConvForward => "conv_forward",
            Body::ConvDInput => "conv_d_input",
            Body::DepthwiseForward => "depthwise_forward",
            Body::DepthwiseDInput => "depthwise_d_input",
            _ => self.body.row().function,
        }
    }

    /// The call of its body, but for the parameters: `conv_gather<NAME_tile, THROUGH, true, 4>`.
    pub fn call(&self) -> String {
        let mut arguments = vec![];
        arguments.extend(self.tiles().iter().map(|(suffix, _)| format!("{}_{suffix}", self.name())));
        if self.reads_sources() {
            arguments.push(self.map.text());
        }
        match self.body {
            Body::ConvForward | Body::DepthwiseForward => arguments.push("false".into()),
            Body::ConvDInput | Body::DepthwiseDInput => arguments.push("true".into()),
            _ if self.reads_both() => arguments.push(self.gradient.text()),
            _ => {}
        }
        if self.has_width() {
            arguments.push(self.width().to_string());
        }
        let function = self.body.row().function;
        if arguments.is_empty() { function.into() } else { format!("{function}<{}>", arguments.join(", ")) }
    }

    /// Elements read at once.
    pub fn width(&self) -> u32 {
        if self.is_wide { 4 } else { 1 }
    }

    /// Whether it is specialised for nothing.
    pub fn is_single(&self) -> bool {
        !self.has_width()
    }

    fn reads_both(&self) -> bool {
        matches!(self.body, Body::ConvDWeight | Body::ConvBackward | Body::DepthwiseDWeight)
    }

    fn reads_sources(&self) -> bool {
        use Body::{ConvDInput, ConvForward, DepthwiseDInput, DepthwiseForward, NormApply};
        self.reads_both()
            || matches!(self.body, ConvForward | ConvDInput | DepthwiseForward | DepthwiseDInput | NormApply)
    }

    /// Whether it comes in two widths.
    pub fn has_width(&self) -> bool {
        use Body::{ColumnParts, Deviation, MeanPool, NormMoments, NormSums};
        self.reads_sources()
            || matches!(self.body, NormMoments | NormSums | ColumnParts | MeanPool | Deviation)
    }
}
