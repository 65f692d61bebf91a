//! Data sets and pictures in archives, and hostile archives.

use crate::files::{collection, gzipped, picture, tar, written, zip};
use localgrad::data::{Dataset, ImageShape};
use localgrad_data::archive::{Archive, Want};
use localgrad_data::open::{has_parts, numbers};
use localgrad_data::{Collection, Found, Part, Reading, look, pictures};

const READING: Reading = Reading { shape: ImageShape { channels: 3, height: 4, width: 4 }, strict: true };

/// Names, shades and classes of the pictures of a part.
fn seen(collection: &Collection, part: Part) -> Vec<(String, u8, String)> {
    let listing = collection.part(part, 0).unwrap();
    let set = pictures::load(listing, &READING).unwrap();
    let mut pixels = vec![0.0; READING.shape.elements()];
    let sample = |index: usize| {
        let label = set.read(index, &mut pixels).unwrap() as usize;
        let shade = (pixels[0] * 255.0).round() as u8;
        (set.sample_name(index).unwrap().to_string(), shade, set.class_names()[label].clone())
    };
    (0..set.len()).map(sample).collect()
}

fn sample(name: &str, shade: u8, class: &str) -> (String, u8, String) {
    (name.into(), shade, class.into())
}

/// A record of CIFAR's binary version, of labels and an image whose planes are of one value each.
fn record(labels: &[u8]) -> Vec<u8> {
    let planes = [10_u8, 20, 30].map(|value| vec![value; 1024]).concat();
    [labels, &planes].concat()
}

