//! Pictures in folders, as people have them.

use image::{ImageFormat, Rgb, RgbImage};
use localgrad::data::{Dataset, ImageShape};
use localgrad_data::{Collection, Found, Part, Reading, look, pictures};
use std::path::{Path, PathBuf};

const READING: Reading = Reading { shape: ImageShape { channels: 3, height: 8, width: 8 }, strict: false };

struct Photos {
    directory: tempfile::TempDir,
}

impl Photos {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A file with these bytes.
    fn file(&self, name: &str, bytes: &[u8]) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    /// A picture of one shade.
    fn picture(&self, name: &str, shade: u8) {
        self.file(name, b"");
        let format = ImageFormat::from_path(name).unwrap_or(ImageFormat::Png);
        let picture = RgbImage::from_pixel(12, 10, Rgb([shade; 3]));
        picture.save_with_format(self.path(name), format).unwrap();
    }

    fn collection(&self) -> Collection {
        match look(self.directory.path()).unwrap() {
            Found::Pictures(collection) => *collection,
            Found::Numbers => panic!("no pictures were found"),
        }
    }

    fn error(&self) -> String {
        match look(self.directory.path()) {
            Err(cause) => cause.to_string(),
            Ok(_) => panic!("it was accepted"),
        }
    }
}

fn names(collection: &Collection, part: Part) -> Vec<String> {
    collection.part(part, 0).unwrap().items.into_iter().map(|item| item.name).collect()
}

#[test]
fn folders_are_classes_and_what_lies_below_is_of_them() {
    let photos = Photos::new();
    photos.picture("dog/1.jpg", 10);
    photos.picture("dog/deep/er/2.PNG", 20);
    photos.picture("cat/3.webp", 30);
    photos.picture("cat/4.bmp", 40);
    photos.picture("Äpfel/5.gif", 50);
    photos.picture("Äpfel/without_an_ending", 60);
    photos.picture("cat/.hidden.png", 0);
    photos.picture(".ipynb_checkpoints/cat/6.png", 0);
    photos.picture("__MACOSX/cat/6.png", 0);
    photos.picture("loose.png", 0);
    photos.file("cat/notes.txt", b"mine");
    std::fs::create_dir(photos.path("empty")).unwrap();
    let collection = photos.collection();
    assert_eq!(collection.whole().class_names, ["cat", "dog", "Äpfel"]);
    let all = collection.part(Part::All, 0).unwrap();
    let found: Vec<(&str, u32)> = all.items.iter().map(|item| (item.name.as_str(), item.label)).collect();
    let wanted = [
        ("cat/3.webp", 0),
        ("cat/4.bmp", 0),
        ("dog/1.jpg", 1),
        ("dog/deep/er/2.PNG", 1),
        ("Äpfel/5.gif", 2),
        ("Äpfel/without_an_ending", 2),
    ];
    assert_eq!(found, wanted);
    assert_eq!(collection.shorter_side(), Some(10));
    let set = pictures::load(all, &READING).unwrap();
    assert_eq!((set.len(), set.classes(), set.sample_name(2)), (6, 3, Some("dog/1.jpg")));
    let mut pixels = vec![0.0; 8 * 8 * 3];
    for (index, shade) in [30.0, 40.0, 10.0, 20.0, 50.0, 60.0].into_iter().enumerate() {
        assert_eq!(set.read(index, &mut pixels).unwrap(), wanted[index].1);
        assert!(
            pixels.iter().all(|pixel| (pixel * 255.0 - shade).abs() < 3.0),
            "{index}: {}",
            pixels[0] * 255.0
        );
    }
    assert!(set.read(6, &mut pixels).is_err() && set.read(0, &mut pixels[1..]).is_err());
    assert!(set.resident_bytes() >= 6 * 8 * 8 * 3);
}

#[test]
fn parts_are_folders_or_drawn() {
    for (validation, test) in [("val", "test"), ("valid", "Testing"), ("validation", "TEST")] {
        let photos = Photos::new();
        photos.picture("train/b/1.png", 1);
        photos.picture(&format!("{validation}/a/2.png"), 2);
        photos.picture(&format!("{test}/b/3.png"), 3);
        let collection = photos.collection();
        assert!(collection.has_parts());
        // A class that only one of them has counts in all.
        assert_eq!(collection.whole().class_names, ["a", "b"]);
        let parts = [Part::Train, Part::Judge, Part::Test, Part::All];
        assert_eq!(
            parts.map(|part| names(&collection, part)),
            [["b/1.png"], ["a/2.png"], ["b/3.png"], ["b/1.png"]]
        );
    }
    let photos = Photos::new();
    for number in 0..10 {
        photos.picture(&format!("a/{number}.png"), number);
        photos.picture(&format!("b/{number}.png"), number);
    }
    let collection = photos.collection();
    let [train, test] = [Part::Train, Part::Judge].map(|part| names(&collection, part));
    assert_eq!((train.len(), test.len()), (16, 4));
    assert!(test.iter().all(|name| !train.contains(name)));
    assert_eq!(test.iter().filter(|name| name.starts_with('a')).count(), 2);
    assert_eq!(names(&collection, Part::Test), test);
    let others = collection.part(Part::Judge, 7).unwrap();
    assert_ne!(
        others.items.iter().map(|item| &item.name).collect::<Vec<_>>(),
        test.iter().collect::<Vec<_>>()
    );
}

