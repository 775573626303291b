//! HTTP: a client that resumes, retries, and can bind a source port below 1024.

pub mod tls;
