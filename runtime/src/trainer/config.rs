//! How a network is trained, and what of it cannot work.

use super::{Execution, Method};
use crate::error::Result;
use serde::{Deserialize, Serialize};

/// How a network is trained. As data, the fields of both parts lie beside each other.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TrainConfig {
    /// What is trained, and by which rule.
    #[serde(flatten)]
    pub method: Method,
    /// How that is carried out.
    #[serde(flatten)]
    pub execution: Execution,
}

impl From<Method> for TrainConfig {
    /// Carried out in the plainest way: whole batches, all in memory, nothing repeated or rounded.
    fn from(method: Method) -> Self {
        Self { method, execution: Execution::default() }
    }
}

impl TrainConfig {
    /// Refuses what cannot work.
    ///
    /// # Errors
    /// `Config`.
    pub fn validate(&self) -> Result<()> {
        self.method.validate()?;
        self.execution.validate(&self.method)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::precision::Precision;
    use crate::selection::Selection;

    /// As runs have written it since before there were two parts.
    const WRITTEN: &str = r#"{
        "rule": {
            "rule": "man", "head": {"conv": {"convolutions": 1, "linears": 2}}, "feature_dim": 128,
            "pooled_features": 512, "reconstruct": true, "contrastive_temperature": null, "ema_momentum": 0.995,
            "trained_copy": true, "depth": 2, "pyramid": 0.5, "lambda_first": [5.0, 0.5], "lambda_last": [1.0, 0.5]
        },
        "ends": [1, 3], "optimizer": {"sgd": {"momentum": 0.9, "nesterov": true, "weight_decay": 0.0001}},
        "label_smoothing": 0.1, "class_weights": [1.0, 0.5], "clip_norm": null, "micro_batch": 8, "recompute": true,
        "pieces": [0, 2], "seed": 18446744073709551615, "frozen": 1, "selection": "norms", "exact": false,
        "activations": "f16", "features": "bf16", "features_on_disk": true, "offload": true, "chunk": 3,
        "block_batches": [16, 32], "side_by_side": true, "cache": {"variants": 2, "precision": "f16"}
    }"#;

    #[test]
    fn what_was_written_as_one_is_read_and_written_alike() {
        let read: TrainConfig = serde_json::from_str(WRITTEN).unwrap();
        let TrainConfig { method, execution } = &read;
        assert_eq!((method.seed, method.chunk, method.selection), (u64::MAX, 3, Selection::Norms));
        assert_eq!(method.class_weights, [1.0, 0.5]);
        assert_eq!((execution.micro_batch, &execution.pieces[..]), (Some(8), &[0, 2][..]));
        assert_eq!((execution.activations, execution.features), (Precision::F16, Precision::Bf16));
        let text = serde_json::to_value(&read).unwrap();
        assert_eq!(text, serde_json::from_str::<serde_json::Value>(WRITTEN).unwrap());
    }

    #[test]
    fn what_older_runs_leave_out_is_as_it_was() {
        let before = TrainConfig::default();
        let mut text = serde_json::to_value(&before).unwrap();
        let fields = text.as_object_mut().unwrap();
        for name in [
            "recompute",
            "pieces",
            "frozen",
            "exact",
            "activations",
            "features",
            "chunk",
            "block_batches",
            "side_by_side",
        ] {
            fields.remove(name).unwrap();
        }
        assert_eq!(serde_json::from_value::<TrainConfig>(text).unwrap(), before);
    }
}
