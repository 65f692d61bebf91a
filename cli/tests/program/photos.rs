//! From a folder of pictures to a network that knows the names of its classes, in a command.

use crate::common::program::{localgrad, records};
use image::{Rgb, RgbImage};
use std::path::Path;

/// Pictures of some sizes and kinds, each class of another colour.
fn write_photos(folder: &Path, per_class: u32) {
    for (class, colour) in [("cat", [200, 60, 40]), ("dog", [40, 180, 60]), ("Äpfel", [50, 60, 210])] {
        std::fs::create_dir_all(folder.join(class)).unwrap();
        for number in 0..per_class {
            let ending = ["jpg", "png", "webp", "bmp", "gif"][number as usize % 5];
            let picture = RgbImage::from_fn(40 + number, 36, |x, y| {
                Rgb(colour.map(|shade: u8| shade.saturating_add((x * 7 + y * 3 + number) as u8 % 40)))
            });
            picture.save(folder.join(class).join(format!("{number}.{ending}"))).unwrap();
        }
    }
    std::fs::write(folder.join("cat/broken.jpg"), b"\xff\xd8\xff\xe0 no more").unwrap();
}

const SMALL: [&str; 10] =
    ["--model", "resnet8", "--widths", "4,4,8,8", "--rule", "bp", "--epochs", "6", "--lr", "0.05"];

