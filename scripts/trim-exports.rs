//! Takes exports out of a wasm module: `trim-exports IN OUT NAME...` leaves those that are named.
//!
//! The proxy-wasm SDK exports every callback there is, and Envoy calls each one that it finds. A
//! call that does nothing still costs every request. The code that only such exports led to goes, too.
//!
//! Sections refer to WebAssembly 2.0, with its SIMD, and tail calls. An instruction that is not known
//! here ends the build: better no module than one with a piece missing.

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

const IMPORT_SECTION: u8 = 2;
const GLOBAL_SECTION: u8 = 6;
const EXPORT_SECTION: u8 = 7;
const START_SECTION: u8 = 8;
const ELEMENT_SECTION: u8 = 9;
const CODE_SECTION: u8 = 10;

/// §5.5: a header of 8 bytes, then sections of an id, a size and their content.
fn trim(module: &[u8], keep: &[String]) -> Option<Vec<u8>> {
    let (header, mut rest) = module.split_at_checked(8)?;
    if header != b"\0asm\x01\0\0\0" {
        return None;
    }
    let mut sections = Vec::new();
    while let Some((id, behind)) = rest.split_first() {
        let (size, behind) = number(behind)?;
        let (content, behind) = behind.split_at_checked(size)?;
        let content = if *id == EXPORT_SECTION {
            trimmed_exports(content, keep)?
        } else {
            content.to_vec()
        };
        sections.push((*id, content));
        rest = behind;
    }
    drop_unreachable(&mut sections)?;

    let mut out = header.to_vec();
    for (id, content) in sections {
        out.push(id);
        write_number(&mut out, content.len());
        out.extend_from_slice(&content);
    }
    Some(out)
}

/// A body (§5.4.10) of no locals, `unreachable` and `end`.
const NO_CODE: &[u8] = &[0, 0x00, 0x0b];

