//! Jobs of ModelArts: the command line of its ma-cli, and the body of its API.
//!
//! Sources: support.huaweicloud.com, "ma-cli ma-job submit" and "Creating a Training Job"
//! (`POST /v2/{project_id}/training-jobs`).

use serde_json::json;

use super::Job;
use crate::terminal::shell;

const FLAVOR: &str = "<flavor-id>";
/// Jobs on NPUs have to have a folder for their logs.
const LOGS: &str = "<bucket>/<log-folder>/";
const CODE: &str = "<bucket>/<code-folder>/";
/// Where the job finds its copy of [`CODE`]: `MA_JOB_DIR` of the platform, and the last folder of the path in OBS.
const CODE_OF_JOB: &str = "/home/ma-user/modelarts/user-job-dir/<code-folder>";

/// The command that submits the job.
pub fn command_line(job: &Job) -> String {
    let options = [
        ("name", job.name.to_string()),
        ("image-url", job.image.without_host()),
        ("code-dir", format!("obs://{CODE}")),
        ("working-dir", CODE_OF_JOB.to_owned()),
        // ModelArts splits it into words as a shell would, and needs the quotes of the words inside.
        ("user-command", shell::line(&job.command)),
        ("train-instance-type", FLAVOR.to_owned()),
        ("train-instance-count", job.nodes.to_string()),
        ("log-url", format!("obs://{LOGS}")),
    ];
    let options = options.map(|(name, value)| format!("    --{name} {}", shell::word(value)));
    format!("ma-cli ma-job submit \\\n{}\n", options.join(" \\\n"))
}

/// What the API is sent.
pub fn body(job: &Job) -> String {
    let body = json!({
        "kind": "job",
        "metadata": { "name": job.name.to_string() },
        "algorithm": {
            "engine": { "image_url": job.image.without_host() },
            "code_dir": format!("/{CODE}"),
            "working_dir": CODE_OF_JOB,
            "command": shell::line(&job.command),
        },
        "spec": {
            "resource": { "flavor_id": FLAVOR, "node_count": job.nodes },
            "log_export_path": { "obs_url": format!("/{LOGS}") },
        },
    });
    format!("{body:#}\n")
}

pub fn notes_on_command_line(job: &Job) -> Vec<String> {
    vec![
        note_on_code("--code-dir", "--working-dir"),
        format!("{FLAVOR} has {} NPUs; `ma-cli ma-job get-flavor` lists what there is", job.devices),
        "in a dedicated pool, add `--pool-id` of `ma-cli ma-job get-pool`".to_owned(),
    ]
}

pub fn notes_on_body(job: &Job) -> Vec<String> {
    vec![
        "send it to `POST /v2/{project_id}/training-jobs`".to_owned(),
        note_on_code("code_dir", "working_dir"),
        format!("{FLAVOR} has {} NPUs", job.devices),
        "in a dedicated pool, add `pool_id` to `resource`".to_owned(),
    ]
}

fn note_on_code(code_dir: &str, working_dir: &str) -> String {
    format!(
        "<code-folder> has your code in OBS, and the ranks start in the job's copy of it; if the image has your code, \
         remove `{code_dir}` and `{working_dir}`"
    )
}
