"""Training with each strategy: only what it may moves, and what cannot be done is said in one sentence."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from safetensors.torch import save_file
from tiny_vit_sam import small_vit

from napari_simmat import Adapter, finetune
from napari_simmat._cli.options import MODEL_NAMES
from napari_simmat.cli import main
from napari_simmat.errors import AdapterError, TrainingError, WeightsError
from napari_simmat.images import as_image
from napari_simmat.models import ARCHITECTURES, load_base_model
from napari_simmat.models.additions import walk
from napari_simmat.models.architectures import architecture_of, check_architecture
from napari_simmat.training import Corrections, Settings, deep, quick, rounds
from napari_simmat.training.interactive import Interactive
from napari_simmat.training.recipes import recipe_for
from napari_simmat.training.samples import Sample
from napari_simmat.training.trainer import Turn, Watch, train

BASES = {"tiny": load_base_model(), "vit": small_vit()}
SPECS = [
    "mat",
    "lora",
    "lora:rank=2,layers=qkv,stages=late,decoder=no",
    "mlp",
    "prompt",
    "prefix",
    "decoder",
    "full",
]


def scene(shape=(60, 80)):
    rng = np.random.default_rng(0)
    values = rng.random((4, *shape)).astype(np.float32)
    labels = np.zeros(shape, np.int32)
    labels[10:45, 12:50] = 1
    values[:, labels == 1] += 2
    return as_image(values, channel_axis=0), labels


def named(model) -> dict[str, torch.nn.Parameter]:
    """Every number of a model, by the name of what it belongs to."""
    found = {f"mat.{k}": p for k, p in model.mat.named_parameters()}
    for _, path, module in walk(model.sam):
        found |= {f"{path}.{k}": p for k, p in module.named_parameters(recurse=False)}
    return found


# ------------------------------------------------------------------ frozen


@pytest.mark.parametrize(
    ("mode", "spec"),
    [("deep", s) for s in [*SPECS, "scratch"]] + [("quick", s) for s in SPECS if s not in ("mat", "full")],
)
@pytest.mark.parametrize("base", BASES)
def test_frozen_parameters_are_the_same_bits_after_training(base, mode, spec):
    recipe, model_of = recipe_for(mode, spec), BASES[base]
    shared = {k: v.clone() for k, v in model_of.sam.state_dict().items()}
    adapter = recipe.begin(Adapter.untrained(scene()[0], base=model_of), model_of, 7)
    model = recipe.build(adapter, model_of)
    trained = recipe.unfreeze(model)
    x = torch.randn(1, 4, 64, 64, generator=torch.manual_seed(0))
    if base == "vit":
        x = torch.nn.functional.pad(x, (0, 192, 0, 192))
    masks = np.zeros((2, *x.shape[2:]), bool)
    masks[0, 8:40, 8:40], masks[1, 32:60, 20:64] = True, True
    with torch.no_grad():
        features = model.early(x)

    def embed():
        return model.late(features if mode == "quick" else model.early(x))

    before = {name: p.detach().clone() for name, p in named(model).items()}
    losses = train(
        model,
        [Turn(trained, lambda rng: Sample(embed, masks, (0, 0)))],
        Interactive(),
        steps=3,
        rates=[(trained, recipe.learning_rate)],
        prompts=2,
        rng=np.random.default_rng(0),
        watch=Watch(),
    )
    assert np.isfinite(losses).all()
    allowed = {id(p) for p in trained}
    moved = {name for name, p in named(model).items() if not torch.equal(p, before[name])}
    assert moved <= {name for name, p in named(model).items() if id(p) in allowed}
    assert len(moved) > len(trained) / 2
    assert any(name.startswith("mat.") for name in moved) == (mode == "deep")
    assert all(torch.equal(v, shared[k]) for k, v in model_of.sam.state_dict().items())


def test_biases_of_attention_are_looked_up_anew_while_they_are_trained():
    """TinyViT's attention keeps those of its first pass, which would be learnt from and never seen."""
    recipe, base = recipe_for("deep", "full"), BASES["tiny"]
    model = recipe.build(Adapter.untrained(scene()[0]), base)
    recipe.unfreeze(model)
    x = torch.randn(1, 4, 64, 64, generator=torch.manual_seed(0))
    biases = model.sam.encoder.get_parameter("trunk.stages.3.blocks.0.attn.attention_biases")
    with torch.no_grad():
        first = model.late(model.early(x))
        biases.normal_(std=3)
        assert not torch.allclose(model.late(model.early(x)), first, atol=1e-3)