/// Functions that nothing can call lose their code. They keep their numbers, and so does all else.
fn drop_unreachable(sections: &mut [(u8, Vec<u8>)]) -> Option<()> {
    let mut imported = 0;
    let mut found = Vec::new();
    let mut code = None;
    for (id, content) in &*sections {
        let mut reader = Reader(content);
        match *id {
            IMPORT_SECTION => imported = reader.imported_functions()?,
            GLOBAL_SECTION => reader.globals(&mut found)?,
            EXPORT_SECTION => reader.exported_functions(&mut found)?,
            START_SECTION => found.push(reader.number()?),
            ELEMENT_SECTION => reader.elements(&mut found)?,
            CODE_SECTION => {
                code = Some(reader.bodies()?);
                reader = Reader(&[]);
            }
            _ => continue,
        }
        if !reader.0.is_empty() {
            eprintln!("trim-exports: section {id} has more in it than is known here");
            return None;
        }
    }

    let bodies = code?;
    let mut reached = vec![false; bodies.len()];
    while let Some(function) = found.pop() {
        let Some(function) = function.checked_sub(imported) else {
            continue;
        };
        if !std::mem::replace(reached.get_mut(function)?, true) {
            Reader(bodies[function]).body(&mut found)?;
        }
    }

    let mut out = Vec::new();
    write_number(&mut out, bodies.len());
    for (body, reached) in bodies.iter().zip(&reached) {
        let body = if *reached { body } else { NO_CODE };
        write_number(&mut out, body.len());
        out.extend_from_slice(body);
    }
    let (_, content) = sections.iter_mut().find(|(id, _)| *id == CODE_SECTION)?;
    *content = out;
    Some(())
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|taken| taken[0])
    }

    fn number(&mut self) -> Option<usize> {
        let (number, rest) = number(self.0)?;
        self.0 = rest;
        Some(number)
    }

    /// LEB128 of any length and sign, whose value is of no interest.
    fn skip_number(&mut self) -> Option<()> {
        for _ in 0..10 {
            if self.byte()? & 0x80 == 0 {
                return Some(());
            }
        }
        None
    }

    fn skip_numbers(&mut self, count: usize) -> Option<()> {
        (0..count).try_for_each(|_| self.skip_number())
    }

    /// §5.3.5, §5.3.6: flags, a minimum, and perhaps a maximum.
    fn skip_limits(&mut self) -> Option<()> {
        match self.byte()? {
            0 => self.skip_number(),
            1 | 3 => self.skip_numbers(2),
            _ => None,
        }
    }

    fn imported_functions(&mut self) -> Option<usize> {
        let mut functions = 0;
        for _ in 0..self.number()? {
            for _ in ["module", "name"] {
                let length = self.number()?;
                self.take(length)?;
            }
            match self.byte()? {
                0 => {
                    functions += 1;
                    self.skip_number()?;
                }
                1 => {
                    self.byte()?;
                    self.skip_limits()?;
                }
                2 => self.skip_limits()?,
                3 => self.take(2).map(drop)?,
                _ => return None,
            }
        }
        Some(functions)
    }

    fn globals(&mut self, found: &mut Vec<usize>) -> Option<()> {
        for _ in 0..self.number()? {
            self.take(2)?;
            self.expression(found)?;
        }
        Some(())
    }

    fn exported_functions(&mut self, found: &mut Vec<usize>) -> Option<()> {
        for _ in 0..self.number()? {
            let length = self.number()?;
            self.take(length)?;
            let kind = self.byte()?;
            let index = self.number()?;
            if kind == 0 {
                found.push(index);
            }
        }
        Some(())
    }

    /// §5.5.12. What a table holds, any indirect call may call.
    fn elements(&mut self, found: &mut Vec<usize>) -> Option<()> {
        for _ in 0..self.number()? {
            let flags = self.number()?;
            if flags > 3 {
                eprintln!("trim-exports: elements of kind {flags} are not known here");
                return None;
            }
            if flags == 2 {
                self.skip_number()?;
            }
            if flags & 1 == 0 {
                self.expression(found)?;
            }
            if flags != 0 {
                self.byte()?;
            }
            for _ in 0..self.number()? {
                found.push(self.number()?);
            }
        }
        Some(())
    }

    fn bodies(&mut self) -> Option<Vec<&'a [u8]>> {
        let count = self.number()?;
        let mut bodies = Vec::new();
        for _ in 0..count {
            let size = self.number()?;
            bodies.push(self.take(size)?);
        }
        self.0.is_empty().then_some(bodies)
    }

    fn body(&mut self, found: &mut Vec<usize>) -> Option<()> {
        for _ in 0..self.number()? {
            self.number()?;
            self.byte()?;
        }
        self.expression(found)?;
        self.0.is_empty().then_some(())
    }

    /// §5.4: instructions up to the `end` that is theirs. Puts the functions they name into `found`.
    fn expression(&mut self, found: &mut Vec<usize>) -> Option<()> {
        let mut depth = 0_usize;
        loop {
            match self.byte()? {
                // block, loop, if
                0x02..=0x04 => {
                    depth += 1;
                    self.skip_number()?;
                }
                0x0b if depth == 0 => return Some(()),
                0x0b => depth -= 1,
                // unreachable, nop, else, return, drop, select, ref.is_null, and those that calculate
                0x00 | 0x01 | 0x05 | 0x0f | 0x1a | 0x1b | 0x45..=0xc4 | 0xd1 => {}
                // br, br_if, locals, globals, tables, memory.size and .grow, constants, ref.null
                0x0c | 0x0d | 0x20..=0x26 | 0x3f..=0x42 | 0xd0 => self.skip_number()?,
                // br_table
                0x0e => {
                    let targets = self.number()?;
                    self.skip_numbers(targets + 1)?;
                }
                // call, return_call, ref.func
                0x10 | 0x12 | 0xd2 => found.push(self.number()?),
                // call_indirect, return_call_indirect, loads and stores
                0x11 | 0x13 | 0x28..=0x3e => self.skip_numbers(2)?,
                // select with types
                0x1c => {
                    let types = self.number()?;
                    self.take(types)?;
                }
                0x43 => self.take(4).map(drop)?,
                0x44 => self.take(8).map(drop)?,
                0xfc => match self.number()? {
                    // Conversions that saturate.
                    0..=7 => {}
                    // data.drop, memory.fill, elem.drop, table.grow, table.size, table.fill
                    9 | 11 | 13 | 15..=17 => self.skip_number()?,
                    // memory.init, memory.copy, table.init, table.copy
                    8 | 10 | 12 | 14 => self.skip_numbers(2)?,
                    other => return unknown(0xfc, other),
                },
                0xfd => match self.number()? {
                    // Loads and stores, of all lanes.
                    0..=11 | 92 | 93 => self.skip_numbers(2)?,
                    // v128.const, i8x16.shuffle
                    12 | 13 => self.take(16).map(drop)?,
                    // One lane, in a register or in memory.
                    21..=34 => self.take(1).map(drop)?,
                    84..=91 => {
                        self.skip_numbers(2)?;
                        self.take(1)?;
                    }
                    14..=20 | 35..=83 | 94..=255 => {}
                    other => return unknown(0xfd, other),
                },
                other => return unknown(other, 0),
            }
        }
    }
}

fn unknown(opcode: u8, number: usize) -> Option<()> {
    eprintln!("trim-exports: the instruction {opcode:#x} {number} is not known here");
    None
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
