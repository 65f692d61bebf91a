//! Which classes are taken for which, and the surest mistakes, of each run that was judged at its end.

use super::runs::Run;
use super::section;
use super::text::{count, escape, percent};
use crate::metrics::Judged;

/// Both of every run; nothing where none was judged.
pub(crate) fn mistakes(runs: &[Run]) -> String {
    let judged: Vec<(&Run, &Judged)> =
        runs.iter().filter_map(|run| Some((run, run.judged.as_ref()?))).collect();
    let of_run = |(number, (run, judged)): (usize, &(&Run, &Judged))| {
        confusion(number, run, judged) + &surest(number, run, judged)
    };
    judged.iter().enumerate().map(of_run).collect()
}

/// A row for each class, and in it what its samples were taken for.
fn confusion(number: usize, run: &Run, judged: &Judged) -> String {
    if judged.classes.is_empty() {
        return String::new();
    }
    let names = || judged.classes.iter().map(|name| escape(name));
    let headings: String = names().map(|name| format!("<th scope=\"col\">{name}</th>")).collect();
    let row = |(class, (name, counts)): (usize, (String, &Vec<u64>))| {
        let cell = |(found, &number): (usize, &u64)| match (number, found == class) {
            (0, _) => "<td></td>".to_string(),
            (number, true) => format!("<td><strong>{}</strong></td>", count(number)),
            (number, false) => format!("<td>{}</td>", count(number)),
        };
        let cells: String = counts.iter().enumerate().map(cell).collect();
        format!("<tr><th scope=\"row\">{name}</th>{cells}</tr>")
    };
    let rows: String = names().zip(&judged.confusion).enumerate().map(row).collect();
    let table = format!(
        "<div class=\"scroll\"><table class=\"settings\"><thead><tr><th scope=\"col\">Class</th>{headings}</tr></thead>\
         <tbody>{rows}</tbody></table></div>"
    );
    let note = "<p class=\"note\">Each row is a class, and each column what its evaluation samples were taken for.</p>";
    section(
        &format!("confusion-{number}"),
        &format!("What is taken for what: {}", escape(&run.name)),
        &format!("{table}{note}"),
    )
}

/// The picture in the page itself, as its content policy wants it; nothing where it is none.
fn picture(name: &str, thumbnail: &str) -> String {
    let is_base64 = |letter: char| letter.is_ascii_alphanumeric() || "+/=".contains(letter);
    match !thumbnail.is_empty() && thumbnail.chars().all(is_base64) {
        true => format!("<img alt=\"{name}\" src=\"data:image/bmp;base64,{thumbnail}\" />"),
        false => String::new(),
    }
}

fn surest(number: usize, run: &Run, judged: &Judged) -> String {
    if judged.mistakes.is_empty() {
        return String::new();
    }
    let rows: String = judged
        .mistakes
        .iter()
        .map(|mistake| {
            let sample = escape(&mistake.sample);
            format!(
                "<tr><td>{}</td><th scope=\"row\">{sample}</th><td>{}</td><td>{}</td><td>{}</td></tr>",
                picture(&sample, &mistake.thumbnail),
                escape(&mistake.class),
                escape(&mistake.taken_for),
                percent(mistake.probability)
            )
        })
        .collect();
    let table = format!(
        "<div class=\"scroll\"><table class=\"settings\"><thead><tr><th></th><th scope=\"col\">Sample</th><th \
         scope=\"col\">Class</th><th scope=\"col\">Taken for</th><th scope=\"col\">Probability</th></tr></thead><tbody>{rows}\
         </tbody></table></div>"
    );
    section(&format!("mistakes-{number}"), &format!("The surest mistakes: {}", escape(&run.name)), &table)
}
