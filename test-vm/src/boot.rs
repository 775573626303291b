//! What came of one boot of a node, as its case judges it.

use std::time::Duration;

use anyhow::{Context as _, Result};
use witness::Answer;

use crate::chain::{self, Link};
use crate::console::agent_lines;
use crate::listener::Heard;
use crate::network::Number;
use crate::qemu::Ending;
use crate::server::Served;

/// What came of a boot.
#[derive(Debug)]
pub struct Boot {
    /// Whose.
    pub number: Number,
    /// What the booted system answered; none where it never came up.
    pub answer: Option<Answer>,
    /// Everything on the console.
    pub console: String,
    /// How the machine ended.
    pub ending: Ending,
    /// What was asked of the server.
    pub requests: Vec<Served>,
    /// What it reported to the head node.
    pub heard: Heard,
    /// What the DHCP and TFTP server said meanwhile, and how long after power-on.
    pub wire: Vec<(Duration, String)>,
    /// From power-on to power-off.
    pub took: Duration,
}

impl Boot {
    /// The links of the chain from the firmware on that were passed, in order.
    pub fn links(&self) -> Vec<Link> {
        chain::links(self.number, &self.wire, &self.requests)
    }

    /// The agent's lines on the console.
    pub fn lines(&self) -> Vec<&str> {
        agent_lines(&self.console)
    }

    /// The agent's last line.
    pub fn last_line(&self) -> &str {
        self.lines().last().copied().unwrap_or("")
    }

    /// The answer.
    ///
    /// # Errors
    /// There is none: the error carries how the machine ended and the agent's last lines.
    pub fn answer(&self) -> Result<&Answer> {
        self.answer.as_ref().with_context(|| {
            let lines = self.lines();
            let last = lines.iter().rev().take(4).rev().copied().collect::<Vec<_>>().join("\n    ");
            format!(
                "the node did not come up: {:?}; the agent's last lines:\n    {last}",
                self.ending
            )
        })
    }
}
