//! `job` as it is run: of an image that was pushed or not, and of others.

use expect_test::expect;
use registry_fake::FakeRegistry;

use crate::{
    intact::{BuiltImage, TAG},
    program::{program, run},
};

/// Its exit code, stdout and stderr, with names in place of what differs from run to run.
fn job(image: &BuiltImage, fake: &FakeRegistry, arguments: &[&str]) -> (Option<i32>, String, String) {
    let (code, out, said) = run(program(image.workspace(), &[&["job"], arguments].concat()));
    let named = |text: String| {
        let text = text.replace(image.workspace().to_str().unwrap(), "FOLDER");
        text.replace(&fake.host(), "HOST").replace(TAG, "TAG")
    };
    (code, named(out), named(said))
}

#[test]
fn the_job_has_the_image_where_it_was_pushed_to_last() {
    let (image, fake) = (BuiltImage::new(), FakeRegistry::start());
    assert_eq!(image.push(&fake).0, Some(0));
    let command = ["--nodes", "2", "--", "python", "train.py"];
    let (code, out, said) = job(&image, &fake, &command);
    assert_eq!(code, Some(0), "{said}");
    expect![[r#"
        ma-cli ma-job submit \
            --name fmtk-ma \
            --image-url o/fmtk-ma:TAG \
            --code-dir 'obs://<bucket>/<code-folder>/' \
            --working-dir '/home/ma-user/modelarts/user-job-dir/<code-folder>' \
            --user-command 'fmtk-launch run -- python train.py' \
            --train-instance-type '<flavor-id>' \
            --train-instance-count 2 \
            --log-url 'obs://<bucket>/<log-folder>/'
    "#]]
    .assert_eq(&out);
    expect![[r#"
        note: each node runs: fmtk-launch run -- python train.py
        note: <code-folder> has your code in OBS, and the ranks start in the job's copy of it; if the image has your code, remove `--code-dir` and `--working-dir`
        note: <flavor-id> has 8 NPUs; `ma-cli ma-job get-flavor` lists what there is
        note: in a dedicated pool, add `--pool-id` of `ma-cli ma-job get-pool`
    "#]]
    .assert_eq(&said);
    for name in [&[][..], &[TAG], &["20221109000000"], &[&format!("o/fmtk-ma:{TAG}")]] {
        let arguments = [name, &["--kind", "volcano", "--quiet"], &command].concat();
        let (code, out, said) = job(&image, &fake, &arguments);
        assert_eq!((code, said.as_str()), (Some(0), ""), "{name:?}");
        assert!(out.contains("image: \"HOST/o/fmtk-ma:TAG\""), "{out}");
    }
    let (code, _, said) = job(&image, &fake, &[&[&*format!("p/fmtk-ma:{TAG}")], &command[..]].concat());
    assert_eq!(code, Some(2));
    expect![[r#"
        error: `fmtk-ma:TAG` was pushed to `HOST/o/fmtk-ma` last, not to `p`
        hint: name the image without `p/`, or as `HOST/p/fmtk-ma:TAG`
    "#]]
    .assert_eq(&said);
}

#[test]
fn an_image_that_is_nowhere_is_told_how_it_gets_there() {
    let (image, fake) = (BuiltImage::new(), FakeRegistry::start());
    let refused = |arguments: &[&str]| {
        let (code, out, said) = job(&image, &fake, &[arguments, &["--", "a"]].concat());
        assert_eq!((code, out.as_str()), (Some(2), ""), "{said}");
        said
    };
    expect![[r#"
        error: `fmtk-ma:TAG` has not been pushed from this store yet
        hint: run `cargo xtask push 20221109000000 --org ORG`, or name an image that is in a registry: `HOST/ORG/REPOSITORY:TAG`
    "#]]
    .assert_eq(&refused(&[]));
    // Another image was pushed under this tag.
    assert_eq!(image.push(&fake).0, Some(0));
    let name = format!("fmtk-ma:{TAG}");
    let store = oci_image::Store::open(&image.workspace().join("store")).unwrap();
    let mut push: serde_json::Value = store.record("push", &name).unwrap().unwrap();
    push["built"] = format!("sha256:{}", "0".repeat(64)).into();
    store.put_record("push", &name, &push).unwrap();
    assert!(refused(&[]).contains("has not been pushed"));
    // Records of pushes once had a single digest.
    push["built"] = serde_json::Value::Null;
    store.put_record("push", &name, &push).unwrap();
    assert_eq!(job(&image, &fake, &["--", "a"]).0, Some(0));
    expect![[r#"
        error: no image `nothing` in the store, and it is not a reference to one in a registry
        caused by: image reference `nothing` must start with a registry host, which has a dot or port or is `localhost`, and `/` (character 8, the end)
        hint: built images: `TAG`; write a reference as `HOST/ORG/REPOSITORY:TAG`
    "#]]
    .assert_eq(&refused(&["nothing"]));
    expect![[r#"
        error: `reg.example/o/a` does not name the image by its tag alone
        hint: write `reg.example/o/a:TAG`: not every cluster knows an image by its digest
    "#]]
    .assert_eq(&refused(&["reg.example/o/a"]));
}

#[test]
fn an_image_of_others_needs_no_build() {
    let folder = tempfile::tempdir().unwrap();
    let job = |kind: &str, framework: &str| {
        let arguments =
            ["job", "reg.example:5000/o/a/b_c:1", "--kind", kind, "--framework", framework, "--", "torchrun", "a b.py"];
        let (code, out, said) = run(program(folder.path(), &arguments));
        assert_eq!(code, Some(0), "{said}");
        out
    };
    let script = job("slurm", "torch");
    assert!(script.contains("docker://reg.example:5000/o/a/b_c:1\n"), "{script}");
    assert!(script.ends_with("    fmtk-launch run --per-node --devices 0-7 -- torchrun 'a b.py'\n"), "{script}");
    let manifest = job("ascend-operator", "mindspore");
    assert!(manifest.contains("  name: b-c\n") && manifest.contains("framework: mindspore\n"), "{manifest}");
    assert!(manifest.contains("Scheduler:") && !manifest.contains("Worker:"), "{manifest}");
}
