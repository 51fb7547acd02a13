"""Where poses and expressions come from when an avatar is shown: datasets and camera paths."""
