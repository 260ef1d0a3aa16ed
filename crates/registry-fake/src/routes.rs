//! The distribution protocol (OCI distribution spec 1.1, "Endpoints").

use std::sync::{Arc, PoisonError};

use crate::{
    Partial, Shared, State, digest,
    http::{Request, Response},
    key,
};

/// What a path names: repository, kind of thing, which one.
fn target(path: &str) -> Option<(&str, &str, &str)> {
    let rest = path.strip_prefix("/v2/")?;
    for kind in ["/blobs/uploads/", "/blobs/", "/manifests/", "/tags/"] {
        if let Some(at) = rest.rfind(kind) {
            return Some((&rest[..at], kind, &rest[at + kind.len()..]));
        }
    }
    None
}

impl Shared {
    /// The answer that needs no body: a refusal, or a redirect.
    pub(crate) fn early(&self, request: &Request) -> Option<Response> {
        if let Some(odd) = self.odd(request) {
            return Some(odd);
        }
        if request.path == "/token" {
            return None;
        }
        let (repository, kind, _) = target(&request.path).unwrap_or_default();
        if let Some(refusal) = self.refusal(request, repository) {
            return Some(refusal);
        }
        match &self.options.redirect_blobs {
            Some(prefix) if kind == "/blobs/" && request.method == "GET" => {
                let location = format!("{prefix}{}?signature=s3cret", request.path);
                Some(Response::new(307).header("Location", location))
            }
            _ => None,
        }
    }

    /// The answer, with its effect on the state.
    pub(crate) fn route(&self, request: &Request, body: Vec<u8>) -> Response {
        if request.path == "/token" {
            return self.issue_token(request, &body);
        }
        if request.path == "/v2/" {
            return Response::new(200).header("Docker-Distribution-Api-Version", "registry/2.0").body("{}");
        }
        let Some((repository, kind, name)) = target(&request.path) else {
            return Response::error(404, "NOT_FOUND", "no such path");
        };
        let mut state = self.state();
        if (request.method.as_str(), kind) == ("GET", "/blobs/uploads/") {
            let is_under_way = |state: &mut State| state.under_way.contains(&request.path);
            state = self.arrived.wait_while(state, is_under_way).unwrap_or_else(PoisonError::into_inner);
        }
        match (request.method.as_str(), kind) {
            ("GET" | "HEAD", "/blobs/") => self.get_blob(&state, request, repository, name),
            ("POST", "/blobs/uploads/") => self.begin_upload(&mut state, request, repository),
            (_, "/blobs/uploads/") => self.upload(&mut state, request, repository, name.trim_end_matches('/'), body),
            ("GET" | "HEAD", "/manifests/") => get_manifest(&state, repository, name),
            ("PUT", "/manifests/") => self.put(&mut state, request, repository, name, body),
            ("GET", "/tags/") => self.tags(&state, request, repository),
            _ => Response::error(405, "UNSUPPORTED", "no such method"),
        }
    }

    fn begin_upload(&self, state: &mut State, request: &Request, repository: &str) -> Response {
        if let (Some(digest), Some(from), false) =
            (request.query("mount"), request.query("from"), self.options.refuse_mounts)
        {
            let own = state.blobs.get(&key(repository, digest));
            if let Some(bytes) = own.or_else(|| state.blobs.get(&key(from, digest))).cloned() {
                state.blobs.insert(key(repository, digest), bytes);
                return created(repository, digest);
            }
        }
        let id = format!("upload-{}", self.serial());
        state.uploads.insert(id.clone(), Vec::new());
        self.accepted(request, repository, &id, 0)
    }

