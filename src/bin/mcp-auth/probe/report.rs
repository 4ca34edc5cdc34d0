//! What was found, for people and for programs.

use serde_json::{Value, json};

use super::checks::{Check, Mark};
use super::clients::{CLIENTS, Client, Registration, Scopes, Verdict, steps_up};
use super::transcript::{Answer, Inside, Kind, Transcript};
use crate::show;

/// Everything that is reported.
pub(crate) struct Report<'a> {
    transcript: &'a Transcript,
    checks: &'a [Check],
    rows: Vec<Row>,
    /// The user's token, of which nothing may be shown.
    token: Option<&'a str>,
}

/// One client.
struct Row {
    client: &'static Client,
    first: Verdict,
    /// After a token that is no longer good.
    again: Option<Verdict>,
    /// After a 403; known of the SDKs alone.
    steps_up: Option<bool>,
}

impl<'a> Report<'a> {
    pub(crate) fn new(
        transcript: &'a Transcript,
        checks: &'a [Check],
        token: Option<&'a str>,
    ) -> Self {
        let bad = transcript.first(Kind::BadToken);
        let bad = bad.filter(|answer| answer.status == 401);
        let forbidden = forbidden(transcript);
        let row = |client: &'static Client| Row {
            client,
            first: client.first_login(transcript),
            again: bad.map(|answer| client.login_after(transcript, answer)),
            steps_up: forbidden.and_then(|answer| steps_up(client, answer)),
        };
        Self {
            transcript,
            checks,
            rows: CLIENTS.iter().map(row).collect(),
            token,
        }
    }

    /// Every SDK logs in, and the token opens what it should and no more.
    pub(crate) fn is_good(&self) -> bool {
        let logs_in = |verdict: &Verdict| matches!(verdict, Verdict::LogsIn(_));
        let mut official = self.rows.iter().filter(|row| row.client.official);
        let tokens_are_judged = self
            .checks
            .iter()
            .all(|check| check.mark != Mark::Fail || !is_of_tokens(check.name));
        official.all(|row| logs_in(&row.first)) && tokens_are_judged
    }

    /// For a program: see docs/probe.md.
    pub(crate) fn json(&self) -> String {
        let mark = |check: &Check| match check.mark {
            Mark::Pass => "pass",
            Mark::Note => "note",
            Mark::Fail => "fail",
        };
        let checks = self.checks.iter().map(|check| {
            json!({
                "name": check.name, "mark": mark(check), "expected": check.expected,
                "found": self.hidden(&check.found), "breaks": check.breaks,
                "mend": self.hidden(&check.mend),
            })
        });
        let requests = self.transcript.exchanges.iter().map(|exchange| {
            let (method, url) = (exchange.request.method, exchange.request.url.as_str());
            match &exchange.outcome {
                Ok(answer) => {
                    json!({"method": method, "url": self.hidden(url), "status": answer.status})
                }
                Err(why) => {
                    json!({"method": method, "url": self.hidden(url), "error": why.describe()})
                }
            }
        });
        let all = json!({
            "url": self.transcript.url.as_str(),
            "good": self.is_good(),
            "checks": checks.collect::<Vec<_>>(),
            "clients": self.rows.iter().map(|row| self.row_json(row)).collect::<Vec<_>>(),
            "requests": requests.collect::<Vec<_>>(),
        });
        format!("{}\n", ascii(&format!("{all:#}")))
    }

    fn row_json(&self, row: &Row) -> Value {
        let again = row.again.as_ref().map(|again| self.verdict_json(again));
        let mut shown = self.verdict_json(&row.first);
        if let Value::Object(members) = &mut shown {
            members.extend([
                ("name".to_owned(), json!(row.client.name)),
                ("official".to_owned(), json!(row.client.official)),
                ("again".to_owned(), json!(again)),
                ("steps_up".to_owned(), json!(row.steps_up)),
            ]);
        }
        shown
    }

    fn verdict_json(&self, verdict: &Verdict) -> Value {
        match verdict {
            Verdict::LogsIn(login) => json!({
                "verdict": "logs in",
                "scopes": match login.scopes {
                    Scopes::Challenge => "challenge",
                    Scopes::Metadata => "metadata",
                    Scopes::None => "none",
                },
                "client_id": match login.registration {
                    Registration::Itself => "by itself",
                    Registration::ByHand => "by hand",
                },
            }),
            Verdict::Open => json!({"verdict": "open"}),
            Verdict::Fails(why) => json!({"verdict": "fails", "why": self.hidden(why)}),
        }
    }

    /// For people.
    pub(crate) fn text(&self, colours: bool) -> String {
        let paint = Paint { colours };
        let url = show::line(self.transcript.url.as_str());
        let mut lines = vec![url, String::new()];
        for check in self.checks {
            self.check_lines(check, &paint, &mut lines);
        }
        // Where nothing answers, nobody gets in, for the one reason that stands above.
        if self.transcript.exchanges.len() > 1 {
            lines.extend([String::new(), "Clients".to_owned()]);
            lines.extend(self.row_lines(&paint));
        }
        lines.extend([String::new(), self.summary()]);
        let mut text = lines.join("\n");
        text.push('\n');
        text
    }

    fn check_lines(&self, check: &Check, paint: &Paint, lines: &mut Vec<String>) {
        let shown = |text: &str| show::line(&self.hidden(text));
        let mark = match check.mark {
            Mark::Pass => paint.green("ok  "),
            Mark::Note => paint.yellow("note"),
            Mark::Fail => paint.red("FAIL"),
        };
        lines.push(format!(
            "  {mark}  {:<22}{}",
            check.name,
            shown(&check.found)
        ));
        if check.mark == Mark::Pass {
            return;
        }
        for (name, text) in [
            ("expected", check.expected),
            ("breaks", check.breaks),
            ("mend", &check.mend),
        ] {
            let mut name = name;
            for line in wrapped(&shown(text)) {
                lines.push(format!("        {name:<10}{line}"));
                name = "";
            }
        }
    }

    /// A line for each client, or one where all fare alike.
    fn row_lines(&self, paint: &Paint) -> Vec<String> {
        let rows = self.rows.iter().map(|row| self.row_parts(row, paint));
        let rows: Vec<_> = rows.collect();
        let line =
            |name: &str, (mark, text): &(String, String)| format!("  {mark}  {name:<22}{text}");
        match rows.split_first() {
            Some((first, rest)) if rest.iter().all(|one| one == first) => {
                vec![line(&format!("all {}", rows.len()), first)]
            }
            Some(_) | None => {
                let named = self.rows.iter().zip(&rows);
                named
                    .map(|(row, parts)| line(row.client.name, parts))
                    .collect()
            }
        }
    }

    /// The mark and the text of a client.
    fn row_parts(&self, row: &Row, paint: &Paint) -> (String, String) {
        let (mark, mut text) = match &row.first {
            Verdict::LogsIn(login) => {
                let scopes = match login.scopes {
                    Scopes::Challenge => "asks for the challenge's scopes",
                    Scopes::Metadata => "asks for all scopes of the metadata",
                    Scopes::None => "asks for no scopes",
                };
                let by_hand = match login.registration {
                    Registration::Itself => "",
                    Registration::ByHand => "; needs a client ID by hand",
                };
                (paint.green("yes "), format!("logs in, {scopes}{by_hand}"))
            }
            Verdict::Open => (paint.red("open"), "gets in without a token".to_owned()),
            Verdict::Fails(why) => (paint.red("no  "), show::line(&self.hidden(why))),
        };
        if let Some(Verdict::Fails(why)) = row.again.as_ref().filter(|again| **again != row.first) {
            let why = show::line(&self.hidden(why));
            text.push_str(&format!("; when its token has expired: {why}"));
        }
        match row.steps_up {
            Some(true) => text.push_str("; asks for more scopes on a 403"),
            Some(false) => text.push_str("; does not ask for more scopes on a 403"),
            None => {}
        }
        (mark, text)
    }

    fn summary(&self) -> String {
        let named = |mark, what| {
            let marked = self.checks.iter().filter(|check| check.mark == mark);
            let names: Vec<&str> = marked.map(|check| check.name).collect();
            match names.as_slice() {
                [] => format!("no {what}s"),
                names => format!(
                    "{} ({})",
                    show::counted(names.len(), what),
                    names.join(", ")
                ),
            }
        };
        let official = self.rows.iter().filter(|row| row.client.official);
        let logs_in = official
            .filter(|row| matches!(row.first, Verdict::LogsIn(_)))
            .count();
        format!(
            "{logs_in} of the 4 official SDKs would log in; {}, {}.",
            named(Mark::Fail, "failure"),
            named(Mark::Note, "note")
        )
    }

    /// A text without any part of the user's token: servers may send it back.
    fn hidden(&self, text: &str) -> String {
        let Some(token) = self.token else {
            return text.to_owned();
        };
        let mut text = text.replace(token, "<token>");
        for part in token.split('.').filter(|part| part.len() >= 8) {
            text = text.replace(part, "<token>");
        }
        text
    }
}

