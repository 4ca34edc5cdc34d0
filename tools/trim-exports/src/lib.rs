//! Takes exports out of a WebAssembly module, and the code that only they led to.
//!
//! The proxy-wasm SDK exports every callback there is, and Envoy calls each one that it finds. A
//! call that does nothing still costs every request.
//!
//! The module is validated before and after, as WebAssembly 2.0. So an instruction or a section of
//! a later proposal, which might name a function in a way that is not looked for here, ends the
//! build: better no module than one with a piece missing.

use std::fmt;

use wasm_encoder::{CodeSection, ExportSection, Module, RawSection, SectionId};
use wasmparser::{
    BinaryReaderError, ConstExpr, ElementItems, ElementKind, Export, ExternalKind, FunctionBody,
    Operator, Parser, Payload, TypeRef, Validator, WasmFeatures,
};

/// Why a module is not trimmed.
#[derive(Debug)]
pub enum Error {
    /// The module is not WebAssembly 2.0.
    NotAModule(BinaryReaderError),
    /// The module does not export a name that is to be kept.
    NotExported(String),
    /// The trimmed module is not valid: something that is needed was taken out.
    Broken(BinaryReaderError),
}

impl fmt::Display for Error {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAModule(error) => write!(to, "not a module of WebAssembly 2.0: {error}"),
            Self::NotExported(name) => write!(to, "the module does not export {name}"),
            Self::Broken(error) => write!(to, "the trimmed module would not be valid: {error}"),
        }
    }
}

impl From<BinaryReaderError> for Error {
    fn from(error: BinaryReaderError) -> Self {
        Self::NotAModule(error)
    }
}

/// The module with the exports named in `keep` alone. Functions that nothing can call any more lose
/// their code; they keep their numbers, and so does all else.
pub fn trim(module: &[u8], keep: &[String]) -> Result<Vec<u8>, Error> {
    validate(module)?;
    let found = Found::read(module, keep)?;
    let missing = |name: &&String| !found.kept.iter().any(|export| export.name == **name);
    if let Some(name) = keep.iter().find(missing) {
        return Err(Error::NotExported(name.clone()));
    }
    let reached = found.reached()?;

    let mut trimmed = Module::new();
    for (id, data) in &found.sections {
        match *id {
            id if id == SectionId::Export as u8 => trimmed.section(&found.exports()),
            id if id == SectionId::Code as u8 => trimmed.section(&found.code(&reached)),
            id => trimmed.section(&RawSection { id, data }),
        };
    }
    let trimmed = trimmed.finish();
    validate(&trimmed).map_err(Error::Broken)?;
    Ok(trimmed)
}

fn validate(module: &[u8]) -> Result<(), BinaryReaderError> {
    Validator::new_with_features(WasmFeatures::WASM2)
        .validate_all(module)
        .map(drop)
}

/// What a module has, as far as it matters here.
#[derive(Default)]
struct Found<'a> {
    /// Each section's id and content, in their order.
    sections: Vec<(u8, &'a [u8])>,
    /// The exports to keep.
    kept: Vec<Export<'a>>,
    /// How many functions are imported: they have the first numbers.
    imported: usize,
    /// The code of the other functions.
    bodies: Vec<FunctionBody<'a>>,
    /// The functions that can be called from outside, or through a table or a global.
    roots: Vec<u32>,
}

impl<'a> Found<'a> {
    fn read(module: &'a [u8], keep: &[String]) -> Result<Self, BinaryReaderError> {
        let mut found = Self::default();
        for payload in Parser::new(0).parse_all(module) {
            let payload = payload?;
            if let Some((id, range)) = payload.as_section() {
                let range = range.start as usize..range.end as usize;
                found.sections.push((id, &module[range]));
            }
            found.take(payload, keep)?;
        }
        Ok(found)
    }

    fn take(&mut self, payload: Payload<'a>, keep: &[String]) -> Result<(), BinaryReaderError> {
        match payload {
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    let is_function = matches!(import?.ty, TypeRef::Func(_));
                    self.imported += usize::from(is_function);
                }
            }
            Payload::GlobalSection(globals) => {
                for global in globals {
                    self.roots.extend(named_by(&global?.init_expr)?);
                }
            }
            Payload::ExportSection(exports) => {
                for export in exports {
                    let export = export?;
                    if !keep.iter().any(|name| name == export.name) {
                        continue;
                    }
                    if export.kind == ExternalKind::Func {
                        self.roots.push(export.index);
                    }
                    self.kept.push(export);
                }
            }
            Payload::StartSection { func, .. } => self.roots.push(func),
            Payload::ElementSection(elements) => {
                for element in elements {
                    let element = element?;
                    if let ElementKind::Active { offset_expr, .. } = &element.kind {
                        self.roots.extend(named_by(offset_expr)?);
                    }
                    match element.items {
                        ElementItems::Functions(functions) => {
                            for function in functions {
                                self.roots.push(function?);
                            }
                        }
                        ElementItems::Expressions(_, expressions) => {
                            for expression in expressions {
                                self.roots.extend(named_by(&expression?)?);
                            }
                        }
                    }
                }
            }
            Payload::CodeSectionEntry(body) => self.bodies.push(body),
            // WebAssembly 2.0 has no other place that names a function but in custom sections,
            // which say nothing to whom runs it.
            _ => {}
        }
        Ok(())
    }

    /// Which bodies can be called.
    fn reached(&self) -> Result<Vec<bool>, BinaryReaderError> {
        let mut reached = vec![false; self.bodies.len()];
        let mut todo = self.roots.clone();
        while let Some(function) = todo.pop() {
            let Some(own) = (function as usize).checked_sub(self.imported) else {
                continue;
            };
            if std::mem::replace(&mut reached[own], true) {
                continue;
            }
            for operator in self.bodies[own].get_operators_reader()? {
                todo.extend(named(&operator?));
            }
        }
        Ok(reached)
    }

    fn exports(&self) -> ExportSection {
        let mut section = ExportSection::new();
        for export in &self.kept {
            section.export(export.name, export.kind.into_encoder(), export.index);
        }
        section
    }

    fn code(&self, reached: &[bool]) -> CodeSection {
        // No locals, `unreachable`, `end`: good for a function of any type.
        const NONE: &[u8] = &[0x00, 0x00, 0x0b];
        let mut section = CodeSection::new();
        for (body, reached) in self.bodies.iter().zip(reached) {
            section.raw(if *reached { body.as_bytes() } else { NONE });
        }
        section
    }
}

/// The function that an instruction names.
fn named(operator: &Operator<'_>) -> Option<u32> {
    match *operator {
        Operator::Call { function_index } | Operator::RefFunc { function_index } => {
            Some(function_index)
        }
        _ => None,
    }
}

fn named_by(expression: &ConstExpr<'_>) -> Result<Vec<u32>, BinaryReaderError> {
    let mut functions = Vec::new();
    for operator in expression.get_operators_reader() {
        functions.extend(named(&operator?));
    }
    Ok(functions)
}

trait IntoEncoder {
    fn into_encoder(self) -> wasm_encoder::ExportKind;
}

impl IntoEncoder for ExternalKind {
    fn into_encoder(self) -> wasm_encoder::ExportKind {
        match self {
            Self::Func | Self::FuncExact => wasm_encoder::ExportKind::Func,
            Self::Table => wasm_encoder::ExportKind::Table,
            Self::Memory => wasm_encoder::ExportKind::Memory,
            Self::Global => wasm_encoder::ExportKind::Global,
            Self::Tag => wasm_encoder::ExportKind::Tag,
        }
    }
}
