#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| localgrad_readers::torch::check(data));
