//! Parquet files as Hugging Face keeps pictures in them, and hostile ones.

use crate::files::{collection, picture, written};
use localgrad::targets::TargetKind;
use localgrad_data::{Collection, Part, look};
use parquet::basic::Compression;
use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use std::path::Path;
use std::sync::Arc;

const FORM: &str = "message schema { optional group image { optional binary bytes; optional binary path (UTF8); } \
                    optional int64 label; }";
const FEATURES: &str = r#"{"info":{"features":{"image":{"_type":"Image"},"label":{"names":["cat","dog","owl"],"_type":"ClassLabel"}}}}"#;

/// A file of rows of a picture of some shade, or none, and a label, or none, two rows a group.
fn parquet(rows: &[(Option<u8>, Option<i64>)], features: Option<&str>, compression: Compression) -> Vec<u8> {
    let features = features.map(|features| vec![KeyValue::new("huggingface".into(), features.to_string())]);
    let properties =
        WriterProperties::builder().set_compression(compression).set_key_value_metadata(features).build();
    let schema = Arc::new(parse_message_type(FORM).unwrap());
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties)).unwrap();
    for rows in rows.chunks(2) {
        let mut group = writer.next_row_group().unwrap();
        let shades: Vec<u8> = rows.iter().filter_map(|(shade, _)| *shade).collect();
        let bytes: Vec<ByteArray> = shades.iter().map(|&shade| ByteArray::from(picture(shade))).collect();
        let paths: Vec<ByteArray> =
            shades.iter().map(|shade| ByteArray::from(format!("{shade}.png").into_bytes())).collect();
        let levels: Vec<i16> = rows.iter().map(|(shade, _)| if shade.is_some() { 2 } else { 0 }).collect();
        for values in [bytes, paths] {
            let mut column = group.next_column().unwrap().unwrap();
            column.typed::<ByteArrayType>().write_batch(&values, Some(&levels), None).unwrap();
            column.close().unwrap();
        }
        let labels: Vec<i64> = rows.iter().filter_map(|(_, label)| *label).collect();
        let levels: Vec<i16> = rows.iter().map(|(_, label)| i16::from(label.is_some())).collect();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<Int64Type>().write_batch(&labels, Some(&levels), None).unwrap();
        column.close().unwrap();
        group.close().unwrap();
    }
    writer.into_inner().unwrap()
}

/// Names, shades and classes of the pictures of a part.
fn seen(collection: &Collection, part: Part) -> Vec<(String, u8, String)> {
    let listing = collection.part(part, 0).unwrap();
    let sample = |item: &localgrad_data::listing::Item| {
        let bytes = item.encoded.bytes().unwrap();
        let shade = image::load_from_memory(&bytes).unwrap().to_rgb8().get_pixel(0, 0)[0];
        (item.name.clone(), shade, listing.class_names[item.label as usize].clone())
    };
    listing.items.iter().map(sample).collect()
}

fn sample(name: &str, shade: u8, class: &str) -> (String, u8, String) {
    (name.into(), shade, class.into())
}

#[test]
fn pictures_are_read_with_their_names() {
    let directory = tempfile::tempdir().unwrap();
    let rows =
        [(Some(10), Some(2)), (Some(20), None), (None, Some(0)), (Some(30), Some(0)), (Some(40), Some(1))];
    for (name, compression) in [
        ("plain", Compression::UNCOMPRESSED),
        ("snappy", Compression::SNAPPY),
        ("gzip", Compression::GZIP(Default::default())),
    ] {
        let bytes = parquet(&rows, Some(FEATURES), compression);
        let found = collection(&written(directory.path(), &format!("{name}.parquet"), &bytes));
        let wanted = [(0, 10, "owl"), (3, 30, "cat"), (4, 40, "dog")]
            .map(|(row, shade, class)| sample(&format!("{name}/{row}"), shade, class));
        assert_eq!(seen(&found, Part::All), wanted);
        assert!(!found.has_parts());
    }
    // Whatever a file is called.
    let found =
        collection(&written(directory.path(), "blob", &parquet(&rows, Some(FEATURES), Compression::SNAPPY)));
    assert_eq!(seen(&found, Part::All).len(), 3);
    // Without names numbers stand for themselves.
    let bytes = parquet(&rows[..1], None, Compression::SNAPPY);
    let found = collection(&written(directory.path(), "numbers.parquet", &bytes));
    assert_eq!(seen(&found, Part::All), [sample("numbers/0", 10, "2")]);
}

