//! Which rule trains a network, and its few numbers.

use crate::error::{Error, Result};
use crate::inputs::Inputs;
use crate::layers::limits::LARGEST_NUMBER;
use crate::network::limits::MOST_UNITS;
use crate::rules::auglocal::POOLED_SIDE;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A published way of training a network block by block (or, `Bp`, whole).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rule {
    /// End to end: one block.
    Bp,
    /// A linear classifier on pooled features (Belilovsky et al. 2019).
    Greedy,
    /// Decoupled greedy learning's small network (Belilovsky et al. 2020).
    Dgl,
    /// Prediction and similarity matching (Nøkland and Eidnes 2019).
    Predsim,
    /// Reconstruction and a task loss (Wang et al. 2021).
    Infopro,
    /// Auxiliary networks sampled from the units that follow (Ma et al. 2024).
    Auglocal,
    /// A trained and an averaged copy of the next unit before any head (momentum auxiliary network, 2024).
    Man,
    /// MAN with a trained balance between the two copies.
    Manpp,
}

const RULES: [(&str, Rule); 8] = [
    ("bp", Rule::Bp),
    ("greedy", Rule::Greedy),
    ("dgl", Rule::Dgl),
    ("predsim", Rule::Predsim),
    ("infopro", Rule::Infopro),
    ("auglocal", Rule::Auglocal),
    ("man", Rule::Man),
    ("manpp", Rule::Manpp),
];

impl FromStr for Rule {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        RULES.iter().find(|(name, _)| *name == text).map(|(_, rule)| *rule).ok_or_else(|| {
            let names: Vec<&str> = RULES.iter().map(|(name, _)| *name).collect();
            Error::config(format!("there is no rule '{text}'; choose one of {}", names.join(", ")))
        })
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = RULES.iter().find(|(_, rule)| rule == self).map_or("", |(name, _)| name);
        f.write_str(name)
    }
}

/// The part of an auxiliary network that classifies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Head {
    /// Global average pool, linear.
    Greedy,
    /// Pools, three 1x1 convolutions, three linear layers.
    Dgl,
    /// Average pool, linear; and a 3x3 convolution for the similarity loss.
    Predsim,
    /// 3x3 convolutions, global average pool, linear layers: `1c2f` and the like.
    Conv {
        /// Number of convolutions.
        convolutions: usize,
        /// Number of linear layers.
        linears: usize,
    },
    /// The four convolutions MAN uses on ImageNet.
    Imagenet,
    /// AugLocal's units, chosen from those that follow, and its classifier. MAN's pair then stands before them, in a
    /// combination of the two that is not published.
    Auglocal,
    /// Units as AugLocal chooses them and those that change the shape, each as it is in the network; MAN's averages
    /// follow them all. Not published.
    Path,
}

impl FromStr for Head {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "greedy" => return Ok(Self::Greedy),
            "dgl" => return Ok(Self::Dgl),
            "predsim" => return Ok(Self::Predsim),
            "imagenet" => return Ok(Self::Imagenet),
            "auglocal" => return Ok(Self::Auglocal),
            "path" => return Ok(Self::Path),
            _ => {}
        }
        let counts = text.strip_suffix('f').and_then(|rest| rest.split_once('c'));
        if let Some((convolutions, linears)) = counts
            && let (Ok(convolutions), Ok(linears)) = (convolutions.parse(), linears.parse())
            && convolutions <= 4
            && (1..=4).contains(&linears)
        {
            return Ok(Self::Conv { convolutions, linears });
        }
        Err(Error::config(format!(
            "there is no head '{text}'; choose greedy, dgl, predsim, imagenet, auglocal, path, infopro, or \
             convolutions and linear layers such as 1c2f"
        )))
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Greedy => f.write_str("greedy"),
            Self::Dgl => f.write_str("dgl"),
            Self::Predsim => f.write_str("predsim"),
            Self::Imagenet => f.write_str("imagenet"),
            Self::Auglocal => f.write_str("auglocal"),
            Self::Path => f.write_str("path"),
            Self::Conv { convolutions, linears } => write!(f, "{convolutions}c{linears}f"),
        }
    }
}

