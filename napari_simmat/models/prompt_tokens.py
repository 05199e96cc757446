"""SAM's prompt encoder in fewer steps, none of which waits for a GPU: the same numbers as `PromptEncoder` gives."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from segment_anything.modeling import PromptEncoder
from torch import Tensor

__all__ = ["prompt_tokens"]


def prompt_tokens(
    encoder: PromptEncoder, clicks: tuple[Tensor, Tensor] | None, boxes: Tensor | None
) -> Tensor:
    """What points and boxes become.

    Stock picks the points of each kind by masks, so that the processor must know how many there are before it goes on.

    Parameters
    ----------
    encoder : PromptEncoder
    clicks : (Tensor of (B, N, 2), Tensor of (B, N)), optional
        Points (x, y) in the frame, and 1 object, 0 background or -1 no point for each.
    boxes : Tensor, (B, 4), optional
        (x0, y0, x1, y1) in the frame.

    Returns
    -------
    Tensor, (B, M, 256), float32
        One for each point, and for "no point" where there is no box; two for a box.
    """
    found = []
    positions, size = encoder.pe_layer, encoder.input_image_size
    if clicks is not None:
        points, labels = clicks
        nothing = encoder.not_a_point_embed.weight
        kinds = torch.cat([nothing, encoder.point_embeddings[0].weight, encoder.point_embeddings[1].weight])
        places = positions.forward_with_coords(points + 0.5, size)  # the middle of a pixel
        is_point = (labels >= 0).to(places.dtype)[..., None]
        found.append(places * is_point + F.embedding(labels.long() + 1, kinds))
        if boxes is None:
            found.append(nothing.expand(len(points), 1, -1))
    if boxes is not None:
        corners = positions.forward_with_coords((boxes + 0.5).reshape(-1, 2, 2), size)
        found.append(corners + torch.cat([encoder.point_embeddings[k].weight for k in (2, 3)]))
    if not found:
        empty: Tensor = encoder.no_mask_embed.weight.new_zeros(1, 0, encoder.embed_dim)
        return empty
    return torch.cat(found, 1)
