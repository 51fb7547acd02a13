"""The programs: command line and, later, viewer."""

import os

# Before torch is loaded: GNU OpenMP's threads go to sleep after 5,000 idle turns instead of 300,000. On an idle machine
# a training step of the tiny preset takes 2 to 6 % longer; on two cores shared with several busy programs it took 0.46
# to 1.0 s with endless spinning and 0.18 s without.
os.environ.setdefault("GOMP_SPINCOUNT", "5000")
