//! Whether the versions of the recipe belong together, as far as that is known.

use super::Inputs;
use crate::{
    recipe::{Compatibility, Row, Versions, title},
    terminal::report::Problems,
};

/// Compares the recipe's versions with what is known of each. What is known not to fit is a problem, unless the recipe
/// allows it; what is not known is noted.
pub(super) fn compatibility(
    inputs: &Inputs<'_>,
    problems: &mut Problems,
    warnings: &mut Vec<String>,
    notes: &mut Vec<String>,
) -> anyhow::Result<()> {
    let (versions, allow) = (&inputs.recipe.versions, &inputs.recipe.allow);
    let tables = Compatibility::tables()?;
    let known: Vec<(&Compatibility, &Row)> =
        tables.iter().flat_map(|table| table.rows.iter().map(move |row| (table, row))).collect();
    let mut keys: Vec<&str> = tables.iter().map(|table| table.of.as_str()).collect();
    keys.dedup();
    for key in keys {
        let Some(own) = versions.get(key) else { continue };
        let of_key = || known.iter().filter(|(table, _)| table.of == key);
        let is_own = |row: &Row| row.versions(key) == [own];
        let Some((table, row)) = of_key().find(|(_, row)| is_own(row)) else {
            notes.push(format!("{} `{own}` is not in the table of versions that belong together", title(key)));
            continue;
        };
        let tells_cann = table.rows.iter().any(|row| !row.versions("cann").is_empty());
        if tells_cann && versions.cann().is_some() && row.versions("cann").is_empty() {
            notes.push(format!("which CANN goes with {} `{own}` is not known", title(key)));
        }
        let misfits = row.misfits(versions, key);
        if misfits.is_empty() {
            continue;
        }
        let Compatibility { source, date, .. } = table;
        let needed: Vec<String> = misfits.iter().map(|(other, _)| words(other, row)).collect();
        let found: Vec<String> = misfits.iter().map(|(other, found)| format!("{} `{found}`", title(other))).collect();
        let message = format!(
            "{} `{own}` goes with {}, but the recipe has {} (source: {source}; {date})",
            title(key),
            needed.join(" and "),
            found.join(" and "),
        );
        if allow.versions.contains(key) {
            warnings.push(message);
            continue;
        }
        // The table has the newest last.
        let newest = of_key().filter(|(_, row)| fits(row, versions, key)).flat_map(|(_, row)| row.versions(key)).last();
        let change = newest.map(|version| format!("to fit the rest, give `--set versions.{key}={version}`; "));
        let change = change.unwrap_or_default();
        problems.push(
            message,
            Some(format!(
                "{change}`cargo xtask stacks` lists versions that belong together; if the combination works for you, put \
                 \"{key}\" into `allow.versions`"
            )),
        );
    }
    Ok(())
}

fn words(key: &str, row: &Row) -> String {
    format!("{} {}", title(key), row.versions(key).join(", "))
}

/// Whether a row goes with the recipe, and is known to.
fn fits(row: &Row, versions: &Versions, key: &str) -> bool {
    let known = versions.cann().is_none() || !row.versions("cann").is_empty();
    known && row.misfits(versions, key).is_empty()
}
