//! What a machine tells of its temperatures, clocks and power mode: files that Linux has on boards, phones and laptops.

use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};

/// What a machine tells of itself; a part that it does not tell is empty.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Board {
    /// Its name, as its firmware has it: `NVIDIA Jetson Orin Nano Developer Kit`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The power mode that nvpmodel has set on a Jetson: its name, such as `15W`, or its number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power_mode: Option<String>,
    /// Each thermal zone, and each sensor of a processor that is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub temperatures: Vec<Temperature>,
    /// Clocks of processors, GPUs and memory.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clocks: Vec<Clock>,
}

/// What a zone or sensor measures.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Temperature {
    /// What it is the temperature of: `gpu-thermal`.
    pub name: String,
    /// How hot that is.
    pub celsius: f64,
}

/// How fast something runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clock {
    /// What runs: `cpu0` and those that share its clock, or a device's name, `17000000.gpu`.
    pub name: String,
    /// Now.
    pub hertz: u64,
    /// At the most, as things are: power modes and heat lower it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub most_hertz: Option<u64>,
}

/// Zones that measure nothing: this one of Jetson's power supply is at 100 °C for ever.
const CONSTANT: &str = "PMIC-Die";
/// Drivers of sensors inside processors, of which some have no thermal zone.
const PROCESSORS: [&str; 4] = ["coretemp", "cpu_thermal", "k10temp", "zenpower"];
/// What no machine is at that works: zones that are switched off, and those that measure volts, say so.
const PLAUSIBLE_CELSIUS: std::ops::Range<f64> = -40.0..150.0;

impl Board {
    /// What the machine tells whose file system is at `root`.
    pub fn read(root: &Path) -> Self {
        let name = |path| text(&root.join(path));
        Self {
            model: name("proc/device-tree/model").or_else(|| name("sys/class/dmi/id/product_name")),
            power_mode: power_mode(root),
            temperatures: temperatures(root),
            clocks: clocks(root),
        }
    }

    /// Whether it tells nothing that changes.
    pub fn is_silent(&self) -> bool {
        self.temperatures.is_empty() && self.clocks.is_empty()
    }

    /// Power mode, hottest zone and clocks, in words.
    pub fn words(&self) -> String {
        let mode = self.power_mode.iter().map(|mode| format!("mode {mode}"));
        let heat = hottest(&self.temperatures).into_iter().map(|zone| zone.words());
        let clocks = self.clocks.iter().map(Clock::words);
        mode.chain(heat).chain(clocks).collect::<Vec<_>>().join(", ")
    }
}

impl Temperature {
    /// `gpu-thermal 51.5 °C`.
    pub fn words(&self) -> String {
        format!("{} {:.1} °C", self.name, self.celsius)
    }
}

impl Clock {
    fn words(&self) -> String {
        let megahertz = |hertz: u64| hertz / 1_000_000;
        let most = self.most_hertz.map_or(String::new(), |most| format!(" of {}", megahertz(most)));
        format!("{} {}{most} MHz", self.name, megahertz(self.hertz))
    }
}

/// All temperatures that the machine tells whose file system is at `root`.
pub fn temperatures(root: &Path) -> Vec<Temperature> {
    let zones = entries(&root.join("sys/class/thermal"), "thermal_zone");
    let zones = zones.iter().filter_map(|zone| temperature(text(&zone.join("type"))?, &zone.join("temp")));
    let sensors = entries(&root.join("sys/class/hwmon"), "hwmon");
    let sensors = sensors.iter().filter_map(|sensor| {
        let name = text(&sensor.join("name")).filter(|name| PROCESSORS.contains(&name.as_str()))?;
        temperature(name, &sensor.join("temp1_input"))
    });
    zones.chain(sensors).collect()
}

/// The hottest of them.
pub fn hottest(temperatures: &[Temperature]) -> Option<&Temperature> {
    temperatures.iter().max_by(|a, b| a.celsius.total_cmp(&b.celsius))
}

/// What a file says in thousandths of a degree.
fn temperature(name: String, file: &Path) -> Option<Temperature> {
    let celsius = 1e-3 * number(file)? as f64;
    let measures = name != CONSTANT && PLAUSIBLE_CELSIUS.contains(&celsius);
    measures.then_some(Temperature { name, celsius })
}

/// Those of processors, which share a clock in groups, and of devices.
fn clocks(root: &Path) -> Vec<Clock> {
    let positive = |file: PathBuf| number(&file).and_then(|number| u64::try_from(number).ok());
    let groups = entries(&root.join("sys/devices/system/cpu/cpufreq"), "policy");
    let groups = groups.iter().filter_map(|group| {
        let kilohertz = |file: &str| positive(group.join(file)).map(|number| 1000 * number);
        Some(Clock {
            name: format!("cpu{}", file_name(group).trim_start_matches("policy")),
            hertz: kilohertz("scaling_cur_freq")?,
            most_hertz: kilohertz("scaling_max_freq"),
        })
    });
    let devices = entries(&root.join("sys/class/devfreq"), "");
    let devices = devices.iter().filter_map(|device| {
        let hertz = positive(device.join("cur_freq"))?;
        Some(Clock { name: file_name(device), hertz, most_hertz: positive(device.join("max_freq")) })
    });
    groups.chain(devices).collect()
}

