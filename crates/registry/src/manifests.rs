//! Manifests and tags.

use image_name::{Digest, RepoPath, Tag};
use serde::Deserialize;
use ureq::http::{HeaderValue, Method, header};

use crate::{
    answer::Answer,
    ask::Ask,
    auth::Access,
    client::Registry,
    error::{Cause, Context as _, Error},
};

/// Docker's own limit on manifests: 4 MiB.
pub const MANIFEST_LIMIT: u64 = 4 << 20;

/// What a manifest may be. Registries that are not told convert to the oldest form they know.
const ACCEPT: &str = "application/vnd.docker.distribution.manifest.v2+json, \
                      application/vnd.docker.distribution.manifest.list.v2+json, \
                      application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json";

/// A manifest as the registry has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteManifest {
    /// The bytes that the digest is of, 4 MiB at most.
    pub bytes: Vec<u8>,
    /// `Content-Type` without parameters; empty where the registry does not tell.
    pub media_type: String,
    /// SHA-256 of the bytes.
    pub digest: Digest,
}

/// What stands for a manifest in a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ManifestRef<'a> {
    /// Whatever the tag points at.
    Tag(&'a Tag),
    /// This one.
    Digest(&'a Digest),
}

impl std::fmt::Display for ManifestRef<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tag(tag) => tag.fmt(f),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}

impl<'a> From<&'a Tag> for ManifestRef<'a> {
    fn from(tag: &'a Tag) -> Self {
        Self::Tag(tag)
    }
}

impl<'a> From<&'a Digest> for ManifestRef<'a> {
    fn from(digest: &'a Digest) -> Self {
        Self::Digest(digest)
    }
}