/// A rule and its numbers. [`RuleConfig::new`] gives the published ones.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RuleConfig {
    /// Which rule.
    pub rule: Rule,
    /// The classifier of each auxiliary network (AugLocal brings its own).
    pub head: Head,
    /// Width of the inner linear layers of conv heads, and of the features of the contrastive loss.
    pub feature_dim: usize,
    /// PredSim pools until no more than this many features are left.
    pub pooled_features: usize,
    /// Whether an InfoPro decoder rebuilds the image.
    pub reconstruct: bool,
    /// Temperature of the supervised contrastive loss; `None` for cross-entropy.
    pub contrastive_temperature: Option<f64>,
    /// Share of the old value in the moving average, in [0, 1).
    pub ema_momentum: f64,
    /// Whether MAN's average has a trained copy beside it, as published; without one it stands alone.
    #[serde(default = "published_pair")]
    pub trained_copy: bool,
    /// AugLocal's depth of the first auxiliary networks.
    pub depth: usize,
    /// AugLocal's pyramid coefficient: how fast depth shrinks from block to block.
    pub pyramid: f64,
    /// Rows and columns of the windows whose means AugLocal's units take, along sides of [`auglocal::POOLED_SIDE`] and more;
    /// 1, as published: they take all there is.
    ///
    /// [`auglocal::POOLED_SIDE`]: crate::rules::auglocal::POOLED_SIDE
    #[serde(default = "published_pool", skip_serializing_if = "is_published_pool")]
    pub pool: usize,
    /// Weights of [reconstruction or similarity, task] at the first auxiliary network.
    pub lambda_first: [f64; 2],
    /// The same at the last.
    pub lambda_last: [f64; 2],
}

fn published_pair() -> bool {
    true
}

fn published_pool() -> usize {
    1
}

fn is_published_pool(pool: &usize) -> bool {
    *pool == published_pool()
}

impl RuleConfig {
    /// The published numbers of a rule; MAN stands on InfoPro.
    pub fn new(rule: Rule) -> Self {
        let (head, reconstruct) = match rule {
            Rule::Infopro | Rule::Man | Rule::Manpp => (Head::Conv { convolutions: 1, linears: 2 }, true),
            Rule::Dgl => (Head::Dgl, false),
            Rule::Predsim => (Head::Predsim, false),
            Rule::Bp | Rule::Greedy | Rule::Auglocal => (Head::Greedy, false),
        };
        Self::over(rule, head, reconstruct)
    }

    /// A rule over the head of this name, `infopro` (a conv head and reconstruction) among them; without a name over its
    /// published one.
    ///
    /// # Errors
    /// `Config` for a name that no head has, and for rules whose head is not to be chosen.
    pub fn named(rule: Rule, head: Option<&str>) -> Result<Self> {
        let Some(head) = head else { return Ok(Self::new(rule)) };
        if matches!(rule, Rule::Bp | Rule::Auglocal) {
            return Err(Error::config(format!("{rule} has no head to choose; leave the head out")));
        }
        match head {
            "infopro" => Ok(Self::over(rule, Head::Conv { convolutions: 1, linears: 2 }, true)),
            head => Ok(Self::over(rule, head.parse()?, rule == Rule::Infopro)),
        }
    }

    /// The same for samples that are `input`; without a name [`RuleConfig::usual`].
    ///
    /// # Errors
    /// Those of [`RuleConfig::named`].
    pub fn of_inputs(rule: Rule, head: Option<&str>, input: Inputs) -> Result<Self> {
        match head {
            None => Ok(Self::usual(rule, input)),
            head => Self::named(rule, head),
        }
    }

    /// A rule of which nothing else is said, for samples that are `input`: its published numbers, but of images MAN over
    /// AugLocal's head with one unit and averages that forget in ten steps, in `docs/results.md` the best of its forms that do
    /// not go through all that follows.
    /// Tokens have no pixels to rebuild, so that rules which rebuild images stand on their head alone.
    pub fn usual(rule: Rule, input: Inputs) -> Self {
        match rule {
            _ if input.are_tokens() => Self::over(rule, Self::new(rule).head, false),
            Rule::Man => Self { depth: 1, ema_momentum: 0.9, ..Self::over(rule, Head::Auglocal, false) },
            rule => Self::new(rule),
        }
    }

