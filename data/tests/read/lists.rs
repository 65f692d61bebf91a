//! Lists of pictures and shards of them.

use crate::files::{collection, gzipped, picture, tar, written};
use localgrad::data::ImageShape;
use localgrad::targets::TargetKind;
use localgrad_data::{Collection, Part, Reading, look};
use std::path::Path;

/// Names and classes of the pictures of a part.
fn seen(collection: &Collection, part: Part) -> Vec<[String; 2]> {
    let listing = collection.part(part, 0).unwrap();
    let class = |label: u32| listing.class_names[label as usize].clone();
    let sample = |item: &localgrad_data::listing::Item| {
        item.encoded.bytes().unwrap();
        [item.name.clone(), class(item.label)]
    };
    listing.items.iter().map(sample).collect()
}

fn pairs(pairs: &[[&str; 2]]) -> Vec<[String; 2]> {
    pairs.iter().map(|pair| pair.map(String::from)).collect()
}

#[test]
fn lists_are_read_in_every_spelling() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    for name in ["1.png", "in/2.png", "a, b.png", "images/3.png"] {
        written(root, name, &picture(1));
    }
    let absolute = root.join("1.png").display().to_string();
    let two = pairs(&[["1.png", "cat"], ["in/2.png", "dog"]]);
    for (name, text, wanted) in [
        ("list.csv", "path,label\n1.png,cat\nin/2.png,dog\n", two.clone()),
        ("plain.csv", "1.png,cat\nin/2.png,dog\n", two.clone()),
        ("turned.csv", "\u{feff}Label;File_Name\r\ncat;1.png\r\n\r\ndog;in/2.png\r\n", two.clone()),
        ("tabs.tsv", "1.png\tcat\nin/2.png\tdog", two.clone()),
        ("caffe.txt", "1.png cat\nin/2.png dog\n", two.clone()),
        ("more.csv", "id,path,species,label\n7,1.png,felis,cat\n8,in/2.png,canis,dog\n", two.clone()),
        ("other.csv", "image,breed\n1.png,cat\nin/2.png,dog\n", two.clone()),
        (
            "lines.jsonl",
            "{\"path\":\"1.png\",\"label\":\"cat\"}\n\n{\"label\":\"dog\",\"path\":\"in/2.png\"}",
            two.clone(),
        ),
        (
            "array.json",
            "[{\"file_name\":\"1.png\",\"label\":\"cat\"},\n{\"file_name\":\"in/2.png\",\"label\":\"dog\"}]",
            two,
        ),
        ("quotes.csv", "path,label\n\"a, b.png\",\"a \"\"cat\"\"\"\n", pairs(&[["a, b.png", "a \"cat\""]])),
        ("numbers.csv", "1.png,2\nin/2.png,0\n", pairs(&[["1.png", "2"], ["in/2.png", "0"]])),
        ("lacking.csv", "id,label\n3,cat\n", pairs(&[["3", "cat"]])),
        ("far.csv", &format!("{absolute},cat\n"), pairs(&[[&absolute, "cat"]])),
    ] {
        let found = collection(&written(root, name, text.as_bytes()));
        assert_eq!(seen(&found, Part::All), wanted, "{name}");
        assert!(!found.has_parts());
    }
}

#[test]
fn lists_come_in_parts() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    (1..=4).for_each(|number| drop(written(root, &format!("images/{number}.png"), &picture(1))));
    let one = written(
        root,
        "one/labels.csv",
        b"path,label,split\n../images/1.png,b,train\n../images/2.png,a,test\n../images/3.png,a,train\n../images/4.png,c,val\n",
    );
    let folder = root.join("set");
    written(&folder, "train.csv", b"image,label\n../images/1.png,b\n../images/3.png,a\n");
    written(&folder, "val.jsonl", b"{\"image\":\"../images/4.png\",\"label\":\"c\"}\n");
    written(&folder, "test.csv", b"image,label\n../images/2.png,a\n");
    written(&folder, "notes.csv", b"not,a,list\n");
    for place in [one.as_path(), &root.join("one"), &folder] {
        let found = collection(place);
        assert_eq!(seen(&found, Part::Train), pairs(&[["../images/1.png", "b"], ["../images/3.png", "a"]]));
        assert_eq!(seen(&found, Part::Judge), pairs(&[["../images/4.png", "c"]]));
        assert_eq!(seen(&found, Part::Test), pairs(&[["../images/2.png", "a"]]));
    }
    // classes.txt gives numbers their names, and names their order.
    written(&folder, "classes.txt", b"c\nb\na\n");
    assert_eq!(collection(&folder).whole().class_names, ["c", "b", "a"]);
    let numbers = written(&folder, "numbers.csv", b"../images/1.png,1\n");
    assert_eq!(seen(&collection(&numbers), Part::All), pairs(&[["../images/1.png", "b"]]));
    // A table that lists no pictures leaves a folder what it is.
    let photos = root.join("photos");
    written(&photos, "cat/1.png", &picture(1));
    written(&photos, "data.csv", b"temperature,humidity\n1,2\n");
    assert_eq!(seen(&collection(&photos), Part::All), pairs(&[["cat/1.png", "cat"]]));
}

