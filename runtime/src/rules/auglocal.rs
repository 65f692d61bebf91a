//! AugLocal (Ma et al. 2024): which later units an auxiliary network is built from, and how.

use crate::error::Result;
use crate::layers::spec::{Features, LayerSpec, unnamed};
use crate::maps::pool::PoolConfig;
use crate::network::{UnitKind, UnitSpec};
use crate::rules::{Rule, RuleConfig};

/// Sides from which on new units take means of windows, where a rule says so.
pub const POOLED_SIDE: usize = 16;
/// The name of what makes these means.
pub(super) const POOL: &str = "pool";

/// Depth of auxiliary network `number` of `blocks` blocks: from `depth` down towards 1 as `pyramid` says.
pub fn depth(number: usize, blocks: usize, depth: usize, pyramid: f64) -> usize {
    let share = if blocks > 2 { number as f64 * pyramid / (blocks - 2) as f64 } else { 0.0 };
    let shrunk = depth as f64 * (1.0 - share) + share;
    (shrunk.round_ties_even() as usize).max(1)
}

/// The units chosen for a block that ends at unit `end` of `units`; the last unit is always among them.
pub fn chosen(end: usize, units: usize, depth: usize) -> Vec<usize> {
    let later = units - 1 - end;
    if depth >= later {
        return (end + 1..units).collect();
    }
    let step = later as f64 / depth as f64;
    (1..=depth).map(|j| (end as f64 + step * j as f64).round_ties_even() as usize).collect()
}

/// The chosen units and every later one that changes the shape: a network that copies of them make without new shapes.
pub fn path(units: &[UnitSpec], end: usize, depth: usize) -> Vec<usize> {
    let chosen = chosen(end, units.len(), depth);
    let mut next = chosen.iter().peekable();
    let changes =
        |number: usize| units[number].stride != [1, 1] || units[number].width != units[number - 1].width;
    (end + 1..units.len())
        .filter(|number| next.next_if(|chosen| *chosen == number).is_some() || changes(*number))
        .collect()
}

/// New units of the chosen units' kinds and widths. A unit has stride 2 while the width has doubled more often
/// than the size was halved; a plain unit pools wherever the width changes. Rows alone, or columns, are halved in a network
/// all of whose strides are along these alone, as along the time of a window.
pub fn new_units(units: &[UnitSpec], end: usize, chosen: &[usize]) -> Vec<UnitSpec> {
    let halves = halving(units);
    let mut width = units[end].width;
    let mut halvings_due = 0;
    chosen
        .iter()
        .enumerate()
        .map(|(position, &number)| {
            let unit = &units[number];
            halvings_due += doublings(width, unit.width);
            let stride = match &unit.kind {
                UnitKind::Plain { .. } if unit.width != width => halves,
                UnitKind::Plain { .. } => [1, 1],
                _ if halvings_due >= 1 => {
                    halvings_due -= 1;
                    halves
                }
                _ => [1, 1],
            };
            width = unit.width;
            unit.elsewhere(position.to_string(), stride)
        })
        .collect()
}

/// What comes before new units that are to see means over `pool` rows and columns of `features`; none where no side is large
/// enough.
///
/// # Errors
/// `Shape` for features that are no map.
pub(super) fn pool(features: Features, pool: usize) -> Result<Option<UnitSpec>> {
    let (width, rows, columns) = features.map()?;
    let kernel = [rows, columns].map(|side| if side >= POOLED_SIDE { pool } else { 1 });
    let layer = LayerSpec::AveragePool(PoolConfig { kernel, stride: kernel, ..PoolConfig::default() });
    let kind = UnitKind::Layers(vec![unnamed(layer)]);
    Ok((kernel != [1, 1]).then(|| UnitSpec { name: POOL.into(), kind, width, stride: kernel }))
}

/// The stride that halves the size.
fn halving(units: &[UnitSpec]) -> [usize; 2] {
    let strides = |axis: usize| units.iter().any(|unit| unit.stride[axis] > 1);
    match [strides(0), strides(1)] {
        [true, false] => [2, 1],
        [false, true] => [1, 2],
        _ => [2, 2],
    }
}

/// floor(log2(to / from)), the division rounded down; none when the width shrinks.
fn doublings(from: usize, to: usize) -> usize {
    (to / from).checked_ilog2().unwrap_or(0) as usize
}

/// The published blocks: every unit its own, but the last `depth + 1` units together.
pub fn published_ends(units: usize, depth: usize) -> Vec<usize> {
    (0..published_alone(units, depth)).chain(std::iter::once(units - 1)).collect()
}

