//! Answers of real registries that docker and skopeo take: each of the fake's quirks, for a push and a pull.

use std::io::Read as _;

use oci_image::BlobSource as _;
use registry::{CredentialSource, Credentials, RegistryOptions, RegistrySource, Secret};
use registry_fake::{Auth, FakeRegistry, Options, QUIRKS};

use crate::fixture::{Image, bytes, client_with, options, repo, shown, tag};

#[test]
fn odd_answers_are_taken() {
    let mut failed = Vec::new();
    for quirk in QUIRKS {
        let (user, password) = (String::from("u"), String::from("hunter2"));
        let basic = Auth::Basic { user: user.clone(), password: password.clone() };
        let bearer = Auth::Bearer { user, password, identity_token: "none".to_owned() };
        for (auth, refuse_monolithic) in [(basic, true), (bearer, false)] {
            let fake =
                FakeRegistry::with(Options { auth, refuse_monolithic, quirk: Some(quirk), ..Options::default() });
            failed.extend(transfer(&fake).err().map(|why| format!("{}: {why}", quirk.name)));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// Pushes an image and reads it back; the first that is wrong.
fn transfer(fake: &FakeRegistry) -> Result<(), String> {
    let credentials = Credentials::Basic { user: "u".into(), password: Secret::new("hunter2") };
    let options = RegistryOptions { credentials: CredentialSource::Given(credentials), ..options() };
    let registry = client_with(fake, options);
    // One is mounted, one is announced.
    let image = Image::new(&[bytes(1, 1000), bytes(2, 1_100_000)]);
    fake.put_blob("base/b", &bytes(1, 1000));
    let mut push = image.to_push();
    push.layers[0].mount_from = Some(repo("base/b"));
    registry.push_image(&push, &|_| {}).map_err(|error| shown(&error, fake))?;
    let found = registry.manifest(&repo("o/r"), &tag("t")).map_err(|error| shown(&error, fake))?;
    let found = found.map(|manifest| manifest.digest.to_string());
    if found != Some(image.digest()) || fake.tag("o/r", "t") != found {
        return Err(format!("pushed {}, found {found:?}", image.digest()));
    }
    if registry.tags(&repo("o/r")).map_err(|error| shown(&error, fake))? != [tag("t")] {
        return Err("the tag is not listed".to_owned());
    }
    let source = RegistrySource { registry, repository: repo("o/r") };
    let mut read = Vec::new();
    let mut reader = source.open(&image.layers[1]).map_err(|error| error.to_string())?;
    reader.read_to_end(&mut read).map_err(|error| error.to_string())?;
    Ok(())
}
