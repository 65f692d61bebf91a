//! Networks from files that anyone may have written: what cannot be trained or kept is refused with a sentence, before
//! anything is made of it.

use crate::common::small_resnet;
use localgrad::inputs::{Inputs, Tokens};
use localgrad::layers::limits::{LARGEST_NUMBER, MOST_WEIGHTS};
use localgrad::layers::spec::{LayerSpec, NamedLayer, ShortcutSpec, named, unnamed};
use localgrad::layers::{Features, Variable, Visitor};
use localgrad::maps::activation::Activation;
use localgrad::maps::conv::ConvConfig;
use localgrad::maps::pool::PoolConfig;
use localgrad::maps::{Map, Place};
use localgrad::model::{Classifier, Model};
use localgrad::network::limits::{MOST_CLASSES, MOST_LAYERS, MOST_UNITS};
use localgrad::network::unit::{Shortcut, UnitKind, UnitSpec};
use localgrad::network::{MnasBlock, NetworkSpec, NormConfig, RegnetBlock, TemporalBlock};
use localgrad::plan::{Freedom, Rates, Workload, cuts, least};
use localgrad::rules::{Rule, RuleConfig};
use localgrad::trainer::one_value::{check_statistics, warning_of_last_samples};
use localgrad::trainer::{Execution, Method, TrainConfig};
use localgrad::weights::{self, Card};
use localgrad::{Device, ErrorKind, Result};
use localgrad_models::catalogue::usual_input;
use localgrad_models::{MODELS, ModelConfig, network};

/// A network with one thing changed, and what its refusal says.
fn refused(change: impl Fn(&mut NetworkSpec), says: &str) {
    let mut spec = small_resnet([3, 8, 8]);
    change(&mut spec);
    let error = spec.validate().unwrap_err();
    let text = error.to_string();
    assert!(text.contains(says), "{text}");
    assert!(matches!(error.kind(), ErrorKind::Config | ErrorKind::Shape) && text.len() < 400, "{text}");
    // All doors lead through there.
    assert!(Model::new(spec.clone(), 0, &Device::Cpu).is_err());
    assert!(cuts::even_ends(&spec, &RuleConfig::new(Rule::Man), 2).is_err());
}

fn basic(name: &str, width: usize) -> UnitSpec {
    let kind = UnitKind::Basic { kernel: [3, 3], shortcut: Shortcut::Project };
    UnitSpec { name: name.into(), kind, width, stride: [1, 1] }
}

#[test]
fn two_weights_of_one_name_are_refused() {
    let copied = |spec: &mut NetworkSpec| {
        let copy = spec.units[2].clone();
        spec.units.insert(5, UnitSpec { width: spec.units[4].width, ..copy });
    };
    refused(copied, "two weights have the name 'layer1.1.conv1.weight'");
    refused(|spec| spec.units[1].name.clear(), "two weights have the name 'conv1.weight'");
    let plain = |spec: &mut NetworkSpec| {
        spec.units[0].kind =
            UnitKind::Plain { names: ["a".into(), "a".into()], bias: false, norm: true, kernel: [3, 3] };
    };
    refused(plain, "two weights have the name 'a.weight'");
    refused(|spec| spec.units[3].name = "aux.0".into(), "begins with 'aux'");
    let doubled_head = |spec: &mut NetworkSpec| {
        let linear = LayerSpec::Linear { inputs: 5, outputs: 5, bias: false };
        spec.head.push(named("fc", linear));
    };
    refused(doubled_head, "two weights have the name 'fc.weight'");
}

#[test]
fn dropouts_that_would_drop_the_same_are_refused() {
    let add = |spec: &mut NetworkSpec, names: [&str; 2]| {
        let dropout = |name: &str| named(name, LayerSpec::Dropout { probability: 0.5 });
        spec.head.splice(1..1, names.map(dropout));
    };
    refused(|spec| add(spec, ["", ""]), "two dropouts have the name ''");
    let mut apart = small_resnet([3, 8, 8]);
    add(&mut apart, ["", "second"]);
    apart.validate().unwrap();
}

