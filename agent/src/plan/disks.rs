//! The disks: from profile, settings and inventory to the steps that make them so.