/// What the pictures of a list have, with its names, and rows of numbers.
fn answered(path: &Path) -> (TargetKind, String, Vec<Vec<f32>>) {
    let found = collection(path);
    let listing = found.whole();
    let rows = listing.items.iter().map(|item| item.row.to_vec()).collect();
    (listing.kind, listing.class_names.join(" "), rows)
}

#[test]
fn lists_have_labels_and_values() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    for name in ["1.png", "2.png", "3.png"] {
        written(root, name, &picture(1));
    }
    let labels =
        (TargetKind::Labels, "cat dog".to_string(), vec![vec![1.0, 1.0], vec![0.0, 1.0], vec![0.0; 2]]);
    for (name, text) in [
        ("several.csv", "path,label\n1.png,dog;cat\n2.png,dog\n3.png,\n"),
        ("bars.csv", "1.png,cat|dog\n2.png,dog\n3.png,\n"),
        ("columns.csv", "path,cat,dog\n1.png,1,1\n2.png,0,1\n3.png,0.0,0\n"),
        (
            "several.jsonl",
            "{\"path\":\"1.png\",\"labels\":[\"cat\",\"dog\"]}\n{\"path\":\"2.png\",\"labels\":[\"dog\"]}\n\
             {\"path\":\"3.png\",\"labels\":[]}",
        ),
    ] {
        assert_eq!(answered(&written(root, name, text.as_bytes())), labels, "{name}");
    }
    for (name, text, names, rows) in [
        ("value.csv", "path,label\n1.png,0.5\n2.png,-3\n", "value", vec![vec![0.5], vec![-3.0]]),
        ("named.csv", "path,value\n1.png,31\n2.png,40\n", "value", vec![vec![31.0], vec![40.0]]),
        (
            "two.csv",
            "path,age,size\n1.png,31,1.5\n2.png,40,2\n",
            "age size",
            vec![vec![31.0, 1.5], vec![40.0, 2.0]],
        ),
        (
            "values.jsonl",
            "{\"path\":\"1.png\",\"values\":[1,0]}\n{\"path\":\"2.png\",\"values\":[0,1]}",
            "0 1",
            vec![vec![1.0, 0.0], vec![0.0, 1.0]],
        ),
    ] {
        let wanted = (TargetKind::Values, names.to_string(), rows);
        assert_eq!(answered(&written(root, name, text.as_bytes())), wanted, "{name}");
    }
    let one = answered(&written(root, "one.csv", b"path,cat,dog\n1.png,1,0\n2.png,0,1\n"));
    assert_eq!(one, (TargetKind::Class, "cat dog".into(), vec![vec![]; 2]));
    // Read, as a data set, in memory or not; some are held out whatever they have.
    let listing = collection(&root.join("columns.csv")).part(Part::All, 0).unwrap();
    let shape = ImageShape { channels: 3, height: 2, width: 2 };
    let reading = Reading { shape, strict: true };
    for most_bytes in [usize::MAX, 0] {
        let set = localgrad_data::photos::open(listing.clone(), &reading, most_bytes).unwrap();
        let mut row = [7.0; 2];
        set.target(1, &mut row).unwrap();
        assert_eq!((set.target_kind(), set.classes(), row), (TargetKind::Labels, 2, [0.0, 1.0]));
        assert!(set.target(1, &mut [0.0; 3]).is_err() && set.target(3, &mut row).is_err());
    }
    assert_eq!(collection(&root.join("columns.csv")).part(Part::Judge, 0).unwrap().items.len(), 1);
}