fn published_alone(units: usize, depth: usize) -> usize {
    units.saturating_sub(depth.saturating_add(1))
}

/// How many units, from the first on, may end a block that is not the last. By AugLocal no more than published: behind a later one
/// the auxiliary network would be all that follows, which would then be trained twice, and worse the second time
/// (`docs/results.md`).
pub fn ends_before_last(units: usize, rule: &RuleConfig) -> usize {
    match rule.rule {
        Rule::Auglocal => published_alone(units, rule.depth),
        _ => units.saturating_sub(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resnet32() -> Vec<UnitSpec> {
        let unit = |width| UnitSpec {
            name: String::new(),
            kind: UnitKind::Basic { kernel: [3, 3], shortcut: crate::network::unit::Shortcut::Project },
            width,
            stride: [1, 1],
        };
        [16; 6].into_iter().chain([32; 5]).chain([64; 5]).map(unit).collect()
    }

    fn strides(end: usize, chosen: &[usize]) -> Vec<usize> {
        new_units(&resnet32(), end, chosen).iter().map(|unit| unit.stride[0]).collect()
    }

    #[test]
    fn windows_are_halved_along_their_time() {
        let mut units = resnet32();
        assert_eq!(new_units(&units, 0, &[15])[0].stride, [2, 2]);
        units[6].stride = [1, 2];
        assert_eq!(new_units(&units, 0, &[15])[0].stride, [1, 2]);
        units[11].stride = [3, 1];
        assert_eq!(new_units(&units, 0, &[15])[0].stride, [2, 2]);
    }

    #[test]
    fn means_are_taken_along_large_sides() {
        let stride = |height, width, size| {
            let features = Features::Map { channels: 4, height, width };
            pool(features, size).unwrap().map(|unit| unit.expand(features).unwrap().1)
        };
        let map = |height, width| Some(Features::Map { channels: 4, height, width });
        assert_eq!([stride(15, 15, 2), stride(32, 32, 1)], [None, None]);
        assert_eq!([stride(32, 16, 2), stride(33, 15, 2)], [map(16, 8), map(16, 15)]);
        assert_eq!([stride(1, 40, 4), stride(16, 16, 16)], [map(1, 10), map(1, 1)]);
        assert!(pool(Features::Flat(64), 2).is_err());
    }

    #[test]
    fn published_example_depth_3() {
        let ends = published_ends(16, 3);
        assert_eq!(ends.len(), 13);
        let depths: Vec<usize> = (0..12).map(|i| depth(i, 13, 3, 0.5)).collect();
        assert_eq!(depths, [3, 3, 3, 3, 3, 3, 2, 2, 2, 2, 2, 2]);
        assert_eq!((chosen(0, 16, 3), strides(0, &[5, 10, 15])), (vec![5, 10, 15], vec![1, 2, 2]));
        assert_eq!((chosen(1, 16, 3), strides(1, &[6, 10, 15])), (vec![6, 10, 15], vec![2, 1, 2]));
        assert_eq!((chosen(6, 16, 2), strides(6, &[10, 15])), (vec![10, 15], vec![1, 2]));
    }

    #[test]
    fn published_example_depth_5() {
        let depths: Vec<usize> = (0..10).map(|i| depth(i, 11, 5, 0.5)).collect();
        assert_eq!(depths, [5, 5, 5, 4, 4, 4, 4, 3, 3, 3]);
        assert_eq!(chosen(0, 16, 5), [3, 6, 9, 12, 15]);
        assert_eq!(published_ends(16, 5).len(), 11);
    }

    #[test]
    fn a_path_has_every_change_of_shape() {
        let mut units = resnet32();
        (units[6].stride, units[11].stride) = ([2, 2], [2, 2]);
        assert_eq!(path(&units, 3, 1), [6, 11, 15]);
        assert_eq!(path(&units, 3, 2), [6, 9, 11, 15]);
        assert_eq!(path(&units, 7, 1), [11, 15]);
        assert_eq!(path(&units, 14, 3), [15]);
        assert_eq!(path(&units, 0, 15), (1..16).collect::<Vec<_>>());
    }

    #[test]
    fn short_tails_take_all_later_units() {
        assert_eq!(chosen(13, 16, 3), [14, 15]);
        assert_eq!(chosen(14, 16, 3), [15]);
        assert_eq!(published_ends(3, 9), [2]);
        assert_eq!(depth(0, 2, 4, 0.5), 4);
    }
}
