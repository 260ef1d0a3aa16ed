//! What the figures were measured on.

use std::{fs, thread};

use serde_json::{Value, json};

use super::image::Image;
use crate::testbed::Engine;

/// Processor and kernel, and how busy they were with other things.
pub fn describe() -> Value {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let model = cpuinfo.lines().find_map(|line| Some(line.strip_prefix("model name")?.split_once(": ")?.1));
    json!({
        "processor": model.unwrap_or("unknown"),
        "cores": thread::available_parallelism().map_or(1, usize::from),
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
        "load_average": read("/proc/loadavg").split(' ').take(3).collect::<Vec<_>>().join(" "),
    })
}

/// The same with versions, storage driver, pigz.
pub fn describe_with(image: &Image) -> anyhow::Result<Value> {
    let first_line = |program: &str, arguments: &[&str]| -> anyhow::Result<String> {
        let said = image.bench.command(program).args(arguments).run()?;
        Ok(said.text().lines().next().unwrap_or_default().to_owned())
    };
    let docker = |subcommand: &str, format: &str| -> anyhow::Result<String> {
        Ok(image.docker.command().args([subcommand, "--format", format]).run()?.text().to_owned())
    };
    let size = |path: std::path::PathBuf| fs::metadata(path).map(|meta| meta.len()).unwrap_or(0);
    let mut machine = describe();
    machine["sha_instructions"] = image.bench.meter.floor(&image.mindspore()?)?["sha_instructions"].take();
    machine["docker_client"] = docker("version", "{{.Client.Version}}")?.into();
    machine["docker_daemon"] = docker("version", "{{.Server.Version}}")?.into();
    machine["docker_storage"] = docker("info", "{{.Driver}}")?.into();
    machine["docker_builder"] = "the daemon's own (DOCKER_BUILDKIT=0)".into();
    let pigz = "command -v unpigz >/dev/null && pigz --version 2>&1 || echo absent";
    machine["pigz"] = first_line("sh", &["-c", pigz])?.into();
    machine["buildah"] = first_line("buildah", &["--version"])?.into();
    machine["registry"] = first_line("docker-registry", &["--version"])?.into();
    machine["mindspore_wheel_bytes"] = size(image.mindspore()?).into();
    machine["mindpet_wheel_bytes"] = size(image.mindpet()?).into();
    Ok(machine)
}

pub fn lines(machine: &Value) -> String {
    let line = |(key, value): (&String, &Value)| {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        format!("{:22} {value}\n", key.replace('_', " "))
    };
    machine.as_object().into_iter().flatten().map(line).collect::<String>() + "\n"
}
