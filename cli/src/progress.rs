//! How far a command has come, on standard error: a bar with rate and remaining time where that is a terminal, and else
//! a line now and then, as logs are read.

use crate::output;
use indicatif::{ProgressBar, ProgressStyle};
use std::time::{Duration, Instant};

/// How long a log hears nothing at most.
const SILENCE: Duration = Duration::from_secs(30);

/// A bar, or lines in its place.
pub struct Bar {
    bar: ProgressBar,
    lines: Option<Lines>,
}

/// What lines are made from.
struct Lines {
    name: String,
    length: u64,
    /// Where it began, and when.
    first: u64,
    begun: Instant,
    told: Instant,
}

impl Bar {
    /// Of `length` parts, `first` of which are done, named `name`.
    pub fn new(length: u64, first: u64, name: &str) -> Self {
        let bar = ProgressBar::new(length).with_position(first);
        let style =
            ProgressStyle::with_template("{prefix:>10} {bar:30} {pos}/{len}  {per_sec}  {eta} left  {msg}");
        // The template is ours; a bar in indicatif's own style is as good if it were ever refused.
        if let Ok(style) = style {
            bar.set_style(style.progress_chars("━╸─"));
        }
        bar.set_prefix(name.to_string());
        bar.reset_eta();
        let now = Instant::now();
        let lines = Lines { name: name.into(), length, first, begun: now, told: now };
        Self { lines: bar.is_hidden().then_some(lines), bar }
    }

    /// So many parts are done; `message` says what else is known.
    pub fn set(&mut self, done: u64, message: &str) {
        match &mut self.lines {
            None => {
                self.bar.set_position(done);
                self.bar.set_message(message.to_string());
            }
            Some(lines) => {
                if let Some(line) = lines.due(done, Instant::now(), message) {
                    output::complain(&line);
                }
            }
        }
    }

    /// The same at the end of a part that is worth a line in any case.
    pub fn mark(&mut self, done: u64, message: &str) {
        match &mut self.lines {
            None => self.set(done, message),
            Some(lines) => output::complain(&lines.line(done, Instant::now(), message)),
        }
    }

    /// Makes room for what comes next.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl Lines {
    /// The line, if nothing was told for long.
    fn due(&mut self, done: u64, now: Instant, message: &str) -> Option<String> {
        let is_due = now.duration_since(self.told) >= SILENCE;
        is_due.then(|| self.line(done, now, message))
    }

    fn line(&mut self, done: u64, now: Instant, message: &str) -> String {
        self.told = now;
        let Self { name, length, first, begun, .. } = self;
        let seconds = now.duration_since(*begun).as_secs_f64();
        let mut line = format!("{name}: {done}/{length}");
        if !message.is_empty() {
            line += &format!("  {message}");
        }
        line += &format!("  {}", time(seconds));
        let (new, left) = (done.saturating_sub(*first), length.saturating_sub(done));
        if new > 0 && left > 0 {
            line += &format!(", about {} left", time(seconds * left as f64 / new as f64));
        }
        line
    }
}

/// Seconds as people read them.
fn time(seconds: f64) -> String {
    match seconds.round() as u64 {
        seconds @ ..120 => format!("{seconds} s"),
        seconds @ ..7200 => format!("{} min", seconds / 60),
        seconds => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_hears_something_every_half_minute() {
        let begun = Instant::now();
        let at = |seconds| begun + Duration::from_secs(seconds);
        let mut lines = Lines { name: "man".into(), length: 1000, first: 100, begun, told: begun };
        assert_eq!(lines.due(110, at(29), ""), None);
        assert_eq!(
            lines.due(130, at(30), "loss 0.5").unwrap(),
            "man: 130/1000  loss 0.5  30 s, about 14 min left"
        );
        assert_eq!(lines.due(140, at(40), ""), None);
        assert_eq!(lines.line(150, at(50), ""), "man: 150/1000  50 s, about 14 min left");
        assert_eq!(lines.due(190, at(79), ""), None);
        assert_eq!(lines.line(1000, at(9000), "end"), "man: 1000/1000  end  2 h 30 min");
        // Nothing is known of the speed yet.
        assert_eq!(lines.line(100, at(9000), ""), "man: 100/1000  2 h 30 min");
    }
}
