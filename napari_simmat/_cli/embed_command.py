"""`napari-simmat embed`: encode a folder of images before anybody opens them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from napari_simmat._cli.models import load_adapter, load_model, refuse_profile_of_adapter
from napari_simmat._cli.options import (
    AdapterFile,
    AsJson,
    ChannelAxis,
    Checkpoint,
    Limit,
    Modality,
    ModelFile,
    Profile,
    SampleFormat,
)
from napari_simmat._cli.terminal import cancellable, note, progress, results
from napari_simmat.errors import Cancelled, SimmatError


def embed(
    dataset: Annotated[
        Path, typer.Argument(metavar="DATASET", help="Folder with images/; labels are not needed.")
    ],
    adapter: AdapterFile = None,
    limit: Limit = None,
    model: ModelFile = None,
    checkpoint: Checkpoint = None,
    modality: Modality = None,
    channel_axis: ChannelAxis = None,
    sample_format: SampleFormat = None,
    profile: Profile = None,
    as_json: AsJson = False,
) -> None:
    """Encode images and keep what comes out, so that opening them costs nothing.

    It goes on where it was: what is kept already is passed over. The window, `segment` and `evaluate` use what is
    kept, with the same adapter, profile and model.
    """
    refuse_profile_of_adapter(profile, adapter)
    began = time.perf_counter()
    made, found, large = 0, 0, []
    with results(as_json) as give:
        with cancellable() as cancel, progress("embeddings") as report:
            from napari_simmat.images import chosen_profile, open_image
            from napari_simmat.images.unlabelled import image_paths
            from napari_simmat.inference import Segmenter, is_at_hand
            from napari_simmat.inference.kept import SIZE_VARIABLE, kept_embeddings
            from napari_simmat.inference.regions import is_large
            from napari_simmat.models import Adapter

            kept = kept_embeddings()
            if kept is None:
                raise SimmatError(
                    f"Keeping embeddings is switched off or impossible; set {SIZE_VARIABLE} to some megabytes."
                )
            paths = image_paths(dataset)[:limit]
            own, base = load_adapter(adapter), load_model(model, checkpoint)
            for number, path in enumerate(paths):
                if cancel.is_set():
                    raise Cancelled("Cancelled; what was encoded so far is kept.")
                report(number, len(paths), path.name)
                image = open_image(
                    path, modality=modality, channel_axis=channel_axis, sample_format=sample_format
                )
                if is_large(image):
                    large.append(path.name)
                    continue
                wanted = None if profile is None else chosen_profile(profile, image)
                used = own or Adapter.untrained(image, profile=wanted, base=base)
                if is_at_hand(image, used, model=base):
                    found += 1
                    continue
                Segmenter(image, adapter=used, model=base, keep=True)
                if not is_at_hand(image, used, model=base, in_memory=False):
                    raise SimmatError(
                        f"The embedding of {path.name} could not be written to {kept.folder}; look if there is room."
                    )
                made += 1
            report(len(paths), len(paths), "")
            count, n_bytes = kept.size()
        if large:
            note(
                f"{len(large)} images are large, such as {large[0]}: their regions are encoded when you click."
            )
        if made + found > count:
            note(
                f"The folder of {kept.max_bytes / 2**20:.0f} MB holds {count} embeddings, so the first ones went again; "
                f"set {SIZE_VARIABLE} to more megabytes."
            )
        give(
            {
                "images": len(paths),
                "encoded": made,
                "found": found,
                "large": len(large),
                "seconds": time.perf_counter() - began,
                "folder": str(kept.folder),
                "kept": count,
                "kept_bytes": n_bytes,
            }
        )
    if not as_json:
        print(
            f"{made} encoded, {found} were kept already; {count} in {kept.folder}, {n_bytes / 2**20:.0f} MB"
        )


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="embed")(embed)
