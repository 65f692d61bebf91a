//! Ctrl-C: the first asks for a clean stop, the second ends the process.

use crate::output::complain;
use std::sync::atomic::{AtomicBool, Ordering};

static REQUESTED: AtomicBool = AtomicBool::new(false);

/// Listens for Ctrl-C and for a polite request to end. Failing to listen is no reason not to train.
pub fn listen() {
    let heard = ctrlc::set_handler(|| {
        if REQUESTED.swap(true, Ordering::SeqCst) {
            std::process::exit(130);
        }
        complain("\nstopping after the current batch; press Ctrl-C again to end at once");
    });
    if let Err(cause) = heard {
        log::warn!("cannot listen for Ctrl-C: {cause}");
    }
}

/// Whether somebody asked for a stop.
pub fn requested() -> bool {
    REQUESTED.load(Ordering::SeqCst)
}
