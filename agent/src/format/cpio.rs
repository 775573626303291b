//! cpio "newc" archives (`070701`, `070702`): the kernel's `Documentation/driver-api/early-userspace/buffer-format.rst`.
