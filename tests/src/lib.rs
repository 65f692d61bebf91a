//! Tests of the whole system, which need several crates at once or hold for the whole tree; all of them are in `tests/`.
