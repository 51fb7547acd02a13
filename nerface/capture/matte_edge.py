"""The mask's edge from the known backdrop: hair that the network's 256 px mask cannot hold.

A pixel of the edge is I = alpha F + (1 - alpha) B. The backdrop B is known from the plate (or, where nobody ever saw
it, guessed from the backdrop beside it), the colour F of the person is that of the person just inside; then alpha is a
least-squares projection on the line from B to F. The network's mask is its prior, so that alpha follows the picture
where F and B differ and the network where they do not.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

OUTER_SHARE = 12 / 512  # of the longer side: how far outside the network's edge hair is looked for
INNER_SHARE = 6 / 512  # how far inside it the person may still be transparent
PERSON, BACKGROUND = 0.95, 0.05  # mask values that count as person and as background
CERTAIN = 0.02  # where the backdrop is a guess, a mask this near 0 or 1 stays
COLOUR_LEVELS = 14.0  # how well F and B are known: they vary within the neighbourhood they are taken from
GUESS_FACTOR = 4.0  # how much worse B is known where nobody saw it
PRIOR = 0.25  # how far the network's mask is off, typically, within the edge
FOREIGN_LEVELS = (20.0, 60.0)  # a colour off the line from B to F by the first is backdrop still, by the second person
TOE = 0.05  # alpha below it is coding noise
# Videos store colour at half the resolution of brightness (4:2:0), so differences of colour count half. In these
# coordinates (brightness Y, then R - Y and B - Y) grey differences keep their length. Y as in ITU-R BT.601. Against a
# green screen this takes the error at hair from 0.070 to 0.050; elsewhere it changes nothing.
CHROMA_SHARE = 0.5
LUMA = np.array([0.299, 0.587, 0.114])
TO_TRUSTED = np.stack(
    [np.sqrt(3.0) * LUMA, CHROMA_SHARE * ([1.0, 0.0, 0.0] - LUMA), CHROMA_SHARE * ([0.0, 0.0, 1.0] - LUMA)], axis=1
).astype(np.float32)


@dataclass(frozen=True)
class _Colours:
    """At the edge's pixels, in `TO_TRUSTED` coordinates: the picture's colour, the person's, the backdrop's.

    `seen` tells where the backdrop was seen.
    """

    picture: Float[np.ndarray, "points 3"]
    person: Float[np.ndarray, "points 3"]
    backdrop: Float[np.ndarray, "points 3"]
    seen: Bool[np.ndarray, " points"]


def refined(
    mask: Float[np.ndarray, "height width"],
    image: UInt8[np.ndarray, "height width 3"],
    plate: UInt8[np.ndarray, "height width 3"],
    seen: Bool[np.ndarray, "height width"],
) -> Float[np.ndarray, "height width"]:
    """`mask` with alpha from the backdrop in a band round its edge.

    `image` at the plate's exposure and in its place; `seen` is True where `plate` is what was really there.
    """
    height, width = mask.shape
    half = (max(1, width // 2), max(1, height // 2))
    outer, inner = (max(1, round(share * max(half))) for share in (OUTER_SHARE, INNER_SHARE))
    small = cv2.resize(image, half, interpolation=cv2.INTER_AREA).astype(np.float32)
    coarse = cv2.resize(mask, half, interpolation=cv2.INTER_AREA)
    person = cv2.erode((coarse > PERSON).astype(np.uint8), _disc(inner), borderValue=1)
    beside = 1 - cv2.dilate((coarse > BACKGROUND).astype(np.uint8), _disc(outer))
    person_colour, person_weight = _spread(small, person, 2 * outer + 1)
    beside_colour, beside_weight = _spread(small, beside, 2 * outer + 1)
    band = ((person == 0) & (beside == 0) & (person_weight > 1e-4)).astype(np.uint8)
    edge = cv2.resize(band, (width, height), interpolation=cv2.INTER_NEAREST) > 0
    edge &= seen | ((mask > CERTAIN) & (mask < 1 - CERTAIN))
    rows, columns = np.nonzero(edge)
    if not len(rows):
        return mask

    def at_edge(values: np.ndarray) -> np.ndarray:
        return np.asarray(cv2.resize(values, (width, height), interpolation=cv2.INTER_LINEAR)[rows, columns])

    known = seen[rows, columns]
    backdrop = plate[rows, columns].astype(np.float32)
    guessed = ~known & (at_edge(beside_weight) > 1e-4)
    backdrop[guessed] = at_edge(beside_colour)[guessed]
    colours = _Colours(
        image[rows, columns].astype(np.float32) @ TO_TRUSTED,
        at_edge(person_colour) @ TO_TRUSTED,
        backdrop @ TO_TRUSTED,
        known,
    )
    result = mask.copy()
    result[rows, columns] = _alpha(colours, mask[rows, columns])
    return result


def _alpha(colours: _Colours, prior: Float[np.ndarray, " points"]) -> Float[np.ndarray, " points"]:
    """argmin over alpha of |I - B - alpha (F - B)|^2 / s^2 + (alpha - prior)^2 / p^2, within [0, 1]."""
    line = colours.person - colours.backdrop
    offset = colours.picture - colours.backdrop
    levels = np.where(colours.seen, COLOUR_LEVELS, COLOUR_LEVELS * GUESS_FACTOR).astype(np.float32)
    trust = 1 / np.float32(PRIOR) ** 2
    above = np.einsum("pc,pc->p", line, offset) / levels**2 + prior * trust
    below = np.einsum("pc,pc->p", line, line) / levels**2 + trust
    alpha = np.clip(above / below, 0.0, 1.0)
    # Where the backdrop is known, a colour that neither F nor B explains is the person's: dark hair over a light brow.
    rest = offset - alpha[:, None] * line
    low, high = FOREIGN_LEVELS
    foreign = np.clip((np.sqrt(np.einsum("pc,pc->p", rest, rest)) - low) / (high - low), 0.0, 1.0) * colours.seen
    alpha = 1 - (1 - alpha) * (1 - foreign)
    return np.asarray(np.clip((alpha - TOE) / (1 - 2 * TOE), 0.0, 1.0), dtype=np.float32)


def _spread(
    image: Float[np.ndarray, "rows columns 3"], where: UInt8[np.ndarray, "rows columns"], reach: int
) -> tuple[Float[np.ndarray, "rows columns 3"], Float[np.ndarray, "rows columns"]]:
    """Mean colour of the pixels `where` within about `reach`, and how much of them there is."""
    size = (reach, reach)
    weight = where.astype(np.float32)
    total = cv2.blur(cv2.blur(image * weight[..., None], size), size)
    share = cv2.blur(cv2.blur(weight, size), size)
    return total / np.maximum(share, 1e-6)[..., None], share


def _disc(radius: int) -> UInt8[np.ndarray, "side side"]:
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1)), dtype=np.uint8)
