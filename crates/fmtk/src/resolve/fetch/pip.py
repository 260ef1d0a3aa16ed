# Runs pip with the markers of another machine.
#
# `pip download --python-version … --platform …` chooses wheels for the target, but evaluates the markers of their
# requirements for the Python that pip itself runs on: what a library needs `python_version < "3.10"` only is then
# missing in an image of 3.9 that a machine of 3.11 fetched for. So the target's values are laid over pip's own.
import json
import runpy
import sys

target = json.loads(sys.argv[1])
sys.argv[:2] = ["pip"]

try:
    import pip
except ImportError:
    sys.exit(97)

try:
    from pip._vendor.packaging import markers

    own = markers.default_environment
    markers.default_environment = lambda: {**own(), **target}
except (ImportError, AttributeError):
    # A pip whose inside is another: the image's own check of requirements still tells what is missing.
    print("warning: this pip evaluates markers for this machine", file=sys.stderr)

runpy.run_module("pip", run_name="__main__", alter_sys=True)