#[test]
fn cifar_is_read_out_of_its_archives() {
    let directory = tempfile::tempdir().unwrap();
    let names = |count: usize| (0..count).map(|class| format!("c{class}\n")).collect::<String>().into_bytes();
    let mut files = vec![
        ("cifar-10-batches-bin/batches.meta.txt", names(10)),
        ("cifar-10-batches-bin/readme.html", vec![b' '; 700]),
    ];
    let batches: Vec<String> =
        (1..=5).map(|number| format!("cifar-10-batches-bin/data_batch_{number}.bin")).collect();
    for (label, batch) in (0..).zip(&batches) {
        files.push((batch, record(&[label])));
    }
    files.push(("cifar-10-batches-bin/test_batch.bin", [record(&[7]), record(&[9])].concat()));
    let archives = [
        ("cifar-10-binary.tar.gz", gzipped(&tar(&files))),
        ("cifar-10-binary.tar", tar(&files)),
        ("archive.zip", zip(&files, true)),
    ];
    for (name, bytes) in archives {
        let path = written(directory.path(), name, &bytes);
        assert!(matches!(look(&path).unwrap(), Found::Numbers) && has_parts(&path).unwrap());
        let [train, test] = [Part::Train, Part::Judge].map(|part| numbers(&path, part).unwrap());
        assert_eq!((train.len(), test.len(), train.class_names()[9].as_str()), (5, 2, "c9"));
        assert_eq!((0..5).map(|index| train.label(index).unwrap()).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
        let mut pixels = vec![0.0; 3 * 32 * 32];
        assert_eq!(test.read(1, &mut pixels).unwrap(), 9);
        let pixel = [10.0, 20.0, 30.0].map(|value: f32| value / 255.0);
        assert!(pixels.as_chunks::<3>().0.iter().all(|found| *found == pixel), "{name}");
    }
    // CIFAR-100: the second label counts; a label that is none, and a file that is missing, are told.
    let hundred = |label: u8| {
        [
            ("cifar-100-binary/fine_label_names.txt", names(100)),
            ("cifar-100-binary/train.bin", record(&[1, label])),
        ]
    };
    let path = written(directory.path(), "hundred.tar.gz", &gzipped(&tar(&hundred(99))));
    let train = numbers(&path, Part::Train).unwrap();
    assert_eq!(
        (train.label(0).unwrap(), train.classes(), train.class_names()[99].as_str()),
        (99, 100, "c99")
    );
    let error = numbers(&path, Part::Test).err().unwrap().to_string();
    assert!(error.contains("expected cifar-100-binary/test.bin in it"), "{error}");
    let path = written(directory.path(), "wrong.tar.gz", &gzipped(&tar(&hundred(100))));
    let error = numbers(&path, Part::Train).err().unwrap().to_string();
    assert!(error.contains("label 100"), "{error}");
    let cut = [("cifar-10-batches-bin/data_batch_1.bin", vec![0; 3000])];
    let path = written(directory.path(), "cut.tar", &tar(&cut));
    let error = numbers(&path, Part::Train).err().unwrap().to_string();
    assert!(error.contains("3000 bytes, expected one or more records of 3073"), "{error}");
}

#[test]
fn pictures_are_read_out_of_archives_as_out_of_folders() {
    let directory = tempfile::tempdir().unwrap();
    let files = [
        ("photos/dog/1.png", picture(30)),
        ("photos/cat/deep/2.png", picture(20)),
        ("photos/cat/1.png", picture(10)),
        ("photos/cat/.hidden.png", picture(0)),
        ("photos/read.me", vec![1]),
        ("__MACOSX/photos/cat/._1.png", vec![1]),
    ];
    let wanted =
        [sample("cat/1.png", 10, "cat"), sample("cat/deep/2.png", 20, "cat"), sample("dog/1.png", 30, "dog")];
    for (name, bytes) in [
        ("photos.tar", tar(&files)),
        ("photos.tar.gz", gzipped(&tar(&files))),
        ("photos.zip", zip(&files, true)),
        ("stored.zip", zip(&files, false)),
    ] {
        let collection = collection(&written(directory.path(), name, &bytes));
        assert_eq!(seen(&collection, Part::All), wanted, "{name}");
        assert_eq!((collection.has_parts(), collection.shorter_side()), (false, Some(10)));
    }
    let parts = [
        ("set/train/a/1.png", picture(1)),
        ("set/train/b/2.png", picture(2)),
        ("set/val/b/3.png", picture(3)),
        ("set/test/a/4.png", picture(4)),
        ("set/classes.txt", b"b bee\na ant\n".to_vec()),
    ];
    let collection = collection(&written(directory.path(), "parts.zip", &zip(&parts, true)));
    assert!(collection.has_parts());
    assert_eq!(seen(&collection, Part::Train), [sample("a/1.png", 1, "ant"), sample("b/2.png", 2, "bee")]);
    assert_eq!(seen(&collection, Part::Judge), [sample("b/3.png", 3, "bee")]);
    assert_eq!(seen(&collection, Part::Test), [sample("a/4.png", 4, "ant")]);
    assert_eq!(collection.whole().class_names, ["bee", "ant"]);
    let loose = written(directory.path(), "loose.tar", &tar(&[("1.png", picture(1))]));
    let error = look(&loose).err().unwrap().to_string();
    assert!(error.contains("expected pictures in folders of classes"), "{error}");
    let text = written(directory.path(), "text.zip", &zip(&[("a.txt", vec![1])], true));
    let error = numbers(&text, Part::Train).err().unwrap().to_string();
    assert!(error.contains("a zip archive"), "{error}");
}

#[test]
fn imagenet_is_read_as_an_archive_of_archives_and_as_its_folder() {
    let directory = tempfile::tempdir().unwrap();
    let fish = tar(&[("n01440764_1.JPEG", picture(10)), ("n01440764_2.JPEG", picture(20))]);
    let bird = tar(&[("n01530575_5.JPEG", picture(50))]);
    let wanted = [
        sample("n01440764/n01440764_1.JPEG", 10, "n01440764"),
        sample("n01440764/n01440764_2.JPEG", 20, "n01440764"),
        sample("n01530575/n01530575_5.JPEG", 50, "n01530575"),
    ];
    let whole = tar(&[("n01440764.tar", fish.clone()), ("n01530575.tar", bird.clone())]);
    let path = written(directory.path(), "ILSVRC2012_img_train.tar", &whole);
    assert_eq!(seen(&collection(&path), Part::All), wanted);
    let packed = written(directory.path(), "packed.tar.gz", &gzipped(&whole));
    let error = look(&packed).err().unwrap().to_string();
    assert!(error.contains("an archive in a packed archive; unpack"), "{error}");
    // Half unpacked, with the names that come with it and a part to be judged by.
    let root = directory.path().join("imagenet");
    written(&root, "train/n01440764.tar", &fish);
    written(&root, "train/n01530575/n01530575_5.JPEG", &picture(50));
    written(&root, "val/n01530575/ILSVRC2012_val_00000001.JPEG", &picture(60));
    written(&root, "LOC_synset_mapping.txt", b"n01440764 tench, Tinca tinca\nn01530575 brambling\n");
    let found = collection(&root);
    let names = seen(&found, Part::Train);
    assert_eq!(names[1], sample("n01440764/n01440764_2.JPEG", 20, "tench, Tinca tinca"));
    assert_eq!((names.len(), &names[2]), (3, &sample("n01530575/n01530575_5.JPEG", 50, "brambling")));
    assert_eq!(seen(&found, Part::Judge).len(), 1);
}

#[test]
fn imagenets_flat_validation_set_is_read_by_its_list() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    written(root, "train/n01440764/n01440764_1.JPEG", &picture(10));
    written(root, "train/n01530575/n01530575_5.JPEG", &picture(50));
    for (number, shade) in [(1, 60), (2, 70), (3, 80)] {
        written(root, &format!("val/ILSVRC2012_val_0000000{number}.JPEG"), &picture(shade));
    }
    let refused = |needle: &str| {
        let error = look(root).err().unwrap().to_string();
        assert!(error.contains(needle), "{needle}: {error}");
    };
    refused(
        "3 pictures lie in no folder of a class; put a list of their classes beside them, ImageNet's LOC_val",
    );
    written(root, "ILSVRC2012_validation_ground_truth.txt", b"490\n361\n171\n");
    refused("ILSVRC2012_validation_ground_truth.txt counts classes in an order of its own");
    let wanted = [
        sample("ILSVRC2012_val_00000002.JPEG", 70, "n01440764"),
        sample("ILSVRC2012_val_00000001.JPEG", 60, "n01530575"),
        sample("ILSVRC2012_val_00000003.JPEG", 80, "n01530575"),
    ];
    let list = "imagenet_2012_validation_synset_labels.txt";
    written(root, list, b"n01530575\nn01440764\n");
    refused("2 lines for 3 pictures");
    written(root, list, b"n01530575\nn01440764\nn01530575\n");
    assert_eq!(seen(&collection(root), Part::Judge), wanted);
    assert_eq!(seen(&collection(root), Part::Train).len(), 2);
    std::fs::remove_file(root.join(list)).unwrap();
    let table = "ImageId,PredictionString\nILSVRC2012_val_00000003,n01530575 1 2 3 4 \n\
                 ILSVRC2012_val_00000001,n01530575 85 1 499 272 n01530575 3 3 4 4 \n";
    written(root, "val/LOC_val_solution.csv", table.as_bytes());
    refused("it says no class of ILSVRC2012_val_00000002.JPEG");
    let table = format!("{table}ILSVRC2012_val_00000002,n01440764 5 6 7 8\n");
    written(root, "val/LOC_val_solution.csv", table.as_bytes());
    assert_eq!(seen(&collection(root), Part::Judge), wanted);
}

