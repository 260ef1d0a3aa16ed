//! What is printed for each kind of cluster, and whether the cluster would take it.

mod schema;

use std::{path::Path, process::Command};

use clap::Parser;
use expect_test::{Expect, expect};
use serde_json::Value;

use self::schema::misfits;
use super::*;
use crate::recipe::Overrides;

/// As `cargo xtask job` reads them.
#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    args: JobArgs,
}

const TORCH: &str = "pytorch_2.7.1-cann_8.3.RC1-py_3.11-ubuntu_22.04-aarch64-d910b-20251205091605";
const MINDSPORE: &str = "py_3.11-ms_2.7.2_cann_8.5.0-ubuntu_22.04-aarch64-d910b-20251205091605";
const MANUAL: &str = "py_3.9-ms_1.8.1_cann_5.1.RC2-euler_2.8.3-aarch64-d910-20221028181325";

/// A job of the image with this tag, its flags separated by blanks.
fn job(tag: &str, flags: &str, command: &[&str]) -> Job {
    let words = ["job"].into_iter().chain(flags.split_whitespace()).chain(["--"]).chain(command.iter().copied());
    let Line { args } = Line::try_parse_from(words).unwrap();
    let reference = format!("swr.example.com/mindxsdk/fmtk-ma:{tag}");
    let store = Store::open(tempfile::tempdir().unwrap().path()).unwrap();
    let image = ImageAddress::find(Some(&reference), Path::new(""), &store).unwrap();
    let recipe = Recipe::parse("", "image.toml", Path::new(""), Overrides::default()).unwrap();
    Job::new(&args, image, &recipe).unwrap()
}

/// A command with everything that shells, YAML and Kubernetes read something into.
const ODD: [&str; 7] = ["python", "-c", "print('a: b', \"$HOME\")\n# $(NAME) `id` \\", "--name=\t", "", "yes", "日本"];

/// Every kind for nodes, frameworks and commands of all sorts.
fn jobs() -> Vec<Job> {
    let mut jobs = Vec::new();
    for tag in [TORCH, MINDSPORE, MANUAL, "own"] {
        for flags in
            ["", "--nodes 2", "--nodes 4096 --devices 16", "--nodes 2 --framework torch --name a", "--framework plain"]
        {
            jobs.extend([job(tag, flags, &["python", "train.py"]), job(tag, flags, &ODD)]);
        }
    }
    jobs
}

/// The documents, each held against its schema.
fn documents(text: &str, kind: &str) -> Vec<Value> {
    let documents = yaml::tests::parse(text);
    for document in &documents {
        let schema = if document["kind"] == "ConfigMap" { "config-map" } else { kind };
        let misfits = misfits(schema, document);
        assert!(misfits.is_empty(), "{misfits:#?}\n{text}");
    }
    documents
}

#[test]
fn kubernetes_is_given_what_the_schemas_have() {
    for job in jobs() {
        for (kind, schema) in [(Kind::Volcano, "volcano"), (Kind::AscendOperator, "ascend-operator")] {
            let documents = documents(&job.text(kind), schema);
            assert_eq!(documents.len(), if job.needs_table { 2 } else { 1 });
            let spec = &documents.last().unwrap()["spec"];
            let (pods, count) = match kind {
                Kind::Volcano => (vec![&spec["tasks"][0]], spec["minAvailable"].as_u64()),
                _ => {
                    let roles = spec["replicaSpecs"].as_object().unwrap();
                    (roles.values().collect(), spec["runPolicy"]["schedulingPolicy"]["minAvailable"].as_u64())
                }
            };
            let replicas: u64 = pods.iter().map(|pod| pod["replicas"].as_u64().unwrap()).sum();
            assert_eq!((replicas, count), (u64::from(job.nodes), Some(replicas)));
            for pod in pods {
                let spec = &pod["template"]["spec"];
                // The launcher has 15 s of its own.
                assert!(spec["terminationGracePeriodSeconds"].as_u64() > Some(15));
                let words = spec["containers"][0]["command"].as_array().unwrap();
                let given: Vec<String> = words.iter().map(|word| expanded(word.as_str().unwrap())).collect();
                assert_eq!(given, job.command);
            }
        }
    }
}

