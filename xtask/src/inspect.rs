//! `inspect`: what an image, a wheel or CANN's installer is, without running or unpacking it.

use std::{fmt::Write, path::Path};

use anyhow::{Context, anyhow};
use image_name::{Digest, Tag};
use oci_image::{Descriptor, ImageConfig, Store};
use serde_json::{Value, json};
use wheel_layer::{Allowances, Target, WheelFacts};

use crate::{
    args::{Format, InspectArgs},
    base::{self, ImageRef},
    packages::{self, InstallerName},
    place,
    progress::{bytes, count},
    recipe::Recipe,
    record::{self, BuildRecord},
    report::{self, WithHint},
};

/// Runs the command.
pub fn run(args: &InspectArgs, store: &Store) -> anyhow::Result<()> {
    let recipe = place::recipe(None)?;
    let file = Path::new(&args.subject);
    let (text, json) = if args.subject.ends_with(".whl") {
        wheel(file, &recipe, store)?
    } else if args.subject.ends_with(".run") {
        installer(file, &recipe, store)?
    } else if let Some(record) = built(&args.subject, store)? {
        of_store(&record, store)?
    } else {
        elsewhere(args, &recipe, store)?
    };
    match args.format {
        Format::Human => report::data(&report::printable(&text)),
        Format::Json => report::data(&format!("{}\n", serde_json::to_string_pretty(&json)?)),
    }
}

/// The image of the store that is meant by its tag, with or without the repository.
fn built(subject: &str, store: &Store) -> anyhow::Result<Option<BuildRecord>> {
    let tag = subject.rsplit_once(':').map_or(subject, |(_, tag)| tag);
    let Ok(tag) = tag.parse::<Tag>() else { return Ok(None) };
    let named = |record: &BuildRecord| {
        record.tag == tag && (subject == tag.as_str() || subject == format!("{}:{tag}", record.repository))
    };
    Ok(record::all(store)?.into_iter().find(named))
}

fn of_store(record: &BuildRecord, store: &Store) -> anyhow::Result<(String, Value)> {
    let name = format!("{}:{}", record.repository, record.tag);
    let config = store.read_blob(&record.config.digest, record.config.size).hint("build the image again")?;
    let config = ImageConfig::parse(&config)?;
    let layers: Vec<(&Descriptor, &str)> =
        record.layers.iter().map(|layer| (&layer.blob, layer.content.as_str())).collect();
    Ok(image(&name, &record.digest, &record.media_type, &config, &layers))
}

fn elsewhere(args: &InspectArgs, recipe: &Recipe, store: &Store) -> anyhow::Result<(String, Value)> {
    let reference: ImageRef = args
        .subject
        .parse()
        .with_context(|| {
            format!("`{}` is neither a wheel nor an installer nor an image of the store nor a reference", args.subject)
        })
        .input()?;
    let opened = base::open(&reference, &args.registry, &recipe.registry, store)?;
    let contents = layer_comments(&opened.base.config);
    let layers: Vec<(&Descriptor, &str)> = opened
        .base
        .layers
        .iter()
        .enumerate()
        .map(|(number, layer)| (layer, contents.get(number).map_or("", String::as_str)))
        .collect();
    Ok(image(
        &reference.to_string(),
        &opened.base.manifest_digest,
        opened.base.format.manifest(),
        &opened.base.config,
        &layers,
    ))
}

/// What the history says of each layer, bottom first.
fn layer_comments(config: &ImageConfig) -> Vec<String> {
    let history = config.get("history").and_then(Value::as_array);
    let text = |entry: &Value, key: &str| entry.get(key).and_then(Value::as_str).map(str::to_owned);
    history
        .into_iter()
        .flatten()
        .filter(|entry| entry.get("empty_layer") != Some(&Value::Bool(true)))
        .map(|entry| text(entry, "comment").or_else(|| text(entry, "created_by")).unwrap_or_default())
        .collect()
}

fn image(
    name: &str,
    digest: &Digest,
    media_type: &str,
    config: &ImageConfig,
    layers: &[(&Descriptor, &str)],
) -> (String, Value) {
    let size: u64 = layers.iter().map(|(layer, _)| layer.size).sum();
    let platform = config.platform();
    let mut text = String::new();
    // Writing to a string can't fail.
    let mut line = |label: &str, value: String| {
        let _ = writeln!(text, "{label:<9}{value}");
    };
    line("image", name.to_owned());
    line("digest", digest.to_string());
    line("type", media_type.to_owned());
    line("platform", format!("{}/{}", platform.os, platform.architecture));
    line("created", config.created().unwrap_or("not said").to_owned());
    line("size", format!("{} in {}", bytes(size), count(layers.len(), "layer")));
    for (layer, content) in layers {
        line("layer", format!("{} {:>9}  {content}", layer.digest.short(), bytes(layer.size)));
    }
    line("user", config.user().to_owned());
    line("workdir", config.working_dir().to_owned());
    for (name, value) in config.env() {
        line("env", format!("{name}={value}"));
    }
    for (name, value) in config.labels() {
        line("label", format!("{name}={value}"));
    }
    let json = json!({
        "image": name,
        "digest": digest,
        "media_type": media_type,
        "os": platform.os,
        "architecture": platform.architecture,
        "created": config.created(),
        "size": size,
        "layers": layers.iter().map(|(layer, content)| json!({
            "digest": layer.digest, "size": layer.size, "content": content,
        })).collect::<Vec<_>>(),
        "user": config.user(),
        "workdir": config.working_dir(),
        "env": config.env().into_iter().collect::<std::collections::BTreeMap<_, _>>(),
        "labels": config.labels().into_iter().collect::<std::collections::BTreeMap<_, _>>(),
    });
    (text, json)
}

