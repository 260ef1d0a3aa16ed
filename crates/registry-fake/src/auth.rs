//! Who may do what: basic and bearer, with a token endpoint of the fake's own (Docker's token specification).

use std::collections::BTreeSet;

use base64::{Engine as _, prelude::BASE64_STANDARD};

use crate::{
    Auth, Shared,
    http::{Request, Response, parse_form},
};

/// The service that tokens are for.
pub const SERVICE: &str = "fake, inc";

/// A token that was handed out: its text and what it allows, as `repository:NAME:ACTION`.
#[derive(Debug)]
pub(crate) struct Token {
    text: String,
    allows: BTreeSet<String>,
}

impl Shared {
    /// The refusal of this request, unless it may pass.
    pub(crate) fn refusal(&self, request: &Request, repository: &str) -> Option<Response> {
        let given = request.header("authorization").unwrap_or_default();
        let action = if matches!(request.method.as_str(), "GET" | "HEAD") { "pull" } else { "push" };
        let challenge = match &self.options.auth {
            Auth::None => None,
            Auth::Basic { user, password } if given == basic(user, password) => None,
            Auth::Basic { .. } => Some("Basic realm=\"fake, of \\\"tests\\\"\"".to_owned()),
            Auth::Bearer { .. } => {
                let state = self.state();
                let token = state.tokens.iter().find(|token| given == format!("Bearer {}", token.text));
                let needs = format!("repository:{repository}:{action}");
                let error = match token {
                    Some(token) if repository.is_empty() || token.allows.contains(&needs) => None,
                    Some(_) => Some("insufficient_scope"),
                    None => Some("invalid_token"),
                };
                error.map(|error| self.bearer_challenge(request, repository, action, error))
            }
        };
        let Some(challenge) = challenge else { return self.denied(repository, action) };
        let refusal = Response::error(401, "UNAUTHORIZED", "authentication required");
        Some(refusal.header("WWW-Authenticate", challenge))
    }

    fn denied(&self, repository: &str, action: &str) -> Option<Response> {
        let denied = self.options.denied.iter().any(|prefix| repository.starts_with(prefix.as_str()));
        (denied && action == "push").then(|| Response::error(403, "DENIED", "requested access is denied"))
    }

    fn bearer_challenge(&self, request: &Request, repository: &str, action: &str, error: &str) -> String {
        let realm = self.options.realm.clone().unwrap_or_else(|| format!("{}/token", self.origin(request)));
        let actions = if action == "push" { "pull,push" } else { "pull" };
        let scope =
            if repository.is_empty() { String::new() } else { format!(",scope=\"repository:{repository}:{actions}\"") };
        format!("Bearer realm=\"{realm}\",service=\"{SERVICE}\"{scope},error=\"{error}\"")
    }

    /// The token endpoint: `GET` with basic auth, or `POST` with a refresh token.
    pub(crate) fn issue_token(&self, request: &Request, body: &[u8]) -> Response {
        let Auth::Bearer { user, password, identity_token } = &self.options.auth else {
            return Response::error(404, "NOT_FOUND", "no tokens here");
        };
        let form = parse_form(&String::from_utf8_lossy(body));
        let pairs = if request.method == "POST" { &form } else { &request.query };
        let field = |name: &str| pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let known = if request.method == "POST" {
            field("grant_type") == Some("refresh_token") && field("refresh_token") == Some(identity_token)
        } else {
            request.header("authorization") == Some(basic(user, password).as_str())
        };
        let anonymous = request.method == "GET" && request.header("authorization").is_none();
        let untold = self.options.quirk.is_some() && field("service").is_none();
        if !(untold || field("service") == Some(SERVICE)) || !(known || anonymous) {
            return Response::error(401, "UNAUTHORIZED", "wrong user or password");
        }
        let scopes = pairs.iter().filter(|(key, _)| key == "scope").flat_map(|(_, value)| value.split(' '));
        let mut allows = BTreeSet::new();
        for scope in scopes {
            if let Some((resource, actions)) = scope.rsplit_once(':') {
                let granted = actions.split(',').filter(|action| known || *action == "pull");
                allows.extend(granted.map(|action| format!("{resource}:{action}")));
            }
        }
        let text = match &self.options.sign {
            Some(sign) => sign(&allows),
            None => format!("token-{}", self.serial()),
        };
        let body = format!(r#"{{"token":"{text}","expires_in":300}}"#);
        self.state().tokens.push(Token { text, allows });
        Response::new(200).header("Content-Type", "application/json").body(body)
    }
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}")))
}
