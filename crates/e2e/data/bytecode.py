# Compares the bytecode in two installations of the same wheels, ours and pip's: prints how much there is, and what differs.
import marshal
import os
import pathlib
import sys
from importlib import machinery, util

ours, pips = map(pathlib.Path, sys.argv[1:])
wrong, count = [], 0


def rows(record):
    return sorted(row.split(",", 1) for row in record.read_text().splitlines() if ".pyc," in row)


def code(pyc):
    return marshal.loads(pyc[16:])


class Loader(machinery.SourceFileLoader):
    def source_to_code(self, *_):
        raise ImportError("it is compiled again")


def is_used(source):
    try:
        return Loader("x", str(source)).get_code("x") is not None
    except ImportError:
        return False


for record in sorted(ours.glob("lib/*/site-packages/*.dist-info/RECORD")):
    site = record.parent.parent
    theirs = pips / record.relative_to(ours)
    if rows(record) != rows(theirs):
        wrong.append(f"{record}: {rows(record)} instead of {rows(theirs)}")
    for path, rest in rows(record):
        pyc, other = site / path, theirs.parent.parent / path
        one, two = pyc.read_bytes(), other.read_bytes()
        count += 1
        if one[:8] != two[:8] or one[12:16] != two[12:16] or code(one) != code(two):
            wrong.append(f"{pyc} is other code")
        if code(one).co_filename != code(two).co_filename:
            wrong.append(f"{pyc} is of {code(one).co_filename}")
        if os.stat(pyc).st_mode != os.stat(other).st_mode:
            wrong.append(f"{pyc} has another mode")
        if rest != ",":
            wrong.append(f"{pyc} has a row with {rest}")
        if not is_used(util.source_from_cache(str(pyc))):
            wrong.append(f"{pyc} does not fit its source")
source = pathlib.Path(util.source_from_cache(str(pyc)))
source.write_bytes(source.read_bytes() + b"\n")
if is_used(source):
    wrong.append(f"{source} was edited, and its old bytecode is used")
print(count)
sys.exit("\n".join(wrong[:10]) or 0)
