"""A rank in a container: says who it is, waits for the others, then fails or waits for its end."""

import os, signal, sys, time
rank, size, out = os.environ["RANK_ID"], int(os.environ["RANK_SIZE"]), "/out/"
def tell(name, text):
    with open(out + "new." + rank, "w") as file:
        file.write(text)
    os.rename(out + "new." + rank, out + name + "." + rank)
def stop(signum, frame):
    tell("stopped", str(signum))
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
open(os.environ["HOME"] + "/of-" + rank, "w").close()
print("uid", os.getuid(), "of", size, "as", os.getpid() == 1, flush=True)
tell("up", str(os.getpid()))
while sum(name.startswith("up.") for name in os.listdir(out)) < size:
    time.sleep(0.05)
if sys.argv[1:] == ["fails"] and int(rank) == size // 2:
    sys.exit(7)
time.sleep(1000)