/// What Kubernetes makes of a word of a command, with no variable set: `$$` is `$`, and `$(NAME)` would be replaced.
fn expanded(word: &str) -> String {
    let mut text = String::new();
    let mut letters = word.chars().peekable();
    while let Some(letter) = letters.next() {
        if letter == '$' {
            match letters.peek() {
                Some('$') => drop(letters.next()),
                Some('(') => panic!("`{word}` has a variable of Kubernetes"),
                _ => {}
            }
        }
        text.push(letter);
    }
    text
}

#[test]
fn the_api_is_given_what_its_schema_has() {
    for job in jobs() {
        let body: Value = serde_json::from_str(&job.text(Kind::ModelartsApi)).unwrap();
        assert_eq!(misfits("modelarts-api", &body), [""; 0]);
        assert_eq!(shlex::split(body["algorithm"]["command"].as_str().unwrap()).unwrap(), job.command);
    }
}

/// Options of `ma-cli ma-job submit`, by its help on support.huaweicloud.com.
const MA_CLI: [&str; 8] = [
    "--name",
    "--image-url",
    "--code-dir",
    "--working-dir",
    "--user-command",
    "--train-instance-type",
    "--train-instance-count",
    "--log-url",
];

#[test]
fn ma_cli_is_given_options_that_it_has() {
    for job in jobs() {
        let words = shlex::split(&job.text(Kind::Modelarts).replace("\\\n", " ")).unwrap();
        assert_eq!(words[..3], ["ma-cli", "ma-job", "submit"]);
        let options: Vec<&[String]> = words[3..].chunks(2).collect();
        assert_eq!(options.iter().map(|option| &option[0]).collect::<Vec<_>>(), MA_CLI.iter().collect::<Vec<_>>());
        // The word is a command line itself.
        assert_eq!(shlex::split(&options[4][1]).unwrap(), job.command);
    }
}

/// The script in a folder of its own where srun and apptainer write down how they were called.
#[test]
fn bash_calls_srun_with_the_words_of_the_command() {
    for job in jobs() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("job.sh");
        std::fs::write(&path, job.text(Kind::Slurm)).unwrap();
        let checked = Command::new("bash").arg("-n").arg(&path).output().unwrap();
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
        for program in ["srun", "apptainer"] {
            let fake = folder.path().join(program);
            std::fs::write(
                &fake,
                format!("#!/bin/sh\nfor word; do printf '%s\\0' \"$word\"; done >> {program}.words\n"),
            )
            .unwrap();
            let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            std::fs::set_permissions(&fake, executable).unwrap();
        }
        let path = format!("{}:/usr/bin:/bin", folder.path().display());
        let run = Command::new("bash").arg("job.sh").current_dir(folder.path()).env("PATH", path).output().unwrap();
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        let words = |program: &str| -> Vec<String> {
            let text = std::fs::read_to_string(folder.path().join(format!("{program}.words"))).unwrap();
            text.split_terminator('\0').map(str::to_owned).collect()
        };
        let file = format!("fmtk-ma_{}.sif", job.image.tag());
        let reference = job.image.reference();
        assert_eq!(words("apptainer"), ["pull", &file, &format!("docker://{reference}")]);
        let srun = words("srun");
        let options =
            ["--ntasks-per-node=1", "--kill-on-bad-exit=1", "apptainer", "exec", "--bind", "/usr/local/Ascend/driver"];
        assert_eq!(srun[..6], options);
        assert_eq!((&srun[6], &srun[7..]), (&file, &job.command[..]));
    }
}

