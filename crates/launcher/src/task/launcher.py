"""The boot file of jobs, where the launch kit had it: hands over to fmtk-launch with the same parameters."""

import os
import sys

PROGRAM = "/usr/local/bin/fmtk-launch"


def main():
    try:
        # In place of this process, so that signals and the exit code need no go-between.
        os.execv(PROGRAM, [PROGRAM, "task"] + sys.argv[1:])
    except OSError as error:
        sys.stderr.write(
            "error: failed to start `%s`: %s\n"
            "hint: was this image built for another machine, or by an older fmtk?\n" % (PROGRAM, error.strerror)
        )
    return 127


if __name__ == "__main__":
    sys.exit(main())
