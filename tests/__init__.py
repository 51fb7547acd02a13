"""The tests, in the package's own tree."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as in nerface.apps: waiting threads sleep
