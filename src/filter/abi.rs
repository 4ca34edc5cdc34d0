//! The calls of every request, past the SDK: it hands out headers as two allocations each, and
//! panics on a status that it does not expect, which costs the worker.

#![allow(unsafe_code)]

use std::ptr::null_mut;

use proxy_wasm::types::MapType;

use crate::worker::host::HostError;

const OK: u32 = 0;
const NOT_FOUND: u32 = 1;

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_get_header_map_pairs(map: u32, data: *mut *mut u8, size: *mut usize) -> u32;
    fn proxy_get_header_map_value(
        map: u32,
        name: *const u8,
        name_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
    fn proxy_add_header_map_value(
        map: u32,
        name: *const u8,
        name_size: usize,
        value: *const u8,
        value_size: usize,
    ) -> u32;
    fn proxy_remove_header_map_value(map: u32, name: *const u8, name_size: usize) -> u32;
    fn proxy_get_current_time_nanoseconds(nanos: *mut u64) -> u32;
    fn proxy_set_property(
        path: *const u8,
        path_size: usize,
        value: *const u8,
        value_size: usize,
    ) -> u32;
}

/// All headers in the form of the ABI.
pub(super) fn header_map(map: MapType) -> Result<Vec<u8>, HostError> {
    // SAFETY: both pointers are valid for the time of the call.
    given(|data, size| unsafe { proxy_get_header_map_pairs(map as u32, data, size) })
        .map(Option::unwrap_or_default)
}

/// The first value of a header.
pub(super) fn header(map: MapType, name: &str) -> Result<Option<Vec<u8>>, HostError> {
    // SAFETY: as above, and the name is as long as it says.
    given(|data, size| unsafe {
        proxy_get_header_map_value(map as u32, name.as_ptr(), name.len(), data, size)
    })
}

/// Adds a header; to a value that it has already, if there is one.
pub(super) fn add_header(map: MapType, name: &str, value: &[u8]) -> Result<(), HostError> {
    // SAFETY: name and value are as long as they say.
    done(unsafe {
        proxy_add_header_map_value(
            map as u32,
            name.as_ptr(),
            name.len(),
            value.as_ptr(),
            value.len(),
        )
    })
}

/// Removes a header, and all others of its name.
pub(super) fn remove_header(map: MapType, name: &str) -> Result<(), HostError> {
    // SAFETY: the name is as long as it says.
    done(unsafe { proxy_remove_header_map_value(map as u32, name.as_ptr(), name.len()) })
}

/// Nanoseconds since 1970-01-01T00:00:00Z.
pub(super) fn time() -> Result<u64, HostError> {
    let mut nanos = 0;
    // SAFETY: the pointer is valid for the time of the call.
    done(unsafe { proxy_get_current_time_nanoseconds(&raw mut nanos) })?;
    Ok(nanos)
}

/// Sets a property of one name: in Envoy, filter state `wasm.NAME`.
pub(super) fn set_property(name: &str, value: &[u8]) -> Result<(), HostError> {
    // SAFETY: name and value are as long as they say.
    done(unsafe { proxy_set_property(name.as_ptr(), name.len(), value.as_ptr(), value.len()) })
}

const fn done(status: u32) -> Result<(), HostError> {
    match status {
        OK => Ok(()),
        _ => Err(HostError),
    }
}

/// What the host gives by `call`; `None` if there is nothing.
fn given(call: impl FnOnce(*mut *mut u8, *mut usize) -> u32) -> Result<Option<Vec<u8>>, HostError> {
    let mut data = null_mut();
    let mut size = 0;
    match (call(&raw mut data, &raw mut size), data.is_null()) {
        // SAFETY: the host has put `size` bytes where the module's own allocator, asked by
        // `proxy_on_memory_allocate`, made room for just so many, and gives them away.
        (OK, false) => Ok(Some(unsafe { Vec::from_raw_parts(data, size, size) })),
        (OK, true) => Ok(Some(Vec::new())),
        (NOT_FOUND, _) => Ok(None),
        _ => Err(HostError),
    }
}
