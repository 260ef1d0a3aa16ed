//! Which framework the ranks use: what they have to find in their environment to meet.

/// What the ranks of a job meet by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framework {
    /// PyTorch: MASTER_ADDR, RANK and the like, and no rank table unless it is asked for.
    Torch,
    /// MindSpore without a rank table: MS_*, and a process besides the ranks, the scheduler, on node 0.
    MindSpore,
    /// None that the launcher knows: the rank table, where there is one, and all variables that a script may read.
    Plain,
}

impl Framework {
    /// As `--framework` has it.
    pub fn read(text: &str) -> Result<Option<Framework>, String> {
        match text {
            "auto" => Ok(None),
            "torch" => Ok(Some(Framework::Torch)),
            "mindspore" => Ok(Some(Framework::MindSpore)),
            "plain" => Ok(Some(Framework::Plain)),
            _ => Err(format!("`{text}` is not `auto`, `torch`, `mindspore` or `plain`")),
        }
    }
}
