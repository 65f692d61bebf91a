//! The parts of a head: what still belongs to the body, and the layer that gives the classes.

use crate::layers::spec::{LayerSpec, NamedLayer};

/// Where the layer that gives the classes is: the last convolution or linear layer; none in a head without one.
pub fn classifier(head: &[NamedLayer]) -> Option<usize> {
    head.iter().rposition(|layer| matches!(layer.layer, LayerSpec::Linear { .. } | LayerSpec::Conv { .. }))
}

/// How many of the first layers belong to the body: those before the pool over the whole map, or before the layer that gives
/// the classes where a pool is behind it; none where there is no such pool.
pub fn of_body(head: &[NamedLayer]) -> usize {
    let pool = head.iter().position(|layer| matches!(layer.layer, LayerSpec::GlobalAveragePool));
    pool.map_or(0, |pool| classifier(head).map_or(pool, |classifier| classifier.min(pool)))
}
