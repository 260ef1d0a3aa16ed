//! Static ranks in a container of this machine's own architecture: what the launchers themselves take.

use anyhow::ensure;

use super::{
    Bar, Row,
    bed::{Bed, Place},
};
use crate::testbed::Engine;

/// Folders of the host that the container sees, read-only: its Python is this machine's, and the image holds nothing else.
const HOSTS: [&str; 2] = ["/usr", "/etc"];

/// An image of links alone, as in `/bin -> usr/bin`.
const IMAGE: &str = r#"
cd "$1"
mkdir usr etc bed out proc tmp
for name in bin sbin lib lib32 lib64 libx32; do if [ -L "/$name" ]; then cp -P "/$name" .; fi; done
exec tar --create --file - .
"#;

/// Measures both launchers.
pub fn run(bed: &Bed) -> anyhow::Result<Vec<Row>> {
    let folder = bed.workplace.folder("links")?;
    let archive = bed.workplace.path().join("links.tar");
    let script = format!("{} > \"$2\"", IMAGE.trim_end());
    bed.log.command("sh").args(["-euc", &script, "sh"]).arg(&folder).arg(&archive).run()?;
    ensure!(
        folder.join("lib").is_symlink(),
        "on this machine `/lib` is no link to `/usr/lib`, as an image of links needs"
    );
    let import = bed.docker.command(&bed.log).arg("import").arg(&archive).run()?;
    let options: Vec<String> =
        HOSTS.iter().flat_map(|folder| ["--volume".to_owned(), format!("{folder}:{folder}:ro")]).collect();
    let place = Place { image: import.text(), options: &options, arm64: false, rank: &[] };
    bed.compare("8 static ranks", &place, Bar::Times(0.25))
}
