"""Writes a wheel again with one module changed, as a new release would be: touch_wheel.py FROM TO TEXT

The text goes as a comment to the end of the distribution's first `__init__.py`; RECORD tells its new hash.
"""

import base64
import hashlib
import sys
import zipfile


def main(source, target, text):
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        touched = next(name for name in old.namelist() if name.endswith("/__init__.py"))
        for item in old.infolist():
            data = old.read(item)
            if item.filename == touched:
                data = changed = data + f"\n# {text}\n".encode()
            elif item.filename.endswith(".dist-info/RECORD"):
                data = record(data.decode(), touched, changed).encode()
            new.writestr(item, data)


def record(text, path, data):
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    rows = text.splitlines()
    return "".join(
        (f"{path},sha256={digest},{len(data)}" if row.startswith(path + ",") else row) + "\n" for row in rows
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
