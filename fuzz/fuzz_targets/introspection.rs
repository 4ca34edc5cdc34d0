#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| mcp_auth_filter_fuzz::introspection(input));
