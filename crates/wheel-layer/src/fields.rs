//! Fields of METADATA and WHEEL: `Name: value` lines as in mail (RFC 822), up to the first empty line.

/// Fields in their order; names are compared without case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fields(Vec<(String, String)>);

impl Fields {
    /// Reads what can be read; like pip, nothing else is an error.
    pub fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let mut fields: Vec<(String, String)> = Vec::new();
        for line in text.trim_start_matches('\u{feff}').lines() {
            if line.trim().is_empty() {
                break;
            }
            if line.starts_with([' ', '\t']) {
                if let Some((_, value)) = fields.last_mut() {
                    value.push('\n');
                    value.push_str(line.trim());
                }
            } else if let Some((name, value)) = line.split_once(':') {
                fields.push((name.trim().to_lowercase(), value.trim().to_owned()));
            }
        }
        Self(fields)
    }

    /// All values of a field.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The first value of a field.
    pub fn first(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::Fields;

    #[test]
    fn folded_lines_go_on_and_the_body_is_left_out() {
        let fields = Fields::parse(
            b"Metadata-Version: 2.1\r\nname: Six\r\nRequires-Dist: a;\n  python_version < \"3\"\nRequires-Dist: b\n\nName: no\n",
        );
        assert_eq!(fields.first("Name"), Some("Six"));
        let all: Vec<_> = fields.all("Requires-Dist").collect();
        assert_eq!(all, ["a;\npython_version < \"3\"", "b"]);
        assert_eq!(fields.first("Version"), None);
    }
}