/// The mode that nvpmodel wrote down, by its name in the table that it was taken from.
fn power_mode(root: &Path) -> Option<String> {
    let status = text(&root.join("var/lib/nvpmodel/status"))?;
    let digits = status.split_whitespace().find_map(|word| word.strip_prefix("pmode:"))?;
    let mode: u32 = digits.parse().ok()?;
    let table = text(&root.join("etc/nvpmodel.conf")).unwrap_or_default();
    let name = table.lines().filter(|line| line.contains("POWER_MODEL")).find_map(|line| {
        let said = |key: &'static str| line.split_whitespace().find_map(|word: &str| word.strip_prefix(key));
        (said("ID=")?.parse::<u32>() == Ok(mode)).then(|| said("NAME="))?
    });
    Some(name.map_or_else(|| mode.to_string(), String::from))
}

/// The entries of a directory whose names begin so, in the order of the numbers behind that.
fn entries(directory: &Path, prefix: &str) -> Vec<PathBuf> {
    let found = fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut found: Vec<PathBuf> = found.filter(|path| file_name(path).starts_with(prefix)).collect();
    found.sort_by_key(|path| {
        let name = file_name(path);
        (name[prefix.len()..].parse::<u64>().unwrap_or(u64::MAX), name)
    });
    found
}

fn file_name(path: &Path) -> String {
    path.file_name().map_or(String::new(), |name| name.to_string_lossy().into_owned())
}

fn number(file: &Path) -> Option<i64> {
    text(file)?.parse().ok()
}

/// What a file says, without the line's end or the zero byte that it ends with; none where it says nothing.
fn text(file: &Path) -> Option<String> {
    let text = String::from_utf8_lossy(&fs::read(file).ok()?).into_owned();
    let text = text.trim_matches(|c: char| c == '\0' || c.is_whitespace());
    (!text.is_empty()).then(|| text.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, files: &[(&str, &str)]) {
        for (path, text) in files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }

    /// The files of a Jetson Orin Nano, as its kernel and nvpmodel write them.
    fn orin(root: &Path) {
        write(
            root,
            &[
                ("proc/device-tree/model", "NVIDIA Jetson Orin Nano Developer Kit\0"),
                ("sys/class/thermal/thermal_zone0/type", "cpu-thermal\n"),
                ("sys/class/thermal/thermal_zone0/temp", "49437\n"),
                ("sys/class/thermal/thermal_zone1/type", "gpu-thermal\n"),
                ("sys/class/thermal/thermal_zone1/temp", "51500\n"),
                ("sys/class/thermal/thermal_zone2/type", "cv0-thermal\n"),
                ("sys/class/thermal/thermal_zone2/temp", "-256000\n"),
                ("sys/class/thermal/thermal_zone10/type", "PMIC-Die\n"),
                ("sys/class/thermal/thermal_zone10/temp", "100000\n"),
                ("sys/class/thermal/cooling_device0/type", "pwm-fan\n"),
                ("sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq", "1510400\n"),
                ("sys/devices/system/cpu/cpufreq/policy0/scaling_max_freq", "1510400\n"),
                ("sys/class/devfreq/17000000.gpu/cur_freq", "306000000\n"),
                ("sys/class/devfreq/17000000.gpu/max_freq", "624750000\n"),
                ("var/lib/nvpmodel/status", "pmode:0001"),
                (
                    "etc/nvpmodel.conf",
                    "< POWER_MODEL ID=0 NAME=15W >\nCPU_ONLINE\n< POWER_MODEL ID=1 NAME=7W >\n",
                ),
            ],
        );
    }

    #[test]
    fn a_jetson_tells_all_of_it() {
        let root = tempfile::tempdir().unwrap();
        orin(root.path());
        let board = Board::read(root.path());
        assert_eq!(board.model.as_deref(), Some("NVIDIA Jetson Orin Nano Developer Kit"));
        assert_eq!(board.power_mode.as_deref(), Some("7W"));
        let names: Vec<&str> = board.temperatures.iter().map(|zone| zone.name.as_str()).collect();
        // What is off, and what never changes, is no temperature.
        assert_eq!(names, ["cpu-thermal", "gpu-thermal"]);
        assert_eq!(hottest(&board.temperatures).unwrap().words(), "gpu-thermal 51.5 °C");
        assert_eq!(
            board.words(),
            "mode 7W, gpu-thermal 51.5 °C, cpu0 1510 of 1510 MHz, 17000000.gpu 306 of 624 MHz"
        );
    }

    #[test]
    fn a_mode_without_a_table_is_its_number() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), &[("var/lib/nvpmodel/status", "pmode:0002 fmode:quiet\n")]);
        assert_eq!(Board::read(root.path()).power_mode.as_deref(), Some("2"));
        write(root.path(), &[("var/lib/nvpmodel/status", "nonsense")]);
        assert_eq!(Board::read(root.path()).power_mode, None);
    }

    #[test]
    fn a_desktop_has_sensors_and_no_zones() {
        let root = tempfile::tempdir().unwrap();
        write(
            root.path(),
            &[
                ("sys/class/hwmon/hwmon0/name", "nvme\n"),
                ("sys/class/hwmon/hwmon0/temp1_input", "70000\n"),
                ("sys/class/hwmon/hwmon3/name", "k10temp\n"),
                ("sys/class/hwmon/hwmon3/temp1_input", "45250\n"),
            ],
        );
        let found = temperatures(root.path());
        assert_eq!(found, [Temperature { name: "k10temp".into(), celsius: 45.25 }]);
    }

    #[test]
    fn a_machine_that_tells_nothing_is_silent() {
        let root = tempfile::tempdir().unwrap();
        let board = Board::read(root.path());
        assert_eq!(board, Board::default());
        assert!(board.is_silent() && board.words().is_empty());
        assert_eq!(serde_json::to_string(&board).unwrap(), "{}");
    }
}