// Written by pyarrow 26: pictures of one shade each, 10 more from row to row, as structs of `bytes` and `path`, beside
//   zstd    label int64 [2, 0, -1, 1], a ClassLabel of cat, dog, owl; pages of the second version
//   gzip    label string [owl, cat, None, dog]
//   lists   labels list<int64> [[0, 2], [], None, [1]], a List of that ClassLabel; three rows a group
//   texts   labels list<string> [[owl, cat], [dog, None], []]; zstd, the second version
//   truths  smiling bool [1, 0, 1], young bool [1, 1, 0], id int64 [7, 8, 9]; zstd, the second version
//   values  label float32 [0.5, -2, 3]; without dictionaries
//   ages    value int32 [30, 41, 30]
//   lz4     label int64 [0, 1], packed by LZ4
// with pyarrow.parquet.write_table(table, FILE, write_statistics=False, compression=...).
fn stored(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/read/parquet");
    std::fs::read(folder.join(format!("{name}.parquet"))).unwrap()
}

#[test]
fn labels_and_values_are_read_in_every_form() {
    let directory = tempfile::tempdir().unwrap();
    let answered = |name: &str| {
        let found = collection(&written(directory.path(), &format!("{name}.parquet"), &stored(name)));
        let listing = found.whole().clone();
        let shades: Vec<u8> = seen(&found, Part::All).iter().map(|(_, shade, _)| *shade).collect();
        let labels: Vec<u32> = listing.items.iter().map(|item| item.label).collect();
        let rows: Vec<Vec<f32>> = listing.items.iter().map(|item| item.row.to_vec()).collect();
        (listing.kind, listing.class_names.join(" "), shades, labels, rows)
    };
    let classes = |name: &str, shades: &[u8], labels: &[u32]| {
        let rows = vec![Vec::new(); labels.len()];
        let wanted = (TargetKind::Class, "cat dog owl".into(), shades.to_vec(), labels.to_vec(), rows);
        assert_eq!(answered(name), wanted, "{name}");
    };
    classes("zstd", &[10, 20, 40], &[2, 0, 1]);
    classes("gzip", &[10, 20, 40], &[2, 0, 1]);
    let rows = |name: &str, kind: TargetKind, names: &str, shades: &[u8], rows: &[&[f32]]| {
        let rows: Vec<Vec<f32>> = rows.iter().map(|row| row.to_vec()).collect();
        assert_eq!(
            answered(name),
            (kind, names.into(), shades.to_vec(), vec![0; rows.len()], rows),
            "{name}"
        );
    };
    let (labels, values) = (TargetKind::Labels, TargetKind::Values);
    rows("lists", labels, "cat dog owl", &[10, 20, 40], &[&[1., 0., 1.], &[0.; 3], &[0., 1., 0.]]);
    rows("texts", labels, "cat dog owl", &[10, 20, 30], &[&[1., 0., 1.], &[0., 1., 0.], &[0.; 3]]);
    rows("truths", labels, "smiling young", &[10, 20, 30], &[&[1., 1.], &[0., 1.], &[1., 0.]]);
    rows("values", values, "value", &[10, 20, 30], &[&[0.5], &[-2.], &[3.]]);
    rows("ages", values, "value", &[10, 20, 30], &[&[30.], &[41.], &[30.]]);
}

