//! A package index on loopback (PEP 503), which lists the wheels of a folder with their hashes.

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    thread,
};

use anyhow::Context;
use oci_image::Digest;

/// It serves until the program ends.
pub struct WheelIndex {
    address: SocketAddr,
    asked: Arc<Mutex<BTreeSet<String>>>,
}

/// What a page lists beside the wheels of its name: a page's name, and a file of another distribution.
pub type Foreign = (&'static str, &'static str);

impl WheelIndex {
    /// Serves a folder. With `credentials`, as HTTP's Basic authentication has them, only to who gives them.
    pub fn serve(folder: &Path, credentials: Option<&'static str>, foreign: Option<Foreign>) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port on loopback")?;
        let address = listener.local_addr().context("no address of the index")?;
        let asked = Arc::new(Mutex::new(BTreeSet::new()));
        let (folder, seen) = (folder.to_owned(), Arc::clone(&asked));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (folder, seen): (PathBuf, _) = (folder.clone(), Arc::clone(&seen));
                // A client that goes away has said what it wanted.
                thread::spawn(move || answer(stream, &folder, credentials, foreign, &seen).ok());
            }
        });
        Ok(Self { address, asked })
    }

    /// The address as a recipe or pip has it; `user` with a colon and a password, if it wants any.
    pub fn url(&self, user: &str) -> String {
        let at = if user.is_empty() { "" } else { "@" };
        format!("http://{user}{at}{}/simple", self.address)
    }

    /// The distributions whose pages were asked for since the last call.
    pub fn asked(&self) -> Vec<String> {
        let mut asked = self.asked.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        std::mem::take(&mut *asked).into_iter().collect()
    }
}

fn answer(
    stream: TcpStream,
    folder: &Path,
    credentials: Option<&str>,
    foreign: Option<Foreign>,
    asked: &Mutex<BTreeSet<String>>,
) -> anyhow::Result<()> {
    let mut lines = BufReader::new(&stream).lines();
    let request = lines.next().context("no request")??;
    let mut is_known = credentials.is_none();
    for line in lines {
        let line = line?;
        if line.is_empty() {
            break;
        }
        is_known |= credentials.is_some_and(|credentials| line.ends_with(&format!("Basic {credentials}")));
    }
    let mut words = request.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (status, kind, body) = match path.trim_matches('/').split('/').collect::<Vec<_>>()[..] {
        _ if !is_known => ("401 Unauthorized", "text/plain", Vec::new()),
        ["simple", name] => {
            asked.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).insert(name.to_owned());
            ("200 OK", "text/html", page(folder, name, foreign)?.into_bytes())
        }
        ["files", file] if !file.contains("..") => {
            ("200 OK", "application/octet-stream", fs::read(folder.join(file)).unwrap_or_default())
        }
        _ => ("404 Not Found", "text/plain", Vec::new()),
    };
    let mut stream = &stream;
    let realm = if is_known { "" } else { "WWW-Authenticate: Basic realm=\"index\"\r\n" };
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\n{realm}Content-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    )?;
    if method != "HEAD" {
        stream.write_all(&body)?;
    }
    Ok(())
}

fn page(folder: &Path, name: &str, foreign: Option<Foreign>) -> anyhow::Result<String> {
    let mut files = super::names(folder)?;
    files.retain(|file| {
        let of_it = file.split('-').next().is_some_and(|own| wheel_layer::normalize(own) == name);
        of_it || foreign.is_some_and(|(page, other)| page == name && other == file)
    });
    let link = |file: &String| {
        let hex = Digest::of(super::bytes(&folder.join(file))?).hex();
        Ok(format!("<a href=\"/files/{file}#sha256={hex}\">{file}</a><br>\n"))
    };
    let links: anyhow::Result<String> = files.iter().map(link).collect();
    Ok(format!("<!DOCTYPE html><html><body>\n{}</body></html>\n", links?))
}
