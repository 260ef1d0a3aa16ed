//! What the figures were measured on.

use std::{fs, thread};

use serde_json::{Value, json};

use super::stage::Stage;
use crate::testbed::Engine;

/// Processor, kernel, versions, storage driver, pigz.
pub fn describe(stage: &Stage) -> anyhow::Result<Value> {
    let first_line = |program: &str, arguments: &[&str]| -> anyhow::Result<String> {
        let said = stage.log.command(program).args(arguments).run()?;
        Ok(said.text().lines().next().unwrap_or_default().to_owned())
    };
    let docker = |subcommand: &str, format: &str| -> anyhow::Result<String> {
        Ok(stage.docker.command(&stage.log).args([subcommand, "--format", format]).run()?.text().to_owned())
    };
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let of_cpu = |key: &str| cpuinfo.lines().find_map(|line| line.strip_prefix(key)?.split_once(": ")).map(|(_, v)| v);
    let floor = stage.floor(&stage.mindspore()?)?;
    let size = |path: std::path::PathBuf| fs::metadata(path).map(|meta| meta.len()).unwrap_or(0);
    Ok(json!({
        "processor": of_cpu("model name").unwrap_or("unknown"),
        "cores": thread::available_parallelism().map_or(1, usize::from),
        "sha_instructions": floor["sha_instructions"],
        "kernel": fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim(),
        "docker_client": docker("version", "{{.Client.Version}}")?,
        "docker_daemon": docker("version", "{{.Server.Version}}")?,
        "docker_storage": docker("info", "{{.Driver}}")?,
        "docker_builder": "the daemon's own (DOCKER_BUILDKIT=0)",
        "pigz": first_line("sh", &["-c", "command -v unpigz >/dev/null && pigz --version 2>&1 || echo absent"])?,
        "buildah": first_line("buildah", &["--version"])?,
        "registry": first_line("docker-registry", &["--version"])?,
        "mindspore_wheel_bytes": size(stage.mindspore()?),
        "mindpet_wheel_bytes": size(stage.mindpet()?),
    }))
}

/// The description for people.
pub fn lines(machine: &Value) -> String {
    let mut text = String::new();
    for (key, value) in machine.as_object().into_iter().flatten() {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        text.push_str(&format!("{:22} {value}\n", key.replace('_', " ")));
    }
    text.push('\n');
    text
}
