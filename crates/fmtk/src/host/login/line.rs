//! The console's line `docker login -u <region>@<AK> -p <key> <host>`, as people paste it.

use image_name::Host;
use registry::Secret;

/// What the line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginLine {
    /// `REGION@AK`, as a rule.
    pub user: String,
    /// The key.
    pub password: Secret,
    /// Where it is for.
    pub host: Option<Host>,
}

const NO_LOGIN: &str = "stdin holds no `docker login`";
const NO_USER: &str = "the `docker login` on stdin has no `-u`";
const NO_PASSWORD: &str = "the `docker login` on stdin has no `-p` with a key; `--username NAME` takes the key alone";
const BAD_HOST: &str = "the `docker login` on stdin ends with something that is not a registry host";
const SEVERAL: &str = "stdin holds several `docker login` that differ";

/// Finds the one login in a text, whatever stands around it. The error never holds any part of the text.
pub fn parse(text: &str) -> Result<LoginLine, &'static str> {
    let text = text.replace("\r\n", "\n").replace('\r', "\n").replace("\\\n", " ");
    let mut found: Option<LoginLine> = None;
    let mut reason = NO_LOGIN;
    for arguments in text.lines().flat_map(logins) {
        match one(arguments) {
            Ok(login) if found.as_ref().is_some_and(|other| *other != login) => return Err(SEVERAL),
            Ok(login) => found = Some(login),
            Err(error) => reason = error,
        }
    }
    found.ok_or(reason)
}

/// What stands behind each `docker login` of a line.
fn logins(line: &str) -> impl Iterator<Item = &str> {
    let is_command = |before: &str| {
        let engine = before.trim_end();
        engine.len() < before.len() && ["docker", "podman", "nerdctl"].iter().any(|name| engine.ends_with(name))
    };
    line.match_indices("login")
        .filter(move |(at, _)| is_command(&line[..*at]))
        .map(|(at, login)| &line[at + login.len()..])
}

fn one(arguments: &str) -> Result<LoginLine, &'static str> {
    let (mut user, mut password, mut host) = (None, None, None);
    let arguments = before_prose(arguments).replace("\\\r\n", " ").replace("\\\n", " ");
    // Ends at a quote that is not closed: of such a word only a part would be sent.
    let mut words = shlex::Shlex::new(&arguments);
    while let Some(word) = words.next() {
        let (name, value) = match word.get(..2) {
            Some("-u" | "-p") => (&word[..2], Some(&word[2..]).map(|value| value.strip_prefix('=').unwrap_or(value))),
            _ => word.split_once('=').map_or((&*word, None), |(name, value)| (name, Some(value))),
        };
        let value = value.filter(|value| !value.is_empty()).map(str::to_owned);
        match name {
            "-u" | "--username" => user = value.or_else(|| words.next()),
            "-p" | "--password" => password = value.or_else(|| words.next()),
            // A switch that takes nothing, such as podman's `--tls-verify=false`.
            _ if name.starts_with('-') => {}
            _ => {
                host = Some(word);
                break;
            }
        }
    }
    let set = |value: Option<String>| value.filter(|value| !value.is_empty());
    let user = set(user).ok_or(NO_USER)?;
    let password = set(password).ok_or(NO_PASSWORD)?;
    let host = host.map(|host| bare(&host).parse().map_err(|_| BAD_HOST)).transpose()?;
    Ok(LoginLine { user, password: Secret::new(password), host })
}

/// What comes before a backtick or semicolon outside of quotes: these are of the prose around a command.
fn before_prose(text: &str) -> &str {
    let mut quote = None;
    let ends = |letter: char| {
        match quote {
            None if matches!(letter, '\'' | '"') => quote = Some(letter),
            Some(open) if open == letter => quote = None,
            _ => {}
        }
        quote.is_none() && matches!(letter, '`' | ';')
    };
    text.split(ends).next().unwrap_or(text)
}

