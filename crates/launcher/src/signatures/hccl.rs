//! The error codes of CANN's collective library HCCL (EI…) and of the driver's part of it, HCCP (EJ…).
//!
//! Their meanings are those of the library's own table: `hcomm`, the error messages that it registers, as of CANN 9; and of
//! "HCCL Errors" and "HCCP Errors" in CANN's troubleshooting pages, for which 5 to 8.5 have the same numbers.

/// A code, what it means and what helps.
pub struct Code {
    pub name: &'static str,
    /// It tells of another rank that has ended, hangs or can't be reached.
    pub is_follower: bool,
    pub hint: &'static str,
}

/// One that tells what is wrong with this rank.
const fn cause(name: &'static str, hint: &'static str) -> Code {
    Code { name, is_follower: false, hint }
}

/// One that a rank also gets because another one has ended.
const fn follower(name: &'static str, hint: &'static str) -> Code {
    Code { name, is_follower: true, hint }
}

const CONNECTING: &str = "ranks waited in vain to connect to each other: one did not start or died early; look at the first \
                          failure on the other servers. Where starting takes long, raise `HCCL_CONNECT_TIMEOUT` (seconds)";

const WAITING: &str = "a rank waited in vain for another one: that one died or hangs; look at the first failure on the other \
                       servers, and whether all ranks run the same number of steps";

const LOST: &str = "the transfer from or to another rank broke off: that one died, or the link between the two devices \
                    failed; look at the first failure on the other servers, and at the link with \
                    `hccn_tool -i DEVICE -link -g`";

const TABLE: &str = "the rank table can't be used: `fmtk-launch rank-table check FILE` says what is wrong with it; an old one, \
                     of other devices than the job has now, is wrong too";

const LINK: &str = "the network port of a device is not up: see `hccn_tool -i DEVICE -link -g`, `-optical -g` and `-ip -g` \
                    on that server";

/// What runs out on a device.
pub const DEVICE_MEMORY: &str = "the device's memory (not the server's) ran out: use smaller batches or shorter sequences, \
                                 spread the model over more devices, and see with `npu-smi info` whether another process \
                                 holds memory of the device";

pub const CODES: &[Code] = &[
    cause(
        "EJ0001",
        "the device could not be initialised, most often since processes of an earlier job still hold it: look for them \
         with `npu-smi info`, and wait 10 s after the last has gone before starting again",
    ),
    cause("EJ0002", LINK),
    cause(
        "EJ0003",
        "an address or port of the device is in use: look for processes of an earlier job on this server with `npu-smi info`",
    ),
    cause(
        "EJ0004",
        "the address of a device is wrong: compare the rank table's with `hccn_tool -i DEVICE -ip -g` on that server",
    ),
    cause("EI0001", "an environment variable of HCCL has a value that it does not take: the message names both"),
    cause(
        "EI0003",
        "a collective operation was called with an argument that it does not take: the message names both; this is an \
         error of the program or of its framework",
    ),
    cause("EI0004", TABLE),
    cause(
        "EI0005",
        "ranks called the same collective operation with different arguments: see that all run the same code on the same \
         number and shape of samples",
    ),
    cause(
        "EI0007",
        "a resource of the device (memory, streams, notifies) is used up: look for other processes with `npu-smi info`, \
         and create fewer communicators",
    ),
    cause("EI0008", "servers have different versions of CANN: start the same image on all of them"),
    cause("EI0009", LINK),
    cause(
        "EI0010",
        "devices of one server can't reach each other directly: `HCCL_INTRA_ROCE_ENABLE=1` uses their network instead",
    ),
    cause("EI0011", DEVICE_MEMORY),
    cause("EI0014", TABLE),
    cause("EI0016", "a setting of HCCL has a value that it does not take: the message names both"),
    cause("EI0017", TABLE),
    cause(
        "EI0019",
        "a port that HCCL listens on is in use: look for ranks of an earlier job on this server, or set \
         `HCCL_IF_BASE_PORT` to the first of a range that is free",
    ),
    cause(
        "EI0020",
        "a port of the device is in use: where several processes share a device, set `HCCL_NPU_SOCKET_PORT_RANGE`",
    ),
    follower("EI0006", CONNECTING),
    follower(
        "EI0015",
        "not all ranks came to form the communicator: look at the first failure on the other servers, whether \
         `HCCL_SOCKET_IFNAME` names an interface that reaches them, and where starting takes long raise \
         `HCCL_CONNECT_TIMEOUT` (seconds)",
    ),
    follower("EI0002", WAITING),
    follower("EI0012", LOST),
    follower("EI0013", LOST),
    follower("EI0018", LOST),
];

/// The hint for a time-out that names no code: while connecting, or later.
pub fn timeout(is_connecting: bool) -> &'static str {
    if is_connecting { CONNECTING } else { WAITING }
}
