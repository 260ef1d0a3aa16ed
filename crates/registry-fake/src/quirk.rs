//! Answers of real registries, and of what is before them, that the fake's own are not: one a line.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::{
    Shared,
    http::{Form, Request, Response},
};

/// An answer that docker or skopeo takes.
#[derive(Debug)]
pub struct Quirk {
    /// What is odd about it, and where it was seen.
    pub name: &'static str,
    /// Of the requests that are answered so; empty is any.
    method: &'static str,
    /// What their path contains.
    path: &'static str,
    change: Change,
}

#[derive(Debug)]
enum Change {
    /// The right answer, with texts replaced in `status CODE`, in the header fields and in the body. `ORIGIN` stands for
    /// the fake's scheme and host; a new line begins another field.
    Edit(&'static [(&'static str, &'static str)]),
    /// This status and nothing else.
    Status(u16),
    /// This status and the same place with another query, where the request goes then.
    Redirect(u16),
    /// 417 to whoever asks beforehand whether a body is taken.
    NoExpect,
    /// The right answer in another form.
    Form(Form),
}

const fn edit(
    name: &'static str,
    method: &'static str,
    path: &'static str,
    edits: &'static [(&'static str, &'static str)],
) -> Quirk {
    Quirk { name, method, path, change: Change::Edit(edits) }
}

const fn redirect(name: &'static str, method: &'static str, path: &'static str, status: u16) -> Quirk {
    Quirk { name, method, path, change: Change::Redirect(status) }
}

const fn form(name: &'static str, form: Form) -> Quirk {
    Quirk { name, method: "", path: "", change: Change::Form(form) }
}

const fn no_head(name: &'static str, status: u16) -> Quirk {
    Quirk { name, method: "HEAD", path: "", change: Change::Status(status) }
}

/// All of them.
pub const QUIRKS: &[Quirk] = &[
    // Logging in.
    edit("the scheme in capitals", "", "", &[("Bearer realm", "BEARER Realm"), ("Basic realm", "BASIC Realm")]),
    edit("another scheme in its own field", "", "", &[("WWW-Auth", "WWW-Authenticate: Negotiate\nWWW-Auth")]),
    edit("another scheme in the same field", "", "", &[("Authenticate: ", "Authenticate: Digest realm=\"a, b\", ")]),
    edit("both schemes", "", "", &[("Bearer realm", "Basic realm=\"x, y\", Bearer realm")]),
    edit("a realm's name that is not ASCII (nginx)", "", "", &[("fake, of", "私有仓库, of")]),
    edit("a realm without quotes", "", "", &[("\"fake, of \\\"tests\\\"\"", "/")]),
    edit("a realm that is a path (zot)", "", "", &[("ORIGIN/token", "/token")]),
    edit("a realm with a query", "", "", &[("ORIGIN/token", "ORIGIN/token?account=x")]),
    edit("no service (Google)", "", "", &[(",service=\"fake, inc\"", "")]),
    edit("no scope", "", "", &[(",scope=", ",x-scope=")]),
    edit("a challenge at `/v2/` alone (gcr.io)", "", "/v2/o/", &[("WWW-Authenticate: ", "X-Authenticate: ")]),
    edit("404 to nobody", "", "/v2/o/", &[("status 401", "status 404")]),
    edit("403 to nobody", "", "/v2/o/", &[("status 401", "status 403")]),
    edit("`access_token` (Azure)", "", "/token", &[("\"token\"", "\"access_token\"")]),
    edit("an empty `token` beside it", "", "/token", &[("\"token\"", "\"token\":\"\",\"access_token\"")]),
    edit("a null `token` beside it", "", "/token", &[("\"token\"", "\"token\":null,\"access_token\"")]),
    edit("a token that has run out at once", "", "/token", &[("300", "-1")]),
    edit("a token for no time", "", "/token", &[("300", "0")]),
    edit("seconds as text", "", "/token", &[("300", "\"300\"")]),
    edit("seconds with a fraction", "", "/token", &[("300", "299.5")]),
    edit("null seconds", "", "/token", &[("300", "null")]),
    edit("no seconds", "", "/token", &[(",\"expires_in\":300", "")]),
    edit("a token that was created", "", "/token", &[("status 200", "status 201")]),
    redirect("tokens elsewhere", "GET", "/token", 302),
    // Manifests.
    no_head("HEAD of anything: 405", 405),
    no_head("HEAD of anything: 403 (registry.centos.org, a signed address of S3)", 403),
    no_head("HEAD of anything: 400", 400),
    no_head("HEAD of anything: 501", 501),
    edit("no digest", "", "/manifests/", &[("Docker-Content-Digest: ", "X-Digest: ")]),
    edit("a digest of another kind", "", "/manifests/", &[("-Digest: sha256", "-Digest: sha512")]),
    edit("a digest and blanks", "", "/manifests/", &[("Content-Digest: ", "Content-Digest:  \t")]),
    edit("a media type with parameters", "GET", "/manifests/", &[("v2+json", "v2+json ; charset=utf-8")]),
    edit("a manifest put: 200", "PUT", "/manifests/", &[("status 201", "status 200")]),
    edit("a manifest put: 202 (Quay)", "PUT", "/manifests/", &[("status 201", "status 202")]),
    edit("a manifest put: 204", "PUT", "/manifests/", &[("status 201", "status 204")]),
    redirect("a manifest read elsewhere", "GET", "/manifests/", 301),
    redirect("a manifest asked for elsewhere", "HEAD", "/manifests/", 308),
    redirect("a manifest put elsewhere", "PUT", "/manifests/", 307),
    // Blobs.
    redirect("a blob read elsewhere", "GET", "/blobs/", 303),
    edit("a mount: 400", "POST", "/uploads/", &[("status 201", "status 400")]),
    edit("a mount: 405", "POST", "/uploads/", &[("status 201", "status 405")]),
    edit("a mount: 500", "POST", "/uploads/", &[("status 201", "status 500")]),
    redirect("an upload begun elsewhere", "POST", "/uploads/", 307),
    redirect("an upload begun elsewhere for good", "POST", "/uploads/", 308),
    edit("a place with a slash at its end", "", "/uploads/", &[("?_state", "/?_state")]),
    edit("a least size of chunks", "POST", "/uploads/", &[("Range: ", "OCI-Chunk-Min-Length: 5242880\nRange: ")]),
    edit("an absolute place", "", "/uploads/", &[("Location: /v2", "Location: ORIGIN/v2")]),
    edit("a place beside", "", "/uploads/", &[("Location: /v2/o/r/blobs/uploads/", "Location: ")]),
    edit("no place at first, but an id", "POST", "/uploads/", &[("Location: ", "X-Location: ")]),
    edit("never a place, but an id", "", "/uploads/", &[("Location: ", "X-Location: ")]),
    edit("bytes taken: 200", "PATCH", "/uploads/", &[("status 202", "status 200")]),
    edit("bytes taken: 201", "PATCH", "/uploads/", &[("status 202", "status 201")]),
    edit("bytes taken: 204", "PATCH", "/uploads/", &[("status 202", "status 204")]),
    edit("a blob put: 200", "PUT", "/uploads/", &[("status 201", "status 200")]),
    edit("a blob put: 202", "PUT", "/uploads/", &[("status 201", "status 202")]),
    edit("a blob put: 204 (docker's first API)", "PUT", "/uploads/", &[("status 201", "status 204")]),
    // All of them.
    form("HTTP/1.0", Form::Old),
    form("bodies in chunks", Form::Chunked),
    form("fields in capitals", Form::Capitals),
    edit("a warning", "", "", &[("Docker-", "Warning: 299 - \"it ends soon\"\nDocker-")]),
    Quirk { name: "no `Expect` (old proxies)", method: "", path: "", change: Change::NoExpect },
];

impl Quirk {
    fn is_of(&self, request: &Request) -> bool {
        (self.method.is_empty() || self.method == request.method) && request.path.contains(self.path)
    }
}

impl Shared {
    /// The odd answer that a request gets without having an effect.
    pub(crate) fn odd(&self, request: &Request) -> Option<Response> {
        let quirk = self.options.quirk.filter(|quirk| quirk.is_of(request))?;
        match quirk.change {
            Change::Status(status) => Some(Response::new(status)),
            Change::Redirect(status) if request.query("moved").is_none() => {
                let encode = |value| utf8_percent_encode(value, NON_ALPHANUMERIC);
                let pairs = request.query.iter().map(|(key, value)| format!("{key}={}&", encode(value)));
                let location = format!("{}?{}moved=1", request.path, pairs.collect::<String>());
                Some(Response::new(status).header("Location", location))
            }
            Change::NoExpect => request.header("expect").map(|_| Response::new(417)),
            _ => None,
        }
    }

    /// The right answer as it is oddly given.
    pub(crate) fn oddly(&self, request: &Request, response: &mut Response) {
        let edits = match self.options.quirk.filter(|quirk| quirk.is_of(request)).map(|quirk| &quirk.change) {
            Some(Change::Edit(edits)) => edits,
            Some(Change::Form(form)) => {
                response.form = *form;
                return;
            }
            _ => return,
        };
        let origin = self.origin(request);
        let edited = |text: String| {
            edits.iter().fold(text, |text, (from, to)| {
                text.replace(&from.replace("ORIGIN", &origin), &to.replace("ORIGIN", &origin))
            })
        };
        let status = edited(format!("status {}", response.status));
        response.status = status.trim_start_matches("status ").parse().unwrap_or(response.status);
        let fields = response.headers.iter().map(|(name, value)| edited(format!("{name}: {value}")));
        let fields: Vec<_> = fields.flat_map(|lines| lines.lines().map(str::to_owned).collect::<Vec<_>>()).collect();
        let fields = fields.iter().filter_map(|line| line.split_once(": "));
        response.headers = fields.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        if let Ok(text) = String::from_utf8(response.body.clone()) {
            response.body = edited(text).into_bytes();
        }
    }
}
