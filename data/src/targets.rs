//! What samples are to be answered with, as lists write it: a class, several labels or values.

use crate::labels::numbered;
use localgrad::targets::TargetKind;
use std::collections::BTreeSet;

/// What stands between labels of one sample.
pub(crate) const BETWEEN: [char; 2] = [';', '|'];
/// A label above this is taken for a mistake.
const LARGEST_LABEL: f32 = 65_535.0;

/// What a row of a list says of its picture.
#[derive(Clone, Debug, PartialEq)]
pub enum Written {
    /// A label as it is written, or several with `;` or `|` between them.
    One(String),
    /// A list of labels.
    Several(Vec<String>),
    /// Numbers of columns: which labels there are, by 0 and 1, or values.
    Columns(Vec<f32>),
    /// Values.
    Values(Vec<f32>),
}

/// The same of all rows, as numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Answers {
    /// What they are.
    pub(crate) kind: TargetKind,
    /// Names of the classes, labels or values.
    pub(crate) names: Vec<String>,
    /// The class of each, or 0.
    pub(crate) labels: Vec<u32>,
    /// A number a name for each, where they are no classes; else none.
    pub(crate) rows: Vec<Box<[f32]>>,
}

/// What all rows say together. `columns` are the names of columns of numbers, where they have some, and `known` the names of
/// all classes or labels, where somebody has said them.
///
/// One 0 and one 1 for each column are labels; where each row has a single 1, they are classes. A column of numbers of which
/// some are no whole ones has values.
///
/// # Errors
/// A sentence for what cannot be.
pub(crate) fn answers(
    written: Vec<Written>,
    columns: &[String],
    known: Option<Vec<String>>,
) -> Result<Answers, String> {
    if written.iter().all(|one| matches!(one, Written::One(_))) {
        return of_texts(written, known);
    }
    if written.iter().any(|one| matches!(one, Written::Several(_))) {
        return several(&written, known);
    }
    let are_values = written.iter().any(|one| matches!(one, Written::Values(_)));
    let rows = written.into_iter().map(numbers).collect::<Option<Vec<_>>>();
    let rows = rows.ok_or("some rows have a label and some have numbers, expected one or the other")?;
    if let Some(row) = rows.iter().position(|row| row.iter().any(|number| !number.is_finite())) {
        return Err(format!("picture {row} has a number that is too large, or is none"));
    }
    let width = rows.first().map_or(0, |row| row.len());
    if let Some(row) = rows.iter().position(|row| row.len() != width || width == 0) {
        return match are_values {
            // Numbers of labels.
            false if rows.iter().flatten().all(|&number| is_label(number)) => of_numbers(&rows, known),
            _ => Err(format!("picture {row} has {} numbers, and the first has {width}", rows[row].len())),
        };
    }
    let are_marks = !are_values && width > 1 && rows.iter().flatten().all(|&mark| mark == 0.0 || mark == 1.0);
    if !are_marks && !are_values && width == 1 && rows.iter().flatten().all(|&number| is_label(number)) {
        return of_numbers(&rows, known);
    }
    let names = names(width, columns, known, are_marks)?;
    if are_marks && rows.iter().all(|row| row.iter().sum::<f32>() == 1.0) {
        let place = |row: &[f32]| row.iter().position(|&mark| mark == 1.0).unwrap_or(0) as u32;
        let labels = rows.iter().map(|row| place(row)).collect();
        return Ok(Answers { kind: TargetKind::Class, names, labels, rows: Vec::new() });
    }
    let kind = if are_marks { TargetKind::Labels } else { TargetKind::Values };
    Ok(Answers { kind, names, labels: vec![0; rows.len()], rows })
}

/// Names of columns: their own, or those that are known, or their numbers.
fn names(
    width: usize,
    columns: &[String],
    known: Option<Vec<String>>,
    are_marks: bool,
) -> Result<Vec<String>, String> {
    match known {
        Some(known) if known.len() == width => Ok(known),
        Some(known) if are_marks => Err(format!("{width} columns of labels, and {} are named", known.len())),
        _ if columns.len() == width => Ok(columns.to_vec()),
        _ if width == 1 => Ok(vec!["value".into()]),
        _ => Ok((0..width).map(|column| column.to_string()).collect()),
    }
}

fn numbers(written: Written) -> Option<Box<[f32]>> {
    match written {
        Written::Columns(numbers) | Written::Values(numbers) => Some(numbers.into()),
        Written::One(_) | Written::Several(_) => None,
    }
}

fn is_label(number: f32) -> bool {
    number.fract() == 0.0 && (0.0..=LARGEST_LABEL).contains(&number)
}

/// Rows of the numbers of labels.
fn of_numbers(rows: &[Box<[f32]>], known: Option<Vec<String>>) -> Result<Answers, String> {
    let texts = |row: &[f32]| Written::Several(row.iter().map(f32::to_string).collect());
    several(&rows.iter().map(|row| texts(row)).collect::<Vec<_>>(), known)
}

/// Of each row one text.
fn of_texts(written: Vec<Written>, known: Option<Vec<String>>) -> Result<Answers, String> {
    let texts: Vec<String> = written
        .iter()
        .map(|one| if let Written::One(text) = one { text.clone() } else { String::new() })
        .collect();
    if texts.iter().any(|text| text.contains(BETWEEN)) {
        let parts = |text: &String| {
            let parts = text.split(BETWEEN).map(|part| part.trim().to_string());
            Written::Several(parts.filter(|part| !part.is_empty()).collect())
        };
        return several(&texts.iter().map(parts).collect::<Vec<_>>(), known);
    }
    let values: Option<Vec<f32>> =
        texts.iter().map(|text| text.parse().ok().filter(|value: &f32| value.is_finite())).collect();
    if let Some(values) = values.filter(|values| values.iter().any(|value| value.fract() != 0.0)) {
        let rows = values.into_iter().map(|value| vec![value].into()).collect();
        let (kind, names, labels) = (TargetKind::Values, vec!["value".into()], vec![0; texts.len()]);
        return Ok(Answers { kind, names, labels, rows });
    }
    let (labels, names) = numbered(&texts, known)?;
    Ok(Answers { kind: TargetKind::Class, names, labels, rows: Vec::new() })
}

