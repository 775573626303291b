//! Directory trees by descriptor: no path below a root is ever resolved by the kernel in one go.
