//! The md superblock, version 1.2. Source: `linux/raid/md_p.h`.
