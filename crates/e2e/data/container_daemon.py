"""A rank that leaves a daemon with two forks, which ignores SIGTERM."""

import os, signal, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        with open("/out/new", "w") as file:
            file.write(str(os.getpid()))
        os.rename("/out/new", "/out/up.daemon")
        time.sleep(1000)
    os._exit(0)
while not os.path.exists("/out/up.daemon"):
    time.sleep(0.05)
