//! What a push sends when only mindpet changed: its layer, the config and the manifest.

use anyhow::{Context, ensure};

use super::{
    ours::Run,
    row::{Bar, Row, Unit},
};

/// Bytes beside the changed layer: config and manifest.
const BESIDE: u64 = 32 * 1024;

/// The worst of several pushes.
#[derive(Debug, Default)]
pub struct Sent {
    over: u64,
    bodies: u64,
    headers: u64,
}

impl Sent {
    /// Takes note of a push.
    pub fn take(&mut self, run: &Run) -> anyhow::Result<()> {
        let layers = run.pushed["layers"].as_array().context("`push` named no layers")?;
        let pet = layers.iter().find(|layer| layer["content"].as_str().is_some_and(|text| text.contains("mindpet")));
        let size = pet.and_then(|layer| layer["blob"]["size"].as_u64()).context("`push` named no layer of mindpet")?;
        let bodies = run.bodies()?;
        ensure!(bodies >= size, "the push sent {bodies} bytes, less than mindpet's layer of {size}: nothing changed");
        if bodies - size >= self.over {
            *self = Self { over: bodies - size, bodies, headers: run.headers()? };
        }
        Ok(())
    }

    /// The figures.
    pub fn rows(&self) -> Vec<Row> {
        let bytes = |figure: &str, value: u64, bar| Row::alone(figure, value as f64, Unit::Bytes, bar);
        vec![
            bytes("bytes sent beside mindpet's layer", self.over, Bar::AtMost(BESIDE as f64)),
            bytes("bytes sent, bodies", self.bodies, Bar::None),
            bytes("bytes sent, request lines and headers", self.headers, Bar::None),
        ]
    }
}
