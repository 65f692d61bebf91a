//! Every network that can be asked for by name.

use crate::config::ModelConfig;
use crate::{
    convnext, densenet, efficientnet, mnasnet, mobilenet, mobilenet_v1, mobilenet_v3, regnet, resnet,
    shufflenet, squeezenet, temporal, timm, tiny, vgg,
};
use localgrad::inputs::{Inputs, Tokens};
use localgrad::network::{NetworkSpec, Objective};
use localgrad::{Error, Result};

/// The names, smallest network of a family first.
pub const MODELS: &[&str] = &[
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
    "vgg11",
    "vgg13",
    "vgg16",
    "vgg19",
    "vgg11_bn",
    "vgg13_bn",
    "vgg16_bn",
    "vgg19_bn",
    "mobilenet_v1_x0_25",
    "mobilenet_v1_x0_5",
    "mobilenet_v1_x0_75",
    "mobilenet_v1",
    "mobilenet_v2_x0_35",
    "mobilenet_v2_x0_5",
    "mobilenet_v2_x0_75",
    "mobilenet_v2",
    "mobilenet_v2_x1_4",
    "resnext50_32x4d",
    "resnext101_32x8d",
    "resnext101_64x4d",
    "wide_resnet50_2",
    "wide_resnet101_2",
    "resnet18d",
    "resnet26d",
    "resnet34d",
    "resnet50d",
    "resnet101d",
    "resnet152d",
    "mobilenet_v3_small",
    "mobilenet_v3_large",
    "efficientnet_lite0",
    "efficientnet_b0",
    "efficientnet_b1",
    "efficientnet_b2",
    "convnext_atto",
    "convnext_tiny",
    "shufflenet_v2_x0_5",
    "shufflenet_v2_x1_0",
    "shufflenet_v2_x1_5",
    "shufflenet_v2_x2_0",
    "densenet121",
    "densenet169",
    "densenet201",
    "squeezenet1_0",
    "squeezenet1_1",
    "mnasnet0_5",
    "mnasnet0_75",
    "mnasnet1_0",
    "mnasnet1_3",
    "regnet_x_400mf",
    "regnet_x_800mf",
    "regnet_y_400mf",
    "regnet_y_800mf",
    "mlperf_resnet8",
    "mlperf_ds_cnn",
    "mlperf_autoencoder",
    "resnet1d",
    "tcn",
    "text_tcn",
];

/// What networks for photographs were made for: channels, height and width.
pub const PHOTO: Inputs = Inputs::Pixels([3, 224, 224]);

/// Depths of the CIFAR form of residual networks.
const CIFAR_DEPTHS: [usize; 8] = [8, 14, 20, 26, 32, 44, 56, 110];

/// The depth in `resnet20`, and what follows it.
fn depth(name: &str) -> Option<(usize, &str)> {
    let rest = name.strip_prefix("resnet")?;
    let end = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
    let (digits, form) = rest.split_at(end);
    Some((digits.parse().ok()?, form))
}

/// Whether a network is of those made for images of 32 pixels a side, rather than for photographs.
pub fn is_small(name: &str) -> bool {
    let of_cifar = matches!(depth(name), Some((depth, "")) if CIFAR_DEPTHS.contains(&depth));
    of_cifar || name == "mlperf_resnet8"
}

/// The samples that a network was made for.
pub fn usual_input(name: &str) -> Inputs {
    match name {
        "mlperf_ds_cnn" => [1, 49, 10].into(),
        "mlperf_autoencoder" => [640, 1, 1].into(),
        "resnet1d" | "tcn" => [9, 1, 128].into(),
        "text_tcn" => Inputs::Tokens(Tokens { length: 128, vocabulary: 5000 }),
        _ if is_small(name) => [3, 32, 32].into(),
        _ => PHOTO,
    }
}

/// What a network was made to answer with.
pub fn usual_objective(name: &str) -> Objective {
    if name == "mlperf_autoencoder" { Objective::Values } else { Objective::Classes }
}

/// Whether a network begins in one way whatever the size of its images.
pub(crate) fn has_one_stem(name: &str) -> bool {
    let has_no_other =
        matches!(name, "mlperf_ds_cnn" | "mlperf_autoencoder" | "resnet1d" | "tcn" | "text_tcn");
    has_no_other || is_small(name) || name.starts_with("vgg")
}

