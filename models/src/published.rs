//! The published places to cut residual networks (InfoPro's and MAN's released tables).

use localgrad::network::NetworkSpec;
use localgrad::rules::{RuleConfig, auglocal};

/// Ends, but the last, as (stage, unit of the stage).
type Cuts = &'static [(usize, usize)];

const TABLES: &[(&str, usize, Cuts)] = &[
    ("resnet32", 2, &[(2, 1)]),
    ("resnet32", 3, &[(1, 4), (2, 4)]),
    ("resnet32", 4, &[(1, 2), (2, 1), (3, 0)]),
    ("resnet32", 8, &[(1, 0), (1, 2), (1, 4), (2, 1), (2, 3), (3, 0), (3, 2)]),
    ("resnet110", 4, &[(1, 11), (2, 7), (3, 3)]),
    ("resnet110", 8, &[(1, 4), (1, 11), (2, 0), (2, 7), (2, 14), (3, 3), (3, 10)]),
    ("resnet101", 2, &[(2, 0)]),
    ("resnet101", 4, &[(2, 2), (3, 8), (3, 16)]),
    ("resnet152", 2, &[(2, 5)]),
    ("resnet152", 4, &[(2, 6), (3, 13), (3, 25)]),
];

/// The published ends for this network in `blocks` blocks, if there are any that suit the rule.
pub fn ends(network: &NetworkSpec, rule: &RuleConfig, blocks: usize) -> Option<Vec<usize>> {
    let units = network.units.len();
    let (_, _, cuts) = TABLES.iter().find(|(name, count, _)| *name == network.name && *count == blocks)?;
    let position = |name: String| network.units.iter().position(|unit| unit.name == name);
    let mut ends = cuts
        .iter()
        .map(|(stage, unit)| position(format!("layer{stage}.{unit}")))
        .collect::<Option<Vec<usize>>>()?;
    let before_last = auglocal::ends_before_last(units, rule);
    if ends.iter().any(|&end| end >= before_last) {
        return None;
    }
    ends.push(units - 1);
    Some(ends)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ModelConfig, network};
    use localgrad::network::blocks::validate_ends;
    use localgrad::rules::Rule;

    #[test]
    fn every_table_fits_its_network() {
        for (name, blocks, _) in TABLES {
            let spec = network(name, &ModelConfig::default()).unwrap();
            let ends = ends(&spec, &RuleConfig::new(Rule::Man), *blocks).unwrap();
            assert_eq!(ends.len(), *blocks);
            validate_ends(&ends, spec.units.len()).unwrap();
        }
    }

    #[test]
    fn resnet32_in_four() {
        let spec = network("resnet32", &ModelConfig::default()).unwrap();
        let man = RuleConfig::new(Rule::Man);
        let auglocal = |depth| RuleConfig { depth, ..RuleConfig::new(Rule::Auglocal) };
        assert_eq!(ends(&spec, &man, 4).unwrap(), [3, 7, 11, 15]);
        assert_eq!(ends(&spec, &man, 5), None);
        assert_eq!(ends(&spec, &auglocal(3), 4).unwrap(), [3, 7, 11, 15]);
        assert_eq!(ends(&spec, &auglocal(4), 4), None);
    }
}
