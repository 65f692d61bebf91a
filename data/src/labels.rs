//! Labels as people write them, numbers or names, made the numbers of classes.

use std::collections::{BTreeMap, BTreeSet};

/// A label above this is taken for a mistake.
const LARGEST_LABEL: i64 = 65_535;

/// The numbers that labels stand for, and the names of the classes. Whole numbers stand for themselves; names are counted in
/// their order, or in that of `known`, the names of all classes where somebody has said them.
///
/// # Errors
/// A sentence for labels that are no classes.
pub(crate) fn numbered(
    written: &[String],
    known: Option<Vec<String>>,
) -> Result<(Vec<u32>, Vec<String>), String> {
    let known = known.unwrap_or_default();
    let is_name = |label: &String| known.contains(label);
    let distinct: BTreeSet<&String> = written.iter().collect();
    if let Some(empty) = distinct.iter().find(|label| label.trim().is_empty()) {
        return Err(format!("the label {empty:?} is none; leave out what has no label"));
    }
    let are_names = distinct.iter().any(|label| label.parse::<f64>().is_err());
    if !are_names && !distinct.iter().all(|label| is_name(label)) {
        let labels = written.iter().map(|label| number(label)).collect::<Result<Vec<u32>, String>>()?;
        let classes = labels.iter().max().map_or(0, |&largest| largest as usize + 1);
        return match known.len() {
            0 => Ok((labels, (0..classes).map(|class| class.to_string()).collect())),
            count if count >= classes => Ok((labels, known)),
            count => Err(format!("the label {} is that of none of the {count} classes listed", classes - 1)),
        };
    }
    let names: Vec<String> = match known.is_empty() {
        true => distinct.into_iter().cloned().collect(),
        false => known,
    };
    let places: BTreeMap<&String, u32> = names.iter().zip(0..).collect();
    let place = |label: &String| {
        let unlisted = || format!("the label {label:?} is none of the {} classes listed", names.len());
        places.get(label).copied().ok_or_else(unlisted)
    };
    let labels = written.iter().map(place).collect::<Result<Vec<u32>, String>>()?;
    Ok((labels, names))
}

/// A whole number, also one that a table wrote with a point (`3.0`).
fn number(label: &str) -> Result<u32, String> {
    let number = label.parse::<f64>().unwrap_or(f64::NAN);
    if number.fract() != 0.0 {
        return Err(format!("the label {label} is a value, expected a class"));
    }
    match number as i64 {
        label @ 0..=LARGEST_LABEL => Ok(label as u32),
        _ => Err(format!("the label {label}, expected a name or a number of 0 to {LARGEST_LABEL}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(written: &[&str], known: &[&str]) -> Result<(Vec<u32>, Vec<String>), String> {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_string()).collect::<Vec<String>>();
        numbered(&texts(written), Some(texts(known)).filter(|known| !known.is_empty()))
    }

    #[test]
    fn numbers_stand_for_themselves_and_names_are_counted() {
        assert_eq!(
            of(&["dog", "cat", "dog"], &[]).unwrap(),
            (vec![1, 0, 1], vec!["cat".into(), "dog".into()])
        );
        assert_eq!(of(&["2", "0.0"], &[]).unwrap(), (vec![2, 0], ["0", "1", "2"].map(String::from).to_vec()));
        assert_eq!(of(&["dog"], &["dog", "cat"]).unwrap().0, [0]);
        assert_eq!(of(&["1"], &["dog", "cat"]).unwrap(), (vec![1], vec!["dog".into(), "cat".into()]));
        // Classes that are called by numbers.
        assert_eq!(of(&["7", "3"], &["3", "7"]).unwrap().0, [1, 0]);
        // One name makes all of them names.
        assert_eq!(of(&["1", "one"], &[]).unwrap().0, [0, 1]);
    }

    #[test]
    fn labels_that_are_none_are_refused() {
        for (written, known, needle) in [
            (&["0.5", "1"][..], &[][..], "is a value"),
            (&["-1"], &[], "the label -1, expected a name or a number of 0"),
            (&["1e9"], &[], "1e9"),
            (&["inf"], &[], "inf"),
            (&["nan", "1"], &[], "is a value"),
            (&["cat", ""], &[], "is none"),
            (&["2"], &["cat", "dog"], "none of the 2 classes"),
            (&["bird"], &["cat", "dog"], "\"bird\" is none of the 2"),
        ] {
            let error = of(written, known).unwrap_err();
            assert!(error.contains(needle), "{error}");
        }
    }
}