/// The same JSON in ASCII alone: harmless to a terminal.
fn ascii(json: &str) -> String {
    let mut shown = String::with_capacity(json.len());
    for character in json.chars() {
        if matches!(character, '\n' | ' '..='~') {
            shown.push(character);
            continue;
        }
        let mut units = [0; 2];
        for unit in character.encode_utf16(&mut units) {
            shown.push_str(&format!("\\u{unit:04x}"));
        }
    }
    shown
}

/// A text in lines that fit a terminal of 100 columns behind 18 of them; no word is broken.
fn wrapped(text: &str) -> Vec<String> {
    const COLUMNS: usize = 82;
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.len().saturating_add(word.len()) < COLUMNS => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) | None => lines.push(word.to_owned()),
        }
    }
    lines
}

/// The checks of what tokens open, and of what they must not.
fn is_of_tokens(name: &str) -> bool {
    matches!(
        name,
        "bad-token"
            | "with-token"
            | "outage"
            | "tools"
            | "without-token"
            | "altered-token"
            | "beside"
            | "audience"
    )
}

/// The 403 that the user's token got.
fn forbidden(transcript: &Transcript) -> Option<&Answer> {
    [Inside::Discover, Inside::Initialize, Inside::ToolsList]
        .iter()
        .filter_map(|kind| transcript.first(Kind::Inside(*kind)))
        .find(|answer| answer.status == 403)
}

/// Colours, where a terminal has them.
struct Paint {
    colours: bool,
}

impl Paint {
    fn with(&self, code: u8, text: &str) -> String {
        if self.colours {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }

    fn green(&self, text: &str) -> String {
        self.with(32, text)
    }

    fn yellow(&self, text: &str) -> String {
        self.with(33, text)
    }

    fn red(&self, text: &str) -> String {
        self.with(31, text)
    }
}