    fn accepted(&self, request: &Request, repository: &str, id: &str, size: usize) -> Response {
        let origin = if self.options.absolute_locations { self.origin(request) } else { String::new() };
        let location = format!("{origin}/v2/{repository}/blobs/uploads/{id}?_state=a%2Bb%3D{size}");
        let mut response = Response::new(202)
            .header("Location", location)
            .header("Range", format!("0-{}", size.saturating_sub(1)))
            .header("Docker-Upload-UUID", id);
        if self.options.chunk_min > 0 {
            response = response.header("OCI-Chunk-Min-Length", self.options.chunk_min.to_string());
        }
        response
    }

    fn upload(&self, state: &mut State, request: &Request, repository: &str, id: &str, body: Vec<u8>) -> Response {
        let unknown = || Response::error(404, "BLOB_UPLOAD_UNKNOWN", "no such upload");
        match request.method.as_str() {
            "GET" if self.options.refuse_asking => Response::error(405, "UNSUPPORTED", "no such method"),
            "GET" => match state.uploads.get(id) {
                Some(bytes) => Response { status: 204, ..self.accepted(request, repository, id, bytes.len()) },
                None => unknown(),
            },
            "PUT" if self.options.refuse_monolithic && !body.is_empty() => {
                Response::error(405, "UNSUPPORTED", "send blobs by PATCH")
            }
            "PATCH" | "PUT" => {
                let Some(bytes) = state.uploads.get_mut(id) else { return unknown() };
                // The state parameter tells the size before: a client that forgets a new Location is caught, where it
                // was told one.
                let told = request.query("_state");
                let untold = self.options.quirk.is_some() && told.is_none();
                let range = request.header("content-range").and_then(|range| range.split_once('-'));
                let begins = range.map(|(first, _)| first.parse() == Ok(bytes.len()));
                let is_stale = !untold && told != Some(format!("a+b={}", bytes.len()).as_str());
                if is_stale || begins == Some(false) {
                    return Response { status: 416, ..self.accepted(request, repository, id, bytes.len()) };
                }
                let taken =
                    if request.method == "PATCH" && self.options.takes > 0 { self.options.takes } else { usize::MAX };
                bytes.extend_from_slice(&body[..body.len().min(taken)]);
                let size = bytes.len();
                if request.method == "PATCH" {
                    return self.accepted(request, repository, id, size);
                }
                let wanted = request.query("digest").unwrap_or_default().to_owned();
                if digest(bytes) != wanted {
                    return Response::error(400, "DIGEST_INVALID", "provided digest did not match uploaded content");
                }
                let bytes = Arc::new(state.uploads.remove(id).unwrap_or_default());
                state.blobs.insert(key(repository, &wanted), bytes);
                created(repository, &wanted)
            }
            "DELETE" => state.uploads.remove(id).map_or_else(unknown, |_| Response::new(204)),
            _ => Response::error(405, "UNSUPPORTED", "no such method"),
        }
    }

    /// What a connection that breaks in the middle of a body leaves of the upload.
    pub(crate) fn cut_off(&self, request: &Request, body: &[u8]) {
        let Some((_, "/blobs/uploads/", id)) = target(&request.path) else { return };
        let mut state = self.state();
        let keep = |state: &mut State, bytes: &[u8]| {
            state.uploads.get_mut(id).into_iter().for_each(|kept| kept.extend_from_slice(bytes));
        };
        match self.options.partial {
            Partial::Chunks => {}
            Partial::Bytes => keep(&mut state, body),
            Partial::First(most) => keep(&mut state, &body[..body.len().min(most)]),
            // It notices only where there are more bytes than it has told of.
            Partial::Forgets if body.is_empty() => {}
            Partial::Forgets => drop(state.uploads.remove(id)),
        }
    }

    /// Has another client put a manifest under the tag that a request was for.
    pub(crate) fn overtake(&self, request: &Request, bytes: &[u8]) {
        let Some((repository, "/manifests/", tag)) = target(&request.path) else { return };
        let digest = digest(bytes);
        let mut state = self.state();
        state.manifests.insert(key(repository, &digest), (String::new(), bytes.to_vec()));
        state.tags.insert(key(repository, tag), digest);
    }