@pytest.mark.parametrize(
    ("settings", "of_transfer", "of_all_else"),
    [
        (Settings(strategy="lora"), 2e-3, 2e-3),
        (Settings(strategy="full"), 2e-3, 3e-5),
        (Settings(strategy="decoder", learning_rate=1e-3), 1e-3, 1e-3),
        (Settings(strategy="full", recipe="paper"), 3e-5, 3e-5),
    ],
)
def test_the_transfer_layer_learns_fast_where_pretrained_weights_go_slowly(
    monkeypatch, settings, of_transfer, of_all_else
):
    seen = {}

    def note(model, turns, method, *, rates, steps, **others):
        own = {id(p) for p in model.mat.parameters()}
        for parameters, rate in rates:
            seen.update({id(p) in own: rate for p in parameters})
        optimiser, _ = method.optimiser(rates, steps, averaged=False)
        assert sum(len(group["params"]) for group in optimiser.param_groups) == len(turns[0].parameters)
        return [0.0] * steps

    monkeypatch.setattr(rounds, "train", note)
    finetune([scene()], settings=settings.with_(steps=2), gate=False)
    assert seen == {True: of_transfer, False: of_all_else}


# -------------------------------------------------------------- whole rounds


@pytest.mark.parametrize("spec", ["mat", "mlp:width=4", "prefix:tokens=2", "decoder", "full", "scratch"])
def test_a_data_set_is_learnt_with_a_strategy_and_the_card_tells(spec):
    settings = Settings(strategy=spec, steps=2)
    adapter = finetune([scene()], settings=settings, gate=False, base=BASES["vit"])
    assert adapter.card.strategy == adapter.card.history[-1].strategy == spec
    usual = {"decoder": 3e-4, "full": 3e-5, "scratch": 3e-4}.get(spec, 2e-3)
    assert adapter.card.history[-1].learning_rate == usual
    assert adapter.card.history[-1].trainable_parameters == sum(t.numel() for t in adapter.tensors.values())
    if spec == "scratch":
        again = finetune([scene()], settings=settings, gate=False, base=BASES["vit"], start=adapter)
        assert again.card.strategy == "scratch"
        assert again.fingerprint != adapter.fingerprint


def test_the_gate_compares_random_weights_with_what_they_learnt():
    """Beside SAM's own weights nothing from scratch would ever be kept."""
    image, labels = scene()
    labels[48:58, 55:75] = 2
    adapter = finetune([(image, labels)], settings=Settings(strategy="scratch", steps=1), base=BASES["vit"])
    report = adapter.card.history[-1]
    assert report.held_out == 1
    assert report.held_out_before is not None
    # Rolled back, what the user had comes back, and not the random weights it began with.
    assert ("weight.mask_decoder.output_upscaling.0.weight" in adapter.tensors) == report.kept


def test_a_quick_round_in_the_window_goes_on_from_any_strategy():
    """There LoRA is trained, whatever the adapter was trained with before."""
    image, labels = scene()
    corrections = list(Corrections.from_labels(image, labels))
    first, _ = deep(corrections, settings=Settings(strategy="mlp:width=4", steps=1), base=BASES["vit"])
    second, report = quick(corrections, start=first, steps=2, base=BASES["vit"])
    assert report.kept
    assert second.card.strategy == "lora"
    assert [run.strategy for run in second.card.history] == ["mlp:width=4", "lora"]
    kept = {name: tensor for name, tensor in first.tensors.items() if name.startswith("mlp.")}
    assert kept
    assert all(torch.equal(second.tensors[name], tensor) for name, tensor in kept.items())


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (
            lambda c, start: quick(c, settings=Settings(strategy="mat")),
            "'mat' trains what comes before.*Deep",
        ),
        (lambda c, start: quick(c, settings=Settings(strategy="full")), "'full' trains what comes before"),
        (lambda c, start: deep(c, settings=Settings(strategy="magic")), "no fine-tuning strategy 'magic'"),
        (
            lambda c, start: deep(c, settings=Settings(strategy="scratch"), start=start),
            "'scratch' begins with random weights, got the trained adapter 'field'",
        ),
        (
            lambda c, start: deep(
                c, settings=Settings(strategy="mat"), start=Adapter.untrained(scene()[0], mat="zero-shot")
            ),
            "trains the transfer layer alone, and this one has no parameters",
        ),
    ],
)
def test_what_a_strategy_cannot_do_is_said_in_one_sentence(call, says):
    image, labels = scene()
    once = deep(list(Corrections.from_labels(image, labels)), steps=1, settings=Settings(strategy="mat"))[0]
    with pytest.raises(TrainingError, match=says) as caught:
        call(list(Corrections.from_labels(image, labels)), once.with_card(name="field"))
    assert "\n" not in str(caught.value)


