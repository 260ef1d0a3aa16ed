"""Types keys at the prompt `ready> ` of a shell on a terminal of its own, and waits for a file.

    press_tab.py FILE KEYS SHELL ARGUMENT …

The file is what a program leaves that the typed line starts."""
import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time

path, keys, *command = sys.argv[1:]
child, terminal = pty.fork()
if child == 0:
    os.execvp(command[0], command)
fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 120, 0, 0))
said, is_typed, deadline = b"", False, time.monotonic() + 60
while not os.path.exists(path) and time.monotonic() < deadline:
    if select.select([terminal], [], [], 0.05)[0]:
        try:
            said += os.read(terminal, 4096)
        except OSError:
            break
    if not is_typed and b"ready> " in said:
        os.write(terminal, keys.encode().decode("unicode_escape").encode())
        is_typed = True
os.kill(child, signal.SIGKILL)
if not os.path.exists(path):
    sys.exit(f"nothing was run; the shell said {said!r}")
