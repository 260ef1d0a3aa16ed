//! Which image the job runs, and where it is: its last push says so, or whoever names it.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context, anyhow};
use image_name::{Host, Reference, RepoPath, Tag};
use oci_image::Store;

use crate::{
    recipe::Recipe,
    record::{self, BuildRecord},
    ship::{images, pushed::PushRecord},
    terminal::report::WithHint,
};

/// An image in a registry.
#[derive(Debug, PartialEq, Eq)]
pub struct ImageAddress {
    host: Host,
    path: RepoPath,
    tag: Tag,
}

impl ImageAddress {
    /// The image of this name: a tag or timestamp of the store, or a reference. Without a name, the last one built from the
    /// recipe in this file. One of the store is where it was pushed to last.
    pub fn find(name: Option<&str>, recipe: &Path, store: &Store) -> anyhow::Result<Self> {
        let record = match name {
            None => BuildRecord::latest(store, recipe)?,
            Some(name) => match BuildRecord::named(store, name)? {
                Some(record) => record,
                None => return Self::read(name, store),
            },
        };
        let PushRecord { host, path, .. } = PushRecord::last(&record, store)?;
        match name.and_then(|name| name.split_once('/')) {
            Some((org, _)) if !path.as_str().starts_with(&format!("{org}/")) => {
                Err(anyhow!("`{}` was pushed to `{host}/{path}` last, not to `{org}`", record.name()))
                    .hint(format!("name the image without `{org}/`, or as `HOST/{org}/{}`", record.name()))
                    .input()
            }
            _ => Ok(Self { host, path, tag: record.tag }),
        }
    }

    fn read(name: &str, store: &Store) -> anyhow::Result<Self> {
        let built = record::all(store)?;
        let not_there = || format!("no image `{name}` in the store, and it is not a reference to one in a registry");
        let Reference { host, path, tag, digest } = name
            .parse()
            .with_context(not_there)
            .hint(format!("{}; write a reference as `HOST/ORG/REPOSITORY:TAG`", record::meant(name, &built)))
            .input()?;
        match (tag, digest) {
            (Some(tag), None) => Ok(Self { host, path, tag }),
            _ => Err(anyhow!("`{name}` does not name the image by its tag alone"))
                .hint(format!("write `{host}/{path}:TAG`: not every cluster knows an image by its digest"))
                .input(),
        }
    }

    /// `mindxsdk/fmtk-ma:TAG`, as ModelArts has it.
    pub fn without_host(&self) -> String {
        format!("{}:{}", self.path, self.tag)
    }

    /// The whole of it.
    pub fn reference(&self) -> String {
        format!("{}/{}", self.host, self.without_host())
    }

    pub fn host(&self) -> &Host {
        &self.host
    }

    pub fn tag(&self) -> &Tag {
        &self.tag
    }

    /// The last part of its path.
    pub fn repository(&self) -> &str {
        let path = self.path.as_str();
        path.rsplit_once('/').map_or(path, |(_, name)| name)
    }

    /// The versions in its tag, read by the recipe's template, else by that of a stack; nothing if none made the tag.
    pub fn said_by_tag(&self, recipe: &Recipe) -> anyhow::Result<BTreeMap<String, String>> {
        let templates = images::templates(recipe)?;
        let read = templates.iter().find_map(|template| template.read_tag(self.tag.as_str()).ok());
        let values = read.map(|read| read.values).unwrap_or_default();
        Ok(values.into_iter().map(|(key, value)| (key, value.to_string())).collect())
    }
}
