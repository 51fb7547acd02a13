"""nerface: from a video of one person to a drivable 4D facial avatar."""

__version__ = "0.1.0"