/// A host without scheme, path and what prose puts behind it.
fn bare(word: &str) -> &str {
    let word = word.strip_prefix("https://").or_else(|| word.strip_prefix("http://")).unwrap_or(word);
    let word = word.split('/').next().unwrap_or(word);
    let end = word.find(|letter: char| !letter.is_ascii_alphanumeric() && !".-:[]".contains(letter));
    word[..end.unwrap_or(word.len())].trim_end_matches(['.', ':', '-'])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOST: &str = "swr.cn-central-221.ovaijisuan.com";
    const USER: &str = "cn-central-221@AK01";
    const KEY: &str = "0a1b2c3d";

    fn found(text: &str) -> String {
        match parse(text) {
            Ok(line) => {
                let host = line.host.map_or("none".to_owned(), |host| host.to_string());
                format!("{} {} {host}", line.user, line.password.reveal())
            }
            Err(error) => error.to_owned(),
        }
    }

    #[test]
    fn every_form_of_the_line_is_understood() {
        let right = format!("{USER} {KEY} {HOST}");
        for form in [
            "docker login -u U -p K H",
            "docker login -u U -p K H\r\n",
            "\u{feff}  sudo docker login -u U -p K https://H/v2/\n",
            "docker login --username=U --password=K H",
            "docker login --username U --password K H",
            "docker login -u=\"U\" -p='K' H",
            "docker  login -p K -u U 'H'",
            "podman login --tls-verify=false -u U -p K H",
            "$ docker login -u U \\\n  -p K \\\n  H\n",
            "登录指令：`docker login -u U -p K H`。",
            "请执行docker login -u U -p K H，有效期24小时",
            "Run (to docker login): docker login -u U -p K H. It lasts 24 h.\nThank you\n",
            "docker login -u U -p K H\ndocker login -u U -p K H\n",
        ] {
            let text = form.replace('U', USER).replace('K', KEY).replace('H', HOST);
            // The name has both letters in it.
            let text = text.replace(&USER.replace('K', KEY), USER);
            assert_eq!(found(&text), right, "{form}");
        }
        assert_eq!(found("docker login -u u -p 'a\"b=' 127.0.0.1:5000"), "u a\"b= 127.0.0.1:5000");
        assert_eq!(found("docker login -u u -p k"), "u k none");
        assert_eq!(found("Type `docker login -uu -pk`"), "u k none");
        assert_eq!(found("docker login -u u -p 'a; b `c`' r.x"), "u a; b `c` r.x");
        assert_eq!(found("docker login -u u -p a\\\"'b'\"c\" r.x"), "u a\"bc r.x");
    }

    #[test]
    fn what_is_missing_is_said_and_nothing_else() {
        for (text, expected) in [
            ("hunter2", NO_LOGIN),
            ("docker login", NO_USER),
            ("docker login hunter2", NO_USER),
            ("docker login -u u r.x", NO_PASSWORD),
            ("docker login -u u -p", NO_PASSWORD),
            ("docker login -u u -p '' r.x", NO_PASSWORD),
            ("docker login -u u --password-stdin r.x", NO_PASSWORD),
            ("docker login -u u -p hunter\"2 r.x", NO_PASSWORD),
            ("docker login -u u -p 'hunter2 r.x", NO_PASSWORD),
            ("echo hunter2 | docker login -u u --password-stdin r.x", NO_PASSWORD),
            ("docker login -u u -p hunter2 -q .", BAD_HOST),
            ("docker login -u u -p a r.x\ndocker login -u u -p b r.x", SEVERAL),
        ] {
            assert_eq!(parse(text), Err(expected), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_judged(text in "(docker login|-u|-p|--password-stdin|echo|[|<`'\"\\\\= \n\r.:/-]|a|é){0,30}") {
            let _ = parse(&text);
        }

        #[test]
        fn a_key_comes_back_as_it_was(key in "[!-&(-~é]{1,20}") {
            prop_assume!(!key.contains("login"));
            prop_assert_eq!(found(&format!("docker login -u u -p '{key}' r.x")), format!("u {key} r.x"));
        }
    }
}
