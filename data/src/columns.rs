//! Which columns of a Parquet file hold pictures and what they are to be answered with, and what a row says.

use crate::list::VALUES;
use crate::listing::few;
use crate::pages::{Cell, Value};
use crate::targets::Written;
use ::parquet::basic::Type;
use ::parquet::schema::types::SchemaDescriptor;

const IMAGES: [&str; 5] = ["image", "img", "picture", "photo", "bytes"];
const LABELS: [&str; 11] = [
    "label",
    "fine_label",
    "labels",
    "class",
    "category",
    "target",
    "targets",
    "class_name",
    "label_name",
    "species",
    "y",
];
/// Far more than the name of a class takes.
const LONGEST_LABEL_BYTES: usize = 4096;

/// The columns by their numbers.
pub(crate) struct Columns {
    /// Encoded pictures.
    pub(crate) image: usize,
    /// What they are to be answered with: one column, or several of a number each.
    pub(crate) answers: Vec<usize>,
    /// What these are called, where they are several or hold values.
    pub(crate) titles: Vec<String>,
    /// Names of the classes that numbers stand for.
    pub(crate) names: Option<Vec<String>>,
    /// Whether a row has a list of answers.
    pub(crate) is_list: bool,
    are_values: bool,
    are_texts: bool,
}

impl Columns {
    /// By the names of the columns, and by what `features` (Hugging Face's) say of them.
    ///
    /// # Errors
    /// A sentence that says which are missing.
    pub(crate) fn of(
        schema: &SchemaDescriptor,
        features: &serde_json::Value,
    ) -> std::result::Result<Self, String> {
        let paths: Vec<String> =
            schema.columns().iter().map(|column| column.path().parts().join(".")).collect();
        let root = |path: &str| path.split('.').next().unwrap_or_default().to_string();
        let is_image = |path: &str| features[root(path)]["_type"] == "Image" && path.ends_with(".bytes");
        let found = |wanted: &dyn Fn(&str) -> bool| paths.iter().position(|path| wanted(path));
        let image = found(&is_image)
            .or_else(|| IMAGES.iter().find_map(|name| found(&|path| path == format!("{name}.bytes"))))
            .or_else(|| IMAGES.iter().find_map(|name| found(&|path| path == *name)))
            .filter(|&image| schema.column(image).physical_type() == Type::BYTE_ARRAY);
        let expected = |what: &str| Err(format!("expected {what}, found {}", few(&paths)));
        let Some(image) = image else {
            return expected("a column of encoded pictures, such as image with bytes in it");
        };
        // Structs have several columns of one root.
        let is_alone = |name: &str| paths.iter().filter(|path| root(path) == name).count() == 1;
        let called = |name: &str| found(&|path| root(path) == name).filter(|_| is_alone(name));
        let label = LABELS.iter().find_map(|name| called(name));
        let value = VALUES.iter().find_map(|name| called(name));
        let class = found(&|path| class_names(&features[root(path)]).is_some());
        let answers = match label.or(value).or(class) {
            Some(column) => vec![column],
            None => columns_of_numbers(schema, image),
        };
        let Some(&first) = answers.first() else {
            return expected("a column of labels, such as label");
        };
        let [deepest, of_image] = [first, image].map(|column| schema.column(column).max_rep_level());
        if deepest > 1 || of_image > 0 {
            return Err(
                "several pictures, or lists of lists of labels, in a row, expected one of each".into()
            );
        }
        let are_values = label.is_none() && value == Some(first);
        let has_titles = answers.len() > 1 || are_values && deepest == 0;
        Ok(Self {
            image,
            titles: answers.iter().filter(|_| has_titles).map(|&column| paths[column].clone()).collect(),
            names: class_names(&features[root(&paths[first])]),
            is_list: deepest == 1,
            are_values,
            are_texts: schema.column(first).physical_type() == Type::BYTE_ARRAY,
            answers,
        })
    }

    /// What a row says, by its cells of the answers' columns; none where it says nothing.
    ///
    /// # Errors
    /// A sentence for what is no answer.
    pub(crate) fn written<'a>(&self, cells: &[&'a Cell]) -> std::result::Result<Option<Written>, String> {
        let numbers =
            |values: &[&Value]| values.iter().map(|value| number(value)).collect::<Option<Vec<f32>>>();
        let values: Vec<&'a Value> = match cells {
            [Cell::List(list)] => list.iter().collect(),
            cells => {
                let one = |cell: &&'a Cell| if let Cell::One(value) = cell { Some(value) } else { None };
                let Some(values) = cells.iter().map(one).collect() else { return Ok(None) };
                values
            }
        };
        if let Some(Value::Bytes(text)) = values
            .iter()
            .find(|value| matches!(value, Value::Bytes(text) if text.len() > LONGEST_LABEL_BYTES))
        {
            return Err(format!("a label of {} bytes, expected the name of a class", text.len()));
        }
        if self.names.is_some() {
            // -1 stands for a label that is kept back.
            let places = numbers(&values).ok_or("a text where labels are numbers")?;
            let places: Vec<f32> = places.into_iter().filter(|&place| place != -1.0).collect();
            if let Some(place) = places.iter().find(|place| **place < 0.0 || place.fract() != 0.0) {
                return Err(format!("the label {place}, expected the number of a class"));
            }
            return Ok((self.is_list || !places.is_empty()).then_some(Written::Columns(places)));
        }
        Ok(Some(match values[..] {
            _ if self.are_values => Written::Values(numbers(&values).ok_or("a text, expected values")?),
            [value] if !self.is_list && self.answers.len() == 1 => Written::One(text(value)),
            _ if self.are_texts => Written::Several(values.iter().map(|value| text(value)).collect()),
            _ => Written::Columns(numbers(&values).unwrap_or_default()),
        }))
    }
}

/// The columns of truths beside that of pictures, or else those of numbers with a point.
fn columns_of_numbers(schema: &SchemaDescriptor, image: usize) -> Vec<usize> {
    let of_types = |types: &[Type]| -> Vec<usize> {
        let is_one = |&column: &usize| {
            let described = schema.column(column);
            column != image
                && described.path().parts().len() == 1
                && described.max_rep_level() == 0
                && types.contains(&described.physical_type())
        };
        (0..schema.num_columns()).filter(is_one).collect()
    };
    let truths = of_types(&[Type::BOOLEAN]);
    if truths.is_empty() { of_types(&[Type::FLOAT, Type::DOUBLE]) } else { truths }
}

/// The names of the classes that a feature, or a list of it, has.
fn class_names(feature: &serde_json::Value) -> Option<Vec<String>> {
    let inner = [feature, &feature["feature"], &feature[0]];
    let class = inner.into_iter().find(|feature| feature["_type"] == "ClassLabel")?;
    let names = class["names"].as_array()?;
    Some(names.iter().map(|name| name.as_str().unwrap_or_default().to_string()).collect())
}

fn number(value: &Value) -> Option<f32> {
    match value {
        Value::Int(number) => Some(*number as f32),
        Value::Bool(truth) => Some(f32::from(u8::from(*truth))),
        Value::Float(number) => Some(*number as f32),
        Value::Bytes(_) => None,
    }
}

/// A label as it is written.
fn text(value: &Value) -> String {
    match value {
        Value::Int(label) => label.to_string(),
        Value::Bool(label) => u8::from(*label).to_string(),
        Value::Float(label) => label.to_string(),
        Value::Bytes(text) => String::from_utf8_lossy(text).into_owned(),
    }
}
