//! `localgrad devices`

use crate::arguments::DevicesArguments;
use crate::fault::Outcome;
use crate::output::{Output, table};
use serde::Serialize;

#[derive(Serialize)]
struct DeviceRecord {
    event: &'static str,
    device: String,
    available: bool,
    description: String,
}

/// Lists what this build can train on.
pub fn run(arguments: &DevicesArguments) -> Outcome<()> {
    let output = Output { json: arguments.output.json };
    let mut rows = Vec::new();
    for device in localgrad::device::list() {
        output.record(&DeviceRecord {
            event: "device",
            device: device.name.clone(),
            available: device.available,
            description: device.description.clone(),
        });
        let available = if device.available { "yes" } else { "no" };
        rows.push(vec![format!("{:<6} {available:<4} {}", device.name, device.description)]);
    }
    if !output.json {
        output.text(&table(&["device usable"], &rows));
    }
    Ok(())
}
