"""Named configurations."""

from __future__ import annotations

from nerface.config import RunConfig, TrainingConfig
from nerface.errors import UserError
from nerface.fields.paper import PaperConfig
from nerface.fields.paper_field import FieldConfig
from nerface.fields.planes import PlanesConfig
from nerface.fields.splat_config import SplatConfig
from nerface.rendering.volume import SamplingConfig


def paper() -> RunConfig:
    """NeRFace's settings: its network, samples, learning rate and 400,000 steps; bf16 matrix products on CUDA."""
    return RunConfig("paper")


def tiny() -> RunConfig:
    """An avatar in minutes on two CPU cores, for the demo, tests and a first look at a new clip.

    What it trades: networks of 2 layers by 64 instead of 6 by 256; features in planes blended by the expression, which
    learn fast but smear what lies behind one another; 56 samples in a depth range cut to the head (0.33 to 0.68)
    instead of 128 in 0.2 to 0.8; 8 latent channels; pictures of 160 pixels; a first pass without view direction.
    """
    coarse = FieldConfig(
        trunk_layers=2, width=32, skip_layer=None, colour_layers=1, colour_width=16, position_frequencies=5,
        direction_frequencies=0,
    )  # fmt: skip
    fine = FieldConfig(
        trunk_layers=2, width=64, skip_layer=None, colour_layers=1, colour_width=64, position_frequencies=4,
        direction_frequencies=2, planes=PlanesConfig(),
    )  # fmt: skip
    sampling = SamplingConfig(near=0.33, far=0.68, coarse=32, fine=24, noise=0.0, density="softplus")
    training = TrainingConfig(
        steps=1500, rays=1024, frames=4, learning_rate=1e-2, decay_steps=1500, log_every=50, validate_every=250,
        save_every=250,
    )  # fmt: skip
    return RunConfig(
        "tiny",
        PaperConfig(coarse=coarse, fine=fine, sampling=sampling, latent_channels=8, expression_input="standardised"),
        training,
    )


def splat() -> RunConfig:
    """Gaussians driven by the expression: minutes of training and hundreds of pictures a second on a GPU."""
    training = TrainingConfig(
        steps=3000, rays=None, frames=4, inside_weight=0.5, learning_rate=5e-3, decay_steps=None,
        colour_loss="absolute", ssim_weight=0.2, latent_penalty=0.001, mask_penalty=0.1, log_every=100,
        validate_every=500, save_every=1000,
    )  # fmt: skip
    return RunConfig("splat", SplatConfig(), training)


def splat_tiny() -> RunConfig:
    """The same for two CPU cores and a few minutes: a few thousand Gaussians, pictures of 160 pixels."""
    training = TrainingConfig(
        steps=1500, rays=None, frames=2, inside_weight=0.5, learning_rate=1e-2, decay_steps=None,
        colour_loss="absolute", ssim_weight=0.2, latent_penalty=0.001, mask_penalty=0.1, log_every=50,
        validate_every=250, save_every=250,
    )  # fmt: skip
    return RunConfig("splat_tiny", SplatConfig(start=3000, most=7000), training)


PRESETS = {"paper": paper, "tiny": tiny, "splat": splat, "splat_tiny": splat_tiny}
CAPTURE_SIZES_PX = {"paper": 512, "tiny": 160, "splat": 512, "splat_tiny": 160}


def preset(name: str) -> RunConfig:
    """The configuration called `name`; `UserError` for a name that is none."""
    if name not in PRESETS:
        raise UserError(f"there is no preset '{name}': choose one of {', '.join(PRESETS)}")
    return PRESETS[name]()


def everyday_preset(device: str) -> str:
    """The preset for those who want an avatar and name none, on a device of this type ("cuda", "cpu")."""
    return "splat" if device == "cuda" else "splat_tiny"


def capture_size(name: str) -> int:
    """The longer side in pixels of the pictures that a capture for the preset `name` makes."""
    return CAPTURE_SIZES_PX[preset(name).preset]
