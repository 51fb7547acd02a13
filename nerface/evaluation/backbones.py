"""The image networks inside LPIPS, AlexNet and VGG-16: which files their weights are, and reading them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from nerface.errors import UserError
from nerface.evaluation.lpips_package import LpipsMissing, import_lpips


@dataclass(frozen=True)
class Backbone:
    """A network: its `title`, the name of torchvision's weights file, and the class that knows where it is fetched.

    `option` is what the command line calls it; pictures must be at least `smallest` px high and wide.
    """

    title: str
    file_name: str
    weights_class: str
    option: str
    smallest: int


BACKBONES = {
    "alex": Backbone("AlexNet", "alexnet-owt-7be5be79.pth", "AlexNet_Weights", "--lpips-alex", smallest=31),
    "vgg": Backbone("VGG-16", "vgg16-397923af.pth", "VGG16_Weights", "--lpips-vgg", smallest=16),
}
Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class LpipsFiles:
    """Where LPIPS finds its backbones: given files (torchvision state dicts), else PyTorch's download cache.

    `download` allows fetching what is in neither; nothing is fetched without it.
    """

    alex: Path | None = None
    vgg: Path | None = None
    download: bool = False

    def given(self, net: str) -> Path | None:
        """The file that was named for the backbone `net` ("alex" or "vgg")."""
        return self.alex if net == "alex" else self.vgg


def find_backbone(net: str, files: LpipsFiles) -> Path:
    """The weights file of a backbone, fetched only where `files.download` says so.

    Raises `UserError` where a file was named that is not there or fetching fails, `LpipsMissing` where there is none.
    """
    backbone, given = BACKBONES[net], files.given(net)
    if given is not None:
        if not given.is_file():
            raise UserError(f"{given} is not there: {backbone.option} names a torchvision weights file")
        return given
    cached = Path(torch.hub.get_dir()) / "checkpoints" / backbone.file_name
    if cached.is_file():
        return cached
    if files.download:
        return _fetch(backbone, cached)
    raise LpipsMissing(
        f"no weights of {backbone.title} (name a torchvision file with {backbone.option} FILE, or fetch them with "
        "--lpips-download)"
    )


def _fetch(backbone: Backbone, place: Path) -> Path:
    import_lpips()
    import torchvision.models

    address = getattr(torchvision.models, backbone.weights_class).IMAGENET1K_V1.url
    prefix = place.stem.rpartition("-")[2]  # torchvision's names end in the first digits of their SHA-256
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        torch.hub.download_url_to_file(address, str(place), hash_prefix=prefix, progress=False)
    except (OSError, RuntimeError) as error:  # urllib's errors are OSErrors; a wrong checksum is a RuntimeError
        raise UserError(
            f"{backbone.title}'s weights could not be fetched from {address} ({' '.join(str(error).split())}): fetch "
            f"them by hand and name the file with {backbone.option}"
        ) from None
    return place


def read_backbone(net: str, file: Path, shapes: Shapes) -> dict[str, Tensor]:
    """The convolutions of a torchvision state dict, by its names (`features.0.weight`), which `shapes` lists.

    Read with PyTorch's weights-only mode: nothing in the file is executed. Raises `UserError` for anything but a state
    dict that holds `shapes`.
    """
    title, where = BACKBONES[net].title, f"{file} (weights of {BACKBONES[net].title})"
    try:
        stored = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # unpickling damaged bytes can raise almost anything
        raise UserError(f"{where} cannot be read as tensors alone: {str(error).split('. ')[0]}") from None
    if not isinstance(stored, dict):
        raise UserError(f"{where} holds no state dict but {type(stored).__name__}: torchvision's {title} is needed")
    for name, shape in shapes.items():
        value = stored.get(name)
        if not isinstance(value, Tensor):
            raise UserError(f"{where} has no tensor '{name}': torchvision's {title} is needed")
        if tuple(value.shape) != shape:
            raise UserError(
                f"{where}: '{name}' has shape {list(value.shape)}, {title} needs {list(shape)}: is it another network?"
            )
    return {name: stored[name].float() for name in shapes}