#[test]
fn a_list_of_classes_says_their_order_and_names() {
    let photos = Photos::new();
    photos.picture("n02/1.png", 1);
    photos.picture("n01/2.png", 2);
    photos.file("classes.txt", "n02 dog, hound\r\nn03\tbird\nn01 cat\n".as_bytes());
    let collection = photos.collection();
    assert_eq!(collection.whole().class_names, ["dog, hound", "bird", "cat"]);
    let labels: Vec<u32> = collection.whole().items.iter().map(|item| item.label).collect();
    assert_eq!(labels, [2, 0]);
    photos.file("classes.txt", b"n02\nn01\nn03\n");
    assert_eq!(photos.collection().whole().class_names, ["n02", "n01", "n03"]);
    photos.file("classes.txt", b"n02\n");
    assert!(photos.error().contains("\"n01\""), "{}", photos.error());
    photos.file("classes.txt", b"n02\nn01\nn02\n");
    assert!(photos.error().contains("twice"), "{}", photos.error());
}

#[test]
fn bad_files_are_left_out_or_are_fatal() {
    let photos = Photos::new();
    photos.picture("a/1.png", 1);
    photos.picture("a/2.jpg", 2);
    photos.picture("b/3.png", 3);
    let whole = std::fs::read(photos.path("a/2.jpg")).unwrap();
    photos.file("a/cut.jpg", &whole[..whole.len() / 2]);
    photos.file("b/empty.png", b"");
    photos.file("b/scan.tif", b"II*\0");
    let listing = photos.collection().part(Part::All, 0).unwrap();
    assert_eq!(listing.items.len(), 6);
    let set = pictures::load(listing.clone(), &READING).unwrap();
    assert_eq!(set.len(), 3);
    let strict = Reading { strict: true, ..READING };
    let error = pictures::load(listing, &strict).err().unwrap().to_string();
    assert!(error.contains("a/cut.jpg") && error.contains("cut off"), "{error}");
    for name in ["a/1.png", "a/2.jpg", "b/3.png"] {
        std::fs::remove_file(photos.path(name)).unwrap();
    }
    let listing = photos.collection().part(Part::All, 0).unwrap();
    let error = pictures::load(listing, &READING).err().unwrap().to_string();
    assert!(error.contains("no picture could be read: a/cut.jpg"), "{error}");
}

#[test]
fn pictures_without_a_class_are_refused_with_the_remedy() {
    let photos = Photos::new();
    photos.picture("1.png", 1);
    photos.picture("2.png", 1);
    let error = photos.error();
    assert!(error.contains("2 pictures such as 1.png lie in no folder of a class"), "{error}");
    assert!(look(Path::new("nowhere")).is_err());
    let nothing = Photos::new();
    assert!(matches!(look(nothing.directory.path()), Ok(Found::Numbers)));
}

#[test]
fn more_pictures_than_memory_are_refused() {
    let photos = Photos::new();
    photos.picture("a/1.png", 1);
    let listing = photos.collection().part(Part::All, 0).unwrap();
    let shape = ImageShape { channels: 3, height: 1 << 30, width: 1 << 30 };
    let error = pictures::load(listing, &Reading { shape, strict: false }).err().unwrap();
    assert_eq!(error.kind(), localgrad::ErrorKind::Memory, "{error}");
}

#[cfg(unix)]
#[test]
fn links_are_followed_but_not_round_in_circles() {
    use std::os::unix::fs::symlink;
    let photos = Photos::new();
    photos.picture("elsewhere/x/1.png", 1);
    photos.picture("set/a/2.png", 2);
    symlink(photos.path("elsewhere/x"), photos.path("set/b")).unwrap();
    symlink(photos.path("elsewhere/x/1.png"), photos.path("set/a/1.png")).unwrap();
    symlink("..", photos.path("set/a/up")).unwrap();
    symlink(".", photos.path("set/a/self")).unwrap();
    symlink("nowhere.png", photos.path("set/a/broken.png")).unwrap();
    let Found::Pictures(collection) = look(&photos.path("set")).unwrap() else { panic!() };
    assert_eq!(names(&collection, Part::All), ["a/1.png", "a/2.png", "a/broken.png", "b/1.png"]);
    let set = pictures::load(collection.part(Part::All, 0).unwrap(), &READING).unwrap();
    assert_eq!(set.len(), 3);
}
