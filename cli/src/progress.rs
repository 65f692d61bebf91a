//! Progress bars on standard error, with rate and remaining time; none where it is no terminal.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar of `length` parts named `name`.
pub fn bar(length: u64, name: &str) -> ProgressBar {
    let bar = ProgressBar::new(length);
    let style =
        ProgressStyle::with_template("{prefix:>10} {bar:30} {pos}/{len}  {per_sec}  {eta} left  {msg}");
    // The template is ours; a bar in indicatif's own style is as good if it were ever refused.
    if let Ok(style) = style {
        bar.set_style(style.progress_chars("━╸─"));
    }
    bar.set_prefix(name.to_string());
    bar
}
