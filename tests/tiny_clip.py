"""A tiny CLIP of OpenCLIP's own kind with random weights, saved as its models are."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import save_file

CONFIG = {
    "embed_dim": 32,
    "vision_cfg": {"width": 64, "layers": 1, "patch_size": 8, "image_size": 32},
    "text_cfg": {"width": 64, "heads": 1, "layers": 1, "context_length": 16, "vocab_size": 49408},
}


def tiny_clip():
    """The network; skips where OpenCLIP is not installed."""
    open_clip = pytest.importorskip("open_clip", reason="open_clip_torch is not installed (extra clip)")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return open_clip.CLIP(**CONFIG).eval()


def save_clip(folder, model=None):
    """A folder as OpenCLIP's models are on the web."""
    model = tiny_clip() if model is None else model
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": CONFIG}))
    save_file(
        {k: v.contiguous().clone() for k, v in model.state_dict().items()},
        folder / "open_clip_model.safetensors",
    )
    return folder