#[test]
fn a_folder_of_photos_trains_predicts_and_fine_tunes() {
    let directory = tempfile::tempdir().unwrap();
    let here = directory.path();
    write_photos(&here.join("photos"), 10);
    let words = [&["train", "photos/"][..], &SMALL, &["--out", "run"]].concat();
    let (code, out, error) = localgrad(here, &words);
    assert_eq!(code, Some(0), "{error}");
    for needle in ["31 pictures of 3 classes (cat, dog, Äpfel)", "a fifth of each class", "3x32x32, 8 a step"]
    {
        assert!(out.contains(needle), "{needle}: {out}");
    }
    assert!(error.contains("pictures could not be read and are left out: cat/broken.jpg"), "{error}");

    let metrics = records(&std::fs::read_to_string(here.join("run/metrics.jsonl")).unwrap());
    let done = metrics.iter().find(|record| record["event"] == "done").unwrap();
    let [waited, all] = ["waited_seconds", "seconds"].map(|name| done[name].as_f64().unwrap());
    assert!(waited > 0.0 && waited <= all, "{waited} of {all}");

    // Judged by what was not learnt from, with each class by name.
    let (code, out, error) = localgrad(here, &["eval", "--run", "run", "--json"]);
    assert_eq!(code, Some(0), "{error}");
    let found = &records(&out)[0];
    let classes = found["classes"].as_array().unwrap();
    let names: Vec<&str> = classes.iter().map(|class| class["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["cat", "dog", "Äpfel"]);
    let samples: u64 = classes.iter().map(|class| class["samples"].as_u64().unwrap()).sum();
    assert_eq!(found["samples"].as_u64(), Some(samples));
    assert!((5..=6).contains(&samples), "{out}");
    assert!(classes.iter().all(|class| class["accuracy"].is_number()));
    // Another folder is judged as a whole, by the names of its classes.
    let other = here.join("other/dog");
    std::fs::create_dir_all(&other).unwrap();
    std::fs::copy(here.join("photos/dog/1.png"), other.join("x.png")).unwrap();
    let (code, out, error) = localgrad(here, &["eval", "--run", "run", "--data", "other", "--json"]);
    assert_eq!(code, Some(0), "{error}");
    assert_eq!(records(&out)[0]["classes"][1]["samples"], 1, "{out}");

    let words = ["predict", "--run", "run", "photos/dog", "other/dog/x.png", "--json", "--logits"];
    let (code, out, error) = localgrad(here, &words);
    assert_eq!(code, Some(0), "{error}");
    let predicted = records(&out);
    assert_eq!(predicted.len(), 11);
    for record in &predicted {
        let logits: Vec<f64> =
            record["logits"].as_array().unwrap().iter().map(|l| l.as_f64().unwrap()).collect();
        let class = record["class"].as_u64().unwrap() as usize;
        assert!(logits.len() == 3 && logits.iter().all(|&logit| logit <= logits[class]), "{record}");
        let sum: f64 = logits.iter().map(|logit| (logit - logits[class]).exp()).sum();
        assert!((record["probability"].as_f64().unwrap() - 1.0 / sum).abs() < 1e-6, "{record}");
        assert_eq!(record["name"], names[class]);
        assert!(record["file"].as_str().unwrap().ends_with(record["sample"].as_str().unwrap()));
    }
    let (_, out, _) = localgrad(here, &["predict", "--run", "run", "--json"]);
    assert!(records(&out).iter().any(|record| record["sample"].as_str().unwrap().contains('/')), "{out}");

    let words = ["finetune", "photos", "--init", "run/weights.safetensors", "--rule", "bp", "--steps", "1"];
    let (code, out, error) = localgrad(here, &[&words[..], &["--out", "tuned"]].concat());
    assert_eq!(code, Some(0), "{error}");
    assert!(out.contains("the weights' network takes them as 3x32x32"), "{out}");
}

#[test]
fn a_run_of_photos_goes_on_from_anywhere() {
    let directory = tempfile::tempdir().unwrap();
    let here = directory.path();
    write_photos(&here.join("photos"), 6);
    let words = [&["train", "photos"][..], &SMALL].concat();
    let (code, _, error) = localgrad(here, &[&words[..], &["--out", "whole"]].concat());
    assert_eq!(code, Some(0), "{error}");
    let begun: Vec<&str> = words.iter().map(|&word| if word == "6" { "3" } else { word }).collect();
    let constant = ["--schedule", "constant"];
    for (first, out) in [(&words, "once"), (&begun, "twice")] {
        let (code, _, error) = localgrad(here, &[&first[..], &constant, &["--out", out]].concat());
        assert_eq!(code, Some(0), "{error}");
    }
    std::fs::create_dir(here.join("below")).unwrap();
    let below = here.join("below");
    let resume = ["train", "--resume", "--out", "../twice", "--epochs", "6"];
    let (code, _, error) = localgrad(&below, &resume);
    assert_eq!(code, Some(0), "{error}");
    let weights = |run: &str| std::fs::read(here.join(run).join("weights.safetensors")).unwrap();
    assert!(weights("once") == weights("twice"));
}

const VARIED: [&str; 4] =
    ["--random-resized-crop", "--rand-augment=1,7", "--color-jitter=0.3,0.3,0.3,0.1", "--repeated-augment=2"];

#[test]
fn pictures_decoded_anew_each_epoch_give_the_same_bytes_however_they_are_read() {
    let directory = tempfile::tempdir().unwrap();
    let here = directory.path();
    write_photos(&here.join("photos"), 6);
    let words = [&["train", "photos", "--schedule", "constant"][..], &SMALL, &VARIED].concat();
    let begun: Vec<&str> = words.iter().map(|&word| if word == "6" { "3" } else { word }).collect();
    for (words, out) in [
        ([&words[..], &["--threads", "1"]].concat(), "alone"),
        ([&words[..], &["--threads", "3"]].concat(), "together"),
        (begun, "twice"),
    ] {
        let (code, _, error) = localgrad(here, &[&words[..], &["--out", out]].concat());
        assert_eq!(code, Some(0), "{error}");
    }
    let resume = ["train", "--resume", "--out", "twice", "--epochs", "6"];
    let (code, _, error) = localgrad(here, &resume);
    assert_eq!(code, Some(0), "{error}");
    let weights = |run: &str| std::fs::read(here.join(run).join("weights.safetensors")).unwrap();
    assert!(weights("alone") == weights("together"));
    assert!(weights("alone") == weights("twice"));
    for run in ["alone", "together"] {
        let metrics = records(&std::fs::read_to_string(here.join(run).join("metrics.jsonl")).unwrap());
        let done = metrics.iter().find(|record| record["event"] == "done").unwrap();
        let [planned, peak] = ["planned_bytes", "peak_bytes"].map(|name| done[name].as_u64().unwrap());
        assert!(peak <= planned, "{peak} of {planned}");
    }
    let other = ["train", "--resume", "--out", "twice", "--epochs", "7", "--rand-augment=1,8"];
    let (code, _, error) = localgrad(here, &other);
    assert_ne!(code, Some(0));
    assert!(error.contains("loader.augment.rand_augment.magnitude was 7 and is 8"), "{error}");
    // What went bad meanwhile is named, and the run goes on once it is whole.
    let other = here.join("photos/dog/1.png");
    let whole = std::fs::read(&other).unwrap();
    std::fs::write(&other, &whole[..whole.len() / 2]).unwrap();
    let (code, _, error) = localgrad(here, &["train", "--resume", "--out", "twice", "--epochs", "7"]);
    assert!(code != Some(0) && error.contains("dog/1.png"), "{error}");
    std::fs::write(&other, whole).unwrap();
    let (code, _, error) = localgrad(here, &["train", "--resume", "--out", "twice", "--epochs", "7"]);
    assert_eq!(code, Some(0), "{error}");
}

#[test]
fn images_that_cannot_be_varied_so_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let here = directory.path();
    write_photos(&here.join("photos"), 2);
    for (said, needle) in [
        (&["--no-augment", "--color-jitter"][..], "leave it or --color-jitter out"),
        (&["--random-resized-crop=0.5"], "found 1 numbers"),
        (&["--random-resized-crop=0.5,2"], "(0, 1]"),
        (&["--rand-augment=2,31"], "a magnitude of 0 to 30"),
        (&["--rand-augment=2.5,9"], "two whole numbers"),
        (&["--color-jitter=0.1,0.2"], "one number for brightness"),
        (&["--color-jitter=0.4,0.4,0.4,0.7"], "hue at most 0.5"),
        (&["--repeated-augment=0"], "at least once"),
        (&["--color-jitter=much"], "no row of numbers"),
    ] {
        let words = [&["train", "photos", "--out", "r"][..], &SMALL, said].concat();
        let (code, _, error) = localgrad(here, &words);
        assert!(code != Some(0) && error.contains(needle), "{said:?}: {error}");
        assert!(!here.join("r").exists(), "{said:?}");
    }
}

#[test]
fn what_cannot_be_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let here = directory.path();
    write_photos(&here.join("photos"), 2);
    let (code, _, error) = localgrad(here, &["train", "photos", "--strict", "--out", "r"]);
    assert_eq!(code, Some(1));
    assert!(error.contains("cat/broken.jpg") && !here.join("r").exists(), "{error}");
    let (code, _, error) = localgrad(here, &["train", "photos", "--data", "photos"]);
    assert_eq!(code, Some(2), "{error}");
    let (code, _, error) =
        localgrad(here, &["train", "--data", "embedded", "--input", "3x8x8", "--out", "r"]);
    assert_eq!(code, Some(2));
    assert!(error.contains("--input is for pictures"), "{error}");
    let (code, _, error) = localgrad(here, &["finetune", "photos"]);
    assert_eq!(code, Some(2));
    assert!(error.contains("--init"), "{error}");
}

