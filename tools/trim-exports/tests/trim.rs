//! What is left of small modules, read by the library's own validator and as text.

use trim_exports::{Error, trim};

fn module(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}

fn trimmed(text: &str, keep: &[&str]) -> Result<Vec<u8>, Error> {
    let keep: Vec<String> = keep.iter().map(|&name| name.to_owned()).collect();
    trim(&module(text), &keep)
}

/// Checks what is left of `before`: that it is `after`, byte for byte.
fn leaves(before: &str, keep: &[&str], after: &str) {
    assert_eq!(trimmed(before, keep).unwrap(), module(after));
}

#[test]
fn an_export_goes_with_the_code_that_only_it_led_to() {
    leaves(
        r#"(module
            (func $used (result i32) i32.const 1)
            (func $unused (result i32) i32.const 2)
            (func (export "keep") (result i32) call $used)
            (func (export "drop") (result i32) call $used drop call $unused))"#,
        &["keep"],
        r#"(module
            (func $used (result i32) i32.const 1)
            (func $unused (result i32) unreachable)
            (func (export "keep") (result i32) call $used)
            (func (result i32) unreachable))"#,
    );
}

#[test]
fn a_function_that_calls_itself_or_in_a_circle_ends_the_walk() {
    let circle = r#"(module
        (func $a (export "keep") call $b)
        (func $b call $a call $b))"#;
    leaves(circle, &["keep"], circle);
}

#[test]
fn what_a_table_a_global_or_the_start_names_stays() {
    for place in [
        r#"(table 1 funcref) (elem (i32.const 0) func $named)"#,
        r#"(table 1 funcref) (elem (i32.const 0) funcref (ref.func $named))"#,
        r#"(elem declare func $named)"#,
        r#"(elem func $named)"#,
        r#"(global funcref (ref.func $named))"#,
        r#"(start $named)"#,
    ] {
        let text = format!(r#"(module (func $named nop) (func (export "keep")) {place})"#);
        leaves(&text, &["keep"], &text);
    }
}

#[test]
fn what_code_refers_to_without_a_call_stays() {
    let text = r#"(module
        (func $named nop)
        (func (export "keep") (result funcref) ref.func $named)
        (elem declare func $named))"#;
    leaves(text, &["keep"], text);
}

#[test]
fn imported_functions_count_before_the_others() {
    leaves(
        r#"(module
            (import "env" "memory" (memory 1))
            (import "env" "log" (func $log))
            (func (export "drop") nop)
            (func (export "keep") call $log))"#,
        &["keep"],
        r#"(module
            (import "env" "memory" (memory 1))
            (import "env" "log" (func $log))
            (func unreachable)
            (func (export "keep") call $log))"#,
    );
}

#[test]
fn exports_that_are_no_functions_are_kept_by_name_too() {
    leaves(
        r#"(module (memory (export "memory") 1) (global (export "drop") i32 (i32.const 7))
            (func (export "also")))"#,
        &["memory", "also"],
        r#"(module (memory (export "memory") 1) (global i32 (i32.const 7))
            (func (export "also")))"#,
    );
}

#[test]
fn what_is_to_be_kept_must_be_there() {
    let error = trimmed(r#"(module (func (export "a")))"#, &["a", "b"]).unwrap_err();
    assert!(matches!(error, Error::NotExported(name) if name == "b"));
}

#[test]
fn instructions_of_later_proposals_end_the_build() {
    for body in ["return_call $f", "i32.const 0 atomic.fence drop"] {
        let text = format!(r#"(module (func $f (export "keep") {body}))"#);
        let error = trimmed(&text, &["keep"]).unwrap_err();
        assert!(matches!(error, Error::NotAModule(_)), "{body}: {error}");
    }
}

#[test]
fn what_is_no_module_is_an_error() {
    for bytes in [
        &b""[..],
        b"\0asm",
        b"\0asm\x01\0\0\0\x07\x05\x01",
        b"\0asm\x0d\0\x01\0",
    ] {
        assert!(
            matches!(trim(bytes, &[]), Err(Error::NotAModule(_))),
            "{bytes:?}"
        );
    }
}

#[test]
fn what_would_be_left_invalid_is_an_error() {
    // An export is what allows `ref.func` here.
    let text = r#"(module
        (func $named (export "drop"))
        (func (export "keep") (result funcref) ref.func $named))"#;
    assert!(matches!(trimmed(text, &["keep"]), Err(Error::Broken(_))));
}
