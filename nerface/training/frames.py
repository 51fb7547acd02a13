"""The training frames as a training step wants them: pixels gathered on the device."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from nerface.config import TrainingConfig
from nerface.data.dataset import Dataset
from nerface.fields.base import PixelBatch
from nerface.training.pixels import draw_pixels, exact_share, inside_probability, pixel_boxes, pixel_weights

DEVICE_SHARE = 0.5  # frames move to the GPU while they fill at most this share of its free memory


class FrameStore:
    """Poses, expressions, images and, where asked for and there, masks of the train split; draws the pixels of a step.

    On CUDA the frames lie on the device as uint8 where they fit, else they stay memory-mapped on the host.
    """

    def __init__(self, dataset: Dataset, device: torch.device, masks: bool = False) -> None:
        split = dataset.splits["train"]
        self.intrinsics = dataset.intrinsics
        self.height, self.width = dataset.intrinsics.height, dataset.intrinsics.width
        self.device = device
        self.images = _near(split.images, device)
        self.masks = _near(split.masks, device) if masks and split.masks is not None else None
        self.camera_to_head = torch.from_numpy(np.array(split.camera_to_head)).to(device)
        self.expressions = torch.from_numpy(np.array(split.expressions)).to(device)
        self.boxes = pixel_boxes(torch.from_numpy(np.array(split.sampling_boxes)), self.height, self.width).to(device)
        plate = dataset.background
        self.background = None if plate is None else torch.from_numpy(np.array(plate)).to(device)
        self.unseen = torch.from_numpy(np.array(dataset.background_unseen)).to(device)
        self.any_unseen = bool(self.unseen.any())

    def __len__(self) -> int:
        return int(self.camera_to_head.shape[0])

    def draw(self, settings: TrainingConfig, generator: torch.Generator) -> PixelBatch:
        """About `settings.rays` pixels, as many of each of `settings.frames` different frames, more of the head's box;
        or all their pixels, with weights in place of chances.

        Where the plate was never seen, the background handed out is a random colour: the field cannot lean on a made-up
        plate and has to be opaque there, as the person was in every training frame.
        """
        chosen = torch.randperm(len(self), generator=generator, device=self.device)[: settings.frames or 1]
        if settings.rays is None:
            return self._whole(chosen, settings, generator)
        rays = settings.rays - settings.rays % chosen.shape[0]
        owner = torch.arange(chosen.shape[0], device=self.device).repeat_interleave(rays // chosen.shape[0])
        boxes = self.boxes[chosen]
        if settings.inside_share is None:
            chance = inside_probability(boxes, self.height, self.width, settings.inside_weight)[owner]
            inside = torch.rand(rays, generator=generator, device=self.device) < chance
        else:
            inside = exact_share(boxes, self.height, self.width, rays // chosen.shape[0], settings.inside_share)
        pixels = draw_pixels(boxes[owner], inside, self.height, self.width, generator)
        rows, columns = pixels.unbind(-1)
        background = None if self.background is None else self.background[rows, columns].float() / 255.0
        if background is not None:
            background = self._made_up(background, self.unseen[rows, columns], generator)
        return PixelBatch(
            intrinsics=self.intrinsics,
            frames=chosen,
            pixels=pixels,
            target=self._gather(self.images, chosen[owner], rows, columns),
            background=background,
            mask=None if self.masks is None else self._gather(self.masks, chosen[owner], rows, columns),
            camera_to_head=self.camera_to_head[chosen],
            expression=self.expressions[chosen],
        )

    def _whole(
        self, chosen: Int[Tensor, " frames"], settings: TrainingConfig, generator: torch.Generator
    ) -> PixelBatch:
        """All pixels of the chosen frames, weighted as the pixels that `draw` takes are on average."""
        count, background, weight = chosen.shape[0], None, None
        if self.background is not None:
            background = (self.background.float() / 255.0).flatten(0, 1).repeat(count, 1)
            background = self._made_up(background, self.unseen.flatten().repeat(count), generator)
        if settings.inside_weight != 0.5:
            weight = pixel_weights(self.boxes[chosen], self.height, self.width, settings.inside_weight).flatten()
        return PixelBatch(
            intrinsics=self.intrinsics,
            frames=chosen,
            pixels=None,
            target=self._frames(self.images, chosen).reshape(-1, 3),
            background=background,
            mask=None if self.masks is None else self._frames(self.masks, chosen).flatten(),
            camera_to_head=self.camera_to_head[chosen],
            expression=self.expressions[chosen],
            weight=weight,
        )

    def _made_up(self, background: Tensor, unseen: Tensor, generator: torch.Generator) -> Float[Tensor, "pixels 3"]:
        """The background with random colours where `unseen` [P]."""
        if not self.any_unseen:
            return background
        colours = torch.rand(background.shape, generator=generator, device=self.device)
        return torch.where(unseen[:, None], colours, background)

    def _frames(self, store: np.ndarray | Tensor, frames: Int[Tensor, " frames"]) -> Tensor:
        """Whole stored frames, in [0, 1]."""
        if isinstance(store, Tensor):
            return store[frames].float() / 255.0
        return torch.from_numpy(store[frames.cpu().numpy()]).to(self.device).float() / 255.0

    def _gather(
        self,
        store: np.ndarray | Tensor,
        frames: Int[Tensor, " pixels"],
        rows: Int[Tensor, " pixels"],
        columns: Int[Tensor, " pixels"],
    ) -> Tensor:
        """The stored values of pixels in [0, 1]: colours [P, 3] or mask [P]."""
        if isinstance(store, Tensor):
            return store[frames, rows, columns].float() / 255.0
        values = store[frames.cpu().numpy(), rows.cpu().numpy(), columns.cpu().numpy()]
        return torch.from_numpy(values).to(self.device).float() / 255.0


def _near(store: np.ndarray, device: torch.device) -> np.ndarray | Tensor:
    """Stored frames on the device where they fit, else as they are."""
    if device.type == "cuda" and store.nbytes < DEVICE_SHARE * torch.cuda.mem_get_info(device)[0]:
        return torch.from_numpy(np.array(store)).to(device)
    return store