def test_going_on_with_another_size_is_said_in_one_sentence():
    image, labels = scene()
    corrections = list(Corrections.from_labels(image, labels))
    first, _ = quick(corrections, settings=Settings(strategy="prompt:tokens=2", steps=1), base=BASES["vit"])
    with pytest.raises(
        AdapterError, match="has prompt with tokens 2, tokens 8 was asked for; ask for the same"
    ):
        quick(corrections, settings=Settings(strategy="prompt", steps=1), start=first, base=BASES["vit"])


# ------------------------------------------------------------- command line


@pytest.fixture
def dataset(tmp_path, monkeypatch):
    monkeypatch.setenv("NAPARI_SIMMAT_HOME", str(tmp_path / "home"))
    image, labels = scene()
    for name, pixels, axes in (("images", image.data, "CYX"), ("instances", labels.astype(np.uint16), "YX")):
        (tmp_path / name).mkdir()
        path = tmp_path / name / "a.tif"
        tifffile.imwrite(path, np.asarray(pixels), photometric="minisblack", metadata={"axes": axes})
    return tmp_path


@pytest.fixture
def checkpoint(tmp_path):
    """The small ViT as a file of Meta's names."""
    state = BASES["vit"].sam.state_dict()
    path = tmp_path / "sam_vit_small.safetensors"
    save_file({k.replace("encoder.vit.", "image_encoder."): v.contiguous() for k, v in state.items()}, path)
    return path


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as end:
        main([str(a) for a in arguments])
    said = capsys.readouterr()
    return int(end.value.code or 0), said.out, said.err


def test_a_strategy_and_a_checkpoint_are_named_on_the_command_line(dataset, checkpoint, capsys):
    out = dataset / "a.safetensors"
    told = run(
        capsys, "finetune", dataset, "-o", out, "--strategy", "prefix:tokens=2", "--steps", 1, "--no-gate",
        "--checkpoint", checkpoint,
    )  # fmt: skip
    assert told[0] == 0, told[2]
    adapter = Adapter.load(out)
    assert adapter.card.strategy == "prefix:tokens=2"
    assert adapter.card.base_model == "sam_vit_small"
    for arguments in (["--model", checkpoint], ["--checkpoint", checkpoint]):
        told = run(capsys, "evaluate", dataset, "--adapter", out, *arguments, "--json")
        assert told[0] == 0, told[2]
        mask = dataset / "mask.tif"
        told = run(
            capsys, "segment", dataset / "images" / "a.tif", "--click", "25,30", "--adapter", out, *arguments,
            "-o", mask, "--overwrite",
        )  # fmt: skip
        assert told[0] == 0 or "no object there" in told[2]


@pytest.mark.parametrize("command", ["finetune", "evaluate", "segment"])
@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (
            ["--model", "vit_b", "--checkpoint"],
            1,
            "is a ViT of 4 blocks of width 32, expected vit_b (SAM ViT-B: 12",
        ),
        (["--model", "vit_z", "--checkpoint"], 2, "is one of mobile_sam, vit_b, vit_l, vit_h"),
    ],
)
def test_a_checkpoint_of_another_network_than_named_is_refused(
    dataset, checkpoint, capsys, command, arguments, status, says
):
    begin = {
        "finetune": ["finetune", dataset, "-o", dataset / "a.safetensors"],
        "evaluate": ["evaluate", dataset],
        "segment": ["segment", dataset / "images" / "a.tif", "--click", "25,30", "-o", dataset / "m.tif"],
    }[command]
    given = [*arguments, *([checkpoint] if arguments[-1] == "--checkpoint" else [])]
    code, _, told = run(capsys, *begin, *given)
    assert code == status
    assert says in " ".join(told.replace("│", " ").split())
    assert "Traceback" not in told


def test_a_strategy_that_is_none_is_refused_before_images_are_read(dataset, capsys):
    (dataset / "images" / "a.tif").write_bytes(b"no image")
    code, _, told = run(
        capsys, "finetune", dataset, "-o", dataset / "a.safetensors", "--strategy", "lora:rank=0"
    )
    assert code == 1
    assert "'rank=0'" in told


def test_the_embedded_model_has_the_name_of_its_network():
    assert architecture_of(BASES["tiny"].sam) == "mobile_sam"
    check_architecture(BASES["tiny"], "mobile_sam", Path("default.safetensors"))
    with pytest.raises(WeightsError, match=r"is mobile_sam \(MobileSAM: TinyViT encoder\), expected vit_h"):
        check_architecture(BASES["tiny"], "vit_h", Path("default.safetensors"))


def test_the_command_line_names_all_models_without_loading_any():
    assert tuple(ARCHITECTURES) == MODEL_NAMES
    code = "import sys, napari_simmat._cli.options, napari_simmat._cli.models; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
