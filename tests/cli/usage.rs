//! Command lines, help, completions, and the shipped schema.

use super::*;

#[test]
fn a_wrong_command_line_is_answered_in_one_sentence() {
    for (arguments, says) in [
        (
            vec!["foo"],
            "there is no such command; see `mcp-auth --help`",
        ),
        (
            vec!["chek", "x"],
            "there is no such command (is check meant?); see `mcp-auth --help`",
        ),
        (
            vec!["check"],
            "check needs <CONFIG>; see `mcp-auth check --help`",
        ),
        (
            vec!["check", "a", "b"],
            "check was given something that it does not take; see `mcp-auth check --help`",
        ),
        (
            vec!["explain", "--url", URL],
            "explain needs --config <FILE>; see `mcp-auth explain --help`",
        ),
        (
            vec!["explain", "--jkws=x"],
            "explain has no option --jkws (is --jwks meant?); see `mcp-auth explain --help`",
        ),
        (
            vec!["explain", "--config"],
            "--config <FILE> needs a value; see `mcp-auth explain --help`",
        ),
        (
            vec!["explain", "--method", "A", "--method", "B"],
            "--method <METHOD> may be given only once; see `mcp-auth explain --help`",
        ),
        (
            vec!["completions", "tcsh"],
            "<SHELL> is one of bash, elvish, fish, powershell, zsh; see `mcp-auth completions --help`",
        ),
    ] {
        let ran = run(&arguments, "");
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{arguments:?}");
        assert_eq!(ran.stderr, format!("mcp-auth: {says}\n"), "{arguments:?}");
    }
}

#[test]
fn a_token_in_place_of_a_command_or_option_is_not_repeated() {
    let token = token(json!({}));
    let option = format!("--{token}");
    for arguments in [
        vec![token.as_str()],
        vec!["check", "-", &token],
        vec!["schema", &token],
        vec!["schema", &option],
        vec!["completions", &token],
    ] {
        let ran = run(&arguments, "");
        assert_eq!(ran.code, 2, "{}{}", ran.stdout, ran.stderr);
        assert_nothing_of(&token, &ran);
    }
}

#[test]
fn every_command_has_help_with_an_example() {
    let all = run(&["--help"], "");
    assert_eq!(all.code, 0);
    assert_says(&all, &["Exit code: 0 for yes", "Examples:"]);
    assert_eq!(run(&[], "").code, 2);
    for command in ["check", "explain", "schema", "completions"] {
        assert_says(&all, &[command]);
        let ran = run(&[command, "--help"], "");
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
        assert_says(&ran, &["Example", &format!("mcp-auth {command}")]);
    }
    for command in ["check", "explain"] {
        assert_says(&run(&[command, "--help"], ""), &["Exit code: 0 if"]);
    }
}

/// The commands that a help lists, `help` itself left out.
fn commands(help: &str) -> Vec<String> {
    let list = help.split("Commands:\n").nth(1).unwrap_or_default();
    let lines = list.lines().take_while(|line| !line.is_empty());
    let names = lines.filter_map(|line| line.split_whitespace().next());
    names
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect()
}

#[test]
fn help_fits_in_a_screen() {
    let mut waiting = vec![Vec::new()];
    let mut seen = 0;
    while let Some(command) = waiting.pop() {
        let mut arguments: Vec<&str> = command.iter().map(String::as_str).collect();
        arguments.push("--help");
        let help = run(&arguments, "").stdout;
        assert!(help.lines().count() <= 24, "{command:?}:\n{help}");
        for line in help.lines() {
            assert!(line.chars().count() <= 80, "{command:?}: {line}");
        }
        // Both spellings are the same.
        *arguments.last_mut().unwrap() = "-h";
        assert_eq!(run(&arguments, "").stdout, help);
        for name in commands(&help) {
            waiting.push(command.iter().cloned().chain([name]).collect());
        }
        seen += 1;
    }
    assert!(seen >= 10, "{seen}");
}

#[test]
fn every_command_has_a_man_page_with_the_long_form() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("man");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    let ran = run(&["man", folder.to_str().unwrap()], "");
    assert_eq!(
        (ran.code, ran.stdout, ran.stderr),
        (0, String::new(), String::new())
    );
    for name in commands(&run(&["--help"], "").stdout) {
        let page = fs::read_to_string(folder.join(format!("mcp-auth-{name}.1"))).unwrap();
        assert!(page.contains("mcp\\-auth"), "{page}");
    }
    let page = fs::read_to_string(folder.join("mcp-auth-explain.1")).unwrap();
    assert!(page.contains("Nothing is sent anywhere"), "{page}");
    let nowhere = run(&["man", "/no/such/folder"], "");
    assert_eq!(nowhere.code, 2);
    assert!(
        nowhere.stderr.starts_with("mcp-auth: cannot write to "),
        "{}",
        nowhere.stderr
    );
}

#[test]
fn each_shell_gets_its_script() {
    for (shell, says) in [
        ("bash", "complete -F"),
        ("elvish", "edit:completion"),
        ("fish", "complete -c mcp-auth"),
        ("powershell", "Register-ArgumentCompleter"),
        ("zsh", "#compdef mcp-auth"),
    ] {
        let ran = run(&["completions", shell], "");
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{shell}");
        assert_says(&ran, &[says, "--jwks"]);
    }
}

/// The script at work. The other shells are not everywhere; bash is, where this is built.
#[test]
fn bash_completes_commands_options_and_values() {
    let script = run(&["completions", "bash"], "").stdout;
    for (line, last, wanted) in [
        (
            "mcp-auth",
            "",
            vec!["check", "explain", "schema", "completions"],
        ),
        ("mcp-auth ex", "ex", vec!["explain"]),
        ("mcp-auth explain", "--j", vec!["--jwks"]),
        ("mcp-auth completions", "b", vec!["bash"]),
    ] {
        let words: Vec<&str> = line.split(' ').filter(|word| *word != last).collect();
        let asked = format!(
            "{script}\nCOMP_WORDS=({} '{last}'); COMP_CWORD={}\n_mcp__auth mcp-auth '{last}' '{}'\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"",
            words.join(" "),
            words.len(),
            words.last().unwrap(),
        );
        let output = Command::new("bash").args(["-c", &asked]).output().unwrap();
        let found = String::from_utf8(output.stdout).unwrap();
        let found: Vec<&str> = found.lines().collect();
        assert!(
            wanted.iter().all(|word| found.contains(word)),
            "{line} {last}: {found:?} {}",
            String::from_utf8(output.stderr).unwrap(),
        );
    }
}

#[test]
fn the_shipped_schema_is_current() {
    let ran = run(&["schema"], "");
    assert_eq!(ran.code, 0);
    assert_eq!(
        ran.stdout,
        include_str!("../../envoy/config.schema.json"),
        "renew it: cargo run --bin mcp-auth -- schema > envoy/config.schema.json"
    );
}
