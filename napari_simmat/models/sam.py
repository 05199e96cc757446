"""SAM put together, and SAM behind a modality-agnostic transfer layer."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from segment_anything.modeling import MaskDecoder, PromptEncoder, TwoWayTransformer
from torch import Tensor, nn

from napari_simmat.models.encoders import EMBEDDING_CHANNELS, STRIDE, ImageEncoder


class Sam(nn.Module):
    """An image encoder, SAM's prompt encoder and SAM's mask decoder.

    Parameters
    ----------
    encoder : ImageEncoder
        Gives the embedding of SAM-normalised RGB.
    """

    def __init__(self, encoder: ImageEncoder) -> None:
        super().__init__()
        grid = encoder.side // STRIDE
        self.encoder = encoder
        self.prompt_encoder = PromptEncoder(
            embed_dim=EMBEDDING_CHANNELS,
            image_embedding_size=(grid, grid),
            input_image_size=(encoder.side, encoder.side),
            mask_in_chans=16,
        )
        self.mask_decoder = MaskDecoder(
            num_multimask_outputs=3,
            transformer=TwoWayTransformer(
                depth=2, embedding_dim=EMBEDDING_CHANNELS, mlp_dim=2048, num_heads=8
            ),
            transformer_dim=EMBEDDING_CHANNELS,
            iou_head_depth=3,
            iou_head_hidden_dim=256,
        )

    @property
    def side(self) -> int:
        """Longest side of the image in the encoder's frame, in pixels."""
        return self.encoder.side

    def decode(
        self,
        embedding: Tensor,
        *,
        points: Tensor | None = None,
        labels: Tensor | None = None,
        boxes: Tensor | None = None,
        masks: Tensor | None = None,
        offset: tuple[int, int] = (0, 0),
    ) -> tuple[Tensor, Tensor]:
        """Answer B prompts on one embedding.

        The embedding may be a window of the encoder's frame: prompts stay in frame coordinates, and the position
        encoding is that of the window's place, so that the decoder sees a window as it sees the whole scene.

        Parameters
        ----------
        embedding : Tensor, (1, 256, h, w)
        points : Tensor, (B, N, 2), optional
            (x, y) in pixels of the encoder's frame.
        labels : Tensor, (B, N), optional
            1 object, 0 background, -1 no point.
        boxes : Tensor, (B, 4), optional
            (x0, y0, x1, y1) in the frame.
        masks : Tensor, (B, 1, 4 h, 4 w), optional
            Logits of an earlier answer.
        offset : (int, int)
            Row and column of the window's first cell in the embedding grid of the whole frame.

        Returns
        -------
        logits : Tensor, (B, 4, 4 h, 4 w)
            The single mask first, then the three candidates for an ambiguous prompt.
        scores : Tensor, (B, 4)
            Predicted IoU of each.
        """
        _, _, h, w = embedding.shape
        clicks = None if points is None or labels is None else (points, labels)
        sparse, dense = self.prompt_encoder(clicks, boxes, masks)
        if masks is None:
            dense = self.prompt_encoder.no_mask_embed.weight.reshape(1, -1, 1, 1).expand(
                len(sparse), -1, h, w
            )
        row, column = offset
        position = self.prompt_encoder.get_dense_pe()[:, :, row : row + h, column : column + w]
        logits, scores = self.mask_decoder.predict_masks(
            image_embeddings=embedding,
            image_pe=position,
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
        )
        return logits, scores


class AdaptedSam(nn.Module):
    """SAM that sees all channels: a MAT in front of the encoder.

    Parameters
    ----------
    mat : nn.Module
        From C channels to SAM-normalised RGB, or to what its own first convolution in the encoder takes.
    sam : Sam
        The foundation model.
    """

    def __init__(self, mat: nn.Module, sam: Sam) -> None:
        super().__init__()
        self.mat = mat
        self.sam = sam

    def early(self, x: Tensor) -> Tensor:
        """Model input (B, C, H, W) to early features; zero padding right and below up to the stride or the frame."""
        return self.early_of(self.mat(x))

    def early_of(self, rgb: Tensor) -> Tensor:
        """What the MAT gave, or a part of it, to early features; padded in the same way."""
        height, width = rgb.shape[-2:]
        if self.sam.encoder.flexible:
            bottom, right = -height % STRIDE, -width % STRIDE
        else:
            bottom, right = self.sam.side - height, self.sam.side - width
        return self.sam.encoder.early(F.pad(rgb, (0, right, 0, bottom)))

    def late(self, features: Tensor) -> Tensor:
        """Early features to the embedding (B, 256, h, w)."""
        return self.sam.encoder.late(features)

    def encode(self, x: Tensor) -> Tensor:
        """Model input (B, C, H, W), longest side `side`, to the embedding of the whole square frame."""
        return self.late(self.early_of_frame(x, self.sam.side))

    def early_of_frame(self, x: Tensor, side: int) -> Tensor:
        """Model input (B, C, H, W), longest side `side`, to the early features of the whole square frame.

        SAM's decoder was trained on square frames padded with zeros on the right and below, so a whole image is
        encoded as such.
        """
        rgb: Tensor = self.mat(x)
        height, width = rgb.shape[-2:]
        square = F.pad(rgb, (0, side - width, 0, side - height))
        return self.sam.encoder.early(square.contiguous(memory_format=torch.channels_last))