/// Names that are longer than a tar header holds, as GNU's and Python's programs write them.
#[test]
fn long_names_are_read() {
    let directory = tempfile::tempdir().unwrap();
    let long = format!("cat/{}.png", "x".repeat(150));
    let gnu = tar(&[(&long, picture(10)), ("dog/1.png", picture(20))]);
    let mut pax = tar::Builder::new(Vec::new());
    let path = "katze/größe.png";
    pax.append_pax_extensions([("mtime", b"1.5".as_slice()), ("path", path.as_bytes())]).unwrap();
    let mut header = tar::Header::new_ustar();
    header.set_path("katze/gr").unwrap();
    let file = picture(30);
    header.set_size(file.len() as u64);
    header.set_cksum();
    pax.append(&header, file.as_slice()).unwrap();
    let pax = pax.into_inner().unwrap();
    for (bytes, first) in [(gnu, sample(&long, 10, "cat")), (pax, sample(path, 30, "katze"))] {
        let found = collection(&written(directory.path(), "long.tar", &bytes));
        assert_eq!(seen(&found, Part::All)[0], first);
    }
}

#[test]
fn hostile_archives_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let files = [("cat/1.png", picture(1)), ("dog/1.png", picture(2))];
    let read = |bytes: &[u8]| {
        let path = written(directory.path(), "hostile", bytes);
        let archive = Archive::open(&path, &|_| Want::Place)?;
        archive.files.values().try_for_each(|file| file.bytes().map(drop))
    };
    for whole in [tar(&files), gzipped(&tar(&files)), zip(&files, true), zip(&files, false)] {
        assert!(read(&whole).is_ok());
        // Within the header of the first file, or its first bytes.
        for length in (0..whole.len().min(560)).step_by(7) {
            assert!(read(&whole[..length]).is_err(), "{length}");
        }
        for place in (0..whole.len().min(1200)).step_by(3) {
            let mut damaged = whole.clone();
            damaged[place] ^= 0xff;
            let _ = read(&damaged);
        }
    }
    // One byte of a file in a zip archive, stored and packed.
    for packs in [true, false] {
        let mut damaged = zip(&files, packs);
        damaged[60] ^= 0x10;
        assert!(read(&damaged).is_err());
    }
    // A file that is said to be far larger than the archive, in plain and packed.
    let mut header = tar::Header::new_gnu();
    header.set_path("cat/1.png").unwrap();
    header.set_size(1 << 60);
    header.set_cksum();
    let large = [header.as_bytes().as_slice(), &[0; 2048]].concat();
    let error = read(&large).unwrap_err().to_string();
    assert!(error.contains("ends within a file"), "{error}");
    assert!(read(&gzipped(&large)).is_err());
    // Paths that leave the archive are none of its files.
    let mut outside = tar::Header::new_gnu();
    outside.as_mut_bytes()[..10].copy_from_slice(b"../../evil");
    outside.set_size(0);
    outside.set_cksum();
    let path =
        written(directory.path(), "outside.tar", &[outside.as_bytes().as_slice(), &[0; 1024]].concat());
    assert_eq!(Archive::open(&path, &|_| Want::Place).unwrap().paths().count(), 0);
    assert!(Archive::open(&written(directory.path(), "text", b"not at all"), &|_| Want::Place).is_err());
}