#[test]
fn numbers_that_cannot_be_counted_are_refused() {
    for huge in [65_536, 1 << 32, usize::MAX / 2 + 1, usize::MAX] {
        let large = "too large";
        refused(|spec| spec.input = [3, huge, 8].into(), large);
        refused(|spec| spec.units[2].width = huge, large);
        refused(|spec| spec.units[2].stride[1] = huge, large);
        refused(|spec| spec.units[0].kind = UnitKind::Stem { kernel: [3, huge], pool: false }, large);
        let inner = UnitKind::Bottleneck { kernel: [3, 3], inner: huge, groups: 1, shortcut: Shortcut::Pad };
        refused(|spec| spec.units[2].kind = inner.clone(), large);
        refused(
            |spec| {
                spec.units[2].kind = UnitKind::InvertedResidual {
                    kernel: [3, 3],
                    expansion: huge,
                    norm: NormConfig::default(),
                }
            },
            large,
        );
        let front =
            |layer: LayerSpec| move |spec: &mut NetworkSpec| spec.head.insert(0, unnamed(layer.clone()));
        let pool = PoolConfig {
            kernel: [huge; 2],
            stride: [huge; 2],
            padding: [huge / 2; 2],
            ..PoolConfig::default()
        };
        refused(front(LayerSpec::MaxPool(pool)), large);
        refused(front(LayerSpec::AveragePool(pool)), large);
        refused(front(LayerSpec::AdaptiveAveragePool([1, huge])), large);
        refused(front(LayerSpec::Upsample { size: [huge, 1], align_corners: true }), large);
        let config = ConvConfig { kernel: [huge, 1], padding: [huge, 0], ..ConvConfig::default() };
        refused(front(LayerSpec::Conv { inputs: 12, outputs: 12, config, bias: false }), large);
        let config = ConvConfig { groups: huge, ..ConvConfig::default() };
        refused(front(LayerSpec::Conv { inputs: huge, outputs: huge, config, bias: false }), large);
        let pad = ShortcutSpec::Pad { stride: [1, 1], channels: huge };
        let main = vec![unnamed(LayerSpec::Activation(Activation::Relu))];
        refused(front(LayerSpec::Residual { main, shortcut: pad, activation: None }), large);
        // Whether it is any of these is a matter of its place.
        refused(front(LayerSpec::Linear { inputs: huge, outputs: huge, bias: true }), "linear takes");
        refused(|spec| spec.classes = huge, if huge > MOST_CLASSES { large } else { "logits" });
    }
}

#[test]
fn sizes_that_no_machine_holds_are_refused() {
    let wide = |spec: &mut NetworkSpec| spec.units[1..].iter_mut().for_each(|unit| unit.width = 65_535);
    refused(wide, "too large");
    let many = |spec: &mut NetworkSpec| {
        spec.units.extend((0..600).map(|number| basic(&format!("more.{number}"), 320)));
        spec.units.push(basic("last", 12));
    };
    refused(many, &format!("at most {MOST_WEIGHTS} are trained"));
    let upsampled = |spec: &mut NetworkSpec| {
        spec.head.insert(0, unnamed(LayerSpec::Upsample { size: [65_535; 2], align_corners: false }));
    };
    refused(upsampled, "too many for one sample");
    let nothing = |spec: &mut NetworkSpec| {
        let conv = LayerSpec::Conv { inputs: 12, outputs: 0, config: ConvConfig::default(), bias: false };
        spec.head.insert(0, named("none", conv));
    };
    refused(nothing, "must give features");
    refused(|spec| spec.units = vec![basic("", 4); MOST_UNITS + 1], "at most 4096 units");
    let pool = || {
        unnamed(LayerSpec::AveragePool(PoolConfig {
            kernel: [1; 2],
            stride: [1; 2],
            padding: [0; 2],
            ..PoolConfig::default()
        }))
    };
    refused(|spec| drop(spec.head.splice(0..0, (0..=MOST_LAYERS).map(|_| pool()))), "at most 4096 layers");
    refused(|spec| spec.units[2].name = "x".repeat(300), "300 bytes");
}