#[test]
fn archives_and_lists_train_as_their_folder_does() {
    let directory = tempfile::tempdir().unwrap();
    let here = directory.path();
    write_photos(&here.join("photos"), 5);
    std::fs::remove_file(here.join("photos/cat/broken.jpg")).unwrap();
    let mut tar = tar::Builder::new(std::fs::File::create(here.join("photos.tar")).unwrap());
    tar.append_dir_all("photos", here.join("photos")).unwrap();
    tar.finish().unwrap();
    let mut list = String::from("path,label\n");
    for class in ["cat", "dog", "Äpfel"] {
        for (number, ending) in (0..).zip(["jpg", "png", "webp", "bmp", "gif"]) {
            list.push_str(&format!("photos/{class}/{number}.{ending},{class}\n"));
        }
    }
    std::fs::write(here.join("list.csv"), list).unwrap();
    let weights = |data: &str, run: &str| {
        let words = [&["train", data], &SMALL[..7], &["1", "--out", run]].concat();
        let (code, out, error) = localgrad(here, &words);
        assert_eq!(code, Some(0), "{error}");
        assert!(out.contains("15 pictures of 3 classes (cat, dog, Äpfel)"), "{out}");
        std::fs::read(here.join(run).join("weights.safetensors")).unwrap()
    };
    let wanted = weights("photos", "folder");
    assert!(weights("photos.tar", "archive") == wanted);
    assert!(weights("list.csv", "listed") == wanted);
    let (code, out, error) = localgrad(here, &["eval", "--run", "folder", "--data", "list.csv", "--json"]);
    assert_eq!(code, Some(0), "{error}");
    assert_eq!(records(&out)[0]["samples"], 15);
}
