"""Profiles as files that users edit, keep and share."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from napari_simmat.atomic import write_atomically
from napari_simmat.errors import ImageError
from napari_simmat.images.image import MultiChannelImage
from napari_simmat.images.modalities import MODALITIES
from napari_simmat.images.modality import ModalityProfile
from napari_simmat.images.profiles import profile_for

__all__ = ["chosen_profile", "load_profile", "profile_schema", "save_profile"]

MAX_BYTES = 16 << 20  # of a profile of thousands of channels


def load_profile(path: str | os.PathLike[str]) -> ModalityProfile:
    """Read a profile from a JSON file.

    Raises
    ------
    ImageError
        If the file cannot be read or is no profile, with the first thing that is wrong in it.
    """
    path = Path(path)
    try:
        if path.exists() and not path.is_file():
            raise ImageError(f"The profile {path.name} cannot be read: it is no file; give a JSON file.")
        if path.stat().st_size > MAX_BYTES:
            raise ImageError(
                f"{path.name} has {path.stat().st_size} bytes, too many for a profile; choose another file."
            )
        return ModalityProfile.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ImageError(f"The profile {path} cannot be read ({error.strerror}); check its name.") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ImageError(
            f"{path.name} is no profile: {where}: {first['msg']} "
            f"({error.error_count()} fault{'s' * (error.error_count() > 1)} in all); mend it or write a new one with "
            "'napari-simmat profile IMAGE -o FILE'."
        ) from None
    except ValueError as error:
        raise ImageError(f"The profile {path.name!r} cannot be read ({error}); check its name.") from None


def save_profile(profile: ModalityProfile, path: str | os.PathLike[str]) -> None:
    """Write a profile to a JSON file; one of that name is replaced once the new one is complete.

    Raises
    ------
    ImageError
        If the file cannot be written.
    """
    write_atomically(Path(path), (profile.model_dump_json(indent=2) + "\n").encode(), error=ImageError)


def profile_schema() -> dict[str, Any]:
    """The JSON schema of a profile, for editors that check and complete."""
    schema = ModalityProfile.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **json.loads(json.dumps(schema))}


def chosen_profile(choice: str, image: MultiChannelImage) -> ModalityProfile:
    """The profile that a user named.

    Parameters
    ----------
    choice : str
        A key of `MODALITIES`, or the path of a JSON file.
    image : MultiChannelImage
        What a built-in profile is made concrete for.

    Raises
    ------
    ImageError
        If it is neither, or the built-in one does not suit the image.
    """
    if choice in MODALITIES:
        return profile_for(image, choice)
    if not Path(choice).exists():
        raise ImageError(
            f"The profile {choice!r} is neither a file nor one of {', '.join(MODALITIES)}; check its name."
        )
    return load_profile(choice)
