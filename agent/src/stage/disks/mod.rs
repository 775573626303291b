//! Local disks: inventory, arrays, file systems, mounts, moved directories.
