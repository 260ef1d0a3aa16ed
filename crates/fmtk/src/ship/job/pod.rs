//! What jobs on Kubernetes have in common: the pod of a node, and the config map of the rank table.

use serde_json::{Value, json};

use super::Job;

/// The container's name; Ascend Operator looks for it.
const CONTAINER: &str = "ascend";
/// Longer than the launcher takes from SIGTERM to the end: its `--grace` is 15 s unless the command says otherwise.
const GRACE_SECONDS: u32 = 60;
/// Where MindCluster has rank tables.
const TABLE_FOLDER: &str = "/user/serverid/devindex/config";
const TABLE: &str = "rank-table";
const SHARED_MEMORY: &str = "shared-memory";

/// The labels of jobs and pods.
pub fn labels(job: &Job) -> Value {
    json!({ "ring-controller.atlas": job.npu.ring })
}

/// The pod of a node. `job_label` is the label by which the cluster marks the pods of a job.
pub fn template(job: &Job, job_label: &str) -> Value {
    let devices = json!({ job.npu.resource: job.devices });
    let of_pod = |field: String| json!({ "fieldRef": { "fieldPath": field } });
    let mut env = vec![json!({
        "name": "ASCEND_VISIBLE_DEVICES",
        "valueFrom": of_pod(format!("metadata.annotations['{}']", job.npu.resource)),
    })];
    let mut mounts = vec![json!({ "name": SHARED_MEMORY, "mountPath": "/dev/shm" })];
    // 64 MiB, which pods have without it, are too few for data loaders.
    let mut volumes = vec![json!({ "name": SHARED_MEMORY, "emptyDir": { "medium": "Memory" } })];
    if job.needs_table {
        // The launcher finds its server in the table by it.
        env.push(json!({ "name": "MA_CURRENT_HOST_IP", "valueFrom": of_pod("status.hostIP".to_owned()) }));
        env.push(json!({ "name": "RANK_TABLE_FILE", "value": format!("{TABLE_FOLDER}/hccl.json") }));
        mounts.push(json!({ "name": TABLE, "mountPath": TABLE_FOLDER }));
        volumes.push(json!({ "name": TABLE, "configMap": { "name": table_name(job) } }));
    }
    let container = json!({
        "name": CONTAINER,
        "image": job.image.reference(),
        "imagePullPolicy": "IfNotPresent",
        "command": job.command.iter().map(|word| literal(word)).collect::<Vec<_>>(),
        "env": env,
        "resources": { "requests": devices, "limits": devices },
        "volumeMounts": mounts,
    });
    let mut spec = json!({
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "nodeSelector": { "kubernetes.io/arch": "arm64" },
    });
    if job.nodes > 1 {
        let is_of_job = json!({ "key": job_label, "operator": "In", "values": [job.name.to_string()] });
        spec["affinity"] = json!({ "podAntiAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": [{
            "labelSelector": { "matchExpressions": [is_of_job] },
            "topologyKey": "kubernetes.io/hostname",
        }] } });
    }
    spec["containers"] = json!([container]);
    spec["volumes"] = volumes.into();
    json!({ "metadata": { "labels": labels(job) }, "spec": spec })
}

/// The config map that Ascend Operator writes the rank table to, where the ranks need one; it goes before the job.
pub fn table(job: &Job) -> Option<Value> {
    job.needs_table.then(|| {
        json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": { "name": table_name(job), "labels": labels(job) },
            "data": { "hccl.json": r#"{"status":"initializing"}"# },
        })
    })
}

/// The operator knows it by this name.
fn table_name(job: &Job) -> String {
    format!("rings-config-{}", job.name)
}

/// The word as Kubernetes leaves it: it would replace `$(NAME)` by the variable's value.
fn literal(word: &str) -> String {
    word.replace('$', "$$")
}

pub fn notes(job: &Job) -> Vec<String> {
    vec![
        "add volumes for your code and data; if they are not `default`, change the `queue` and add your `namespace`".to_owned(),
        format!("the cluster needs an `imagePullSecrets` for {}, unless anybody may pull from it", job.image.host()),
        "if your nodes have the label `accelerator-type`, add it to `nodeSelector`: `kubectl get nodes -L accelerator-type`"
            .to_owned(),
        "without MindCluster's scheduler plugin, remove the variable ASCEND_VISIBLE_DEVICES".to_owned(),
    ]
}
