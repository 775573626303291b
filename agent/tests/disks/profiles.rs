//! Every shipped profile is read and planned; the overlay renders what is read.

use std::path::Path;

use rsinit::config::{mkdisk_conf, profile};

use crate::fake::{MIB, Node};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../mkdisk-profiles");

#[test]
fn every_shipped_profile_is_explained_read_and_planned() {
    let mut seen = Vec::new();
    for entry in std::fs::read_dir(FOLDER).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        if name.contains('.') {
            continue;
        }
        let text = std::fs::read_to_string(entry.path()).unwrap();
        assert!(text.starts_with(&format!("# {name}: ")), "{name}");
        assert!(text.contains("# Use it for "), "{name} says when to use it");
        profile::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{name} {error}"));
        let mut node = Node::new(6, 32 * MIB);
        node.set("WIPE_ON_BOOT=true", &text);
        let prepared = node.boot(&node.kernel());
        let plan = prepared.plan.as_ref().unwrap();
        assert!(plan.refusals.is_empty(), "{name}: {plan}");
        assert_eq!(prepared.mounted.len(), text.matches(":ext4:").count(), "{name}");
        seen.push(name);
    }
    seen.sort();
    assert_eq!(seen, ["all-scratch", "compute-node", "default", "mirror-two", "no-disks"]);
}

/// What Warewulf makes of the template, for the few actions that it uses.
fn render(tags: &[(&str, &str)]) -> String {
    let template = std::fs::read_to_string(Path::new(FOLDER).join("mkdisk.conf.ww")).unwrap();
    let mut text = String::new();
    for line in template.lines() {
        if line.starts_with("{{- if") || line.starts_with("{{ abort") || line.starts_with("{{- end")
        {
            continue;
        }
        let mut line = line.replace("{{ .Id }}", "node0001");
        while let Some((before, rest)) = line.clone().split_once("{{ index .Tags \"") {
            let (tag, after) = rest.split_once("\" }}").unwrap();
            let value = tags.iter().find(|(name, _)| *name == tag).map_or("", |(_, value)| value);
            line = format!("{before}{value}{after}");
        }
        text.push_str(&line);
        text.push('\n');
    }
    text
}

#[test]
fn the_overlay_renders_the_tags_of_a_node() {
    let text = render(&[
        ("mkdisk_profile", "default"),
        ("mkdisk_fscache", "/scratch/fscache"),
        ("mkdisk_movedirs", "/var/log:/system/log,/tmp:/system/tmp"),
        ("mkdisk_wipeonboot", "true"),
        ("mkdisk_move", "symlink"),
    ]);
    let conf = mkdisk_conf::parse(text.as_bytes()).unwrap();
    assert!(conf.wipe_on_boot && !conf.required);
    assert_eq!((conf.profile.as_str(), conf.move_dirs.len()), ("default", 2));
    assert_eq!(conf.replace_by, mkdisk_conf::ReplaceBy::Symlink);
    assert_eq!(conf.warnings, Vec::<String>::new());
}

#[test]
fn tags_that_a_node_does_not_have_are_empty_settings() {
    let conf = mkdisk_conf::parse(render(&[("mkdisk_profile", "x")]).as_bytes()).unwrap();
    assert!(!conf.wipe_on_boot && conf.move_dirs.is_empty() && conf.fscache_dir.is_none());
}
