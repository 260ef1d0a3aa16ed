//! A reference to an image on a registry: `host[:port]/org/repo:tag@digest`.

use std::{fmt, str::FromStr};

use crate::{
    Digest, Host, NameError, RepoPath, Tag, digest, host,
    refusal::{Fault, Rule},
    repo_path, tag,
    text::serde_as_text,
};

/// Where an image is: registry, repository and, where given, tag and digest.
///
/// The registry is always written out. A first part without a dot or port would be a folder of Docker Hub to docker,
/// and this field's images do not live there, so it is refused.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    /// The registry.
    pub host: Host,
    /// The repository on it.
    pub path: RepoPath,
    /// The tag, where given.
    pub tag: Option<Tag>,
    /// The digest, where given; it decides, and the tag is then for people.
    pub digest: Option<Digest>,
}

impl Reference {
    /// What stands for the image in the registry's `/v2/<path>/manifests/<reference>`: the digest, else the tag, else
    /// `latest` as docker has it.
    pub fn manifest_reference(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, Some(tag)) => tag.to_string(),
            (None, None) => "latest".to_owned(),
        }
    }

    fn read(text: &str) -> Result<Self, Fault> {
        host::no_scheme(text)?;
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => {
                (name, Some(digest::check(digest).map_err(|fault| fault.in_part("digest", name.len() + 1))?))
            }
            None => (text, None),
        };
        let rule = Rule::Parts("start with a registry host, which has a dot or port or is `localhost`, and `/`");
        let slash = name.find('/').ok_or(Fault::new(rule, name.len()))?;
        let (host, rest) = (&name[..slash], &name[slash + 1..]);
        if !host.contains(['.', ':']) && host != "localhost" {
            return Err(Fault::new(rule, slash));
        }
        host::check(host).map_err(|fault| fault.in_part("registry host", 0))?;
        let (path, tag) = match rest.find(':') {
            Some(colon) => (&rest[..colon], Some(&rest[colon + 1..])),
            None => (rest, None),
        };
        repo_path::check(path).map_err(|fault| fault.in_part("repository path", slash + 1))?;
        if let Some(tag) = tag {
            tag::check(tag).map_err(|fault| fault.in_part("tag", slash + 1 + path.len() + 1))?;
        }
        // Each part has just been checked by the function that its `FromStr` calls; `at: 0` is never seen.
        let sure = |_: NameError| Fault::new(rule, 0);
        Ok(Self {
            host: host.parse().map_err(sure)?,
            path: path.parse().map_err(sure)?,
            tag: tag.map(str::parse).transpose().map_err(sure)?,
            digest,
        })
    }
}

impl FromStr for Reference {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::read(text).map_err(|fault| fault.of("image reference", text))
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.host, self.path)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        match &self.digest {
            Some(digest) => write!(f, "@{digest}"),
            None => Ok(()),
        }
    }
}

serde_as_text!(Reference);
