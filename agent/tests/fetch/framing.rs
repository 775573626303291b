//! What a body must look like to be believed: a server of a few lines that says what it is told.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::JoinHandle;

use super::common::{file, whole};
use super::*;

const DATE: &str = "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n";

/// Answers one connection after the other with `answers`, byte by byte; returns the requests' heads.
fn serve(answers: Vec<Vec<u8>>) -> (SocketAddr, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let addr = listener.local_addr().unwrap();
    let serving = std::thread::spawn(move || {
        let answer = |answer: Vec<u8>| {
            let (mut stream, _) = listener.accept().unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let lines = lines.map_while(Result::ok).take_while(|line| !line.is_empty());
            let head = lines.collect::<Vec<_>>().join("\n");
            // A client that has hung up needs no answer.
            let _ = stream.write_all(&answer);
            head
        };
        answers.into_iter().map(answer).collect()
    });
    (addr, serving)
}

/// What becomes of a small file that is answered like this, and what was asked.
fn fetch(answers: Vec<Vec<u8>>) -> (Result<Vec<u8>, String>, Vec<String>) {
    let (addr, serving) = serve(answers);
    let node = Provision::from_uri(&format!("http://{addr}/provision/{MAC}")).unwrap();
    let raw = Provision { compress: Compress::Raw, ..node };
    let fetched = fetch_small(&raw.request(What::System), &quick());
    (fetched.map_err(|error| format!("{error:#}")), asked(addr, serving))
}

/// What the server was asked; answers that nobody came for are hung up on.
fn asked(addr: SocketAddr, serving: JoinHandle<Vec<String>>) -> Vec<String> {
    while !serving.is_finished() {
        drop(TcpStream::connect(addr));
        std::thread::sleep(Duration::from_millis(2));
    }
    let heads = serving.join().unwrap();
    heads.into_iter().filter(|head| !head.is_empty()).collect()
}

fn archive() -> Vec<u8> {
    whole(&[file("etc/motd", b"hello")])
}

/// An answer with `headers`, each ended by a line end, and `body`.
fn answer(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    [format!("HTTP/1.1 {status}\r\n{headers}\r\n").as_bytes(), body].concat()
}

fn chunks(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for part in body.chunks(100) {
        out.extend([format!("{:x}\r\n", part.len()).as_bytes(), part, b"\r\n"].concat());
    }
    out
}

fn length(bytes: &[u8]) -> String {
    format!("Content-Length: {}\r\n", bytes.len())
}

#[test]
fn chunks_with_their_end_are_a_body_without_it_they_are_cut() {
    let chunked = "Transfer-Encoding: chunked\r\n";
    let body = [&chunks(&archive())[..], b"0\r\n\r\n"].concat();
    assert_eq!(fetch(vec![answer("200 OK", chunked, &body)]).0, Ok(archive()));
    // Cut, and with no date to go on by: from the start, until it is whole.
    let cut = answer("200 OK", chunked, &chunks(&archive()));
    let (fetched, asked) = fetch(vec![cut, answer("200 OK", chunked, &body)]);
    assert_eq!((fetched, asked.len()), (Ok(archive()), 2));
    assert!(!asked[1].to_ascii_lowercase().contains("range"), "{}", asked[1]);
}

#[test]
fn a_body_whose_end_cannot_be_told_is_refused() {
    let endless = answer("200 OK", "Connection: close\r\n", &archive());
    let error = fetch(vec![endless; 3]).0.unwrap_err();
    assert!(error.contains("neither a Content-Length nor chunks"), "{error}");
    let two = answer("200 OK", "Content-Length: 5\r\nContent-Length: 500\r\n", &archive());
    assert!(fetch(vec![two; 3]).0.is_err());
}

#[test]
fn the_body_of_a_404_is_not_believed() {
    // What Warewulf sends for a form it does not know: 404, and the file after it.
    let body = [&chunks(&archive())[..], b"0\r\n\r\n"].concat();
    for headers in ["Transfer-Encoding: chunked\r\n".to_owned(), length(&archive())] {
        let body = if headers.starts_with('T') { body.clone() } else { archive() };
        let error = fetch(vec![answer("404 Not Found", &headers, &body); 3]).0.unwrap_err();
        assert!(error.contains("404 after 3 tries"), "{error}");
    }
}

#[test]
fn a_rest_must_fit_what_was_there() {
    let bytes = archive();
    let date = |body: &[u8]| format!("{DATE}{}", length(body));
    let begun = || answer("200 OK", &date(&bytes), &bytes[..100]);
    let whole = || answer("200 OK", &date(&bytes), &bytes);
    let part = |from: usize, total: usize| {
        let range = format!("Content-Range: bytes {from}-{}/{total}\r\n", total - 1);
        let mut rest = bytes[from..].to_vec();
        rest.resize(total - from, 0);
        answer("206 Partial Content", &format!("{DATE}{range}{}", length(&rest)), &rest)
    };
    let (fetched, asked) = fetch(vec![begun(), part(100, bytes.len())]);
    assert_eq!(fetched, Ok(bytes.clone()));
    let head = asked[1].to_ascii_lowercase();
    assert!(head.contains("range: bytes=100-"), "{head}");
    assert!(head.contains("if-range: sun, 06 nov 1994 08:49:37 gmt"), "{head}");

    let older = answer("206 Partial Content", &length(&bytes[100..]), &bytes[100..]);
    let (fetched, asked) = fetch(vec![begun(), older, part(100, bytes.len())]);
    assert_eq!((fetched, asked.len()), (Ok(bytes.clone()), 3), "a part of nobody knows what");
    let another = whole().replacing("1994", "1995");
    for wrong in [part(96, bytes.len()), part(100, bytes.len() + 4), another, whole()] {
        // None of them is put behind what came: all is fetched again.
        let (fetched, asked) = fetch(vec![begun(), wrong, whole()]);
        assert!(fetched == Ok(bytes.clone()) && asked.len() == 3, "{fetched:?} {asked:?}");
    }
}

#[test]
fn nothing_of_a_changed_image_stays_in_the_root() {
    let noise: Vec<u8> =
        (0..600_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let date = |bytes: &[u8], year: u32| {
        format!("Last-Modified: Sun, 06 Nov {year} 08:49:37 GMT\r\n{}", length(bytes))
    };
    let old = whole(&[file("old", b"x"), file("large", &noise)]);
    let new = whole(&[file("new", b"y")]);
    let again = || answer("200 OK", &date(&new, 1995), &new);
    let begun = answer("200 OK", &date(&old, 1994), &old[..old.len() - 9]);
    let (addr, serving) = serve(vec![begun, again(), again()]);
    let node = Provision::from_uri(&format!("http://{addr}/provision/{MAC}")).unwrap();
    let raw = Provision { compress: Compress::Raw, ..node };
    let root = tempdir().unwrap();
    let fetched = fetch_and_unpack(&raw.request(What::Image), root.path(), &quick(), &mut |_| {});
    assert_eq!(fetched.unwrap().entries, 1);
    let names = common::survey(root.path()).into_keys().collect::<Vec<_>>();
    assert_eq!(names, [PathBuf::from("new")]);
    assert_eq!(asked(addr, serving).len(), 3);
}

trait Replacing {
    fn replacing(&self, from: &str, to: &str) -> Vec<u8>;
}

impl Replacing for Vec<u8> {
    fn replacing(&self, from: &str, to: &str) -> Vec<u8> {
        let at = self.windows(from.len()).position(|part| part == from.as_bytes()).unwrap();
        [&self[..at], to.as_bytes(), &self[at + from.len()..]].concat()
    }
}
