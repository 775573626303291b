//! As much of Go's `text/template` as the repository's own overlay, `mkdisk.conf.ww`, uses.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};

/// Renders `template` for the node `id` with `tags`; none where it says `abort`.
///
/// # Errors
/// It has an action that is not known here.
pub(super) fn render(
    template: &str,
    id: &str,
    tags: &BTreeMap<String, String>,
) -> Result<Option<String>> {
    let mut text = String::new();
    let mut rest = template;
    // Whether what follows is written, for each `if` that is open.
    let mut open: Vec<bool> = Vec::new();
    while let Some((before, after)) = rest.split_once("{{") {
        let (action, after) = after.split_once("}}").context("an action without its end")?;
        let is_written = open.iter().all(|is_true| *is_true);
        let (action, before) = match action.strip_prefix("- ") {
            Some(action) => (action, before.trim_end()),
            None => (action, before),
        };
        if is_written {
            text.push_str(before);
        }
        let action = action.trim();
        if let Some(condition) = action.strip_prefix("if not ") {
            let tag = tag(condition.trim_start_matches('(').trim_end_matches(')'))?;
            open.push(tags.get(tag).is_none_or(String::is_empty));
        } else if action == "end" {
            open.pop().context("an end without its if")?;
        } else if action == "abort" {
            if is_written {
                return Ok(None);
            }
        } else if is_written {
            text.push_str(if action == ".Id" { id } else { value(tags, action)? });
        }
        rest = after;
    }
    text.push_str(rest);
    Ok(Some(text))
}

fn value<'a>(tags: &'a BTreeMap<String, String>, action: &str) -> Result<&'a str> {
    Ok(tags.get(tag(action)?).map_or("", String::as_str))
}

/// The name in `index .Tags "name"`.
fn tag(action: &str) -> Result<&str> {
    let name = action.strip_prefix("index .Tags \"").and_then(|rest| rest.strip_suffix('"'));
    match name {
        Some(name) => Ok(name),
        None => bail!("not known here: {{{{ {action} }}}}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn tags_are_filled_in_and_a_missing_one_is_empty() {
        let template = "# of {{ .Id }}\nA={{ index .Tags \"a\" }}\nB={{ index .Tags \"b\" }}\n";
        let text = render(template, "n1", &tags(&[("a", "1")])).unwrap().unwrap();
        assert_eq!(text, "# of n1\nA=1\nB=\n");
    }

    #[test]
    fn a_node_without_the_tag_gets_no_file() {
        let template = "# x\n{{- if not (index .Tags \"a\") }}\n{{ abort }}\n{{- end }}\nA\n";
        assert_eq!(render(template, "n1", &tags(&[])).unwrap(), None);
        assert_eq!(render(template, "n1", &tags(&[("a", "")])).unwrap(), None);
        assert_eq!(render(template, "n1", &tags(&[("a", "1")])).unwrap().unwrap(), "# x\nA\n");
    }

    #[test]
    fn an_action_that_is_not_known_is_named() {
        let said = render("{{ range .Nodes }}", "n1", &tags(&[])).unwrap_err().to_string();
        assert_eq!(said, "not known here: {{ range .Nodes }}");
    }
}
