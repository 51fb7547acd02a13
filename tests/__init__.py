"""The tests, in the package's own tree."""

import os

os.environ.setdefault("GOMP_SPINCOUNT", "5000")  # as in nerface.apps: waiting threads go to sleep soon
