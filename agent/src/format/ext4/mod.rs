//! ext4: a new file system as bytes at offsets. Source: the kernel's `Documentation/filesystems/ext4/`.
