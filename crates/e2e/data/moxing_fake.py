"""Stands in for MoXing: buckets are folders below $BUCKETS, and $FAULTS says what goes wrong.

Only what fmtk relies on is here: the names and the meaning of `exists`, `copy`, `copy_parallel` and `remove`. FAULTS is a
list of `slow`, `hang:WORD` (when WORD is in a path) and `twice` (each path fails two times before it works).
"""

import os
import shutil
import time

print("INFO: this is no answer to anybody")
failures = {}


def place(path):
    return os.path.join(os.environ["BUCKETS"], path[len("obs://") :]) if path.startswith("obs://") else path


def misbehave(source, target):
    for fault in os.environ.get("FAULTS", "").split():
        kind, _, word = fault.partition(":")
        if kind == "slow":
            time.sleep(0.3)
        elif kind == "hang" and word in source + target:
            time.sleep(1000)
        elif kind == "twice":
            failures[source] = failures.get(source, 0) + 1
            if failures[source] <= 2:
                raise OSError("no luck with\n%s" % source)


class file:
    @staticmethod
    def exists(path):
        return os.path.exists(place(path))

    @staticmethod
    def copy(source, target):
        print("copy", source, target)
        misbehave(source, target)
        os.makedirs(os.path.dirname(place(target)), exist_ok=True)
        shutil.copyfile(place(source), place(target))

    @staticmethod
    def copy_parallel(source, target):
        misbehave(source, target)
        shutil.copytree(place(source), place(target), copy_function=shutil.copyfile, dirs_exist_ok=True)

    @staticmethod
    def remove(path, recursive=False):
        shutil.rmtree(place(path)) if recursive else os.remove(place(path))
