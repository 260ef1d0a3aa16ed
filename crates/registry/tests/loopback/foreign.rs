//! Any text as a challenge and as a token: refused with a message, or the request goes on. The fuzz target calls this
//! function, and starts from the corpus that is read here.

use std::{fs, path::Path, sync::Arc};

use registry::{CredentialSource, Proxies, Registry, RegistryOptions, Retry};
use registry_fake::{FakeRegistry, Fault, What};

/// Asks a registry for tags, which challenges by the first lines of a text, one `WWW-Authenticate` each; what follows an
/// empty line is its answer to whoever asks for a token, if that is at the fake at all.
pub fn login(text: &str) {
    let (challenges, token) = text.split_once("\n\n").unwrap_or((text, ""));
    let fake = FakeRegistry::start();
    let headers = challenges.lines().map(|line| {
        // Control characters make it no header field.
        let mut value: String = line.chars().filter(|c| !c.is_control()).collect();
        // Nobody but the fake is to be asked.
        while value.contains("//") {
            value = value.replace("//", "/");
        }
        ("WWW-Authenticate".to_owned(), value.replace("ORIGIN", &format!("http://{}", fake.host())))
    });
    let challenge = What::Answer { status: 401, headers: headers.collect(), body: String::new() };
    fake.plan(Fault::on("GET", "/v2/", challenge).times(2));
    for method in ["GET", "POST"] {
        let answer = What::Answer { status: 200, headers: Vec::new(), body: token.to_owned() };
        fake.plan(Fault::on(method, "/token", answer).always());
    }
    let options = RegistryOptions {
        credentials: CredentialSource::Anonymous,
        proxies: Proxies::default(),
        retry: Retry { attempts: 1, sleep: Arc::new(|_| {}), ..Retry::default() },
        ..RegistryOptions::default()
    };
    let registry = Registry::new(fake.host().parse().unwrap(), options);
    if let Err(error) = registry.tags(&"o/r".parse().unwrap()) {
        assert!(!error.to_string().is_empty());
    }
}

#[test]
fn the_corpus_is_answered_or_refused() {
    let mut count = 0;
    for file in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/login")).unwrap() {
        login(&fs::read_to_string(file.unwrap().path()).unwrap());
        count += 1;
    }
    assert!(count >= 5, "{count} files");
}