    /// The name of its head, by which [`RuleConfig::named`] finds it.
    pub fn head_name(&self) -> String {
        match self.reconstruct && self.head == Self::new(Rule::Infopro).head {
            true => "infopro".into(),
            false => self.head.to_string(),
        }
    }

    /// A rule on top of a head of its own.
    pub fn over(rule: Rule, head: Head, reconstruct: bool) -> Self {
        let (lambda_first, lambda_last) = match head {
            Head::Predsim => ([0.99, 0.01], [0.99, 0.01]),
            Head::Imagenet if reconstruct => ([5.0, 0.75], [5.0, 0.75]),
            _ if reconstruct => ([5.0, 0.5], [1.0, 0.5]),
            _ => ([0.0, 1.0], [0.0, 1.0]),
        };
        Self {
            rule,
            head,
            feature_dim: 128,
            pooled_features: 512,
            reconstruct,
            contrastive_temperature: None,
            ema_momentum: 0.995,
            trained_copy: published_pair(),
            depth: 2,
            pyramid: 0.5,
            pool: published_pool(),
            lambda_first,
            lambda_last,
        }
    }

    /// Whether auxiliary networks have units of AugLocal's.
    pub fn has_new_units(&self) -> bool {
        self.rule == Rule::Auglocal || self.rule != Rule::Bp && self.head == Head::Auglocal
    }

    /// Whether auxiliary networks have units, which `depth` counts.
    pub fn has_depth(&self) -> bool {
        self.rule == Rule::Auglocal || matches!(self.head, Head::Auglocal | Head::Path)
    }

    fn check_pool(&self) -> Result<()> {
        if !(1..=POOLED_SIDE).contains(&self.pool) {
            return Err(Error::config(format!(
                "the windows before auxiliary units have from 1 to {POOLED_SIDE} rows, found {}",
                self.pool
            )));
        }
        if !is_published_pool(&self.pool) && !self.has_new_units() {
            return Err(Error::config(format!("{} has no units of AugLocal's that take means", self.rule)));
        }
        Ok(())
    }

