//! The one call that goes past the SDK: it hands out headers as two allocations each, which is half
//! of what a request with many of them costs.

#![allow(unsafe_code)]

use std::ptr::null_mut;

use proxy_wasm::types::MapType;

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_get_header_map_pairs(map: u32, data: *mut *mut u8, size: *mut usize) -> u32;
}

/// All headers in the form of the ABI; `None` if the host failed.
pub(super) fn header_map(map: MapType) -> Option<Vec<u8>> {
    let mut data = null_mut();
    let mut size = 0;
    // SAFETY: both pointers are valid for the time of the call.
    let status = unsafe { proxy_get_header_map_pairs(map as u32, &raw mut data, &raw mut size) };
    match (status, data.is_null()) {
        (0, true) => Some(Vec::new()),
        // SAFETY: the host has put `size` bytes where the module's own allocator, asked by
        // `proxy_on_memory_allocate`, made room for just so many, and gives them away.
        (0, false) => Some(unsafe { Vec::from_raw_parts(data, size, size) }),
        _ => None,
    }
}
