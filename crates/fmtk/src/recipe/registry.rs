//! `[registry]`: where the image is pushed to. Nothing of it changes the image.

use std::net::IpAddr;

use image_name::{Host, OrgName, Repository};

use super::{fields::Fields, folder_of, paths::HostPath};

/// The registry and how to reach it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registry {
    /// Host and port. Default: `swr.cn-central-221.ovaijisuan.com`, the manual's.
    pub host: Host,
    /// Organisation. Default: none; the command is told.
    pub org: Option<OrgName>,
    /// Repository. Default: `fmtk-ma`.
    pub repository: Repository,
    /// Whether plain HTTP or any certificate will do. Default: no.
    pub insecure: bool,
    /// PEM file of certificates to trust too. Default: none.
    pub ca: Option<HostPath>,
    /// Address of the host where DNS does not know it. Default: none.
    pub ip: Option<IpAddr>,
}

impl Registry {
    pub(super) fn read(mut fields: Fields<'_>, folder: &std::path::Path) -> Option<Self> {
        let host = fields.preset("host", "swr.cn-central-221.ovaijisuan.com");
        let repository = fields.preset("repository", "fmtk-ma");
        let org = fields.optional("org");
        let insecure = fields.value("insecure", false);
        let ca = fields.placed::<String>("ca").map(|ca| HostPath::new(&ca.value, folder_of(&ca, folder)));
        let ip = fields.optional("ip");
        fields.end();
        Some(Self { host: host?.value, org, repository: repository?.value, insecure, ca, ip })
    }
}
