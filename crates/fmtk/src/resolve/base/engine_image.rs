//! An image that docker or podman has: image by its name, taken by its id, streamed once into the store.

use std::{
    io::{self, Read},
    process::Stdio,
};

use anyhow::{Context, anyhow, ensure};
use oci_image::{Base, Digest, ImportedSource, Platform, Store};

use super::{OpenImage, refused};
use crate::{
    engine::{self, Answer, EngineCommand, ask},
    terminal::{
        progress::{self, Progress, Step},
        report::{self, WithHint},
        shell,
    },
};

/// An image as its engine knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineImage {
    /// Digest of its config or manifest: whatever is in the image, it stands for it.
    pub id: Digest,
    /// Bytes that it takes up, as the engine says.
    pub size: u64,
}

/// Asks the engine for the image of this name, which has to be one for arm64.
pub fn find(program: &'static str, name: &str) -> anyhow::Result<EngineImage> {
    let way = EngineCommand::plain(program);
    // Of a name that other images have too the engine's own platform may be meant; an id is told, and that is taken.
    let said = match way.image(FORMAT, name)? {
        Answer::Said(said) => said,
        Answer::Refused(said) => return Err(missing(&way, name, said)),
        Answer::Absent => return Err(anyhow!("{program} is not installed")).hint(other(program, name)),
    };
    let (image, platform) = parse(&said)
        .with_context(|| format!("`{program} image inspect` answered something else than id, platform and size"))?;
    let wanted = Platform::linux_arm64();
    if !platform.serves(&wanted) {
        return Err(anyhow!("`{name}` in {program} is for {platform}, not for {wanted}"))
            .hint(format!("`{program} pull --platform {wanted} {}` fetches the one for arm64", shell::word(name)))
            .input();
    }
    Ok(image)
}

/// Why the engine does not tell of the image: docker says so too where no daemon is there to be asked.
fn missing(way: &EngineCommand, name: &str, said: String) -> anyhow::Error {
    let program = way.program;
    let version = match program {
        "docker" => ask(way, &["version", "--format", "{{.Server.Version}}"]),
        _ => Ok(Answer::Said(String::new())),
    };
    let (context, hint) = match version {
        Ok(Answer::Refused(_)) => {
            ("docker does not answer", format!("start its daemon (`systemctl start docker`); {}", other(program, name)))
        }
        Ok(_) => {
            let hint = format!(
                "`{program} images` lists what it has; `{program} pull --platform linux/arm64 {}` fetches it",
                shell::word(name)
            );
            return report::input(report::hinted(
                anyhow!(said).context(format!("{program} has no image `{name}`")),
                hint,
            ));
        }
        Err(error) => return error,
    };
    report::hinted(anyhow!(said).context(context), hint)
}

const FORMAT: &str = "{{.Id}} {{.Os}} {{.Architecture}} {{.Size}}";

fn parse(said: &str) -> Option<(EngineImage, Platform)> {
    let mut words = said.split_whitespace();
    let id = words.next()?;
    let id = format!("sha256:{}", id.strip_prefix("sha256:").unwrap_or(id)).parse().ok()?;
    let (os, architecture) = (words.next()?.to_owned(), words.next()?.to_owned());
    Some((EngineImage { id, size: words.next()?.parse().ok()? }, Platform { os, architecture, variant: None }))
}

fn other(program: &str, name: &str) -> String {
    let there = if program == "docker" { "podman:" } else { "docker-daemon:" };
    format!("if the other engine has the image, name it `{}`", shell::word(format!("{there}{name}")))
}

/// The image, if the store has taken it before.
pub fn known(reference: &str, image: &EngineImage, store: &Store) -> anyhow::Result<Option<OpenImage>> {
    let known = oci_image::imported(store, reference, &image.id, &Platform::linux_arm64()).map_err(refused)?;
    Ok(known.map(opened))
}

/// Opens the image; what the store does not have yet is streamed out of the engine, gigabytes maybe.
pub fn open(
    program: &'static str,
    name: &str,
    reference: &str,
    store: &Store,
    progress: &Progress,
) -> anyhow::Result<OpenImage> {
    let image = find(program, name)?;
    // Two runs on one base: the second waits and finds it done.
    let _lock = store.lock(&format!("engine-image-{}", image.id.hex()))?;
    if let Some(image) = known(reference, &image, store)? {
        return Ok(image);
    }
    progress.line(&format!("copying `{name}` out of {program}, once: {}", progress::bytes(image.size)));
    let step = progress.transfer(format!("copying the image out of {program}"), image.size);
    save(program, reference, &image, store, &step)
}

/// By its id: a name could be given to another image in the meantime.
fn save(
    program: &'static str,
    reference: &str,
    image: &EngineImage,
    store: &Store,
    step: &Step,
) -> anyhow::Result<OpenImage> {
    let failed = || format!("failed to run `{program} save`");
    let mut command = EngineCommand::plain(program).command();
    command.arg("save");
    if program == "podman" {
        command.arg("--quiet");
    }
    command.arg(image.id.to_string()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = engine::bound(&mut command).spawn().with_context(failed)?;
    let mut stdout = child.stdout.take().with_context(failed)?;
    let imported =
        oci_image::import(store, reference, &image.id, &mut step.count(&mut stdout), &Platform::linux_arm64());
    // Where the stream is at its end the engine has ended it, and knows why; else we are the ones who stop.
    let ended = match &imported {
        // Bytes behind the archive's end would else block the engine.
        Ok(_) => io::copy(&mut stdout, &mut io::sink()).is_ok(),
        Err(_) => matches!(stdout.read(&mut [0]), Ok(0)),
    };
    if !ended {
        // Failed where it has ended in this moment.
        let _ = child.kill();
    }
    drop(stdout);
    let output = child.wait_with_output().with_context(failed)?;
    if ended {
        ensure!(output.status.success(), "`{program} save` failed: {}", engine::said(output.status, &output.stderr));
    }
    Ok(opened(imported.map_err(refused)?))
}

fn opened((base, source): (Base, ImportedSource)) -> OpenImage {
    OpenImage { base, source: Box::new(source) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_engines_tell_an_id_and_a_platform() {
        let hex = "b5bb9d8014a0f9b1d61e21e796d78dccdf1352f23cd32812f4850b878ae4944c";
        let (image, platform) = parse(&format!("sha256:{hex} linux arm64 117\n")).unwrap();
        assert_eq!((image.id.hex(), image.size), (hex.to_owned(), 117));
        assert!(platform.serves(&Platform::linux_arm64()));
        assert_eq!(parse(&format!("{hex} linux arm64 117")), Some((image, platform)));
        assert_eq!(parse("<none> linux arm64 117"), None);
        assert_eq!(parse(&format!("{hex} linux")), None);
    }
}