/// The spec of the network called `name`, here, by timm, Hugging Face or EfficientNet-PyTorch.
pub fn network(name: &str, config: &ModelConfig) -> Result<NetworkSpec> {
    let name = timm::model(name).unwrap_or(name);
    if config.stem.is_some() && MODELS.contains(&name) && has_one_stem(name) {
        return Err(Error::config(format!(
            "{name} has one stem for images of any size; only networks made for ImageNet, from resnet18 on, have two"
        )));
    }
    let spec = match depth(name) {
        Some((depth, form)) => residual(name, depth, form, config)?,
        None => of_family(name, config)?,
    };
    spec.validate()?;
    Ok(spec)
}

fn residual(name: &str, depth: usize, form: &str, config: &ModelConfig) -> Result<NetworkSpec> {
    match (depth, form) {
        (18 | 34 | 50 | 101 | 152, "") => resnet::imagenet(depth, config),
        (18 | 26 | 34 | 50 | 101 | 152, "d") => resnet::averaged(name, depth, config),
        (1, "d") => temporal::resnet1d(name, config),
        (_, "") if CIFAR_DEPTHS.contains(&depth) => resnet::cifar(&[(depth - 2) / 6; 3], config, name),
        _ => Err(unknown(name)),
    }
}

fn of_family(name: &str, config: &ModelConfig) -> Result<NetworkSpec> {
    match name {
        "vgg11" | "vgg13" | "vgg16" | "vgg19" | "vgg11_bn" | "vgg13_bn" | "vgg16_bn" | "vgg19_bn" => {
            vgg::vgg(name, config)
        }
        _ if name.starts_with("mobilenet_v1") => mobilenet_v1::mobilenet_v1(name, config),
        _ if name.starts_with("mobilenet_v2") => mobilenet::mobilenet_v2(name, config),
        "mobilenet_v3_small" | "mobilenet_v3_large" | "mobilenetv3_small_100" | "mobilenetv3_large_100" => {
            mobilenet_v3::mobilenet_v3(name, config)
        }
        "efficientnet_b0" | "efficientnet_b1" | "efficientnet_b2" | "efficientnet_lite0"
        | "efficientnet-b0" | "efficientnet-b1" | "efficientnet-b2" | "efficientnet-lite0" => {
            efficientnet::efficientnet(name, config)
        }
        "shufflenet_v2_x0_5" | "shufflenet_v2_x1_0" | "shufflenet_v2_x1_5" | "shufflenet_v2_x2_0" => {
            shufflenet::shufflenet_v2(name, config)
        }
        "densenet121" | "densenet169" | "densenet201" => densenet::densenet(name, config),
        "squeezenet1_0" | "squeezenet1_1" => squeezenet::squeezenet(name, config),
        "mnasnet0_5" | "mnasnet0_75" | "mnasnet1_0" | "mnasnet1_3" => mnasnet::mnasnet(name, config),
        "regnet_x_400mf" | "regnet_x_800mf" | "regnet_y_400mf" | "regnet_y_800mf" => {
            regnet::regnet(name, config)
        }
        "convnext_atto" | "convnext_tiny" => convnext::convnext(name, config),
        "resnext50_32x4d" => resnet::widened(name, 50, [2, 32], config),
        "resnext101_32x8d" => resnet::widened(name, 101, [4, 32], config),
        "resnext101_64x4d" => resnet::widened(name, 101, [4, 64], config),
        "wide_resnet50_2" => resnet::widened(name, 50, [2, 1], config),
        "wide_resnet101_2" => resnet::widened(name, 101, [2, 1], config),
        "mlperf_resnet8" => tiny::resnet8(name, config),
        "mlperf_ds_cnn" => tiny::ds_cnn(name, config),
        "mlperf_autoencoder" => tiny::autoencoder(name, config),
        "tcn" => temporal::tcn(name, config),
        "text_tcn" => temporal::text_tcn(name, config),
        _ => Err(unknown(name)),
    }
}

fn unknown(name: &str) -> Error {
    Error::config(format!("there is no model '{name}'; choose one of {}", MODELS.join(", ")))
}
