# The same, under the name that the relative on PyPI uses.
from common import ModelArts, RunAscendLog
