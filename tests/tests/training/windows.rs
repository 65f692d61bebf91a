//! Windows of time `[C, 1, T]` pass units of every kind, with kernels and strides along time alone; every rule trains them.

use crate::common::step_once;
use localgrad::layers::spec::{Features, LayerSpec, named, unnamed};
use localgrad::maps::activation::Activation;
use localgrad::network::unit::Shortcut;
use localgrad::network::{
    ConvNextBlock, MnasBlock, MobileBlock, NetworkSpec, NormConfig, Objective, RegnetBlock, TemporalBlock,
    UnitKind, UnitSpec,
};
use localgrad::rules::{Head, Rule, RuleConfig};
use localgrad::trainer::{Method, TrainConfig};

const STEPS: usize = 24;
const WIDTH: usize = 8;

/// Every kind of unit, with kernels of one row where it has any to choose.
fn kinds() -> Vec<UnitKind> {
    let (kernel, activation) = ([1, 3], Activation::Relu);
    let [project, pad, average] = [Shortcut::Project, Shortcut::Pad, Shortcut::Average];
    let names = ["conv".into(), "bn".into()];
    vec![
        UnitKind::Stem { kernel, pool: true },
        UnitKind::Plain { names, bias: true, norm: true, kernel },
        UnitKind::Basic { kernel, shortcut: pad },
        UnitKind::Basic { kernel, shortcut: average },
        UnitKind::Bottleneck { kernel, inner: 4, groups: 2, shortcut: project },
        UnitKind::ConvNorm { kernel, activation, norm: NormConfig::default() },
        UnitKind::InvertedResidual { kernel, expansion: 2, norm: NormConfig::default() },
        UnitKind::MobileBlock(MobileBlock { kernel, squeezed: 4, ..MobileBlock::default() }),
        UnitKind::Patches { norm_first: true },
        UnitKind::ConvNext(ConvNextBlock { kernel: [1, 7], ..ConvNextBlock::default() }),
        UnitKind::Shuffle,
        UnitKind::Dense { kernel, inner: 6, growth: 4 },
        UnitKind::Transition,
        UnitKind::Fire { kernel, squeezed: 4 },
        UnitKind::Separable { kernel, activation, norm: NormConfig::default() },
        UnitKind::MnasBlock(MnasBlock { kernel, ..MnasBlock::default() }),
        UnitKind::RegnetBlock(RegnetBlock { kernel, group_width: 4, squeezed: 2 }),
        UnitKind::TemporalBlock(TemporalBlock { kernels: vec![5, 3], ..TemporalBlock::default() }),
    ]
}

/// A stem and two units of a kind, the first of which halves the window's length.
fn windows(kind: &UnitKind) -> NetworkSpec {
    let unit = |name: &str, kind, width, stride| UnitSpec { name: name.into(), kind, width, stride };
    let stem =
        UnitKind::ConvNorm { kernel: [1, 5], activation: Activation::Relu, norm: NormConfig::default() };
    let linear = LayerSpec::Linear { inputs: WIDTH, outputs: 3, bias: true };
    NetworkSpec {
        name: "windows".into(),
        input: [2, 1, STEPS].into(),
        classes: 3,
        objective: Objective::Classes,
        units: vec![
            unit("stem", stem, 4, [1, 1]),
            unit("a", kind.clone(), WIDTH, [1, 2]),
            unit("b", kind.clone(), WIDTH, [1, 1]),
        ],
        head: vec![unnamed(LayerSpec::GlobalAveragePool), named("fc", linear)],
    }
}

#[test]
fn units_of_every_kind_halve_the_time_alone() {
    for kind in kinds() {
        let spec = windows(&kind);
        spec.validate().unwrap_or_else(|error| panic!("{kind:?}: {error}"));
        // The pool of a stem halves it once more.
        let width = if matches!(kind, UnitKind::Stem { .. }) { STEPS / 4 } else { STEPS / 2 };
        let found = spec.features_after(1).unwrap();
        assert_eq!(found, Features::Map { channels: WIDTH, height: 1, width }, "{kind:?}");
        let layers = serde_json::to_string(&spec.expand().unwrap()).unwrap();
        let square = matches!(kind, UnitKind::Shuffle);
        assert_eq!(layers.contains("\"kernel\":[3,3]"), square, "{kind:?}: {layers}");
        let text = serde_json::to_string(&spec).unwrap();
        assert_eq!(serde_json::from_str::<NetworkSpec>(&text).unwrap(), spec, "{text}");
    }
}

#[test]
fn every_rule_trains_windows_by_units_of_every_kind() {
    let rules =
        [Rule::Greedy, Rule::Dgl, Rule::Predsim, Rule::Infopro, Rule::Auglocal, Rule::Man, Rule::Manpp];
    let along_a_path = RuleConfig { depth: 1, ..RuleConfig::over(Rule::Man, Head::Path, false) };
    for kind in kinds() {
        for rule in rules.into_iter().map(RuleConfig::new).chain([along_a_path.clone()]) {
            let what = format!("{kind:?}, {:?}", rule.rule);
            let config = TrainConfig::from(Method { rule, ends: vec![0, 1, 2], ..Method::default() });
            let losses = step_once(&windows(&kind), &config, 3);
            assert!(losses.iter().all(|loss| loss.is_finite() && *loss > 0.0), "{what}: {losses:?}");
        }
    }
}

#[test]
fn one_number_serves_for_rows_and_columns() {
    let read = |text: &str| serde_json::from_str::<UnitSpec>(text);
    let unit = read(r#"{"kind": {"stem": {"kernel": 3, "pool": false}}, "width": 4, "stride": 2}"#).unwrap();
    assert_eq!((&unit.kind, unit.stride), (&UnitKind::Stem { kernel: [3, 3], pool: false }, [2, 2]));
    let text = serde_json::to_string(&unit).unwrap();
    assert!(text.contains(r#""kernel":3"#) && text.contains(r#""stride":2"#), "{text}");
    let unit = read(r#"{"kind": {"basic": {"kernel": [1, 9]}}, "width": 4, "stride": [1, 4]}"#).unwrap();
    let kind = UnitKind::Basic { kernel: [1, 9], shortcut: Shortcut::Project };
    assert_eq!((&unit.kind, unit.stride), (&kind, [1, 4]));
    assert_eq!(read(&serde_json::to_string(&unit).unwrap()).unwrap(), unit);
    let usual = read(r#"{"kind": {"basic": {}}, "width": 4, "stride": 1}"#).unwrap();
    assert!(!serde_json::to_string(&usual).unwrap().contains("kernel"));
    for stride in ["[1]", "[1, 2, 3]", "-1", "1.5", "\"2\"", "{}"] {
        let text = format!(r#"{{"kind": {{"basic": {{}}}}, "width": 4, "stride": {stride}}}"#);
        let error = read(&text).unwrap_err().to_string();
        assert!(
            error.contains("a number, or [rows, columns]") || error.contains("invalid length"),
            "{error}"
        );
    }
}
