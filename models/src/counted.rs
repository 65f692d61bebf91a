//! What the tests of networks count.

use localgrad::network::NetworkSpec;

/// Trained numbers of a network; of one that does not fit together too few.
pub(crate) fn parameters(spec: &NetworkSpec) -> usize {
    let units = spec.unit_costs().map_or(0, |costs| costs.iter().map(|cost| cost.parameters).sum());
    units + spec.head_cost().map_or(0, |cost| cost.parameters)
}
