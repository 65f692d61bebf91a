//! `localgrad devices`

use crate::arguments::DevicesArguments;
use crate::fault::Outcome;
use crate::output::{Output, table};
use localgrad::device::DeviceInfo;
use serde::Serialize;

#[derive(Serialize)]
struct DeviceRecord {
    event: &'static str,
    name: String,
    usable: bool,
    /// What it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    /// Why it cannot be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

/// Lists what this build can train on.
pub fn run(arguments: &DevicesArguments) -> Outcome<()> {
    let output = Output { json: arguments.output.json };
    let mut rows = Vec::new();
    for DeviceInfo { name, description, available } in localgrad::device::list() {
        let usable = if available { "yes" } else { "no" };
        rows.push(vec![format!("{name:<8} {usable:<4} {description}")]);
        let (description, why) =
            if available { (Some(description), None) } else { (None, Some(description)) };
        output.record(&DeviceRecord { event: "device", name, usable: available, description, why });
    }
    if !output.json {
        output.text(&table(&["device   usable"], &rows));
    }
    Ok(())
}
