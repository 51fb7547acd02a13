"""The programs: command line and, later, viewer."""

import os

# Before torch is loaded: threads that wait for one another sleep instead of spinning. On an idle machine nothing is
# lost; on two cores shared with other programs a training step took 0.18 s with it and 0.46 to 1.0 s without.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
