//! SGD with momentum, and AdamW: one parameter at a time, as soon as its gradient exists.

use crate::error::{Error, Result};
use crate::maps::Map;
use crate::maps::coded::{Coded, Levels, SIGNED, UNSIGNED};
use crate::maps::counted::ledger::Part;
use crate::maps::update::{self, AdamWStep, SgdStep, Step};
use crate::parameter::Parameter;
use serde::{Deserialize, Serialize};

/// Which optimizer, with its constants; the learning rate comes with each update.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum OptimizerConfig {
    /// Stochastic gradient descent as PyTorch defines it: d = gradient + weight_decay·value;
    /// m = momentum·m + d (the first m is d); value -= rate·(d + momentum·m with `nesterov`, else m).
    Sgd {
        /// Share of the last direction that is kept, in [0, 1).
        momentum: f64,
        /// Looks one step of momentum ahead (Nesterov 1983).
        nesterov: bool,
        /// L2 penalty, added to the gradient.
        weight_decay: f64,
    },
    /// Adam with decoupled weight decay (Loshchilov and Hutter 2019): value -= rate·weight_decay·value, then
    /// value -= rate·m̂ / (sqrt(v̂) + epsilon) with the bias-corrected moments m̂ and v̂.
    AdamW {
        /// Decay of the mean of gradients, in [0, 1).
        beta1: f64,
        /// Decay of the mean of squared gradients, in [0, 1).
        beta2: f64,
        /// Keeps the divisor from 0.
        epsilon: f64,
        /// Share of the value that is taken away at each update, times the rate.
        weight_decay: f64,
    },
}

/// In what the optimizer remembers what it does of large weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum StateFormat {
    /// 32 bits a number.
    #[default]
    #[serde(rename = "f32")]
    F32,
    /// 8 bits a number and 32 for each 256 of them (Dettmers et al. 2022, "8-bit Optimizers via Block-wise Quantization").
    #[serde(rename = "8bit")]
    EightBit,
}

impl StateFormat {
    /// Whether it is the one that nobody has to ask for.
    pub fn is_f32(&self) -> bool {
        *self == Self::F32
    }
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        Self::sgd()
    }
}

impl OptimizerConfig {
    /// The recipe of the published local rules: momentum 0.9 with Nesterov's correction, weight decay 1e-4.
    pub fn sgd() -> Self {
        Self::Sgd { momentum: 0.9, nesterov: true, weight_decay: 1e-4 }
    }

    /// AdamW with the constants of its paper: 0.9, 0.999, 1e-8, and weight decay 0.01.
    pub fn adamw() -> Self {
        Self::AdamW { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.01 }
    }

    /// Errors, with what to change, if a constant is out of its range.
    pub fn validate(&self) -> Result<()> {
        match *self {
            Self::Sgd { momentum, nesterov, weight_decay } => {
                check_share("momentum", momentum)?;
                if nesterov && momentum == 0.0 {
                    return Err(Error::config(
                        "nesterov needs momentum above 0; set momentum, or nesterov to false",
                    ));
                }
                check_not_negative("weight_decay", weight_decay)
            }
            Self::AdamW { beta1, beta2, epsilon, weight_decay } => {
                check_share("beta1", beta1)?;
                check_share("beta2", beta2)?;
                check_not_negative("epsilon", epsilon)?;
                check_not_negative("weight_decay", weight_decay)
            }
        }
    }

    /// The numbers of the update after `updates` earlier ones.
    pub fn step(&self, learning_rate: f64, updates: u64) -> Step {
        match *self {
            Self::Sgd { momentum, nesterov, weight_decay } => Step::Sgd(SgdStep {
                rate: learning_rate as f32,
                momentum: momentum as f32,
                nesterov,
                weight_decay: weight_decay as f32,
            }),
            Self::AdamW { beta1, beta2, epsilon, weight_decay } => {
                let number = (updates + 1) as f64;
                Step::AdamW(AdamWStep {
                    keep: (1.0 - learning_rate * weight_decay) as f32,
                    rate: (learning_rate / (1.0 - beta1.powf(number))) as f32,
                    beta1: beta1 as f32,
                    beta2: beta2 as f32,
                    new1: (1.0 - beta1) as f32,
                    new2: (1.0 - beta2) as f32,
                    root_correction: (1.0 - beta2.powf(number)).sqrt() as f32,
                    epsilon: epsilon as f32,
                })
            }
        }
    }

    /// How many tensors of the parameter's size the state has: 0 to 2.
    pub fn state_tensors(&self) -> usize {
        match self {
            Self::Sgd { momentum, .. } => usize::from(*momentum > 0.0),
            Self::AdamW { .. } => 2,
        }
    }
}

