//! Training that rests when the machine is hot: slower for it, and otherwise the same.

use crate::arguments::ThermalArguments;
use crate::board::{self, Board, Temperature};
use crate::fault::{Fault, Outcome};
use crate::interrupt;
use localgrad::maps::Place;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How often temperatures are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How often while resting, so that whoever asks for a stop is heard.
const SLICE: Duration = Duration::from_millis(200);
/// How far a machine cools before it goes on.
const COOLER_CELSIUS: f64 = 3.0;
/// How long a rest may take: training goes on where something else heats the machine, if slowly.
const LONGEST: Duration = Duration::from_secs(60);
/// How often rests are told at most.
const TOLD: Duration = Duration::from_secs(60);

/// What may be asked for.
const CELSIUS: std::ops::RangeInclusive<f64> = 30.0..=120.0;

/// What `--max-temperature` takes.
pub fn temperature(text: &str) -> Result<f64, String> {
    let celsius = text.trim_end_matches('C').parse::<f64>().ok().filter(|celsius| CELSIUS.contains(celsius));
    celsius.ok_or_else(|| "give degrees Celsius from 30 to 120, such as 80".into())
}

/// Refuses a limit where there is nothing to hold it against; what is to be said where it is not held against the device.
pub fn check(arguments: &ThermalArguments, place: &Place) -> Outcome<Option<String>> {
    if arguments.max_temperature.is_none() {
        return Ok(None);
    }
    let told = place.celsius();
    let of_device = told.as_ref().is_ok_and(Option::is_some);
    let why = told.err().map(|cause| format!("{} is not looked at: {cause}", place.name()));
    if of_device || !board::temperatures(&arguments.board).is_empty() {
        return Ok(
            why.map(|why| format!("--max-temperature is held against this machine's own sensors, and {why}"))
        );
    }
    let zones = arguments.board.join("sys/class/thermal");
    let why = why.map_or(String::new(), |why| format!(", and {why}"));
    Err(Fault::usage(format!(
        "--max-temperature cannot be kept: this system tells no temperature (there is no thermal zone in {}){why}; leave it \
         out",
        zones.display()
    )))
}

/// Looks at temperatures, and rests.
#[derive(Debug)]
pub struct Cooling {
    /// Where the machine's files are.
    root: PathBuf,
    /// A device that may tell how hot it is.
    place: Place,
    /// How hot it may be.
    most_celsius: Option<f64>,
    looked: Option<Instant>,
    told: Option<Instant>,
    /// How long training has rested.
    pub rested: Duration,
    /// The hottest that was seen.
    pub hottest_celsius: Option<f64>,
}

/// A rest that begins.
#[derive(Clone, Debug, PartialEq)]
pub struct Rest {
    /// What is too hot.
    pub hot: Temperature,
    /// Whether it is long since one was told.
    pub is_news: bool,
}

impl Cooling {
    /// As `arguments` say.
    pub fn new(arguments: &ThermalArguments, place: &Place) -> Self {
        Self {
            root: arguments.board.clone(),
            place: place.clone(),
            most_celsius: arguments.max_temperature,
            looked: None,
            told: None,
            rested: Duration::ZERO,
            hottest_celsius: None,
        }
    }

    /// What the machine tells of itself now; none where that is nothing.
    pub fn board(&mut self) -> Option<Board> {
        let mut board = Board::read(&self.root);
        board.temperatures.extend(of_device(&self.place));
        self.note(&board.temperatures);
        (!board.is_silent()).then_some(board)
    }

    /// The rest that is due, if one is. It is begun by [`Cooling::rest`].
    pub fn due(&mut self) -> Option<Rest> {
        let most_celsius = self.most_celsius?;
        let now = Instant::now();
        if self.looked.is_some_and(|looked| now.duration_since(looked) < LOOK) {
            return None;
        }
        self.looked = Some(now);
        let hot = self.look().filter(|found| found.celsius > most_celsius)?;
        let is_news = self.told.is_none_or(|told| now.duration_since(told) >= TOLD);
        if is_news {
            self.told = Some(now);
        }
        Some(Rest { hot, is_news })
    }

    /// Waits until the machine has cooled down, somebody asks for a stop, or it has been long enough.
    pub fn rest(&mut self) {
        self.rest_by(&mut |time| {
            std::thread::sleep(time);
            !interrupt::requested()
        });
    }

