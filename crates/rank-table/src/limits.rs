//! How large a table may be: enough for any cluster, too little to exhaust a server's memory.

/// Bytes of a table. 1,000 servers of 8 devices have half a megabyte; a config map, from which the platform makes the file, can't
/// have more than 1 MiB. Reading the worst file of this size (millions of empty objects) takes some 200 MB for 0.3 s.
pub const MAX_BYTES: usize = 4 << 20;

/// Groups of a v0 table.
pub const MAX_GROUPS: usize = 1_024;

/// Instances of a group of a v0 table, servers of a v1 table.
pub const MAX_INSTANCES: usize = 16_384;

/// Devices of an instance or a server. The driver knows 64 at most.
pub const MAX_DEVICES_PER_SERVER: usize = 256;

/// The highest `device_id`. Physical devices count from 0; virtual ones have higher numbers.
pub const MAX_DEVICE_ID: u32 = 65_535;

/// Faults that are kept; those beyond are counted.
pub const MAX_FAULTS: usize = 50;

/// Instances that a message lists by name; those beyond are counted.
pub const MAX_INSTANCES_NAMED: usize = 8;