#[test]
fn folders_of_parquet_come_in_parts() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    for (name, shade, label) in [
        ("train-00000-of-00002.parquet", 1, 0),
        ("train-00001-of-00002.parquet", 2, 1),
        ("validation-00000-of-00001.parquet", 3, 1),
        ("test-00000-of-00001.parquet", 4, 0),
    ] {
        written(&data, name, &parquet(&[(Some(shade), Some(label))], Some(FEATURES), Compression::SNAPPY));
    }
    let parts = directory.path().join("default");
    let bytes = std::fs::read(data.join("train-00000-of-00002.parquet")).unwrap();
    ["train/0.parquet", "test/0.parquet"].iter().for_each(|name| drop(written(&parts, name, &bytes)));
    assert_eq!(seen(&collection(&parts), Part::Test), [sample("0/0", 1, "cat")]);
    for place in [directory.path(), &data] {
        let found = collection(place);
        let train = [sample("train-00000-of-00002/0", 1, "cat"), sample("train-00001-of-00002/0", 2, "dog")];
        assert_eq!(seen(&found, Part::Train), train);
        assert_eq!(seen(&found, Part::Judge), [sample("validation-00000-of-00001/0", 3, "dog")]);
        assert_eq!(seen(&found, Part::Test), [sample("test-00000-of-00001/0", 4, "cat")]);
    }
}

#[test]
fn what_is_wrong_with_parquet_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let schema = Arc::new(parse_message_type("message schema { optional binary text (UTF8); }").unwrap());
    let other = SerializedFileWriter::new(Vec::new(), schema, Arc::default()).unwrap().into_inner().unwrap();
    let schema = "message schema { optional binary image; \
                  repeated group label { repeated group list { optional int64 element; } } }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let several =
        SerializedFileWriter::new(Vec::new(), schema, Arc::default()).unwrap().into_inner().unwrap();
    let plain = |rows: &[(Option<u8>, Option<i64>)]| parquet(rows, Some(FEATURES), Compression::SNAPPY);
    for (name, bytes, needle) in [
        ("a.parquet", b"version https://git-lfs.github.com/spec/v1\n".to_vec(), "found a Git LFS pointer"),
        ("b.parquet", b"PAR1".to_vec(), "a broken or cut Parquet file"),
        (
            "c.parquet",
            other,
            "expected a column of encoded pictures, such as image with bytes in it, found text",
        ),
        ("d.parquet", several, "lists of lists of labels"),
        ("e.parquet", plain(&[(Some(1), Some(-1)), (Some(2), Some(-1))]), "-1 stands for none"),
        ("f.parquet", plain(&[(Some(1), Some(3))]), "none of the 3 classes"),
        ("g.parquet", plain(&[(None, Some(1))]), "no picture with a label"),
        ("h.parquet", plain(&[]), "no picture with a label"),
        ("i.parquet", stored("lz4"), "expected snappy, gzip, zstd or none"),
    ] {
        let error = look(&written(directory.path(), name, &bytes)).err().unwrap().to_string();
        assert!(error.contains(needle) && error.contains(name), "{error}");
    }
}

#[test]
fn hostile_parquet_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let rows = [(Some(1), Some(0)), (Some(2), Some(1)), (Some(3), None)];
    let plain = parquet(&rows, Some(FEATURES), Compression::UNCOMPRESSED);
    for whole in [plain, stored("zstd"), stored("lists"), stored("gzip")] {
        let path = directory.path().join("hostile.parquet");
        for length in (0..whole.len()).step_by(17) {
            std::fs::write(&path, &whole[..length]).unwrap();
            assert!(look(&path).is_err(), "{length}");
        }
        for place in (0..whole.len()).step_by(11) {
            for flip in [0x01, 0xff] {
                let mut damaged = whole.clone();
                damaged[place] ^= flip;
                std::fs::write(&path, &damaged).unwrap();
                let _ = look(&path);
            }
        }
    }
}
