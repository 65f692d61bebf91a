//! How training is carried out: what passes at once, what is repeated, and where and in how many bits things wait.

use super::Method;
use crate::error::{Error, Result};
use crate::precision::Precision;
use serde::{Deserialize, Serialize};

/// How a [`Method`] is carried out, which a memory budget may choose. Most of it changes no result; what does is kept by
/// [`Execution::going_on_from`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Execution {
    /// Samples that pass through a block at once, if not all of the batch; batch norm's statistics are those of the
    /// micro-batch.
    pub micro_batch: Option<usize>,
    /// Whether batch norm's statistics are those of the whole batch in micro-batches, too, so that a step in
    /// micro-batches is one of the whole batch, up to rounding. It repeats a block's passes twice for each batch norm.
    #[serde(default)]
    pub exact: bool,
    /// Whether blocks that have an auxiliary network keep nothing of their forward pass but its output, and repeat it
    /// for their backward pass; likewise both copies of MAN's pair, one after the other. The results are the same,
    /// unless there are `pieces` and `features` are rounded, or that pair reads `activations` that are rounded.
    #[serde(default)]
    pub recompute: bool,
    /// Last units of the pieces that a backward pass takes one at a time, the last first: of each but a block's last
    /// only the input is kept, and its forward pass repeated. None: blocks are kept whole. The results are the same
    /// where `features` are `F32`; fewer bits round the inputs that forward passes are repeated from.
    #[serde(default)]
    pub pieces: Vec<usize>,
    /// What activations wait in for the backward pass; `F32` loses nothing.
    #[serde(default)]
    pub activations: Precision,
    /// What features wait in between blocks (those of several micro-batches or batches) and between pieces.
    #[serde(default)]
    pub features: Precision,
    /// Whether these features wait in the scratch file rather than in memory.
    #[serde(default)]
    pub features_on_disk: bool,
    /// Whether weights, optimizer state and averages wait in the scratch file while other blocks (or pieces) are
    /// trained. The results are the same.
    #[serde(default)]
    pub offload: bool,
    /// Whether blocks are trained side by side, each on a thread of its own: see [`crate::side_by_side`]. The results are
    /// the same.
    #[serde(default)]
    pub side_by_side: bool,
}

impl Execution {
    /// Refuses what cannot work, or not for a method with these blocks.
    ///
    /// # Errors
    /// `Config`.
    pub fn validate(&self, method: &Method) -> Result<()> {
        if self.micro_batch == Some(0) {
            return Err(Error::config("a micro-batch needs at least one sample"));
        }
        if !self.pieces.is_sorted_by(|a, b| a < b) || self.pieces.last() > method.ends.last() {
            return Err(Error::config(format!(
                "the pieces of a backward pass must end at ever later units of the network, found {:?}",
                self.pieces
            )));
        }
        if self.offload && !method.optimizer_state.is_f32() {
            return Err(Error::config(
                "weights that wait in a file have their optimizer state in f32 there; leave optimizer state in 8 bits, or \
                 offload, out",
            ));
        }
        if self.side_by_side {
            self.check_side_by_side(method)?;
        }
        if self.exact && (self.recompute || !self.pieces.is_empty()) {
            return Err(Error::config(
                "exact statistics in micro-batches repeat passes themselves, and go with neither recomputation nor \
                 pieces; leave one of them out",
            ));
        }
        Ok(())
    }

    /// Refuses what would have blocks come one after the other.
    fn check_side_by_side(&self, method: &Method) -> Result<()> {
        let refused = [
            (self.needs_scratch(), "nothing that waits in a file: one block would be in memory at a time"),
            (method.chunk > 1, "no chunks: each block would visit all of their batches before the next"),
            (
                !method.block_batches.is_empty(),
                "no batches of a block's own: they are cut anew between blocks",
            ),
        ];
        match refused.into_iter().find(|(is_said, _)| *is_said) {
            Some((_, what)) => {
                Err(Error::config(format!("blocks side by side go with {what}; leave one of them out")))
            }
            None => Ok(()),
        }
    }

    /// Whether anything waits in a scratch file.
    pub fn needs_scratch(&self) -> bool {
        self.offload || self.features_on_disk
    }

    /// This execution for a run that began as `begun`: what decides results stays as it was. What may change is as here:
    /// where things wait; what is repeated, unless what it is repeated from is rounded; and what activations wait in where
    /// f16 held them, for which they may have grown too large.
    #[must_use]
    pub fn going_on_from(&self, begun: &Self) -> Self {
        let either = |is: fn(&Self) -> bool| is(self) || is(begun);
        let rounds_inputs = either(|execution| execution.features != Precision::F32);
        let repeats_rounded = rounds_inputs && either(|execution| !execution.pieces.is_empty());
        // MAN's pair is repeated from its activations.
        let keeps_recompute = repeats_rounded || either(|execution| execution.activations != Precision::F32);
        Self {
            micro_batch: begun.micro_batch,
            exact: begun.exact,
            recompute: if keeps_recompute { begun.recompute } else { self.recompute },
            pieces: if rounds_inputs { begun.pieces.clone() } else { self.pieces.clone() },
            activations: match begun.activations {
                Precision::F16 => self.activations,
                kept => kept,
            },
            features: begun.features,
            features_on_disk: self.features_on_disk,
            offload: self.offload,
            side_by_side: self.side_by_side,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn differ(begun: &Execution, now: &Execution) -> bool {
        now.going_on_from(begun) != *now
    }

    #[test]
    fn only_what_decides_no_result_may_change() {
        let begun = Execution::default();
        let is = |change: fn(&mut Execution)| {
            let mut now = begun.clone();
            change(&mut now);
            differ(&begun, &now)
        };
        assert!(!is(|now| now.offload = true));
        assert!(!is(|now| now.features_on_disk = true));
        assert!(!is(|now| now.pieces = vec![1, 3]));
        assert!(!is(|now| now.recompute = true));
        assert!(is(|now| now.micro_batch = Some(2)));
        assert!(is(|now| now.exact = true));
        assert!(is(|now| now.features = Precision::Bf16));
        assert!(is(|now| now.activations = Precision::Bf16));
    }

    #[test]
    fn what_is_repeated_from_rounded_numbers_stays() {
        let rounded = Execution { features: Precision::F16, ..Execution::default() };
        let in_pieces = Execution { pieces: vec![2], ..rounded.clone() };
        let repeated = |of: &Execution| Execution { recompute: true, ..of.clone() };
        assert!(differ(&rounded, &in_pieces) && differ(&in_pieces, &rounded));
        assert!(!differ(&rounded, &repeated(&rounded)));
        assert!(differ(&in_pieces, &repeated(&in_pieces)));
        let bf16 = Execution { activations: Precision::Bf16, ..Execution::default() };
        assert!(differ(&bf16, &repeated(&bf16)));
        assert!(!differ(&bf16, &Execution { pieces: vec![2], ..bf16.clone() }));
    }

    #[test]
    fn f16_may_be_left_for_what_holds_more() {
        let f16 = Execution { activations: Precision::F16, ..Execution::default() };
        for activations in [Precision::F32, Precision::Bf16] {
            let now = Execution { activations, ..f16.clone() };
            assert!(!differ(&f16, &now) && differ(&now, &f16));
        }
    }
}