/// Of each row any number of labels.
fn several(written: &[Written], known: Option<Vec<String>>) -> Result<Answers, String> {
    let mut lists: Vec<Vec<String>> = Vec::with_capacity(written.len());
    for one in written {
        lists.push(match one {
            Written::Several(labels) => labels.clone(),
            Written::One(label) => vec![label.clone()],
            Written::Columns(_) | Written::Values(_) => {
                return Err("some rows have labels and some have numbers, expected one or the other".into());
            }
        });
    }
    let distinct: BTreeSet<&String> = lists.iter().flatten().collect();
    let distinct: Vec<String> = distinct.into_iter().cloned().collect();
    if distinct.is_empty() {
        return Err("no picture has a label".into());
    }
    let (places, names) = numbered(&distinct, known)?;
    let mut rows: Vec<Box<[f32]>> = Vec::with_capacity(lists.len());
    for list in &lists {
        let mut row = vec![0.0; names.len()];
        for label in list {
            if let Ok(found) = distinct.binary_search(label) {
                row[places[found] as usize] = 1.0;
            }
        }
        rows.push(row.into());
    }
    Ok(Answers { kind: TargetKind::Labels, names, labels: vec![0; rows.len()], rows })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ones(texts: &[&str]) -> Vec<Written> {
        texts.iter().map(|text| Written::One((*text).to_string())).collect()
    }

    fn columns(rows: &[&[f32]]) -> Vec<Written> {
        rows.iter().map(|row| Written::Columns(row.to_vec())).collect()
    }

    fn rows(found: &Answers) -> Vec<&[f32]> {
        found.rows.iter().map(|row| &row[..]).collect()
    }

    #[test]
    fn labels_are_told_from_classes_and_values() {
        let found = answers(ones(&["cat; dog", "", "bird|cat"]), &[], None).unwrap();
        assert_eq!((found.kind, found.names.join(" ")), (TargetKind::Labels, "bird cat dog".into()));
        assert_eq!(rows(&found), [[0.0, 1.0, 1.0], [0.0; 3], [1.0, 1.0, 0.0]]);
        let found = answers(ones(&["2;0", "1"]), &[], None).unwrap();
        assert_eq!(rows(&found), [[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]);
        let known = Some(["dog", "cat", "cow"].map(String::from).to_vec());
        let found = answers(ones(&["cat;dog", "cat"]), &[], known).unwrap();
        assert_eq!(rows(&found), [[1.0, 1.0, 0.0], [0.0, 1.0, 0.0]]);
        let found = answers(ones(&["0.5", "-2", "3"]), &[], None).unwrap();
        assert_eq!((found.kind, rows(&found)), (TargetKind::Values, vec![&[0.5][..], &[-2.0], &[3.0]]));
        let found = answers(ones(&["1", "0"]), &[], None).unwrap();
        assert_eq!((found.kind, found.labels), (TargetKind::Class, vec![1, 0]));
    }

    #[test]
    fn columns_are_labels_classes_or_values() {
        let named = ["a", "b"].map(String::from);
        let found = answers(columns(&[&[1.0, 1.0], &[0.0, 1.0]]), &named, None).unwrap();
        assert_eq!((found.kind, &found.names[..]), (TargetKind::Labels, &named[..]));
        let found = answers(columns(&[&[1.0, 0.0], &[0.0, 1.0]]), &named, None).unwrap();
        assert_eq!((found.kind, found.labels, found.rows.len()), (TargetKind::Class, vec![0, 1], 0));
        let found = answers(columns(&[&[1.0, 0.5], &[0.0, 1.0]]), &[], None).unwrap();
        assert_eq!((found.kind, found.names.join(" ")), (TargetKind::Values, "0 1".into()));
        let found = answers(columns(&[&[1.0, 3.0], &[2.0]]), &[], None).unwrap();
        assert_eq!((found.kind, found.names.len()), (TargetKind::Labels, 4));
        let values = vec![Written::Values(vec![30.0]), Written::Values(vec![41.0])];
        let found = answers(values, &["age".into()], None).unwrap();
        assert_eq!((found.kind, found.names.join(" ")), (TargetKind::Values, "age".into()));
    }

    #[test]
    fn rows_that_do_not_go_together_are_refused() {
        let mixed = [ones(&["cat"]), columns(&[&[0.5, 1.0]])].concat();
        assert!(answers(mixed, &[], None).unwrap_err().contains("one or the other"));
        assert!(
            answers(columns(&[&[0.5, 1.0], &[0.5]]), &[], None)
                .unwrap_err()
                .contains("picture 1 has 1 numbers")
        );
        assert!(answers(ones(&[";", ";"]), &[], None).unwrap_err().contains("no picture has a label"));
        assert!(
            answers(columns(&[&[f32::INFINITY]]), &[], None).unwrap_err().contains("picture 0 has a number")
        );
        let known = Some(vec!["cat".into()]);
        assert!(answers(ones(&["cat;dog"]), &[], known).unwrap_err().contains("\"dog\" is none of the 1"));
    }
}