fn shown(job: &Job, kind: Kind, expected: Expect) {
    let notes: String = job.notes(kind).iter().map(|note| format!("# note: {note}\n")).collect();
    expected.assert_eq(&(job.text(kind) + &notes));
}

#[test]
fn what_is_printed() {
    let torch = job(TORCH, "--nodes 2", &["python", "train.py"]);
    shown(
        &torch,
        Kind::Modelarts,
        expect![[r#"
        ma-cli ma-job submit \
            --name fmtk-ma \
            --image-url mindxsdk/fmtk-ma:pytorch_2.7.1-cann_8.3.RC1-py_3.11-ubuntu_22.04-aarch64-d910b-20251205091605 \
            --code-dir 'obs://<bucket>/<code-folder>/' \
            --working-dir '/home/ma-user/modelarts/user-job-dir/<code-folder>' \
            --user-command 'fmtk-launch run --devices 0-7 -- python train.py' \
            --train-instance-type '<flavor-id>' \
            --train-instance-count 2 \
            --log-url 'obs://<bucket>/<log-folder>/'
        # note: <code-folder> has your code in OBS, and the ranks start in the job's copy of it; if the image has your code, remove `--code-dir` and `--working-dir`
        # note: <flavor-id> has 8 NPUs; `ma-cli ma-job get-flavor` lists what there is
        # note: in a dedicated pool, add `--pool-id` of `ma-cli ma-job get-pool`
    "#]],
    );
    shown(
        &torch,
        Kind::ModelartsApi,
        expect![[r#"
        {
          "kind": "job",
          "metadata": {
            "name": "fmtk-ma"
          },
          "algorithm": {
            "engine": {
              "image_url": "mindxsdk/fmtk-ma:pytorch_2.7.1-cann_8.3.RC1-py_3.11-ubuntu_22.04-aarch64-d910b-20251205091605"
            },
            "code_dir": "/<bucket>/<code-folder>/",
            "working_dir": "/home/ma-user/modelarts/user-job-dir/<code-folder>",
            "command": "fmtk-launch run --devices 0-7 -- python train.py"
          },
          "spec": {
            "resource": {
              "flavor_id": "<flavor-id>",
              "node_count": 2
            },
            "log_export_path": {
              "obs_url": "/<bucket>/<log-folder>/"
            }
          }
        }
        # note: send it to `POST /v2/{project_id}/training-jobs`
        # note: <code-folder> has your code in OBS, and the ranks start in the job's copy of it; if the image has your code, remove `code_dir` and `working_dir`
        # note: <flavor-id> has 8 NPUs
        # note: in a dedicated pool, add `pool_id` to `resource`
    "#]],
    );
    shown(
        &torch,
        Kind::Volcano,
        expect![[r#"
            apiVersion: batch.volcano.sh/v1alpha1
            kind: Job
            metadata:
              name: fmtk-ma
              labels:
                ring-controller.atlas: ascend-910b
            spec:
              schedulerName: volcano
              queue: default
              minAvailable: 2
              plugins:
                env: []
                svc: []
              policies:
                - event: PodFailed
                  action: AbortJob
                - event: PodEvicted
                  action: RestartJob
                - event: TaskCompleted
                  action: CompleteJob
              maxRetry: 3
              tasks:
                - name: worker
                  replicas: 2
                  template:
                    metadata:
                      labels:
                        ring-controller.atlas: ascend-910b
                    spec:
                      terminationGracePeriodSeconds: 60
                      nodeSelector:
                        kubernetes.io/arch: arm64
                      affinity:
                        podAntiAffinity:
                          requiredDuringSchedulingIgnoredDuringExecution:
                            - labelSelector:
                                matchExpressions:
                                  - key: volcano.sh/job-name
                                    operator: In
                                    values:
                                      - fmtk-ma
                              topologyKey: kubernetes.io/hostname
                      containers:
                        - name: ascend
                          image: "swr.example.com/mindxsdk/fmtk-ma:pytorch_2.7.1-cann_8.3.RC1-py_3.11-ubuntu_22.04-aarch64-d910b-20251205091605"
                          imagePullPolicy: IfNotPresent
                          command:
                            - fmtk-launch
                            - run
                            - "--devices"
                            - "0-7"
                            - "--"
                            - python
                            - train.py
                          env:
                            - name: ASCEND_VISIBLE_DEVICES
                              valueFrom:
                                fieldRef:
                                  fieldPath: "metadata.annotations['huawei.com/Ascend910']"
                          resources:
                            requests:
                              huawei.com/Ascend910: 8
                            limits:
                              huawei.com/Ascend910: 8
                          volumeMounts:
                            - name: shared-memory
                              mountPath: /dev/shm
                      volumes:
                        - name: shared-memory
                          emptyDir:
                            medium: Memory
                      restartPolicy: Never
            # note: add volumes for your code and data; if they are not `default`, change the `queue` and add your `namespace`
            # note: the cluster needs an `imagePullSecrets` for swr.example.com, unless anybody may pull from it
            # note: if your nodes have the label `accelerator-type`, add it to `nodeSelector`: `kubectl get nodes -L accelerator-type`
            # note: without MindCluster's scheduler plugin, remove the variable ASCEND_VISIBLE_DEVICES
        "#]],
    );
    shown(
        &torch,
        Kind::Slurm,
        expect![[r##"
            #!/bin/bash
            #SBATCH --job-name=fmtk-ma
            #SBATCH --nodes=2
            #SBATCH --ntasks-per-node=1
            #SBATCH --exclusive
            # What your site may require: remove one # to enable a line.
            ##SBATCH --partition=<partition>
            ##SBATCH --gres=npu:8
            ##SBATCH --time=<limit>
            set -euo pipefail

            # Converted once, into the folder that the job is submitted from; every node has to see it.
            image=fmtk-ma_pytorch_2.7.1-cann_8.3.RC1-py_3.11-ubuntu_22.04-aarch64-d910b-20251205091605.sif
            [ -e "$image" ] || apptainer pull "$image" docker://swr.example.com/mindxsdk/fmtk-ma:pytorch_2.7.1-cann_8.3.RC1-py_3.11-ubuntu_22.04-aarch64-d910b-20251205091605

            # One launcher on each node; srun ends all of them when one ends with an error.
            exec srun --ntasks-per-node=1 --kill-on-bad-exit=1 \
                apptainer exec --bind /usr/local/Ascend/driver "$image" \
                fmtk-launch run --devices 0-7 -- python train.py
            # note: the login for swr.example.com is that of `apptainer registry login`
        "##]],
    );
    let mindspore = job(MINDSPORE, "--nodes 2 --framework mindspore --name llama", &["python", "train.py"]);
    shown(
        &mindspore,
        Kind::AscendOperator,
        expect![[r#"
            apiVersion: mindxdl.gitee.com/v1
            kind: AscendJob
            metadata:
              name: llama
              labels:
                ring-controller.atlas: ascend-910b
                framework: mindspore
            spec:
              schedulerName: volcano
              runPolicy:
                cleanPodPolicy: Running
                schedulingPolicy:
                  minAvailable: 2
                  queue: default
              successPolicy: AllWorkers
              replicaSpecs:
                Scheduler:
                  replicas: 1
                  restartPolicy: Never
                  template:
                    metadata:
                      labels:
                        ring-controller.atlas: ascend-910b
                    spec:
                      terminationGracePeriodSeconds: 60
                      nodeSelector:
                        kubernetes.io/arch: arm64
                      affinity:
                        podAntiAffinity:
                          requiredDuringSchedulingIgnoredDuringExecution:
                            - labelSelector:
                                matchExpressions:
                                  - key: job-name
                                    operator: In
                                    values:
                                      - llama
                              topologyKey: kubernetes.io/hostname
                      containers:
                        - name: ascend
                          image: "swr.example.com/mindxsdk/fmtk-ma:py_3.11-ms_2.7.2_cann_8.5.0-ubuntu_22.04-aarch64-d910b-20251205091605"
                          imagePullPolicy: IfNotPresent
                          command:
                            - fmtk-launch
                            - run
                            - "--devices"
                            - "0-7"
                            - "--framework"
                            - mindspore
                            - "--"
                            - python
                            - train.py
                          env:
                            - name: ASCEND_VISIBLE_DEVICES
                              valueFrom:
                                fieldRef:
                                  fieldPath: "metadata.annotations['huawei.com/Ascend910']"
                          resources:
                            requests:
                              huawei.com/Ascend910: 8
                            limits:
                              huawei.com/Ascend910: 8
                          volumeMounts:
                            - name: shared-memory
                              mountPath: /dev/shm
                      volumes:
                        - name: shared-memory
                          emptyDir:
                            medium: Memory
                Worker:
                  replicas: 1
                  restartPolicy: Never
                  template:
                    metadata:
                      labels:
                        ring-controller.atlas: ascend-910b
                    spec:
                      terminationGracePeriodSeconds: 60
                      nodeSelector:
                        kubernetes.io/arch: arm64
                      affinity:
                        podAntiAffinity:
                          requiredDuringSchedulingIgnoredDuringExecution:
                            - labelSelector:
                                matchExpressions:
                                  - key: job-name
                                    operator: In
                                    values:
                                      - llama
                              topologyKey: kubernetes.io/hostname
                      containers:
                        - name: ascend
                          image: "swr.example.com/mindxsdk/fmtk-ma:py_3.11-ms_2.7.2_cann_8.5.0-ubuntu_22.04-aarch64-d910b-20251205091605"
                          imagePullPolicy: IfNotPresent
                          command:
                            - fmtk-launch
                            - run
                            - "--devices"
                            - "0-7"
                            - "--framework"
                            - mindspore
                            - "--"
                            - python
                            - train.py
                          env:
                            - name: ASCEND_VISIBLE_DEVICES
                              valueFrom:
                                fieldRef:
                                  fieldPath: "metadata.annotations['huawei.com/Ascend910']"
                          resources:
                            requests:
                              huawei.com/Ascend910: 8
                            limits:
                              huawei.com/Ascend910: 8
                          volumeMounts:
                            - name: shared-memory
                              mountPath: /dev/shm
                      volumes:
                        - name: shared-memory
                          emptyDir:
                            medium: Memory
            # note: add volumes for your code and data; if they are not `default`, change the `queue` and add your `namespace`
            # note: the cluster needs an `imagePullSecrets` for swr.example.com, unless anybody may pull from it
            # note: if your nodes have the label `accelerator-type`, add it to `nodeSelector`: `kubectl get nodes -L accelerator-type`
            # note: without MindCluster's scheduler plugin, remove the variable ASCEND_VISIBLE_DEVICES
        "#]],
    );
}

/// MindSpore 1.8.1 has no other way to meet.
#[test]
fn what_starts_from_a_rank_table_is_given_one() {
    let from_table = |tag: &str, flags: &str| {
        let job = job(tag, flags, &["python", "train.py"]);
        (job.needs_table, shell::line(&job.command))
    };
    let run = "fmtk-launch run";
    assert_eq!(from_table(MANUAL, ""), (true, format!("{run} -- python train.py")));
    assert_eq!(from_table(MINDSPORE, ""), (false, format!("{run} --devices 0-7 -- python train.py")));
    let plain = format!("{run} --devices 0-7 --framework plain -- python train.py");
    assert_eq!(from_table(MINDSPORE, "--framework plain"), (false, plain));
    let torch = format!("{run} --devices 0-7 --framework torch -- python train.py");
    assert_eq!(from_table(MANUAL, "--framework torch"), (false, torch));
    let documents = documents(&job(MANUAL, "", &["a"]).text(Kind::Volcano), "volcano");
    expect![[r#"
        apiVersion: v1
        kind: ConfigMap
        metadata:
          name: rings-config-fmtk-ma
          labels:
            ring-controller.atlas: ascend-910
        data:
          hccl.json: "{\"status\":\"initializing\"}"
    "#]]
    .assert_eq(&yaml::documents([documents[0].clone()]));
    let spec = &documents[1]["spec"]["tasks"][0]["template"]["spec"];
    expect![[r#"
        env:
          - name: ASCEND_VISIBLE_DEVICES
            valueFrom:
              fieldRef:
                fieldPath: "metadata.annotations['huawei.com/Ascend910']"
          - name: MA_CURRENT_HOST_IP
            valueFrom:
              fieldRef:
                fieldPath: status.hostIP
          - name: RANK_TABLE_FILE
            value: /user/serverid/devindex/config/hccl.json
        mounts:
          - name: shared-memory
            mountPath: /dev/shm
          - name: rank-table
            mountPath: /user/serverid/devindex/config
        volumes:
          - name: shared-memory
            emptyDir:
              medium: Memory
          - name: rank-table
            configMap:
              name: rings-config-fmtk-ma
    "#]]
    .assert_eq(&yaml::documents([serde_json::json!({
        "env": spec["containers"][0]["env"],
        "mounts": spec["containers"][0]["volumeMounts"],
        "volumes": spec["volumes"],
    })]));
    let notes = job(MANUAL, "", &["a"]).notes(Kind::Slurm);
    assert!(notes.iter().any(|note| note.contains("needs a rank table")), "{notes:?}");
}

#[test]
fn notes_on_the_command_come_first() {
    for (kind, own) in [(Kind::Modelarts, 3), (Kind::ModelartsApi, 4), (Kind::AscendOperator, 4), (Kind::Slurm, 1)] {
        let notes = job(TORCH, "--nodes 2", &["msrun", "train.py"]).notes(kind);
        assert_eq!(notes.len(), own + 1, "{notes:?}");
        assert!(notes[0].starts_with("add arguments to `msrun`"), "{notes:?}");
    }
}

#[test]
fn the_operator_is_told_a_framework_whose_variables_suit_the_ranks() {
    for (tag, flags, expected) in [
        (TORCH, "", "pytorch"),
        (MINDSPORE, "", "mindspore"),
        (MINDSPORE, "--framework torch", "pytorch"),
        (MINDSPORE, "--framework plain", "pytorch"),
        (TORCH, "--framework mindspore", "mindspore"),
        // Where the operator says MS_ROLE=MS_SCHED, ranks that start from a table would not compute.
        (MANUAL, "", "pytorch"),
        ("own", "", "pytorch"),
    ] {
        let text = job(tag, &format!("--nodes 3 {flags}"), &["a"]).text(Kind::AscendOperator);
        let job = documents(&text, "ascend-operator").pop().unwrap();
        assert_eq!(job["metadata"]["labels"]["framework"], expected, "{tag} {flags}");
        let leader = if expected == "pytorch" { "Master" } else { "Scheduler" };
        let roles = &job["spec"]["replicaSpecs"];
        assert_eq!((&roles[leader]["replicas"], &roles["Worker"]["replicas"]), (&1.into(), &2.into()), "{tag} {flags}");
    }
    let versions = ["1.8.1", "2.2.14", "2.3", "2.10.0", "3.0", "none", ""];
    let expected = [Some(false), Some(false), Some(true), Some(true), Some(true), None, None];
    assert_eq!(versions.map(has_scheduler), expected);
}

#[test]
fn what_makes_no_job_is_wrong_usage() {
    for line in
        ["", "--", "--nodes 0 -- a", "--nodes 4097 -- a", "--devices 0 -- a", "--name 7b -- a", "--kind k8s -- a"]
    {
        let words = ["job"].into_iter().chain(line.split_whitespace());
        assert_eq!(Line::try_parse_from(words).unwrap_err().exit_code(), 2, "{line}");
    }
}
