//! What happened, how long it took and why it failed.