fn check_share(name: &str, value: f64) -> Result<()> {
    if (0.0..1.0).contains(&value) {
        return Ok(());
    }
    Err(Error::config(format!("{name} is {value}; give a number from 0 up to, but not, 1")))
}

fn check_not_negative(name: &str, value: f64) -> Result<()> {
    if value >= 0.0 && value.is_finite() {
        return Ok(());
    }
    Err(Error::config(format!("{name} is {value}; give a finite number that is not negative")))
}

/// One update of `parameter` by its gradient, written into the storage of its value and state. A parameter that
/// is not trainable stays as it is. `d_value` must not share storage with the parameter.
///
/// # Errors
/// A gradient of another shape, or state that another optimizer left.
pub fn update(
    parameter: &mut Parameter,
    d_value: &Map,
    config: &OptimizerConfig,
    learning_rate: f64,
) -> Result<()> {
    if !parameter.trainable {
        return Ok(());
    }
    check_gradient(parameter, d_value)?;
    prepare_state(parameter, config)?;
    let step = config.step(learning_rate, parameter.updates);
    match parameter.coded.is_empty() {
        true => update::step(&parameter.value, &parameter.state, d_value, &step)?,
        false => update::step_coded(&parameter.value, &mut parameter.coded, d_value, &step)?,
    }
    parameter.updates += 1;
    Ok(())
}

/// Adds `factor`·`d_value` to the gradient collected by the micro-batches of a step (see [`update_accumulated`]).
/// The first of them becomes the collector itself, where it need not be changed: nobody else may read it then. A
/// parameter that is not trainable collects nothing.
///
/// # Errors
/// A gradient of another shape.
pub fn accumulate(parameter: &mut Parameter, d_value: Map, factor: f64) -> Result<()> {
    if !parameter.trainable {
        return Ok(());
    }
    check_gradient(parameter, &d_value)?;
    if let Some(sum) = &parameter.accumulated {
        return update::add_to_sum(sum, d_value, factor);
    }
    let first = update::first_of_sum(d_value, factor)?;
    first.label(Part::Gathered);
    parameter.accumulated = Some(first);
    Ok(())
}

/// One update by what [`accumulate`] collected, which is then forgotten; nothing collected means no update.
///
/// # Errors
/// As [`update()`].
pub fn update_accumulated(
    parameter: &mut Parameter,
    config: &OptimizerConfig,
    learning_rate: f64,
) -> Result<()> {
    match parameter.accumulated.take() {
        Some(d_value) => update(parameter, &d_value, config, learning_rate),
        None => Ok(()),
    }
}

fn check_gradient(parameter: &Parameter, d_value: &Map) -> Result<()> {
    if parameter.value.dims() == d_value.dims() {
        return Ok(());
    }
    let (value, gradient) = (parameter.value.dims(), d_value.dims());
    Err(Error::shape(format!("a parameter of shape {value:?} got a gradient of shape {gradient:?}")))
}

/// Makes the state at the first update, and checks it at every later one.
pub(crate) fn prepare_state(parameter: &mut Parameter, config: &OptimizerConfig) -> Result<()> {
    let (value, all) = (&parameter.value, config.state_tensors());
    let coded = if parameter.is_coded() { all } else { 0 };
    let wanted = all - coded;
    if parameter.updates == 0 && parameter.state.is_empty() && parameter.coded.is_empty() {
        let zeros = || {
            let zeros = value.place().full(value.dims(), 0.0)?;
            zeros.label(Part::Optimizer);
            Ok(zeros)
        };
        parameter.state = (0..wanted).map(|_| zeros()).collect::<Result<_>>()?;
        parameter.coded = (0..coded).map(|n| Coded::zeros(value, levels(n))).collect::<Result<_>>()?;
    }
    if parameter.state.len() == wanted
        && parameter.coded.len() == coded
        && parameter.state.iter().all(|s| s.dims() == value.dims())
        && parameter.coded.iter().all(|s| s.elem_count() == value.elem_count())
    {
        return Ok(());
    }
    let found: Vec<_> = parameter.state.iter().map(Map::dims).collect();
    let found_coded = parameter.coded.len();
    Err(Error::config(format!(
        "the optimizer state of a parameter {:?} has shapes {found:?} and {found_coded} in 8 bits where {wanted} and \
         {coded} of its own are needed; go on with the optimizer that made it, or clear `state` and `coded` and set `updates` \
         to 0",
        value.dims()
    )))
}

/// How the state of this number is kept in 8 bits: the momentum or the mean, or the mean square.
pub(crate) fn levels(number: usize) -> &'static Levels {
    if number == 0 { &SIGNED } else { &UNSIGNED }
}
