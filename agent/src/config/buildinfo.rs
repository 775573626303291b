//! `/.buildinfo`: what the image build left about itself.

/// The playbook that built the image and configures the node at boot: the value
/// of the first line that begins with `Playbook:`. Like the site's own
/// `grep -oP '^Playbook:\s*\K.*'`, but without white space at the end.
pub fn parse_playbook(text: &str) -> Option<&str> {
    text.lines()
        .find_map(|line| line.strip_prefix("Playbook:"))
        .map(str::trim)
        .filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_playbook_is_the_rest_of_its_line() {
        let text = "Image: compute\nPlaybook:  rocky-8.10-compute.yml \r\nCommit: ab64\n";
        assert_eq!(parse_playbook(text), Some("rocky-8.10-compute.yml"));
    }

    #[test]
    fn no_line_or_an_empty_one_is_no_playbook() {
        assert_eq!(parse_playbook("Image: compute\n Playbook: indented\n"), None);
        assert_eq!(parse_playbook("Playbook:   \n"), None);
        assert_eq!(parse_playbook(""), None);
    }
}
