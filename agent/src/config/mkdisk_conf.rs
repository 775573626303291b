//! `/etc/mkdisk/mkdisk.conf`: shell-style assignments, read as data, never executed.
