//! Boots rsinit in QEMU against a double of a Warewulf server.
//!
//! From the outside in: [`workshop`] says where things are kept, [`artifacts`]
//! makes what every boot needs (kernel, root images, initramfs), [`space`] enters
//! namespaces of our own, [`cluster`] starts the cluster's services there, [`node`]
//! boots one machine, [`cases`] say what is tried and what must come of it.

pub mod artifacts;
pub mod bench;
pub mod boot;
pub mod cases;
pub mod chain;
pub mod cluster;
pub mod commands;
pub mod console;
pub mod debian;
pub mod demo;
pub mod digest;
pub mod disk;
pub mod facts;
pub mod image;
pub mod initramfs;
pub mod kernel;
pub mod listener;
pub mod monitor;
pub mod network;
pub mod nfs;
pub mod node;
pub mod overlay;
pub mod package;
pub mod qemu;
pub mod records;
pub mod runner;
pub mod server;
pub mod shell;
pub mod slurm;
pub mod space;
pub mod times;
pub mod tool;
pub mod workshop;
