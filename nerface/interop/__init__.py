"""Reading and writing what other systems use: the seed's configs and checkpoints, trackers' folders."""
