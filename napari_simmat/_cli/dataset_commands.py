"""The commands that work on a folder of labelled images: finetune, evaluate."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_simmat._cli.aligning import align_as_told
from napari_simmat._cli.learning_options import (
    L2,
    Adversarial,
    Align,
    AlignSteps,
    EarlyStopping,
    Ema,
    Epochs,
    Experts,
    LabelKind,
    Labels,
    PromptCheck,
    Recipe,
    RecipeName,
    Replay,
    Robust,
    SplitHalf,
)
from napari_simmat._cli.missing import Missing, adapter_without, note_what_lacks
from napari_simmat._cli.models import (
    load_adapter,
    load_model,
    refuse_nameless_model,
    refuse_profile_of_adapter,
)
from napari_simmat._cli.options import (
    TRANSFER_NAMES,
    AdapterFile,
    AsJson,
    ChannelAxis,
    Checkpoint,
    Classes,
    Dataset,
    Limit,
    Modality,
    Mode,
    ModelFile,
    Overwrite,
    Profile,
    SampleFormat,
    Strategy,
    check_output,
)
from napari_simmat._cli.rough_learning import adapt_as_told, refuse_beside_rough
from napari_simmat._cli.terminal import cancellable, note, progress, results

if TYPE_CHECKING:
    from napari_simmat.images import DatasetItem


def finetune(
    dataset: Dataset,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="OUT.safetensors", help="Adapter to write.")],
    mode: Annotated[
        Mode | None,
        typer.Option(
            help="deep: through the whole encoder. quick: seconds. Without it deep, from rough labels quick."
        ),
    ] = None,
    labels: LabelKind = Labels.masks,
    steps: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Training steps; the mode's own without it.")
    ] = None,
    learning_rate: Annotated[float | None, typer.Option(min=0.0, help="The mode's own without it.")] = None,
    seed: Annotated[int, typer.Option(help="Same seed, same adapter.")] = 0,
    limit: Limit = None,
    adapter: AdapterFile = None,
    mat: Annotated[
        str,
        typer.Option(metavar="NAME", help="Transfer layer to begin with: " + ", ".join(TRANSFER_NAMES) + "."),
    ] = "mat",
    strategy: Strategy = "lora",
    gate: Annotated[
        bool,
        typer.Option(help="Hold some objects out, and keep the adapter as it was if it does worse on them."),
    ] = True,
    recipe: RecipeName = Recipe.interactive,
    epochs: Epochs = None,
    ema: Ema = None,
    early_stopping: EarlyStopping = None,
    l2: L2 = 0.0,
    split_half: SplitHalf = False,
    adversarial: Adversarial = 0.0,
    experts: Experts = False,
    replay: Replay = None,
    align: Align = False,
    align_steps: AlignSteps = None,
    robust: Robust = False,
    prompt_check: PromptCheck = True,
    model: ModelFile = None,
    checkpoint: Checkpoint = None,
    modality: Modality = None,
    channel_axis: ChannelAxis = None,
    sample_format: SampleFormat = None,
    profile: Profile = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Train an adapter on a folder of labelled images, or of images with rough labels."""
    if out.suffix.lower() != ".safetensors":
        raise typer.BadParameter(f"The adapter {out} is a safetensors file; its name ends in .safetensors.")
    refuse_profile_of_adapter(profile, adapter)
    refuse_nameless_model(model, checkpoint)
    check_output(out, overwrite)
    reading: dict[str, Any] = {
        "modality": modality,
        "channel_axis": channel_axis,
        "sample_format": sample_format,
    }
    if labels is Labels.rough:
        refuse_beside_rough(
            {
                "--recipe": recipe is not Recipe.interactive,
                "--epochs": epochs is not None,
                "--ema": ema is not None,
                "--early-stopping": early_stopping is not None,
                "--l2": l2 > 0,
                "--split-half": split_half,
                "--adversarial": adversarial > 0,
                "--replay": replay is not None,
                "--align": align,
                "--experts": experts,
                "--no-gate": not gate,
            }
        )
        adapt_as_told(
            dataset,
            out,
            reading={"limit": limit, **reading},
            profile=profile,
            mode="quick" if mode is None else mode.value,
            strategy=strategy,
            learning_rate=learning_rate,
            steps=steps,
            seed=seed,
            robust=robust,
            check=prompt_check,
            start=lambda: load_adapter(adapter),
            mat=mat,
            base=lambda: load_model(model, checkpoint),
            as_json=as_json,
        )
        return
    with results(as_json) as give:
        with cancellable() as cancel, progress("training") as report:
            from napari_simmat.images import chosen_profile
            from napari_simmat.training import Settings
            from napari_simmat.training import finetune as train

            settings = Settings(
                steps=steps,
                epochs=epochs,
                learning_rate=learning_rate,
                seed=seed,
                strategy=strategy,
                recipe=recipe.value,
                ema=ema,
                early_stopping=early_stopping,
                l2=l2,
                split_half=split_half,
                adversarial=adversarial,
                experts=experts,
            )
            settings.check()
            start, base = load_adapter(adapter), load_model(model, checkpoint)
            labelled = not align or (dataset / "instances").is_dir()
            items = [item.load() for item in open_as_told(dataset, limit, **reading)] if labelled else []
            earlier = (
                [] if replay is None else [item.load() for item in open_as_told(replay, None, **reading)]
            )
            if align:
                start = align_as_told(
                    dataset,
                    reading={"limit": limit, **reading},
                    profile=profile,
                    start=start,
                    mat=mat,
                    steps=align_steps,
                    seed=seed,
                    base=base,
                    report=report,
                    cancel=cancel,
                )
            trained = start
            if labelled:
                wanted = (
                    None if profile is None or start is not None else chosen_profile(profile, items[0][0])
                )
                trained = train(
                    items,
                    replay=earlier,
                    mode="deep" if mode is None else mode.value,
                    settings=settings,
                    start=start,
                    mat=mat,
                    profile=wanted,
                    gate=gate,
                    on_step=lambda step, total, loss: report(step, total, f"loss {loss:.3f}"),
                    cancel=cancel,
                    base=base,
                )
            assert trained is not None
        trained.save(out)
        last = trained.card.history[-1].model_dump()
        give({"out": str(out), **last})
    if not as_json:
        print(f"{out}: {last['reason']}")