    /// Refuses numbers that cannot work, each with its reason.
    pub fn validate(&self) -> Result<()> {
        if !(0.0..1.0).contains(&self.ema_momentum) {
            return Err(Error::config(format!(
                "the EMA momentum must be in [0, 1): at 1 the average would never move; found {}",
                self.ema_momentum
            )));
        }
        if !(self.pyramid.is_finite() && (0.0..=1.0).contains(&self.pyramid)) {
            return Err(Error::config(format!(
                "the pyramid coefficient must be in [0, 1], found {}",
                self.pyramid
            )));
        }
        if !self.trained_copy {
            match self.rule {
                Rule::Man => {}
                Rule::Manpp => {
                    return Err(Error::config(
                        "manpp balances two copies; it cannot leave the trained one out",
                    ));
                }
                rule => return Err(Error::config(format!("{rule} has no moving average to stand alone"))),
            }
        }
        self.check_pool()?;
        if self.depth == 0 {
            return Err(Error::config("AugLocal's depth must be at least 1"));
        }
        if self.depth > MOST_UNITS {
            return Err(Error::config(format!(
                "a depth of {} for auxiliary networks is more than any network has units; use up to {MOST_UNITS}",
                self.depth
            )));
        }
        let dimensions = [self.feature_dim, self.pooled_features];
        if dimensions.iter().any(|size| !(1..=LARGEST_NUMBER).contains(size)) {
            return Err(Error::config(format!(
                "the feature dimensions of auxiliary heads must be from 1 to {LARGEST_NUMBER}, found {dimensions:?}"
            )));
        }
        if [self.lambda_first, self.lambda_last].iter().flatten().any(|l| !l.is_finite() || *l < 0.0) {
            return Err(Error::config("loss weights (lambda) must be finite and not negative"));
        }
        if let Some(temperature) = self.contrastive_temperature {
            if !(temperature.is_finite() && temperature > 0.0) {
                return Err(Error::config(format!("the temperature must be above 0, found {temperature}")));
            }
            if !matches!(self.head, Head::Conv { .. } | Head::Imagenet) {
                return Err(Error::config(format!(
                    "the contrastive loss needs a conv head such as 1c2f, found {}",
                    self.head
                )));
            }
        }
        if self.reconstruct && self.head == Head::Predsim {
            return Err(Error::config(
                "the predsim head has its own second loss; it cannot also reconstruct",
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inputs::Tokens;

    #[test]
    fn names_go_both_ways() {
        for (name, rule) in RULES {
            assert_eq!(name.parse::<Rule>().unwrap(), rule);
            assert_eq!(rule.to_string(), name);
        }
        for name in ["greedy", "dgl", "predsim", "imagenet", "auglocal", "path", "1c2f", "0c2f", "2c2f"] {
            assert_eq!(name.parse::<Head>().unwrap().to_string(), name);
        }
        for name in ["", "cf", "1c", "1c0f", "9c1f", "-1c1f", "1d2f"] {
            assert!(name.parse::<Head>().is_err(), "{name}");
        }
    }

    #[test]
    fn refuses_what_cannot_work() {
        let good = RuleConfig::new(Rule::Man);
        assert!(good.validate().is_ok());
        for momentum in [1.0, -0.1, f64::NAN] {
            assert!(RuleConfig { ema_momentum: momentum, ..good.clone() }.validate().is_err());
        }
        assert!(RuleConfig { pyramid: 1.5, ..good.clone() }.validate().is_err());
        assert!(RuleConfig { depth: 0, ..good.clone() }.validate().is_err());
        let pooled = |rule, pool| RuleConfig { pool, ..RuleConfig::new(rule) }.validate().is_ok();
        assert_eq!([0, 1, 2, 17].map(|pool| pooled(Rule::Auglocal, pool)), [false, true, true, false]);
        assert!(!pooled(Rule::Man, 2) && !pooled(Rule::Bp, 2));
        assert!(RuleConfig { lambda_last: [f64::NAN, 1.0], ..good.clone() }.validate().is_err());
        assert!(RuleConfig { contrastive_temperature: Some(0.0), ..good.clone() }.validate().is_err());
        let dgl = RuleConfig::over(Rule::Man, Head::Dgl, false);
        assert!(RuleConfig { contrastive_temperature: Some(0.1), ..dgl }.validate().is_err());
        for rule in [Rule::Manpp, Rule::Dgl, Rule::Bp] {
            assert!(RuleConfig { trained_copy: false, ..RuleConfig::new(rule) }.validate().is_err());
        }
        assert!(RuleConfig { trained_copy: false, ..good }.validate().is_ok());
    }

    #[test]
    fn heads_by_name() {
        let over = |rule, head| RuleConfig::named(rule, Some(head));
        assert_eq!(RuleConfig::named(Rule::Man, None).unwrap(), RuleConfig::new(Rule::Man));
        assert_eq!(over(Rule::Man, "infopro").unwrap(), RuleConfig::new(Rule::Man));
        assert!(!over(Rule::Man, "1c2f").unwrap().reconstruct);
        assert!(over(Rule::Infopro, "1c2f").unwrap().reconstruct);
        for head in ["infopro", "1c2f", "dgl", "auglocal"] {
            assert_eq!(over(Rule::Man, head).unwrap().head_name(), head);
        }
        assert!(over(Rule::Auglocal, "dgl").is_err());
        assert!(over(Rule::Man, "dlg").is_err());
        let tokens = Inputs::Tokens(Tokens { length: 4, vocabulary: 9 });
        for (_, rule) in RULES {
            let (images, of) = (Inputs::Pixels([3, 4, 4]), RuleConfig::of_inputs);
            let usual = of(rule, None, images).unwrap();
            assert_eq!((usual == RuleConfig::new(rule), usual.validate().is_ok()), (rule != Rule::Man, true));
            assert!(!of(rule, None, tokens).unwrap().reconstruct);
            assert_eq!(of(rule, None, tokens).unwrap().head, RuleConfig::new(rule).head);
        }
    }
}