impl Registry {
    /// Reads a manifest; `None` where repository or manifest are not there. Its digest is checked against the one asked
    /// for and the one the registry tells.
    pub fn manifest<'r>(
        &self,
        repository: &RepoPath,
        reference: impl Into<ManifestRef<'r>>,
    ) -> Result<Option<RemoteManifest>, Error> {
        let reference = reference.into();
        self.attempts(|| self.manifest_once(repository, reference, &Access::pull(repository.as_str())))
            .context(|| format!("read manifest `{}`", self.named(repository, reference)))
    }

    /// The digest that a tag points at; `None` where there is no such tag.
    pub fn resolve(&self, repository: &RepoPath, tag: &Tag) -> Result<Option<Digest>, Error> {
        self.attempts(|| self.resolve_once(repository, tag, &Access::pull(repository.as_str())))
            .context(|| format!("read manifest `{}`", self.named(repository, ManifestRef::Tag(tag))))
    }

    /// All tags of a repository in the registry's order, through all pages, 100,000 at most. A repository that is not
    /// there is [`Cause::NotFound`].
    pub fn tags(&self, repository: &RepoPath) -> Result<Vec<Tag>, Error> {
        self.all_tags(repository).context(|| format!("list tags of `{}/{repository}`", self.host()))
    }

    pub(crate) fn named(&self, repository: &RepoPath, reference: ManifestRef<'_>) -> String {
        let mark = if matches!(reference, ManifestRef::Tag(_)) { ':' } else { '@' };
        format!("{}/{repository}{mark}{reference}", self.host())
    }

    fn ask_manifest(
        &self,
        method: Method,
        repository: &RepoPath,
        reference: ManifestRef<'_>,
        access: &Access,
    ) -> Result<Option<Answer>, Cause> {
        let url = self.url(format!("/v2/{repository}/manifests/{reference}"))?;
        let ask = Ask::new(method, url, access).header(header::ACCEPT, HeaderValue::from_static(ACCEPT));
        let answer = self.ask(ask)?;
        match answer.status {
            200 => Ok(Some(answer)),
            404 => Ok(None),
            _ => Err(self.refusal(answer, &self.named(repository, reference), repository.as_str())),
        }
    }

    fn manifest_once(
        &self,
        repository: &RepoPath,
        reference: ManifestRef<'_>,
        access: &Access,
    ) -> Result<Option<RemoteManifest>, Cause> {
        let Some(mut answer) = self.ask_manifest(Method::GET, repository, reference, access)? else {
            return Ok(None);
        };
        let bytes = answer.read(MANIFEST_LIMIT)?;
        let digest = Digest::of(&bytes);
        let asked = if let ManifestRef::Digest(asked) = reference { Some(*asked) } else { None };
        if let Some(wanted) = asked.into_iter().chain(told_digest(&answer)).find(|wanted| *wanted != digest) {
            return Err(self.wrong_digest(repository, reference, digest, wanted));
        }
        let media_type = answer.header("content-type").unwrap_or_default();
        let media_type = media_type.split(';').next().unwrap_or_default().trim().to_owned();
        Ok(Some(RemoteManifest { bytes, media_type, digest }))
    }

    pub(crate) fn resolve_once(
        &self,
        repository: &RepoPath,
        tag: &Tag,
        access: &Access,
    ) -> Result<Option<Digest>, Cause> {
        match self.ask_manifest(Method::HEAD, repository, ManifestRef::Tag(tag), access) {
            Ok(None) => return Ok(None),
            Ok(Some(answer)) => {
                if let Some(digest) = told_digest(&answer) {
                    return Ok(Some(digest));
                }
            }
            // Some registries and proxies have no HEAD, and say so by various statuses. If it is a refusal after all, GET
            // brings the reason.
            Err(Cause::Denied { .. } | Cause::Status(_, 400..=499 | 501, _)) => {}
            Err(cause) => return Err(cause),
        }
        Ok(self.manifest_once(repository, ManifestRef::Tag(tag), access)?.map(|manifest| manifest.digest))
    }

    /// Puts a manifest under a tag; the registry must not call it by another digest. Its blobs must be there.
    pub(crate) fn put_manifest(
        &self,
        repository: &RepoPath,
        tag: &Tag,
        media_type: &str,
        bytes: &[u8],
    ) -> Result<(), Cause> {
        let digest = Digest::of(bytes);
        let url = self.url(format!("/v2/{repository}/manifests/{tag}"))?;
        let content_type = HeaderValue::from_str(media_type)
            .map_err(|_| self.protocol(format!("media type `{}` fits no header field", media_type.escape_debug())))?;
        let access = Access::push(repository.as_str());
        let ask = Ask::new(Method::PUT, url, &access).header(header::CONTENT_TYPE, content_type).bytes(bytes);
        let answer = self.ask(ask)?;
        if !(200..=204).contains(&answer.status) {
            let cause = self.refusal(answer, &format!("{}/{repository}", self.host()), repository.as_str());
            return Err(match cause {
                Cause::Status(_, 400 | 415 | 422, message) => Cause::ManifestRefused(media_type.to_owned(), message),
                cause => cause,
            });
        }
        match told_digest(&answer) {
            Some(found) if found != digest => Err(self.wrong_digest(repository, ManifestRef::Tag(tag), found, digest)),
            _ => Ok(()),
        }
    }

    fn wrong_digest(&self, repository: &RepoPath, reference: ManifestRef<'_>, found: Digest, wanted: Digest) -> Cause {
        Cause::Mismatch {
            host: self.host().to_string(),
            object: self.named(repository, reference),
            found: format!("digest {found}"),
            wanted: wanted.to_string(),
        }
    }

    fn all_tags(&self, repository: &RepoPath) -> Result<Vec<Tag>, Cause> {
        /// A page, as the distribution spec has it ("Listing Tags").
        #[derive(Deserialize)]
        struct Page {
            tags: Option<Vec<String>>,
        }
        let first = self.url(format!("/v2/{repository}/tags/list?n=1000"))?;
        let mut url = first.clone();
        let access = Access::pull(repository.as_str());
        /// More than a repository has: an image a minute for two months.
        const MOST: usize = 100_000;
        let mut tags = Vec::new();
        // One that always has another page is refused after so many, and one whose pages are large at `MOST`.
        const PAGES: usize = 1000;
        for _ in 0..PAGES {
            let (bytes, next) = self.attempts(|| {
                let mut answer = self.ask(Ask::new(Method::GET, url.clone(), &access))?;
                // One whose own limit is lower may refuse (docker's third, `maxtags`); left alone it pages as it likes.
                if url == first && matches!(answer.status, 400 | 413) {
                    let any = url.at(format!("/v2/{repository}/tags/list"));
                    answer = self.ask(Ask::new(Method::GET, any, &access))?;
                }
                if answer.status != 200 {
                    return Err(self.refusal(answer, &format!("{}/{repository}", self.host()), repository.as_str()));
                }
                // Only path and query count: behind a proxy the origin is an internal one.
                let links = answer.headers.get_all(header::LINK).iter().filter_map(|field| field.to_str().ok());
                let next = links.filter_map(next_page).next().and_then(|next| answer.url.join(next));
                let next = next.map(|next| url.at(next.target().to_owned()));
                Ok((answer.read(MANIFEST_LIMIT)?, next))
            })?;
            let page: Page = serde_json::from_slice(&bytes)
                .map_err(|error| self.protocol(format!("its list of tags is malformed: {error}")))?;
            let page = page.tags.unwrap_or_default();
            let empty = page.is_empty();
            if tags.len() + page.len() > MOST {
                return Err(self.protocol(format!("its list of tags has more than {MOST}")));
            }
            // What is no tag by the spec could not be asked for anyway.
            tags.extend(page.iter().filter_map(|tag| tag.parse::<Tag>().ok()));
            match next {
                Some(next) if !empty && next != url => url = next,
                _ => return Ok(tags),
            }
        }
        Err(self.protocol(format!("its list of tags has more than {PAGES} pages")))
    }
}

/// `Docker-Content-Digest`, where it is one of ours: other algorithms are allowed and no help.
fn told_digest(answer: &Answer) -> Option<Digest> {
    answer.header("docker-content-digest")?.trim().parse().ok()
}

/// The target of `Link: </v2/…>; rel="next"` (RFC 8288); one without a relation is the next page, too.
fn next_page(field: &str) -> Option<&str> {
    let mut links = field.split('<').skip(1).filter_map(|link| link.split_once('>'));
    let is_next = |parameters: &str| {
        let mut relations = parameters.split([';', ',', ' ', '\t']).filter_map(|parameter| parameter.split_once('='));
        let relation = relations.find(|(name, _)| name.eq_ignore_ascii_case("rel"));
        relation.is_none_or(|(_, value)| value.trim_matches('"').eq_ignore_ascii_case("next"))
    };
    links.find(|(_, parameters)| is_next(parameters)).map(|(target, _)| target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_the_link_of_that_relation() {
        for (field, next) in [
            (r#"</v2/a/tags/list?n=2&last=b>; rel="next""#, Some("/v2/a/tags/list?n=2&last=b")),
            ("<x>;rel=next", Some("x")),
            ("<x> ; Rel=\"NEXT\"", Some("x")),
            ("<x>", Some("x")),
            (r#"<x>; rel="prev""#, None),
            (r#"<w?a,b>; rel="prev", <x?c,d>; title="t"; rel="next""#, Some("x?c,d")),
            ("x", None),
        ] {
            assert_eq!(next_page(field), next, "{field}");
        }
    }
}
