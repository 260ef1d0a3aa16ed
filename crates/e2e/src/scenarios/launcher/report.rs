//! The reports of 128 nodes as a page in a browser.

use std::{collections::BTreeSet, path::Path};

use anyhow::ensure;
use fmtk::resolve::tools;

use crate::{
    scenarios::world::World,
    testbed::{Finished, bytes, node_reports, write},
};

const NODES: u64 = 128;
const RANKS: u64 = 8;

/// Chromium shows all ranks and has nothing to complain about, and what failed first is on top.
pub fn run(world: &World) -> anyhow::Result<()> {
    let (folder, launcher) = (world.folder("launcher-report")?, tools::own_launcher()?);
    let culprit = node_reports(world.command(&launcher), NODES, &folder)?;
    let page = folder.join("page.html");
    let joined = world.command(&launcher).args(["report", "--html"]).arg(&page).arg(&folder).run()?;
    joined.prints(&[
        &format!("job many: FAILED; {NODES} nodes, {} ranks", NODES * RANKS),
        &format!("cause    rank {culprit} "),
        "| ValueError: own",
    ])?;
    ensure!(!joined.stdout.contains("note: "), "the reports are not those of one job: {}", joined.stdout);

    let shown = open(world, &page, &folder)?;
    let complaints = complaints(&shown);
    ensure!(complaints.is_empty(), "chromium complains:\n{}", complaints.join("\n"));
    let numbers = shown.stdout.split("data-rank=\"").skip(1).filter_map(|rest| rest.split('"').next()?.parse().ok());
    let ranks: BTreeSet<u64> = numbers.collect();
    ensure!(ranks == (0..NODES * RANKS).collect(), "the page shows {} of the ranks", ranks.len());
    let at = |text: &str| shown.stdout.find(text);
    let [first, others] = [at(&format!("rank {culprit} (host ")), at("data-rank=")];
    ensure!(first.is_some() && first < others, "what failed first is not on top");
    world.say(format!("{} ranks in {} bytes", ranks.len(), bytes(&page)?.len()));

    // That a complaint would be heard.
    let refused = folder.join("refused.html");
    let policy = "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'\">";
    write(&refused, format!("<!doctype html>{policy}<script>alert(1)</script>"))?;
    ensure!(!self::complaints(&open(world, &refused, &folder)?).is_empty(), "chromium is not heard when it complains");
    Ok(())
}

/// The page as chromium has it when it is loaded, on standard output, and what it says, on standard error.
fn open(world: &World, page: &Path, folder: &Path) -> anyhow::Result<Finished> {
    let chromium = world.command("chromium").words("--headless --no-sandbox --disable-gpu --enable-logging=stderr");
    let profile = format!("--user-data-dir={}", folder.join("profile").display());
    chromium.args([profile, "--dump-dom".to_owned(), format!("file://{}", page.display())]).run()
}

/// What a page's console has; chromium itself complains of much else.
fn complaints(shown: &Finished) -> Vec<&str> {
    shown.stderr.lines().filter(|line| line.contains(":CONSOLE")).collect()
}