    /// The same with `pause`, which lets some time pass, and says whether to wait on.
    fn rest_by(&mut self, pause: &mut dyn FnMut(Duration) -> bool) {
        let Some(most_celsius) = self.most_celsius else { return };
        let mut rested = Duration::ZERO;
        while rested < LONGEST {
            rested += SLICE;
            if !pause(SLICE) || self.look().is_none_or(|found| found.celsius <= most_celsius - COOLER_CELSIUS)
            {
                break;
            }
        }
        self.rested += rested;
        self.looked = Some(Instant::now());
    }

    /// The hottest that there is.
    fn look(&mut self) -> Option<Temperature> {
        let mut found = board::temperatures(&self.root);
        found.extend(of_device(&self.place));
        self.note(&found);
        board::hottest(&found).cloned()
    }

    fn note(&mut self, found: &[Temperature]) {
        let celsius = board::hottest(found).map(|found| found.celsius);
        self.hottest_celsius = self.hottest_celsius.into_iter().chain(celsius).reduce(f64::max);
    }
}

/// What a device tells of its own, which is no file's.
fn of_device(place: &Place) -> Option<Temperature> {
    let celsius = place.celsius().ok().flatten()?;
    Some(Temperature { name: place.name(), celsius })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;

    fn set(root: &Path, celsius: f64) {
        let zone = root.join("sys/class/thermal/thermal_zone0");
        fs::create_dir_all(&zone).unwrap();
        fs::write(zone.join("type"), "cpu-thermal\n").unwrap();
        fs::write(zone.join("temp"), format!("{}\n", (1000.0 * celsius) as i64)).unwrap();
    }

    fn cooling(root: &Path, max_temperature: Option<f64>) -> Cooling {
        Cooling::new(&ThermalArguments { max_temperature, board: root.into() }, &Place::Host)
    }

    #[test]
    fn it_rests_until_it_is_cooler() {
        let root = tempfile::tempdir().unwrap();
        set(root.path(), 90.5);
        let mut cooling = cooling(root.path(), Some(80.0));
        let rest = cooling.due().unwrap();
        assert_eq!((rest.hot.words().as_str(), rest.is_news), ("cpu-thermal 90.5 °C", true));
        // It has just looked.
        assert_eq!(cooling.due(), None);
        let mut celsius = 90.5;
        cooling.rest_by(&mut |_| {
            celsius -= 1.0;
            set(root.path(), celsius);
            true
        });
        // The first that is three degrees below the limit.
        assert_eq!(celsius, 76.5);
        assert_eq!(cooling.rested, 14 * SLICE);
        assert_eq!(cooling.hottest_celsius, Some(90.5));
    }

    #[test]
    fn what_stays_hot_is_trained_on_slowly() {
        let root = tempfile::tempdir().unwrap();
        set(root.path(), 95.0);
        let mut cooling = cooling(root.path(), Some(80.0));
        let mut waited = Duration::ZERO;
        cooling.rest_by(&mut |time| {
            waited += time;
            true
        });
        assert_eq!((waited, cooling.rested), (LONGEST, LONGEST));
    }

    #[test]
    fn a_stop_and_a_sensor_that_is_gone_end_a_rest() {
        let root = tempfile::tempdir().unwrap();
        set(root.path(), 95.0);
        let mut cooling = cooling(root.path(), Some(80.0));
        cooling.rest_by(&mut |_| false);
        assert_eq!(cooling.rested, SLICE);
        fs::remove_dir_all(root.path().join("sys")).unwrap();
        cooling.rest_by(&mut |_| true);
        assert_eq!(cooling.rested, 2 * SLICE);
    }

    #[test]
    fn nobody_rests_who_is_not_asked_to_or_is_cool() {
        let root = tempfile::tempdir().unwrap();
        set(root.path(), 79.9);
        assert_eq!(cooling(root.path(), None).due(), None);
        assert_eq!(cooling(root.path(), Some(80.0)).due(), None);
    }

    #[test]
    fn limits_are_degrees_that_machines_reach() {
        assert_eq!((temperature("80"), temperature("72.5C")), (Ok(80.0), Ok(72.5)));
        for wrong in ["", "8", "warm", "353", "NaN", "-5"] {
            assert!(temperature(wrong).unwrap_err().contains("30 to 120"), "{wrong}");
        }
    }
}