def evaluate(
    dataset: Dataset,
    adapter: AdapterFile = None,
    clicks: Annotated[int, typer.Option(min=1, max=20, metavar="N", help="Clicks on each object.")] = 1,
    jitter: Annotated[
        float,
        typer.Option(
            min=0.0,
            metavar="J",
            help="Click off the middle, as people do: anywhere in the object or error within J times its depth of its "
            "deepest point. 0: at that point, 1: in the largest disc that fits in.",
        ),
    ] = 0.0,
    seed: Annotated[int, typer.Option(min=0, metavar="S", help="Of the jitter; same seed, same clicks.")] = 0,
    classes: Classes = None,
    missing: Missing = None,
    limit: Limit = None,
    model: ModelFile = None,
    checkpoint: Checkpoint = None,
    modality: Modality = None,
    channel_axis: ChannelAxis = None,
    sample_format: SampleFormat = None,
    profile: Profile = None,
    as_json: AsJson = False,
) -> None:
    """Measure how good masks are after 1 to N simulated clicks on each labelled object.

    Results are also given by size of the objects in pixels of the image (small: under 32 x 32, medium: under 96 x 96,
    large) and, where there are class images, by class: that of an object is the commonest number in its mask. If the
    adapter has learnt classes, they are painted and compared with the class images: `class_map` has the mean IoU.
    """
    refuse_profile_of_adapter(profile, adapter)
    refuse_nameless_model(model, checkpoint)
    with results(as_json) as give:
        with cancellable() as cancel, progress("images") as report:
            items = open_as_told(dataset, limit, modality, channel_axis, sample_format, classes)
            from napari_simmat.evaluation import evaluate as measure

            answering = adapter_without(load_adapter(adapter), missing)
            note_what_lacks(answering, items[0])
            scores = measure(
                ((*item.load(), item.load_classes()) for item in items),
                adapter=answering,
                profile=profile,
                clicks=clicks,
                jitter=jitter,
                seed=seed,
                class_names=items[0].class_names,
                on_image=lambda done: report(done, len(items), ""),
                cancel=cancel,
                base=load_model(model, checkpoint),
            ).model_dump()
            if answering is not None and "classes" in answering.heads:
                from napari_simmat._cli.class_commands import class_figures

                scores["class_map"] = class_figures(items, answering, load_model(model, checkpoint), cancel)
        give(scores)
    if not as_json:
        from napari_simmat._cli.scores import show_scores

        show_scores(scores)


def open_as_told(
    folder: Path,
    limit: int | None,
    modality: str | None,
    channel_axis: int | None,
    sample_format: str | None,
    classes: Path | None = None,
) -> list[DatasetItem]:
    """List a dataset as the options say, and tell what was left out."""
    from napari_simmat.images import open_dataset

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", UserWarning)
        items = open_dataset(
            folder,
            limit=limit,
            modality=modality,
            channel_axis=channel_axis,
            sample_format=sample_format,
            classes=classes,
        )
    for warning in told:
        note(f"Note: {warning.message}")
    return items


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(name="finetune")(finetune)
    app.command(name="evaluate")(evaluate)
