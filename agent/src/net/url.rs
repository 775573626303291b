//! Addresses as they may be shown: without what they carry in confidence.

/// Names in a query whose values may be shown. Any other, as `assetkey=`, is left out.
const PUBLIC: [&str; 2] = ["stage", "compress"];

/// `url` for people: no user, no password, and of the query only the stage and the form.
pub fn redacted(url: &str) -> String {
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    let (scheme, rest) = base.split_once("://").unwrap_or(("", base));
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    let shown: Vec<&str> = query
        .split('&')
        .filter(|pair| pair.split_once('=').is_some_and(|(name, _)| PUBLIC.contains(&name)))
        .collect();
    let colon = if scheme.is_empty() { "" } else { "://" };
    let mark = if shown.is_empty() { "" } else { "?" };
    format!("{scheme}{colon}{host}{path}{mark}{}", shown.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_of_an_address_are_left_out() {
        let url = "http://me:pass@10.0.0.1:9873/provision/52:54:00:00:00:01?assetkey=S&uuid=U&stage=image&compress=gz";
        assert_eq!(
            redacted(url),
            "http://10.0.0.1:9873/provision/52:54:00:00:00:01?stage=image&compress=gz"
        );
        assert_eq!(redacted("http://h/p?assetkey=S"), "http://h/p");
        assert_eq!(redacted("http://[fe80::1]:80/p"), "http://[fe80::1]:80/p");
        assert_eq!(redacted("nonsense"), "nonsense");
    }
}
