//! `trim-exports IN OUT NAME...` leaves of a module's exports those that are named.

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
        .and_then(|module| {
            trim_exports::trim(&module, &keep).map_err(|error| format!("{from}: {error}"))
        })
        .and_then(|module| fs::write(&to, module).map_err(|error| format!("{to}: {error}")));
    if let Err(error) = trimmed {
        eprintln!("trim-exports: {error}");
        process::exit(1);
    }
}
