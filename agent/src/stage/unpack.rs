//! An archive becomes a tree of files under a root.
