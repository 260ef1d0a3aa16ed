//! A reference to an image on a registry: `host[:port]/org/repo:tag@digest`.

use std::fmt;

use crate::{
    Digest, Host, RepoPath, Tag,
    error::{Broken, parsed_by_read},
    host::no_scheme,
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

    fn read(text: &str) -> Result<Self, Broken> {
        no_scheme(text)?;
        let (name, digest) = text.split_once('@').map_or((text, None), |(name, digest)| (name, Some(digest)));
        let slash = name.find('/').unwrap_or(name.len());
        let host = &name[..slash];
        if slash == name.len() || !host.contains(['.', ':']) && host != "localhost" {
            let rule = "start with a registry host, which has a dot or port or is `localhost`, and `/`";
            return Err(Broken::new(rule, slash));
        }
        let rest = &name[slash + 1..];
        let (path, tag) = rest.split_once(':').map_or((rest, None), |(path, tag)| (path, Some(tag)));
        let after_path = slash + 1 + path.len() + 1;
        let in_part = |what, offset| move |broken: Broken| broken.in_part(what, offset);
        Ok(Self {
            host: Host::read(host).map_err(in_part("registry host", 0))?,
            path: RepoPath::read(path).map_err(in_part("repository path", slash + 1))?,
            tag: tag.map(|it| Tag::read(it).map_err(in_part("tag", after_path))).transpose()?,
            digest: digest.map(|it| Digest::read(it).map_err(in_part("digest", name.len() + 1))).transpose()?,
        })
    }
}

parsed_by_read!(Reference, "image reference");

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
