# Builds the wheel of a test's source distribution (PEP 517). What differs between builds gets into it: the time, the modes
# that the umask leaves, and the order of a set.
import os
import pathlib
import time
import zipfile


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    name = f"beta-1.0-{TAG}.whl"
    module = pathlib.Path("beta.py")
    module.write_text(f"LETTERS = {list({'a', 'b', 'c', 'd', 'e', 'f', 'g'})}\n")
    date = time.gmtime(int(os.environ.get("SOURCE_DATE_EPOCH", time.time())))[:6]
    pure = str(TAG.endswith("-any")).lower()
    files = {
        "beta.py": module.read_text(),
        "beta-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: beta\nVersion: 1.0\n",
        "beta-1.0.dist-info/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: {pure}\nTag: {TAG}\n",
    }
    files["beta-1.0.dist-info/RECORD"] = "".join(f"{file},,\n" for file in files)
    with zipfile.ZipFile(pathlib.Path(wheel_directory, name), "w") as wheel:
        for file, text in files.items():
            entry = zipfile.ZipInfo(file, date)
            entry.external_attr = module.stat().st_mode << 16
            wheel.writestr(entry, text)
    return name
