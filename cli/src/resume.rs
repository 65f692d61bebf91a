//! The words of a run that is gone on with: those that it began with, and after them those said now.

use crate::arguments::{Arguments, Command, FinetuneArguments, TrainArguments};
use crate::fault::{Fault, Outcome};
use clap::Parser;
use std::path::{Path, absolute};

/// Words that are followed by a path of somebody else's file or directory.
const PATHS: [&str; 7] =
    ["--data", "--init", "--weights", "--model", "--scratch", "--class-names", "--board"];

/// What this process was told, without the program's name, and with `--data` before data that are named without it.
pub fn own_words() -> Vec<String> {
    with_flags(std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect())
}

/// `words` with `--data` before data that are named without it.
fn with_flags(words: Vec<String>) -> Vec<String> {
    let directory = match parsed(&words) {
        Ok(FinetuneOrTrain::Train(words)) => words.directory,
        Ok(FinetuneOrTrain::Finetune(words)) => words.train.directory,
        Err(_) => None,
    };
    let Some(directory) = directory else { return words };
    // Another word may be the same: only one of them can be replaced so that all still make sense.
    let flag = format!("--data={directory}");
    let replaced = (0..words.len()).filter(|&place| words[place] == directory).find_map(|place| {
        let mut words = words.clone();
        words[place].clone_from(&flag);
        words.retain(|word| word != "--");
        let found = match parsed(&words).ok()? {
            FinetuneOrTrain::Train(found) => *found,
            FinetuneOrTrain::Finetune(found) => found.train,
        };
        let is_same = found.directory.is_none() && found.data.data.as_ref() == Some(&directory);
        is_same.then_some(words)
    });
    replaced.unwrap_or(words)
}

/// The words to keep: without the run's directory, which may be moved, and with paths that hold from anywhere.
pub fn lasting(words: &[String]) -> Vec<String> {
    let mut kept = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.split_once('=') {
            _ if word == "--resume" => {}
            _ if word == "--out" => {
                words.next();
            }
            Some(("--out", _)) => {}
            Some((flag, path)) if PATHS.contains(&flag) => {
                kept.push(format!("{flag}={}", lasting_path(path)))
            }
            _ if PATHS.contains(&word.as_str()) => {
                kept.push(word.clone());
                kept.extend(words.next().map(|path| lasting_path(path)));
            }
            _ => kept.push(word.clone()),
        }
    }
    kept
}

/// An absolute path, if the word names a file that is there.
fn lasting_path(word: &str) -> String {
    match absolute(word) {
        Ok(path) if Path::new(word).exists() => path.to_string_lossy().into_owned(),
        _ => word.to_string(),
    }
}

/// The `stored` words, and after them what is said now in their place or besides. The stored command stays.
pub fn merged(stored: &[String], own: &[String]) -> Vec<String> {
    let flag = |word: &String| word.split('=').next().filter(|flag| flag.starts_with("--")).map(String::from);
    let said: Vec<String> = own.iter().filter_map(flag).collect();
    let mut kept = Vec::new();
    let mut words = stored.iter().peekable();
    while let Some(word) = words.next() {
        if flag(word).is_some_and(|flag| said.contains(&flag)) {
            // Its value, if it has one, is the next word.
            words.next_if(|next| !word.contains('=') && !next.starts_with("--"));
            continue;
        }
        kept.push(word.clone());
    }
    kept.extend(own.iter().skip(1).cloned());
    kept
}

/// What the words of a run mean.
pub fn parsed(words: &[String]) -> Outcome<FinetuneOrTrain> {
    let all = std::iter::once("localgrad").chain(words.iter().map(String::as_str));
    match Arguments::try_parse_from(all).map_err(|cause| wrong(&cause))?.command {
        Command::Train(words) => Ok(FinetuneOrTrain::Train(words)),
        Command::Finetune(words) => Ok(FinetuneOrTrain::Finetune(words)),
        _ => Err(Fault::failed("run.json holds the words of a command that trains nothing")),
    }
}

/// The words of a command that trains.
pub enum FinetuneOrTrain {
    /// `train`.
    Train(Box<TrainArguments>),
    /// `finetune`.
    Finetune(Box<FinetuneArguments>),
}

fn wrong(cause: &clap::Error) -> Fault {
    let text = cause.to_string();
    let line = text.lines().next().unwrap_or_default();
    Fault::usage(format!("{} (with the words that the run began with)", line.trim_start_matches("error: ")))
}

/// The command that goes on with the run in `directory`, as a shell takes it.
pub fn command(directory: &Path) -> String {
    let path = directory.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%,".contains(c);
    let path = match path.chars().all(plain) && !path.is_empty() {
        true => path.into_owned(),
        false => format!("'{}'", path.replace('\'', r"'\''")),
    };
    format!("localgrad train --resume --out {path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(String::from).collect()
    }

    #[test]
    fn lasting_words_lose_the_directory_and_keep_paths() {
        let kept = lasting(&words("train --out a/b --resume --out=c --lr 0.1 --data . --init=/nowhere.st"));
        let here = absolute(".").unwrap().to_string_lossy().into_owned();
        assert_eq!(kept, ["train", "--lr", "0.1", "--data", &here, "--init=/nowhere.st"]);
    }

    #[test]
    fn data_are_named_with_their_flag() {
        for (told, meant) in [
            ("train photos --epochs 3", "train --data=photos --epochs 3"),
            ("train --out photos photos", "train --out photos --data=photos"),
            ("finetune --init photos photos --strict", "finetune --init photos --data=photos --strict"),
            ("train --data photos", "train --data photos"),
            ("train --epochs 3", "train --epochs 3"),
            ("train -- photos", "train --data=photos"),
        ] {
            assert_eq!(with_flags(words(told)), words(meant));
        }
    }

    #[test]
    fn later_words_count() {
        let stored =
            words("train --model resnet8 --widths 4,4,8,8 --lr=0.1 --epochs 3 --no-augment --keep 2");
        let own = words("train --resume --out r --epochs 5 --widths=8,8,8,8 --no-augment");
        let merged_words = merged(&stored, &own);
        let Ok(FinetuneOrTrain::Train(found)) = parsed(&merged_words) else { panic!("{merged_words:?}") };
        assert_eq!(found.recipe.epochs, Some(5));
        assert_eq!(found.recipe.lr, Some(0.1));
        assert_eq!(found.model.widths, Some(vec![8, 8, 8, 8]));
        assert_eq!((found.checkpoint.keep, found.checkpoint.resume), (2, true));
        assert_eq!(merged(&merged_words, &own), merged_words);
        let stored = words("finetune --model resnet8 --weights w --freeze first-2-blocks");
        let Ok(FinetuneOrTrain::Finetune(found)) = parsed(&merged(&stored, &own)) else { panic!() };
        assert_eq!(found.freeze, Some(2));
        assert!(parsed(&merged(&words("train --epochs 3"), &words("train --steps 4"))).is_err());
        assert!(parsed(&words("devices")).is_err());
    }

    #[test]
    fn commands_can_be_pasted() {
        assert_eq!(command(Path::new("runs/1")), "localgrad train --resume --out runs/1");
        assert_eq!(command(Path::new("it's here")), r"localgrad train --resume --out 'it'\''s here'");
    }
}
