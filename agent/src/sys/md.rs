//! md ioctls. Source: `linux/raid/md_u.h`.