fn wheel(file: &Path, recipe: &Recipe, store: &Store) -> anyhow::Result<(String, Value)> {
    let (size, sha256) = packages::digest(store, file).input()?;
    let facts = WheelFacts::read(file).input()?;
    let python = &recipe.python;
    let target = Target::aarch64(python.version, (python.glibc.major, python.glibc.minor));
    let allow = Allowances { foreign_code: recipe.allow.elf.iter().map(|name| name.to_string()).collect() };
    let problems: Vec<String> = facts.check(&target, &allow).iter().map(|problem| problem.to_string()).collect();
    let unpacked: u64 = facts.files.iter().map(|entry| entry.size).sum();
    let commands: Vec<&String> =
        facts.commands.console.iter().chain(&facts.commands.gui).map(|one| &one.name).collect();
    let machines: std::collections::BTreeSet<String> = facts.elf.iter().map(|(_, elf)| elf.to_string()).collect();
    let name =
        file.file_name().map(|name| name.to_string_lossy().into_owned()).ok_or_else(|| anyhow!("no file name"))?;
    let mut text = String::new();
    let mut line = |label: &str, value: String| {
        let _ = writeln!(text, "{label:<9}{value}");
    };
    line("wheel", format!("{} {}", facts.name, facts.version));
    line("file", name);
    line("sha256", sha256.hex());
    line("size", format!("{}, {} files, {} unpacked", bytes(size), facts.files.len(), bytes(unpacked)));
    if let Some(requires) = &facts.requires_python {
        line("python", requires.clone());
    }
    for requirement in &facts.requires_dist {
        line("requires", requirement.clone());
    }
    for command in &commands {
        line("command", (*command).clone());
    }
    for machine in &machines {
        let files = facts.elf.iter().filter(|(_, elf)| elf.to_string() == *machine).count();
        line("code", format!("{files} files for {machine}"));
    }
    match problems.is_empty() {
        true => line("fits", "the recipe's target".to_owned()),
        false => problems.iter().for_each(|problem| line("problem", problem.clone())),
    }
    let json = json!({
        "name": facts.name,
        "version": facts.version,
        "sha256": sha256,
        "size": size,
        "files": facts.files.len(),
        "unpacked": unpacked,
        "requires_python": facts.requires_python,
        "requires_dist": facts.requires_dist,
        "commands": commands,
        "machines": machines,
        "problems": problems,
    });
    Ok((text, json))
}

fn installer(file: &Path, recipe: &Recipe, store: &Store) -> anyhow::Result<(String, Value)> {
    let (size, sha256) = packages::digest(store, file).input()?;
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let read = packages::installer(store, file, &sha256)
        .with_context(|| format!("`{}` can't be used", file.display()))
        .input()
        .hint("copy the file again from where it came")?;
    let named = name.parse::<InstallerName>();
    let problems = match &named {
        Ok(named) => packages::at_odds(recipe, &name, named).into_iter().map(|(problem, _)| problem).collect(),
        Err(message) => vec![message.clone()],
    };
    let mut text = String::new();
    let mut line = |label: &str, value: String| {
        let _ = writeln!(text, "{label:<9}{value}");
    };
    line("installer", format!(" {}", read.label));
    line("file", name.clone());
    line("sha256", sha256.hex());
    if let Ok(InstallerName { version, arch, .. }) = &named {
        line("version", version.clone());
        line("arch", arch.clone());
    }
    let compression = read.compression.as_deref().unwrap_or("unknown compression");
    line(
        "size",
        format!("{}: script {}, payload {} ({compression})", bytes(size), bytes(read.offset), bytes(read.payload())),
    );
    let sums = read.sums();
    line("checked", if sums.is_empty() { "length; it carries no sums".to_owned() } else { sums.join(", ") });
    match problems.is_empty() {
        true => line("fits", "the recipe".to_owned()),
        false => problems.iter().for_each(|problem| line("problem", problem.clone())),
    }
    let json = json!({
        "file": name,
        "label": read.label,
        "version": named.as_ref().ok().map(|named| &named.version),
        "arch": named.as_ref().ok().map(|named| &named.arch),
        "sha256": sha256,
        "size": size,
        "offset": read.offset,
        "parts": read.parts,
        "compression": read.compression,
        "checked": sums,
        "problems": problems,
    });
    Ok((text, json))
}