#[test]
fn what_is_wrong_with_lists_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    written(root, "1.png", &picture(1));
    for (name, text, needle) in [
        ("a.csv", "path,label\n1.png,inf\n", "the label inf"),
        ("b.csv", "path,age,height\n1.png,3,tall\n", "line 2: found \"tall\" in column 2, expected a number"),
        ("c.csv", "1.png,cat,dog\n", "line 1: found \"cat\" in column 1"),
        ("d.csv", "path,label\n1.png,\n", "line 2: expected a path and a label"),
        ("e.csv", "path\n1.png\n", "expected a column `label` beside path"),
        ("f.csv", "path,label\n9.png,cat\n", "its first picture, 9.png, is not there"),
        ("g.csv", "", "it lists no picture"),
        ("h.csv", "path,label\n", "it lists no picture"),
        (
            "i.csv",
            "cat,dog\n",
            "expected columns such as path,label, or rows of a picture's path and its label, found cat, dog",
        ),
        ("j.jsonl", "{\"path\":\"1.png\",\"label\":[\"cat\",2]}", "row 1: expected a `label`"),
        ("k.jsonl", "{\"path\":\"1.png\"}", "row 1: expected a `label`, found path"),
        ("l.jsonl", "{\"path\":\"1.png\",\"label\":1}\n{\"path\"", "line 2 is no JSON"),
        ("m.jsonl", "{\"label\":1}", "row 1: expected a `path`"),
        ("n.csv", "path,label\n1.png,99999\n", "label 99999, expected a name or a number"),
    ] {
        let error = look(&written(root, name, text.as_bytes())).err().unwrap().to_string();
        assert!(error.contains(needle) && error.contains(name), "{error}");
    }
    let latin = written(root, "latin.csv", b"path,label\n1.png,k\xe4se\n");
    let error = look(&latin).err().unwrap().to_string();
    assert!(error.contains("UTF-8, found other bytes at 18"), "{error}");
    // Missing later on: named when it is read, and left out.
    let later = written(root, "later.csv", b"1.png,cat\nnone.png,cat\n");
    assert_eq!(collection(&later).whole().items.len(), 2);
}

fn shard(samples: &[(&str, &str, &str)]) -> Vec<u8> {
    let files: Vec<(String, Vec<u8>)> = samples
        .iter()
        .flat_map(|(key, ending, label)| {
            [(format!("{key}.png"), picture(1)), (format!("{key}.{ending}"), label.as_bytes().to_vec())]
        })
        .collect();
    tar(&files.iter().map(|(name, file)| (name.as_str(), file.clone())).collect::<Vec<_>>())
}

#[test]
fn shards_are_read_one_and_many() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    for (name, bytes) in [
        ("numbers.tar", shard(&[("a/0001", "cls", "1\n"), ("a/0002", "cls", "0")])),
        (
            "json.tar",
            shard(&[("a/0001", "json", "{\"width\":3,\"label\":1}"), ("a/0002", "json", "{\"cls\":0}")]),
        ),
        ("packed.tar.gz", gzipped(&shard(&[("a/0001", "cls", "1"), ("a/0002", "cls", "0")]))),
    ] {
        let found = collection(&written(root, name, &bytes));
        assert_eq!(seen(&found, Part::All), pairs(&[["a/0001.png", "1"], ["a/0002.png", "0"]]), "{name}");
    }
    let named = written(
        root,
        "named.tar",
        &shard(&[("1", "txt", "tench"), ("2", "txt", "bird"), ("3", "txt", "tench")]),
    );
    let names = pairs(&[["1.png", "tench"], ["2.png", "bird"], ["3.png", "tench"]]);
    assert_eq!(seen(&collection(&named), Part::All), names);
    let folder = root.join("set");
    written(&folder, "train-000.tar", &shard(&[("1", "cls", "2")]));
    written(&folder, "train-001.tar", &shard(&[("1", "cls", "0")]));
    written(&folder, "val-000.tar", &shard(&[("1", "cls", "1")]));
    let found = collection(&folder);
    let train = pairs(&[["train-000/1.png", "2"], ["train-001/1.png", "0"]]);
    assert_eq!((seen(&found, Part::Train), found.has_parts()), (train.clone(), true));
    assert_eq!(seen(&found, Part::Judge), pairs(&[["val-000/1.png", "1"]]));
    let braces = collection(&folder.join("train-{000..001}.tar"));
    assert_eq!((seen(&braces, Part::All), braces.has_parts()), (train, false));
    written(&folder, "classes.txt", b"zero\none\ntwo\n");
    assert_eq!(collection(&folder).whole().class_names, ["zero", "one", "two"]);
    let error = look(&folder.join("train-{000..002}.tar")).err().unwrap().to_string();
    assert!(error.contains("train-002.tar is missing"), "{error}");
}

#[test]
fn what_is_wrong_with_shards_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let captions: Vec<(String, String)> =
        (0..201).map(|number| (format!("{number:04}"), format!("a photo of thing {number}"))).collect();
    let captions: Vec<(&str, &str, &str)> =
        captions.iter().map(|(key, text)| (key.as_str(), "txt", text.as_str())).collect();
    for (name, bytes, needle) in [
        ("broken.tar", shard(&[("1", "json", "{")]), "its .json is no JSON"),
        ("none.tar", shard(&[("1", "json", "{\"width\":1}")]), "no picture has a label beside it"),
        ("captions.tar", shard(&captions), "201 texts for 201 pictures are captions"),
    ] {
        let error = look(&written(root, name, &bytes)).err().unwrap().to_string();
        assert!(error.contains(needle) && error.contains(name), "{error}");
    }
}
