//! Extended attributes, access control lists among them: the file that takes the place of another gets the same.

use std::{ffi::CStr, fs::File, io};

use rustix::{
    fs::{XattrFlags, fgetxattr, flistxattr, fremovexattr, fsetxattr},
    io::Errno,
};

/// Linux has no longer list of names and no longer value.
const MOST: usize = 64 << 10;

const ACCESS_LIST: &CStr = c"system.posix_acl_access";

/// What belongs to the content: the kernel drops it or makes it anew whenever a file is written.
const OF_CONTENT: [&CStr; 3] = [c"security.capability", c"security.evm", c"security.ima"];

/// Gives `to` the attributes of `from`. The error names the one that can't be given.
pub(crate) fn copy(from: &File, to: &File) -> io::Result<()> {
    let failed = |name: &CStr, error: Errno| {
        io::Error::other(format!(
            "its attribute `{}` can't be kept: {}",
            name.to_string_lossy(),
            io::Error::from(error)
        ))
    };
    let mut has_access_list = false;
    for name in names(from).split_inclusive(|byte| *byte == 0) {
        let Ok(name) = CStr::from_bytes_with_nul(name) else { continue };
        has_access_list |= name == ACCESS_LIST;
        let value = value(from, name).map_err(|error| failed(name, error))?;
        // A security module has labelled the new file already, and may not let us do it.
        if !OF_CONTENT.contains(&name) && self::value(to, name).as_ref() != Ok(&value) {
            fsetxattr(to, name, &value, XattrFlags::empty()).map_err(|error| failed(name, error))?;
        }
    }
    // The default list of the folder would let in others than the old file did.
    if !has_access_list && value(to, ACCESS_LIST).is_ok() {
        fremovexattr(to, ACCESS_LIST).map_err(|error| failed(ACCESS_LIST, error))?;
    }
    Ok(())
}

/// The names, each with a zero byte behind it; none where the file system has no attributes.
fn names(file: &File) -> Vec<u8> {
    let mut names = vec![0; MOST];
    let length = flistxattr(file, &mut names).unwrap_or_default();
    names.truncate(length);
    names
}

fn value(file: &File, name: &CStr) -> Result<Vec<u8>, Errno> {
    let mut value = vec![0; MOST];
    let length = fgetxattr(file, name, &mut value)?;
    value.truncate(length);
    Ok(value)
}
