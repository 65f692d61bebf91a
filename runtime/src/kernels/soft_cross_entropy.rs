//! Softmax cross-entropy on rows of logits whose targets are shares of all classes.

use crate::deal::all;

/// Rows that one task takes.
const ROWS: usize = 16;

/// What a class's term counts, and how much of a row's target is spread over all classes.
pub struct Terms<'a> {
    /// Of each class; none where all are 1.
    pub class_weights: &'a [f32],
    /// Share of the target that is spread.
    pub smoothing: f64,
    /// What the sum over the rows is divided by.
    pub total: f64,
}

/// Σ w(c)·t(c)·(-log p(c)) over all rows and classes, divided by `terms.total`, with t = (1-e)·share + e/K, and its gradient.
/// `logits` and `shares` are rows of `classes` numbers, at least one of each.
pub fn soft_cross_entropy(
    logits: &[f32],
    shares: &[f32],
    classes: usize,
    terms: &Terms<'_>,
) -> (f64, Vec<f32>) {
    let mut d_logits = vec![0.0f32; logits.len()];
    let mut losses = vec![0.0f64; logits.len() / classes];
    let tasks = d_logits.chunks_mut(ROWS * classes).zip(losses.chunks_mut(ROWS));
    let inputs = logits.chunks(ROWS * classes).zip(shares.chunks(ROWS * classes));
    all(tasks.zip(inputs), |((d_logits, losses), (logits, shares))| {
        let rows = logits.chunks_exact(classes).zip(shares.chunks_exact(classes));
        for ((loss, d_row), (row, shares)) in
            losses.iter_mut().zip(d_logits.chunks_exact_mut(classes)).zip(rows)
        {
            *loss = row_loss(row, shares, terms, d_row);
        }
    });
    (losses.iter().sum::<f64>() / terms.total, d_logits)
}

/// Loss of one row; writes its gradient divided by the total.
fn row_loss(row: &[f32], shares: &[f32], terms: &Terms<'_>, d_row: &mut [f32]) -> f64 {
    let max = row.iter().fold(f32::NEG_INFINITY, |m, &z| m.max(z));
    let log_sum = row.iter().map(|&z| f64::from((z - max).exp())).sum::<f64>().ln() + f64::from(max);
    let spread = terms.smoothing / row.len() as f64;
    let wanted = |class: usize| {
        let weight = terms.class_weights.get(class).map_or(1.0, |&weight| f64::from(weight));
        weight * ((1.0 - terms.smoothing) * f64::from(shares[class]) + spread)
    };
    let all: f64 = (0..row.len()).map(wanted).sum();
    let mut loss = 0.0;
    for (class, (d, &z)) in d_row.iter_mut().zip(row).enumerate() {
        let (wanted, log_share) = (wanted(class), f64::from(z) - log_sum);
        *d = ((log_share.exp() * all - wanted) / terms.total) as f32;
        if wanted > 0.0 {
            // Only then: a class masked with -inf would make 0 · inf of it.
            loss -= wanted * log_share;
        }
    }
    // A maximum passes over what is no number; a loss must not.
    if log_sum.is_nan() { f64::NAN } else { loss }
}

/// Whether each row of logits has its first maximum where the shares have theirs; rows with a NaN have none.
pub fn soft_hits<'a>(
    logits: &'a [f32],
    shares: &'a [f32],
    classes: usize,
) -> impl Iterator<Item = bool> + 'a {
    let rows = logits.chunks_exact(classes).zip(shares.chunks_exact(classes));
    rows.map(|(row, shares)| {
        let found = super::cross_entropy::first_maximum(row);
        found.is_some() && found == super::cross_entropy::first_maximum(shares)
    })
}
