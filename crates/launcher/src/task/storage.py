"""Copies for fmtk-launch between this server and object storage, by MoXing.

A request is a line on standard input: number, verb, from, to and prefix with tabs in between; the answer is a line on
standard output: number, `ok` and how many files, or number, `failed` and why. Whatever else is printed is the log's.
"""

import os
import sys

answers = os.fdopen(os.dup(1), "wb", 0)
os.dup2(2, 1)
requests = os.fdopen(os.dup(0), "rb")
os.dup2(os.open(os.devnull, os.O_RDONLY), 0)

# Below the logs these would be copied into themselves.
OWN = ("mxLaunchKit", "mxTuningKit")
seen = {}
moxing = None


def storage():
    """MoXing's files; imported late, so that what is wrong with it is an answer."""
    global moxing
    if moxing is None:
        import moxing
    return moxing.file


def is_stored(path):
    return path.startswith(("obs://", "s3://"))


def demand(path):
    files = storage()
    if not (files.exists(path) or files.exists(path + "/")):
        raise FileNotFoundError("`%s` does not exist" % path)


def make_room(path):
    if not is_stored(path):
        os.makedirs(os.path.dirname(path), exist_ok=True)


def settle(path, mode):
    """The tuning kit warns of wider modes."""
    os.chmod(path, mode)


def get_file(source, target, _prefix):
    demand(source)
    make_room(target)
    storage().copy(source, target)
    settle(target, 0o640)
    return 1


def get_folder(source, target, _prefix):
    demand(source)
    os.makedirs(target, exist_ok=True)
    storage().copy_parallel(source, target)
    settle(target, 0o750)
    return sum(len(names) for _, _, names in os.walk(target))


def put(source, target, _prefix):
    count = sum(len(names) for _, _, names in os.walk(source))
    if count:
        storage().copy_parallel(source, target)
    return count


def sync(source, target, prefix):
    count, wrong = 0, None
    for folder, folders, names in os.walk(source):
        is_top = folder == source
        wanted = lambda name: name not in OWN and (not is_top or name.startswith(prefix))
        folders[:] = [name for name in folders if wanted(name)]
        for name in filter(wanted, names):
            path = os.path.join(folder, name)
            copy = os.path.join(target, os.path.relpath(path, source))
            try:
                state = os.stat(path)
                mark = (state.st_size, state.st_mtime_ns)
                if seen.get(path) != mark:
                    make_room(copy)
                    storage().copy(path, copy)
                    seen[path] = mark
                    count += 1
            except Exception as error:
                # One that was renamed meanwhile is found by its new name the next time.
                if os.path.exists(path):
                    wrong = wrong or error
    if wrong:
        raise wrong
    return count


VERBS = {"get-file": get_file, "get-folder": get_folder, "put": put, "sync": sync}

for line in requests:
    number, verb, source, target, prefix = os.fsdecode(line.rstrip(b"\n")).split("\t")
    try:
        answer = (number, "ok", str(VERBS[verb](source, target, prefix)))
    except ImportError as error:
        answer = (number, "failed", "MoXing can't be imported: %s" % error)
    except Exception as error:
        answer = (number, "failed", "%s: %s" % (type(error).__name__, error))
    text = "\t".join(" ".join(field.split()) for field in answer)
    answers.write(os.fsencode(text[:8000]) + b"\n")
