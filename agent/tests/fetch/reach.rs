//! Which servers are reached, and which are not asked at all.

use super::*;

#[test]
fn servers_are_reached_by_ipv6_too() {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path().join("runtime");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("secret"), "s").unwrap();
    let node = Node { mac: MAC.to_owned(), runtime: vec![folder], ..Node::default() };
    let site = Site { nodes: vec![node], secure: true, ..Site::default() };
    let server = Server::start(SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, 0)), site).unwrap();
    let provision = Provision::from_uri(&server.uri(MAC)).unwrap();
    assert!(provision.base.starts_with("http://[::1]:"));
    fetch_small(&provision.request(What::Runtime), &quick()).unwrap();
}

#[test]
fn https_without_a_certificate_is_refused_in_words() {
    let node = Provision::from_uri("https://127.0.0.1:1/provision/52:54:00:00:00:01").unwrap();
    let error = fetch_small(&node.request(What::System), &quick()).unwrap_err().to_string();
    assert!(error.contains("no certificate is known to trust it by"), "{error}");
}