    fn put(&self, state: &mut State, request: &Request, repository: &str, name: &str, body: Vec<u8>) -> Response {
        let media_type = request.header("content-type").unwrap_or_default().to_owned();
        if self.options.refuse_oci && media_type.starts_with("application/vnd.oci.") {
            return Response::error(400, "MANIFEST_INVALID", "Invalid image, fail to parse 'manifest.json'");
        }
        let text = String::from_utf8_lossy(&body);
        for (at, _) in text.match_indices("\"sha256:") {
            let named = text.get(at + 1..at + 72).unwrap_or_default();
            if !state.blobs.contains_key(&key(repository, named)) {
                return Response::error(400, "MANIFEST_BLOB_UNKNOWN", "blob unknown to registry");
            }
        }
        let digest = digest(&body);
        state.manifests.insert(key(repository, &digest), (media_type, body));
        if !name.starts_with("sha256:") {
            state.tags.insert(key(repository, name), digest.clone());
        }
        Response::new(201).header("Docker-Content-Digest", digest)
    }

    fn get_blob(&self, state: &State, request: &Request, repository: &str, name: &str) -> Response {
        let Some(bytes) = state.blobs.get(&key(repository, name)) else {
            return Response::error(404, "BLOB_UNKNOWN", "blob unknown to registry");
        };
        let from = request
            .header("range")
            .and_then(|range| range.strip_prefix("bytes="))
            .and_then(|range| range.strip_suffix('-'))
            .and_then(|from| from.parse::<usize>().ok())
            .filter(|_| !self.options.ignore_ranges);
        let response = match from {
            Some(from) if from < bytes.len() => Response::new(206)
                .header("Content-Range", format!("bytes {from}-{}/{}", bytes.len() - 1, bytes.len()))
                .body(&bytes[from..]),
            _ => Response::new(200).body(bytes.to_vec()),
        };
        response.header("Docker-Content-Digest", name).header("Content-Type", "application/octet-stream")
    }

    fn tags(&self, state: &State, request: &Request, repository: &str) -> Response {
        let all: Vec<_> = state.tags.keys().filter(|(name, _)| name == repository).map(|(_, tag)| tag).collect();
        if all.is_empty() {
            return Response::error(404, "NAME_UNKNOWN", "repository name not known to registry");
        }
        let from = request.query("last").map_or(0, |last| all.partition_point(|tag| tag.as_str() <= last));
        let asked = request.query("n").and_then(|n| n.parse().ok()).unwrap_or(usize::MAX);
        let most = if self.options.page == 0 { asked } else { asked.min(self.options.page) };
        let page = &all[from..all.len().min(from.saturating_add(most))];
        let list: Vec<_> = page.iter().map(|tag| format!("\"{tag}\"")).collect();
        let response = Response::new(200)
            .header("Content-Type", "application/json")
            .body(format!(r#"{{"name":"{repository}","tags":[{}]}}"#, list.join(",")));
        match page.last() {
            Some(last) if from + page.len() < all.len() => {
                response.header("Link", format!("</v2/{repository}/tags/list?last={last}&n={most}>; rel=\"next\""))
            }
            _ => response,
        }
    }
}

fn created(repository: &str, digest: &str) -> Response {
    Response::new(201)
        .header("Location", format!("/v2/{repository}/blobs/{digest}"))
        .header("Docker-Content-Digest", digest)
}

fn get_manifest(state: &State, repository: &str, name: &str) -> Response {
    let digest = state.tags.get(&key(repository, name)).cloned().unwrap_or_else(|| name.to_owned());
    match state.manifests.get(&key(repository, &digest)) {
        Some((media_type, bytes)) => Response::new(200)
            .header("Content-Type", media_type.clone())
            .header("Docker-Content-Digest", digest)
            .body(bytes.clone()),
        None => Response::error(404, "MANIFEST_UNKNOWN", "manifest unknown"),
    }
}