#[test]
fn activations_without_a_slope_are_refused() {
    for slope in [f32::NAN, f32::INFINITY] {
        let activation = Activation::LeakyRelu { slope };
        let front =
            |layer: LayerSpec| move |spec: &mut NetworkSpec| spec.head.insert(0, unnamed(layer.clone()));
        refused(front(LayerSpec::Activation(activation)), "the slope of a leaky ReLU");
        let norm = LayerSpec::batch_norm(12, Some(activation));
        refused(front(norm), "the slope of a leaky ReLU");
        let shortcut = ShortcutSpec::Identity;
        let sum = LayerSpec::Residual { main: Vec::new(), shortcut, activation: Some(activation) };
        refused(front(sum), "the slope of a leaky ReLU");
    }
}

/// Files of batch norms as they were written before they had numbers of their own are read, and stay the same bytes.
#[test]
fn the_usual_numbers_of_batch_norm_are_not_written() {
    let usual = LayerSpec::batch_norm(4, None);
    let text = serde_json::to_string(&usual).unwrap();
    assert_eq!(text, r#"{"batch_norm":{"channels":4,"activation":null}}"#);
    assert_eq!(serde_json::from_str::<LayerSpec>(&text).unwrap(), usual);
    let other = LayerSpec::BatchNorm { channels: 4, activation: None, epsilon: 1e-3, momentum: 0.01 };
    let text = serde_json::to_string(&other).unwrap();
    assert!(text.contains(r#""epsilon":0.001,"momentum":0.01"#), "{text}");
    assert_eq!(serde_json::from_str::<LayerSpec>(&text).unwrap(), other);
}

/// Layers written out as a unit are held to what every list of layers is held to, and give what the unit says.
#[test]
fn units_of_any_layers_are_checked() {
    let of = |layers: Vec<NamedLayer>| {
        move |spec: &mut NetworkSpec| spec.units[1].kind = UnitKind::Layers(layers.clone())
    };
    let width = small_resnet([3, 8, 8]).units[0].width;
    let conv = |name: &str, outputs| {
        let config = ConvConfig::default();
        named(name, LayerSpec::Conv { inputs: width, outputs, config, bias: true })
    };
    let mut spec = small_resnet([3, 8, 8]);
    of(vec![conv("a", width), conv("b", width)])(&mut spec);
    spec.validate().unwrap();
    let text = serde_json::to_string(&spec).unwrap();
    assert_eq!(serde_json::from_str::<NetworkSpec>(&text).unwrap(), spec);
    refused(of(Vec::new()), "has no layers");
    refused(of(vec![conv("a", width + 1)]), "and its width is");
    refused(of(vec![unnamed(LayerSpec::Flatten)]), "a feature map is needed");
    refused(of(vec![conv("a", width), conv("a", width)]), "two weights have the name");
    refused(of(vec![unnamed(LayerSpec::batch_norm(width, None)); 4097]), "a unit has at most 4096 layers");
    refused(of(vec![conv(&"x".repeat(300), width)]), "300 bytes");
}

#[test]
fn units_whose_numbers_do_not_fit_are_refused() {
    let of = |kind: UnitKind| move |spec: &mut NetworkSpec| spec.units[2].kind = kind.clone();
    let odd = |spec: &mut NetworkSpec| {
        spec.units[2].kind = UnitKind::Fire { kernel: [3, 3], squeezed: 2 };
        spec.units[2].width = 5;
    };
    refused(odd, "must be even");
    refused(of(UnitKind::Fire { kernel: [3, 3], squeezed: 0 }), "must give features");
    let groups = |group_width| UnitKind::RegnetBlock(RegnetBlock { group_width, ..RegnetBlock::default() });
    refused(of(groups(3)), "cannot have groups of 3");
    refused(of(groups(0)), "cannot have groups of 0");
    let times = |expansion| UnitKind::MnasBlock(MnasBlock { expansion, ..MnasBlock::default() });
    refused(of(times(0)), "cannot expand");
    let along = |kernels: Vec<usize>, dilation| {
        UnitKind::TemporalBlock(TemporalBlock { kernels, dilation, dropout: 0.0 })
    };
    for kernels in [vec![], vec![3, 4], vec![0], vec![3; 17]] {
        refused(of(along(kernels, 1)), "of odd lengths");
    }
    refused(of(along(vec![3], 0)), "dilation");
    for huge in [LARGEST_NUMBER + 1, usize::MAX] {
        let large = "is too large";
        refused(of(UnitKind::Fire { kernel: [3, 3], squeezed: huge }), large);
        refused(
            of(UnitKind::Separable {
                kernel: [1, huge],
                activation: Activation::Relu,
                norm: NormConfig::default(),
            }),
            large,
        );
        refused(of(groups(huge)), large);
        refused(of(times(huge)), large);
        refused(of(along(vec![3], huge)), large);
    }
}

#[test]
fn a_scale_without_a_name_is_refused() {
    let scale = || unnamed(LayerSpec::Scale { channels: 12, start: 1.0 });
    refused(|spec| spec.head.insert(0, scale()), "give it one");
}

#[test]
fn norms_that_divide_by_nothing_are_refused() {
    let front = |layer: LayerSpec| move |spec: &mut NetworkSpec| spec.head.insert(0, unnamed(layer.clone()));
    for epsilon in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let norm = LayerSpec::BatchNorm { channels: 12, activation: None, epsilon, momentum: 0.1 };
        refused(front(norm), "the epsilon of a norm");
        refused(front(LayerSpec::LayerNorm { channels: 12, epsilon }), "the epsilon of a norm");
        refused(front(LayerSpec::GroupNorm { channels: 12, groups: 3, epsilon }), "the epsilon of a norm");
    }
    for momentum in [-0.1, 1.5, f64::NAN] {
        let norm = LayerSpec::BatchNorm { channels: 12, activation: None, epsilon: 1e-5, momentum };
        refused(front(norm), "the momentum of a batch norm");
    }
    refused(front(LayerSpec::LayerNorm { channels: 11, epsilon: 1e-5 }), "takes 11 channels");
    for groups in [0, 5, usize::MAX] {
        refused(front(LayerSpec::GroupNorm { channels: 12, groups, epsilon: 1e-5 }), "cannot have");
    }
}

#[test]
fn a_max_pool_of_more_places_than_a_byte_counts_is_refused_up_front() {
    let with = |kernel: [usize; 2]| {
        move |spec: &mut NetworkSpec| {
            spec.units[0].stride = [1, 1];
            spec.input = [3, 128, 128].into();
            let pool = PoolConfig { kernel, stride: kernel, padding: [0, 0], ..PoolConfig::default() };
            spec.head.insert(0, unnamed(LayerSpec::MaxPool(pool)));
        }
    };
    refused(with([32, 32]), "two pools after each other");
    refused(with([1, 257]), "257");
    let mut spec = small_resnet([3, 8, 8]);
    with([16, 16])(&mut spec);
    spec.validate().unwrap();
}

#[test]
fn rules_have_limits_too() {
    let good = RuleConfig::new(Rule::Auglocal);
    for bad in [
        RuleConfig { depth: usize::MAX, ..good.clone() },
        RuleConfig { feature_dim: usize::MAX, ..good.clone() },
        RuleConfig { pooled_features: usize::MAX, ..good },
    ] {
        assert_eq!(bad.validate().unwrap_err().kind(), ErrorKind::Config);
    }
    assert_eq!(localgrad::rules::auglocal::published_ends(5, usize::MAX), [4]);
}

/// Says that two of its tensors have one name.
struct Twice(Model);

impl Classifier for Twice {
    fn spec(&self) -> &NetworkSpec {
        &self.0.spec
    }

    fn place(&self) -> &Place {
        &self.0.place
    }

    fn logits(&mut self, images: &Map) -> Result<Map> {
        self.0.logits(images)
    }

    fn visit(&mut self, visitor: &mut Visitor<'_>) -> Result<()> {
        self.0.visit(&mut |_, variable: Variable<'_>| visitor("same", variable))
    }

    fn visit_head(&mut self, visitor: &mut Visitor<'_>) -> Result<()> {
        self.visit(visitor)
    }
}

#[test]
fn weights_of_one_name_are_not_written() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("w.safetensors");
    let mut model = Twice(Model::new(small_resnet([3, 8, 8]), 0, &Device::Cpu).unwrap());
    assert!(weights::of_model(&mut model).unwrap_err().to_string().contains("the name same"));
    let error = weights::write_network(&path, &mut model, &Card::default(), false).unwrap_err();
    assert!(error.to_string().contains("the name same") && !path.exists());
}

/// A matrix may be a 1x1 convolution, and a number a channel an image of one pixel, in whoever's file; nothing else may be.
#[test]
fn weights_with_other_sides_of_one_are_read() {
    let mut model = Model::new(small_resnet([3, 8, 8]), 3, &Device::Cpu).unwrap();
    let mut theirs = weights::Weights::new();
    let mut gather = |name: &str, variable: Variable<'_>| {
        let value = variable.value().copy()?;
        let dims = match *value.dims() {
            [o, i] => vec![o, i, 1, 1],
            [c] => vec![c, 1, 1],
            ref dims => dims.to_vec(),
        };
        theirs.insert(name.into(), value.reshape(dims)?);
        Ok(())
    };
    model.visit(&mut gather).unwrap();
    let mut other = Model::new(small_resnet([3, 8, 8]), 4, &Device::Cpu).unwrap();
    weights::load(&mut other, &theirs).unwrap();
    let image = Map::new(vec![0.5; 192], (1, 8, 8, 3)).unwrap();
    let numbers = |model: &mut Model| model.logits(&image).unwrap().numbers().unwrap();
    assert_eq!(numbers(&mut other), numbers(&mut model));
    theirs.insert("fc.weight".into(), Place::Host.full(&[12, 5], 1.0).unwrap());
    let error = weights::load(&mut other, &theirs).unwrap_err().to_string();
    assert!(error.contains("fc.weight is [12, 5] where [5, 12] is needed"), "{error}");
}

/// What a network knows besides its classes is not made anew for others: that of a head before its last layer, too.
#[test]
fn a_body_is_all_but_the_layer_that_gives_the_classes() {
    let of = |name: &str, classes, seed| {
        let config = ModelConfig { classes, ..ModelConfig::default() };
        Model::new(network(name, &config).unwrap(), seed, &Device::Cpu).unwrap()
    };
    for (name, layer) in [
        ("resnet8", "fc"),
        ("mobilenet_v2_x0_35", "classifier.1"),
        ("mobilenet_v3_small", "classifier.3"),
        ("squeezenet1_1", "classifier.1"),
        ("convnext_atto", "classifier.2"),
    ] {
        let (file, mut model) = (weights::of_model(&mut of(name, 7, 1)).unwrap(), of(name, 5, 2));
        let loaded = weights::load_body(&mut model, file.clone()).unwrap();
        assert_eq!(loaded.new, ["bias", "weight"].map(|own| format!("{layer}.{own}")), "{name}");
        assert_eq!((loaded.taken, &loaded.left_out), (file.len() - 2, &loaded.new), "{name}");
        for (own, value) in weights::of_model(&mut model).unwrap() {
            let is_same = value.numbers().unwrap() == file[&own].numbers().unwrap();
            assert_eq!(is_same, !loaded.new.contains(&own), "{name}: {own}");
        }
    }
    // Of a body alone nothing is known behind the pool; what is before it has to be there.
    let mut file = weights::of_model(&mut of("mobilenet_v3_small", 7, 1)).unwrap();
    file.retain(|name, _| !name.starts_with("classifier."));
    let mut model = of("mobilenet_v3_small", 5, 2);
    let loaded = weights::load_body(&mut model, file.clone()).unwrap();
    assert_eq!((loaded.taken, loaded.new.len(), loaded.left_out.len()), (file.len(), 4, 0));
    file.retain(|name, _| !name.starts_with("features.12."));
    let error = weights::load_body(&mut model, file).unwrap_err().to_string();
    assert!(error.contains("missing features.12.0.weight"), "{error}");
}

/// A checksum of where each rule cuts these networks, by number of blocks.
fn cuts_of(names: &[&str]) -> u32 {
    let mut all = crc32fast::Hasher::new();
    for name in names {
        for side in [32, 64] {
            let input = match usual_input(name) {
                Inputs::Pixels(_) => [3, side, side].into(),
                Inputs::Tokens(tokens) => Inputs::Tokens(Tokens { length: side, ..tokens }),
            };
            let spec = network(name, &ModelConfig { input, ..ModelConfig::default() }).unwrap();
            for rule in ["man", "dgl", "greedy", "predsim", "infopro", "auglocal"] {
                let head = (rule == "man" && !input.are_tokens()).then_some("infopro");
                let rule = RuleConfig::of_inputs(rule.parse().unwrap(), head, input).unwrap();
                for ends in cuts::cuts(&spec, &rule).unwrap() {
                    all.update(format!("{ends:?}").as_bytes());
                }
            }
            for count in 1..=spec.units.len() {
                all.update(format!("{:?}", cuts::even_pieces(&spec, count).unwrap()).as_bytes());
            }
        }
    }
    all.finalize()
}

/// The places do not change from release to release.
#[test]
fn the_catalogue_is_cut_where_it_was() {
    let are_tokens = |name: &&str| usual_input(name).are_tokens();
    let later = MODELS.iter().copied().filter(|name| !FIRST.contains(name) && !are_tokens(name));
    let texts: Vec<&str> = MODELS.iter().copied().filter(are_tokens).collect();
    assert_eq!(
        [cuts_of(FIRST), cuts_of(&later.collect::<Vec<_>>()), cuts_of(&texts)],
        [CUTS_OF_FIRST, CUTS_OF_LATER, CUTS_OF_TEXTS]
    );
}

/// The networks of the first releases, in the order that they had, which [`CUTS_OF_FIRST`] is of.
const FIRST: &[&str] = &[
    "resnet8",
    "resnet14",
    "resnet20",
    "resnet26",
    "resnet32",
    "resnet44",
    "resnet56",
    "resnet110",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
    "vgg11_bn",
    "vgg13_bn",
    "vgg16_bn",
    "vgg19_bn",
    "mobilenet_v2",
    "resnext50_32x4d",
    "resnext101_32x8d",
    "resnext101_64x4d",
    "wide_resnet50_2",
    "wide_resnet101_2",
    "mobilenet_v3_small",
    "mobilenet_v3_large",
    "efficientnet_b0",
    "convnext_tiny",
    "shufflenet_v2_x0_5",
    "shufflenet_v2_x1_0",
    "shufflenet_v2_x1_5",
    "shufflenet_v2_x2_0",
    "densenet121",
    "densenet169",
    "densenet201",
];
const CUTS_OF_FIRST: u32 = 141_038_333;
const CUTS_OF_LATER: u32 = 1_389_507_876;
const CUTS_OF_TEXTS: u32 = 1_874_038_131;

#[test]
fn features_are_counted_with_care() {
    let huge = Features::Map { channels: usize::MAX, height: 2, width: 2 };
    assert_eq!(huge.elements(), usize::MAX);
}

fn of(rule: &str, ends: Vec<usize>) -> TrainConfig {
    TrainConfig::from(Method { rule: RuleConfig::new(rule.parse().unwrap()), ends, ..Method::default() })
}

/// Maps of 4, 2 and 1 pixels a side.
fn down_to_one_pixel() -> NetworkSpec {
    small_resnet([3, 4, 4])
}

#[test]
fn batch_norm_over_one_value_is_refused() {
    let spec = down_to_one_pixel();
    let whole = of("bp", vec![6]);
    let error = check_statistics(&spec, &whole, 1).unwrap_err();
    let text = error.to_string();
    assert!(
        error.kind() == ErrorKind::Config && text.contains("'layer3.0.bn1'") && text.contains("a batch of 1"),
        "{text}"
    );
    check_statistics(&spec, &whole, 2).unwrap();
    let single = TrainConfig {
        execution: Execution { micro_batch: Some(1), ..whole.execution.clone() },
        ..whole.clone()
    };
    assert!(check_statistics(&spec, &single, 8).unwrap_err().to_string().contains("a micro-batch of 1"));
    check_statistics(
        &spec,
        &TrainConfig { execution: Execution { exact: true, ..single.execution.clone() }, ..single.clone() },
        8,
    )
    .unwrap();
    check_statistics(
        &spec,
        &TrainConfig {
            execution: Execution { micro_batch: Some(2), ..whole.execution.clone() },
            ..whole.clone()
        },
        8,
    )
    .unwrap();
    // Larger images have more values, but for auxiliary networks that pool first.
    let larger = small_resnet([3, 8, 8]);
    check_statistics(&larger, &whole, 1).unwrap();
    check_statistics(&larger, &of("greedy", vec![1, 6]), 1).unwrap();
    let error = check_statistics(&larger, &of("dgl", vec![1, 6]), 1).unwrap_err().to_string();
    assert!(error.contains("'aux.0."), "{error}");
    // What is frozen goes by its running statistics.
    let frozen = TrainConfig::from(Method { frozen: 1, ..of("dgl", vec![1, 6]).method });
    check_statistics(&larger, &frozen, 1).unwrap();
    let batches = TrainConfig::from(Method { block_batches: vec![4, 1], ..of("greedy", vec![1, 6]).method });
    assert!(check_statistics(&spec, &batches, 4).is_err());
}

#[test]
fn a_last_sample_that_is_alone_is_warned_of() {
    let (spec, whole) = (down_to_one_pixel(), of("bp", vec![6]));
    let warned = |train: &TrainConfig, batch: usize, samples: usize| {
        warning_of_last_samples(&spec, train, batch, samples).unwrap()
    };
    assert_eq!(warned(&whole, 16, 64), None);
    assert_eq!(warned(&whole, 16, 63), None);
    let message = warned(&whole, 16, 65).unwrap();
    assert!(message.contains("'layer3.0.bn1'") && message.contains("batches of 15"), "{message}");
    let shares = TrainConfig {
        execution: Execution { micro_batch: Some(5), ..whole.execution.clone() },
        ..whole.clone()
    };
    assert!(warned(&shares, 16, 64).is_some(), "5 + 5 + 5 + 1");
    assert_eq!(
        warned(&TrainConfig { execution: Execution { exact: true, ..shares.execution }, ..shares }, 16, 64),
        None
    );
    assert!(warned(&whole, 16, 1).is_some());
    let larger = small_resnet([3, 8, 8]);
    assert_eq!(warning_of_last_samples(&larger, &whole, 16, 65).unwrap(), None);
}

/// A budget that micro-batches of one sample would keep to does not take them.
#[test]
fn a_budget_takes_no_single_samples() {
    let spec = down_to_one_pixel();
    let train = of("bp", vec![6]);
    let freedom = Freedom { micro_batch: true, ..Freedom::of_cuts(vec![vec![6]]) };
    let workload = Workload::steps(spec, train, 64, 1);
    let least = least(&workload, &freedom, &Rates::default()).unwrap().unwrap();
    assert_eq!(least.execution.micro_batch, Some(2));
}
