//! A node with tools on which scripts are run, one after the other, in one boot.

use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::boot::Boot;
use crate::cases::Bench;
use crate::facts::Facts;
use crate::node::Node;

/// Words that every script may use.
const PRELUDE: &str = include_str!("../../../assets/disks/prelude.sh");

/// Where they lie in the node.
pub const AT: &str = "etc/prelude.sh";

/// A node and the scripts for it.
pub struct Hands<'a> {
    /// The node; the agent leaves its disks alone while it boots.
    pub node: Node<'a>,
    names: Vec<String>,
}

impl<'a> Hands<'a> {
    /// A node without disks.
    ///
    /// # Errors
    /// Its folders cannot be made.
    pub fn new(bench: &Bench<'a>) -> Result<Self> {
        let mut node = Node::with_tools(bench.stand())?;
        node.argue("rsinit.disk", "off");
        node.limit = Duration::from_secs(1500);
        node.system.file(AT, PRELUDE)?;
        Ok(Self { node, names: Vec::new() })
    }

    /// Adds a script; `name` is what its answer is asked for by.
    pub fn script(&mut self, name: &str, text: &str) {
        self.names.push(name.to_owned());
        self.node.ask_command(&["/bin/sh", "-c", &format!(". /{AT}\n{text}")]);
    }

    /// Boots the node, which runs the scripts.
    ///
    /// # Errors
    /// It does not come up.
    pub fn run(&mut self, facts: &mut Facts) -> Result<Said> {
        self.run_all(facts).map(|(said, _)| said)
    }

    /// As [`run`](Self::run), with all else that came of the boot; the next boot has scripts of
    /// its own.
    ///
    /// # Errors
    /// It does not come up.
    pub fn run_all(&mut self, facts: &mut Facts) -> Result<(Said, Boot)> {
        let boot = self.node.boot(|_| {})?;
        let names = std::mem::take(&mut self.names);
        self.node.question.commands.clear();
        let answer = boot.answer()?;
        let texts = answer.commands.iter().map(|ran| ran.text.clone());
        let parts: Vec<(String, String)> = names.into_iter().zip(texts).collect();
        for (name, text) in &parts {
            let faults: Vec<&str> = text.lines().filter(|line| line.contains("fault:")).collect();
            let saw = format!("{faults:?} in\n{text}");
            facts.holds(&format!("{name}: every tool is content"), faults.is_empty(), saw);
        }
        let began = answer.commands.iter().all(|ran| ran.status.is_some());
        facts.holds("every script was run", began, format!("{:?}", answer.commands));
        Ok((Said { parts }, boot))
    }
}

/// What the scripts said.
pub struct Said {
    parts: Vec<(String, String)>,
}

impl Said {
    /// The output of one script.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn of(&self, name: &str) -> Result<&str> {
        let part = self.parts.iter().find(|(known, _)| known == name);
        part.map(|(_, text)| text.as_str()).with_context(|| format!("no script {name} was run"))
    }

    /// `fact` holds where the script `name` said each of `parts`.
    ///
    /// # Errors
    /// There is no such script.
    pub fn contains(
        &self,
        name: &str,
        fact: &str,
        parts: &[&str],
        facts: &mut Facts,
    ) -> Result<()> {
        let text = self.of(name)?;
        let missing: Vec<_> = parts.iter().filter(|part| !text.contains(**part)).collect();
        let saw = format!("no {missing:?} in\n{text}");
        facts.holds(&format!("{name}: {fact}"), missing.is_empty(), saw);
        Ok(())
    }
}
