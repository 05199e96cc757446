"""The weights of published models, fetched when somebody asks for one by name, and at no other time.

Over https only, to a temporary file whose sha256 is compared with the one written here before it gets its name.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from napari_simmat.errors import WeightsError
from napari_simmat.folders import cache_folder

_SAM = "https://dl.fbaipublicfiles.com/segment_anything"
_MOBILE_SAM = "https://raw.githubusercontent.com/ChaoningZhang/MobileSAM/f706ad9c4eb7f219c00d9050e46328518ffb65d2/weights"
_CHUNK = 1 << 20
_PATIENCE_S = 30


@dataclass(frozen=True)
class Published:
    """Where weights are published, and what they are; all four under the Apache License 2.0."""

    url: str
    sha256: str
    megabytes: int

    @property
    def file_name(self) -> str:
        """As it is published."""
        return self.url.rpartition("/")[2]


PUBLISHED: dict[str, Published] = {
    "mobile_sam": Published(
        f"{_MOBILE_SAM}/mobile_sam.pt", "6dbb90523a35330fedd7f1d3dfc66f995213d81b29a5ca8108dbcdd4e37d6c2f", 41
    ),
    "vit_b": Published(
        f"{_SAM}/sam_vit_b_01ec64.pth",
        "ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912",
        375,
    ),
    "vit_l": Published(
        f"{_SAM}/sam_vit_l_0b3195.pth",
        "3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622",
        1250,
    ),
    "vit_h": Published(
        f"{_SAM}/sam_vit_h_4b8939.pth",
        "a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",
        2565,
    ),
}
"""By the name of the architecture."""


def fetch_published(name: str, progress: Callable[[int, int], None] = lambda done, total: None) -> Path:
    """The file of a published model's weights, downloaded unless it is there already.

    Parameters
    ----------
    name : str
        One of `PUBLISHED`.
    progress : callable
        Told how many megabytes of how many are there.

    Raises
    ------
    WeightsError
        It cannot be downloaded, or is not what was published; nothing is kept then.
    """
    import pooch  # slow to import, and seldom needed
    from requests.exceptions import RequestException

    pooch.get_logger().setLevel("WARNING")  # `progress` tells all that there is to tell
    wanted = PUBLISHED[name]
    otherwise = f"download it yourself and give it with --model {name} --checkpoint FILE."
    try:
        found = pooch.retrieve(
            wanted.url,
            known_hash=f"sha256:{wanted.sha256}",
            fname=wanted.file_name,
            path=cache_folder("weights"),
            downloader=_Download(progress, wanted.megabytes),
        )
    except ValueError as error:
        raise WeightsError(
            f"What {wanted.url} gave is not {wanted.file_name} as it was published (its sha256 differs); nothing was "
            f"kept. Try again, or {otherwise}"
        ) from error
    except (RequestException, OSError) as error:
        raise WeightsError(
            f"{wanted.file_name} ({wanted.megabytes} MB) could not be downloaded from {wanted.url} "
            f"({_reason(error)}); look at the connection and the space on the disk, or {otherwise}"
        ) from error
    return Path(found)


class _Download:
    """What pooch has done: a file read over https in chunks, which says how far it is."""

    def __init__(self, progress: Callable[[int, int], None], megabytes: int) -> None:
        self._progress, self._megabytes = progress, megabytes

    def __call__(self, url: str, output_file: str, pooch: object) -> None:
        import requests

        with (
            requests.get(url, stream=True, timeout=_PATIENCE_S) as response,
            Path(output_file).open("wb") as file,
        ):
            response.raise_for_status()
            if not response.url.startswith("https://"):
                raise OSError(errno.EPERM, "it leads away from https")
            for chunk in response.iter_content(_CHUNK):
                file.write(chunk)
                self._progress(min(file.tell() >> 20, self._megabytes), self._megabytes)


def _reason(error: BaseException) -> str:
    """The innermost cause in a few words: what wraps it says the address once more."""
    response = getattr(error, "response", None)
    if response is not None:
        return f"the server answers {response.status_code}"
    while error.__cause__ is not None or error.__context__ is not None:
        inner = error.__cause__ or error.__context__
        assert inner is not None
        error = inner
    return getattr(error, "strerror", None) or type(error).__name__
