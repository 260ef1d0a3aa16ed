//! What an image is.

use std::collections::BTreeMap;

use image_name::Digest;
use oci_image::{Descriptor, ImageConfig};
use serde_json::{Value, json};

use super::Rows;
use crate::{
    recipe::title,
    terminal::progress::{bytes, count},
};

/// An image: its layers with what each of them is, versions, patches, and what containers of it get.
pub fn image(
    name: &str,
    digest: &Digest,
    media_type: &str,
    config: &ImageConfig,
    layers: &[(&Descriptor, &str)],
) -> (Rows, Value) {
    let labels: BTreeMap<String, String> = config.labels().into_iter().collect();
    // Other labels of ours have one more dot.
    let of_ours = labels.iter().filter_map(|(name, value)| Some((name.strip_prefix("fmtk.")?, value.as_str())));
    let versions: BTreeMap<&str, &str> =
        of_ours.filter(|(key, _)| !key.contains('.')).map(|(key, version)| (title(key), version)).collect();
    let patches: BTreeMap<&str, &str> =
        labels.iter().filter_map(|(name, value)| Some((name.strip_prefix("fmtk.patch.")?, value.as_str()))).collect();
    let size: u64 = layers.iter().map(|(layer, _)| layer.size).sum();
    let platform = config.platform();
    let env = config.env();
    let mut rows = vec![
        ("image", name.to_owned()),
        ("digest", digest.to_string()),
        ("type", media_type.to_owned()),
        ("platform", format!("{}/{}", platform.os, platform.architecture)),
        ("created", config.created().unwrap_or("not said").to_owned()),
        ("size", format!("{} in {}", bytes(size), count(layers.len(), "layer"))),
    ];
    rows.extend(versions.iter().map(|(what, version)| ("version", format!("{what} {version}"))));
    rows.extend(patches.iter().map(|(edit, status)| ("patch", format!("{edit} {status}"))));
    let layer = |(layer, content): &(&Descriptor, &str)| {
        format!("{} {:>9}  {content}", layer.digest.short(), bytes(layer.size))
    };
    rows.extend(layers.iter().map(|it| ("layer", layer(it))));
    rows.extend([("user", config.user().to_owned()), ("workdir", config.working_dir().to_owned())]);
    rows.extend(env.iter().map(|(name, value)| ("env", format!("{name}={value}"))));
    rows.extend(labels.iter().map(|(name, value)| ("label", format!("{name}={value}"))));
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
        "versions": versions,
        "patches": patches,
        "env": env.into_iter().collect::<BTreeMap<_, _>>(),
        "labels": labels,
    });
    (rows, json)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::ship::subject::layer_comments;

    #[test]
    fn an_image_shows_what_each_layer_is() {
        let config = json!({
            "architecture": "arm64",
            "os": "linux",
            "created": "2022-10-28T18:13:25Z",
            "config": {
                "User": "ma-user",
                "WorkingDir": "/home/ma-user",
                "Env": ["PATH=/bin"],
                "Labels": { "fmtk.cann": "5.1.RC2", "fmtk.patch.log-path": "applied", "fmtk.python": "3.9" },
            },
            "rootfs": { "type": "layers", "diff_ids": [DIGEST, DIGEST] },
            "history": [
                { "created_by": "/bin/sh -c #(nop) ADD file:1 in /" },
                { "created_by": "ENV A=1", "empty_layer": true },
                { "created_by": "fmtk", "comment": "mindpet 1.0.4" },
            ],
        });
        let config = ImageConfig::parse(config.to_string().as_bytes()).unwrap();
        let digest: Digest = DIGEST.parse().unwrap();
        let layer = |size| Descriptor { media_type: String::new(), digest, size, urls: Vec::new() };
        let (layers, contents) = ([layer(25_000_000), layer(1_200)], layer_comments(&config));
        let layers: Vec<(&Descriptor, &str)> = layers.iter().zip(contents.iter().map(String::as_str)).collect();
        let (rows, json) = image("a/b:c", &digest, "type", &config, &layers);
        expect![[r#"
            image    a/b:c
            digest   sha256:b5bb9d8014a0f9b1d61e21e796d78dccdf1352f23cd32812f4850b878ae4944c
            type     type
            platform linux/arm64
            created  2022-10-28T18:13:25Z
            size     25.0 MB in 2 layers
            version  CANN 5.1.RC2
            version  Python 3.9
            patch    log-path applied
            layer    b5bb9d8014a0   25.0 MB  /bin/sh -c #(nop) ADD file:1 in /
            layer    b5bb9d8014a0    1.2 kB  mindpet 1.0.4
            user     ma-user
            workdir  /home/ma-user
            env      PATH=/bin
            label    fmtk.cann=5.1.RC2
            label    fmtk.patch.log-path=applied
            label    fmtk.python=3.9
        "#]]
        .assert_eq(&super::super::text(rows));
        assert_eq!(json["versions"], json!({ "CANN": "5.1.RC2", "Python": "3.9" }));
        assert_eq!(json["patches"], json!({ "log-path": "applied" }));
        assert_eq!(json["layers"][1]["content"], "mindpet 1.0.4");
    }

    const DIGEST: &str = "sha256:b5bb9d8014a0f9b1d61e21e796d78dccdf1352f23cd32812f4850b878ae4944c";
}
