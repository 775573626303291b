//! What is tried, one file a case or a family of cases, and how a case is run.

mod no_disk;

use std::path::Path;

use anyhow::Result;

use crate::cluster::Cluster;
use crate::facts::Facts;
use crate::node::{Node, Stand};

/// How much of the machine a case wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// One processor, 1 GiB: another tiny case may run beside it.
    Tiny,
    /// A real node; it runs alone.
    Full,
}

/// One case.
#[derive(Clone, Copy)]
pub struct Case {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it shows, in one line.
    pub about: &'static str,
    /// What it wants.
    pub size: Size,
    /// Boots what it needs and checks the facts.
    pub run: fn(&Bench, &mut Facts) -> Result<()>,
}

/// Where a case is carried out.
#[derive(Debug, Clone, Copy)]
pub struct Bench<'a> {
    /// The cluster.
    pub cluster: &'a Cluster,
    /// Which tap its nodes are plugged into.
    pub place: usize,
    /// Where its files go.
    pub folder: &'a Path,
}

impl<'a> Bench<'a> {
    fn stand(&self) -> Stand<'a> {
        Stand { cluster: self.cluster, place: self.place, folder: self.folder }
    }

    /// A node with the tiny image.
    ///
    /// # Errors
    /// Its folders cannot be made.
    pub fn tiny(&self) -> Result<Node<'a>> {
        Node::tiny(self.stand())
    }

    /// A real node.
    ///
    /// # Errors
    /// Its folders cannot be made.
    pub fn full(&self) -> Result<Node<'a>> {
        Node::full(self.stand())
    }
}

/// All cases, in the order in which they are run: the long ones first.
pub const CASES: &[Case] = &[no_disk::CASE];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_case_has_a_name_of_its_own() {
        let mut names: Vec<_> = CASES.iter().map(|case| case.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), CASES.len());
    }
}
