//! An AscendJob of MindCluster's Ascend Operator on Kubernetes.
//!
//! Source: gitcode.com/Ascend/mind-cluster, `component/ascend-operator`: the custom resource in `build/`, what it checks
//! and sets in `pkg/controllers/v1`.

use serde_json::{Map, Value, json};

use super::{Job, pod, yaml};

/// What `kubectl apply` takes.
pub fn manifest(job: &Job) -> String {
    yaml::documents(pod::table(job).into_iter().chain([document(job)]))
}

fn document(job: &Job) -> Value {
    // The operator numbers the nodes from its leader on, which has devices like the others: the launcher there starts
    // MindSpore's scheduler besides its ranks. Ranks with a table would take the variables of a scheduler for their own.
    let (framework, leader) = if job.by_scheduler { ("mindspore", "Scheduler") } else { ("pytorch", "Master") };
    let replicas = |count: u32| {
        // A container that the node starts again would be no failed pod.
        json!({ "replicas": count, "restartPolicy": "Never", "template": pod::template(job, "job-name") })
    };
    let mut roles = Map::from_iter([(leader.to_owned(), replicas(1))]);
    if job.nodes > 1 {
        roles.insert("Worker".to_owned(), replicas(job.nodes - 1));
    }
    let mut labels = pod::labels(job);
    labels["framework"] = framework.into();
    json!({
        "apiVersion": "mindxdl.gitee.com/v1",
        "kind": "AscendJob",
        "metadata": { "name": job.name.to_string(), "labels": labels },
        "spec": {
            "schedulerName": "volcano",
            "runPolicy": {
                // With the operator's own default, the other nodes go on where one has failed.
                "cleanPodPolicy": "Running",
                // All nodes or none.
                "schedulingPolicy": { "minAvailable": job.nodes, "queue": "default" },
            },
            "successPolicy": "AllWorkers",
            "replicaSpecs": roles,
        },
    })
}
