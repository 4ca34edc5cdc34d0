//! Takes exports out of a wasm module: `trim-exports IN OUT NAME...` leaves those that are named.
//!
//! The proxy-wasm SDK exports every callback there is, and Envoy calls each one that it finds. A
//! call that does nothing still costs every request.

use std::{env, fs, process};

fn main() {
    let mut arguments = env::args().skip(1);
    let (Some(from), Some(to)) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: trim-exports IN OUT NAME...");
        process::exit(2);
    };
    let keep: Vec<String> = arguments.collect();
    let trimmed = fs::read(&from)
        .map_err(|error| format!("{from}: {error}"))
        .and_then(|module| trim(&module, &keep).ok_or(format!("{from}: no wasm module")))
        .and_then(|module| fs::write(&to, module).map_err(|error| format!("{to}: {error}")));
    if let Err(error) = trimmed {
        eprintln!("trim-exports: {error}");
        process::exit(1);
    }
}

const EXPORT_SECTION: u8 = 7;

/// WebAssembly 1.0 §5.5: a header of 8 bytes, then sections of an id, a size and their content.
fn trim(module: &[u8], keep: &[String]) -> Option<Vec<u8>> {
    let (header, mut rest) = module.split_at_checked(8)?;
    if !header.starts_with(b"\0asm") {
        return None;
    }
    let mut out = header.to_vec();
    while let Some((id, behind)) = rest.split_first() {
        let (size, behind) = number(behind)?;
        let (content, behind) = behind.split_at_checked(size)?;
        let exports;
        let content = if *id == EXPORT_SECTION {
            exports = trimmed_exports(content, keep)?;
            &exports
        } else {
            content
        };
        out.push(*id);
        write_number(&mut out, content.len());
        out.extend_from_slice(content);
        rest = behind;
    }
    Some(out)
}

/// §5.5.10: a vector of names, each with a kind and an index.
fn trimmed_exports(section: &[u8], keep: &[String]) -> Option<Vec<u8>> {
    let (count, mut rest) = number(section)?;
    let mut kept = Vec::new();
    let mut entries = Vec::new();
    for _ in 0..count {
        let entry = rest;
        let (length, behind) = number(entry)?;
        let (name, behind) = behind.split_at_checked(length)?;
        let (_, behind) = number(behind.get(1..)?)?;
        if keep.iter().any(|wanted| wanted.as_bytes() == name) {
            kept.push(String::from_utf8_lossy(name).into_owned());
            entries.extend_from_slice(&entry[..entry.len() - behind.len()]);
        }
        rest = behind;
    }
    if let Some(missing) = keep.iter().find(|name| !kept.contains(name)) {
        eprintln!("trim-exports: the module does not export {missing}");
        return None;
    }
    let mut out = Vec::new();
    write_number(&mut out, kept.len());
    out.append(&mut entries);
    Some(out)
}

/// Unsigned LEB128.
fn number(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0;
    for (at, byte) in bytes.iter().enumerate().take(5) {
        value |= usize::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((value, &bytes[at + 1..]));
        }
    }
    None
}

fn write_number(out: &mut Vec<u8>, mut value: usize) {
    while value > 0x7f {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
