//! Paths of a layer: absolute, plain, never leading out.

use super::LayerError;

/// A path inside an image as a tar archive names it: without the leading slash, no `.` or `..` or empty component.
pub(crate) fn entry_name(path: &str) -> Result<&str, LayerError> {
    let refuse = |reason| LayerError::Path { path: path.to_owned(), reason };
    let name = path.strip_prefix('/').unwrap_or(path);
    if name.is_empty() {
        return Err(refuse("it names nothing"));
    }
    if name.contains('\0') {
        return Err(refuse("it holds a NUL"));
    }
    // 4096 is PATH_MAX of Linux: nothing longer can be unpacked.
    if name.len() >= 4096 {
        return Err(refuse("it is longer than 4095 bytes"));
    }
    for component in name.split('/') {
        match component {
            "" => return Err(refuse("it has an empty component")),
            "." | ".." => return Err(refuse("it has a `.` or `..` component")),
            // Unpacked, it would remove what lies below, or everything (OCI image spec, layer.md, whiteouts).
            _ if component.starts_with(".wh.") => return Err(refuse("it has the name of a whiteout")),
            _ if component.len() > 255 => return Err(refuse("it has a component longer than 255 bytes")),
            _ => {}
        }
    }
    Ok(name)
}
