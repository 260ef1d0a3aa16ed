# Compiles Python sources, each request and answer with its lengths in front, until there are no more. Nothing is
# imported but what is built in. The bytes depend on nothing but the source, its path and this Python's release.
import marshal
import resource
import sys
from _frozen_importlib_external import MAGIC_NUMBER

# marshal marks what has been referenced more than once, and strings that are interned. Only strings are shared with the
# rest of this process, so that others of its parts count: one more reference to each makes them alike.
ALWAYS = [sys.intern(chr(number)) for number in range(256)] + [sys.intern("")]
FIELDS = "co_consts co_names co_varnames co_freevars co_cellvars co_name co_qualname co_filename".split()
SORTS_SETS = sys.version_info >= (3, 11)


def strings(value, found, of_set=False):
    if isinstance(value, str):
        found.append(value)
    elif isinstance(value, (tuple, frozenset)):
        for item in value:
            strings(item, found, of_set or isinstance(value, frozenset))
    elif hasattr(value, "co_consts"):
        for field in FIELDS:
            strings(getattr(value, field, ()), found)
    elif of_set and not SORTS_SETS and value in (None, ...):
        raise ValueError("the order of this set depends on an address")


def compiled(path, source, mtime):
    code = compile(source, path, "exec", dont_inherit=True, optimize=0)
    found = []
    strings(code, found)
    # PEP 552: checked against the source's time and size.
    return MAGIC_NUMBER + bytes(4) + mtime + len(source).to_bytes(4, "little") + marshal.dumps(code)


def main(mtime, release):
    if (sys.implementation.name, sys.version_info[3], "%d.%d.%d" % sys.version_info[:3]) != ("cpython", "final", release):
        sys.exit("this is not CPython " + release + " but " + sys.version)
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    number = lambda: int.from_bytes(requests.read(4), "little")
    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
    used = lambda: sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    length = number()
    while length:
        path, source = requests.read(length).decode(), requests.read(number())
        resource.setrlimit(resource.RLIMIT_CPU, (int(used()) + 600, resource.RLIM_INFINITY))
        try:
            bytecode = compiled(path, source, mtime)
        except Exception:
            bytecode = b""
        answers.write(len(bytecode).to_bytes(4, "little") + bytecode)
        answers.flush()
        length = number()


main(int(sys.argv[1]).to_bytes(4, "little"), sys.argv[2])
