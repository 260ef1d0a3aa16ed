//! Notes when it was started, then becomes another program: the first process of a container, or a rank that does nothing
//! else. A single file for rustc, static, so that it runs in any container and takes no time of its own.

use std::{
    env, ffi::OsString, fs, os::unix::process::CommandExt, process::Command, process::ExitCode, time::SystemTime,
};

/// `stamp FILE [PROGRAM ARGUMENT…]`: nanoseconds since 1970 go to `FILE`, with RANK_ID behind its name in a rank.
fn main() -> ExitCode {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |now| now.as_nanos());
    let mut arguments = env::args_os().skip(1);
    let Some(mut file) = arguments.next() else {
        eprintln!("usage: stamp FILE [PROGRAM ARGUMENT…]");
        return ExitCode::from(2);
    };
    file.push(env::var_os("RANK_ID").map_or_else(OsString::new, |rank| rank));
    if let Err(error) = fs::write(&file, now.to_string()) {
        eprintln!("stamp: failed to write `{}`: {error}", file.display());
        return ExitCode::FAILURE;
    }
    let Some(program) = arguments.next() else { return ExitCode::SUCCESS };
    let error = Command::new(&program).args(arguments).exec();
    eprintln!("stamp: failed to start `{}`: {error}", program.display());
    ExitCode::from(127)
}
