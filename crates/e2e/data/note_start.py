"""A rank that notes when Python runs it."""

import os, sys, time
with open(sys.argv[1] + os.environ['RANK_ID'], 'w') as file:
    file.write(str(time.time_ns()))
