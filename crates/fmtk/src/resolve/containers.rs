//! Containers for arm64 of one command: labelled, without a network to the outside, and gone when the command is.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
    process::{self, Command, Stdio},
};

use anyhow::Context;
use oci_image::Store;

use crate::{
    engine::{self, EngineCommand, Guard, probe},
    resolve::tools,
    terminal::progress::Progress,
};

/// What a container can reach: itself alone, or all that has the network of another container, which has to run when it is
/// started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    Own,
    /// That of the container with this number, which has to be above its own.
    Of(usize),
}

/// The containers of a command, which it creates and starts.
pub struct Containers {
    pub way: EngineCommand,
    /// Their names, by number.
    pub names: Vec<String>,
    /// Its value says which store they work for.
    label: String,
    _guard: Guard,
}

impl Containers {
    /// Removes containers that an earlier run of this `command` left, and finds out how the engine runs arm64. When this
    /// is dropped, the containers have `grace` seconds to end; then they go, and the images of these names with them. The lock of
    /// the command is to be held.
    pub fn new(
        command: &str,
        count: usize,
        images: &[String],
        grace: u64,
        program: &'static str,
        store: &Store,
        progress: &Progress,
    ) -> anyhow::Result<Self> {
        let here = engine::here(store);
        let label = format!("fmtk.{command}={here}");
        engine::remove_leftovers(program, &label);
        let tools = tools::build(store, progress)?;
        let tool = tools.first().context("no program for the image was built")?;
        let names: Vec<String> =
            (0..count).map(|number| format!("fmtk-{command}-{here}-{}-{number}", process::id())).collect();
        let all: Vec<&str> = names.iter().map(String::as_str).collect();
        let probe_name = format!("localhost/fmtk-probe:{here}");
        let images: Vec<&str> = images.iter().map(String::as_str).chain([probe_name.as_str()]).collect();
        let guard = Guard::new(program, grace, &all, &images)?;
        let way = probe(store, program, &probe_name, &tool.sha256, progress)
            .map_err(|error| tools::damaged(error, store, std::slice::from_ref(tool)))?;
        Ok(Self { way, names, label, _guard: guard })
    }

    /// Creates a container that will run the command, whatever entry point its image has.
    pub fn create(
        &self,
        number: usize,
        network: Network,
        options: &[String],
        image: &str,
        command: &[String],
    ) -> anyhow::Result<()> {
        let network = match network {
            Network::Own => "none".to_owned(),
            Network::Of(other) => format!("container:{}", self.names[other]),
        };
        let name = &self.names[number];
        self.way.say(&arguments(&self.way, name, &self.label, &network, options, image, command)).map(drop)
    }

    /// Starts a container and leaves it to itself.
    pub fn run_apart(&self, number: usize) -> anyhow::Result<()> {
        self.way.say(&["start", &self.names[number]]).map(drop)
    }

    /// The client that starts a container and gets all that it says.
    pub fn start(&self, number: usize) -> Command {
        let mut command = self.way.command();
        command.args(["start", "--attach", &self.names[number]]).stdin(Stdio::null());
        command
    }

    /// The same for one that was created with `--interactive`: its stdin is the client's.
    pub fn converse(&self, number: usize) -> Command {
        let mut command = self.way.command();
        command.args(["start", "--attach", "--interactive", &self.names[number]]);
        command
    }
}

fn arguments<'a>(
    way: &'a EngineCommand,
    name: &'a str,
    label: &'a str,
    network: &'a str,
    options: &'a [String],
    image: &'a str,
    command: &'a [String],
) -> Vec<&'a str> {
    let (program, rest) = command.split_first().map_or(("", &[][..]), |(first, rest)| (first.as_str(), rest));
    let mut arguments = vec!["create", "--name", name, "--label", label, "--network", network];
    // Labels of SELinux keep containers from folders of the host.
    arguments.extend(["--security-opt", "label=disable"]);
    arguments.extend(options.iter().map(String::as_str));
    arguments.extend(&way.create);
    arguments.extend(["--entrypoint", program, image]);
    arguments.extend(rest.iter().map(String::as_str));
    arguments
}

/// The last bytes of what a container said, as far as they are UTF-8.
pub fn tail(file: &Path, bytes: u64) -> io::Result<String> {
    let mut file = File::open(file)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(bytes)))?;
    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn a_container_has_the_network_it_is_given_and_runs_the_command_whatever_its_image_runs() {
        let way = EngineCommand { create: vec!["--platform", "linux/arm64"], ..EngineCommand::plain("docker") };
        let text = |text: &[&str]| text.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
        let (options, command) = (text(&["--user", "7:8"]), text(&["python3", "/x/launcher.py", "--task_type=a"]));
        expect!["create --name box-1 --label fmtk.try=x --network container:box-2 --security-opt label=disable --user 7:8 --platform linux/arm64 --entrypoint python3 sha256:1 /x/launcher.py --task_type=a"]
            .assert_eq(&arguments(&way, "box-1", "fmtk.try=x", "container:box-2", &options, "sha256:1", &command).join(" "));
    }
}
