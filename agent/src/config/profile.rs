//! Disk profiles, `disk_config[N]="raidL:fs:mount"`: read as data, never executed.
