//! A job of Volcano on Kubernetes.
//!
//! Source: github.com/volcano-sh/volcano, `config/crd/volcano/bases/batch.volcano.sh_jobs.yaml`, and for the policies
//! `pkg/controllers/job/state` and `pkg/webhooks/admission/jobs/validate`.

use serde_json::{Value, json};

use super::{Job, pod, yaml};

/// The task's name: Volcano's plugin `svc` tells its pods VC_WORKER_HOSTS and VC_WORKER_NUM, `env` VC_TASK_INDEX.
const TASK: &str = "worker";

/// What `kubectl apply` takes.
pub fn manifest(job: &Job) -> String {
    yaml::documents(pod::table(job).into_iter().chain([document(job)]))
}

fn document(job: &Job) -> Value {
    let mut template = pod::template(job, "volcano.sh/job-name");
    // A container that the node starts again would be no failed pod.
    template["spec"]["restartPolicy"] = "Never".into();
    json!({
        "apiVersion": "batch.volcano.sh/v1alpha1",
        "kind": "Job",
        "metadata": { "name": job.name.to_string(), "labels": pod::labels(job) },
        "spec": {
            "schedulerName": "volcano",
            "queue": "default",
            // All nodes or none.
            "minAvailable": job.nodes,
            "plugins": { "env": [], "svc": [] },
            "policies": [
                // A node that failed ends the job; the pod stays for its log, and `vcctl job resume` starts all again.
                { "event": "PodFailed", "action": "AbortJob" },
                // One that was lost has the job started again.
                { "event": "PodEvicted", "action": "RestartJob" },
                { "event": "TaskCompleted", "action": "CompleteJob" },
            ],
            "maxRetry": 3,
            "tasks": [{ "name": TASK, "replicas": job.nodes, "template": template }],
        },
    })
}
