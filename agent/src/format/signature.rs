//! What is on a disk: signatures of file systems, arrays, volume managers and partitions.
