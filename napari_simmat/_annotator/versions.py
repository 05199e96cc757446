"""The adapters of a session: every training makes a version, any of them can be gone back to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from napari_simmat.errors import AdapterError
from napari_simmat.models import Adapter

if TYPE_CHECKING:
    from napari_simmat.images import MultiChannelImage
    from napari_simmat.training import TrainingReport


@dataclass(frozen=True, eq=False)
class Version:
    """One adapter of the session.

    Attributes
    ----------
    adapter : Adapter
    name : str
        For people: "untrained", "quick 1", the name of the file it was loaded from.
    report : TrainingReport or None
        How it was trained, if it was trained in this session.
    parent : Version or None
        The version that it was trained from.
    made : datetime
    modality : str or None
        Of the images that a version of this session is for; None: whatever has the channels.
    image_key : str or None
        The one image that an untrained version was fitted to.
    """

    adapter: Adapter
    name: str
    report: TrainingReport | None
    parent: Version | None
    made: datetime
    modality: str | None = None
    image_key: str | None = None

    def fits(self, image: MultiChannelImage) -> bool:
        """Whether it can be used with this image."""
        return self.image_key in (None, image.content_key()) and self.suits(image)

    def to_dict(self) -> dict[str, Any]:
        """What the journal notes of it; its adapter is kept as a file."""
        return {
            "fingerprint": self.adapter.fingerprint,
            "name": self.name,
            "parent": None if self.parent is None else self.parent.adapter.fingerprint,
            "made": self.made.isoformat(timespec="seconds"),
            "modality": self.modality,
            "image_key": self.image_key,
        }

    def suits(self, image: MultiChannelImage) -> bool:
        """Whether it is for images of this kind: the same channels and modality."""
        if self.modality not in (None, image.modality):
            return False
        try:
            self.adapter.fits(image)
        except AdapterError:
            return False
        return True


class Versions:
    """All versions in the order they were made, and the one in use."""

    def __init__(self) -> None:
        self.all: list[Version] = []
        self.current: Version | None = None
        self._undone: list[Version] = []
        self._used: list[Version] = []
        self._trainings: dict[str, int] = {}

    @property
    def index(self) -> int:
        """Place of the version in use, -1 before there is any."""
        return self.all.index(self.current) if self.current is not None else -1

    @property
    def can_undo(self) -> bool:
        """Whether the version in use was trained from another one of this session."""
        return self.current is not None and self.current.parent is not None

    @property
    def can_redo(self) -> bool:
        """Whether a training was undone that can come again."""
        return bool(self._undone)

    def add(
        self,
        adapter: Adapter,
        name: str,
        *,
        report: TrainingReport | None = None,
        parent: Version | None = None,
        untrained_for: MultiChannelImage | None = None,
    ) -> Version:
        """Keep an adapter as a new version, without using it yet."""
        modality = parent.modality if parent is not None else None
        key = None
        if untrained_for is not None:
            modality, key = untrained_for.modality, untrained_for.content_key()
        version = Version(adapter, name, report, parent, datetime.now(), modality, key)
        self.all.append(version)
        return version

    def add_like(self, version: Version, adapter: Adapter, name: str) -> Version:
        """Keep an adapter that differs from a version's in nothing that was learnt, without using it yet."""
        made = replace(version, adapter=adapter, name=name, made=datetime.now())
        self.all.append(made)
        return made

    def known(self, fingerprint: str) -> Version | None:
        """The version with this adapter, if there is one."""
        return next((each for each in self.all if each.adapter.fingerprint == fingerprint), None)

    def bring_back(self, adapter: Adapter, told: Mapping[str, Any]) -> Version:
        """Keep an adapter of an earlier session as the version that `to_dict` told of."""
        version = self.known(adapter.fingerprint)
        if version is None:
            parent = self.known(str(told.get("parent")))
            made = datetime.fromisoformat(str(told["made"]))
            name = str(told["name"])
            version = Version(adapter, name, None, parent, made, told.get("modality"), told.get("image_key"))
            self.all.append(version)
            mode, _, number = name.rpartition(" ")
            if number.isdecimal():  # the next one gets a number of its own
                self._trainings[mode] = max(self._trainings.get(mode, 0), int(number))
        return version

    def training_name(self, mode: str) -> str:
        """Name of the next training of this mode: "quick 1", "quick 2", "deep 1"."""
        self._trainings[mode] = self._trainings.get(mode, 0) + 1
        return f"{mode} {self._trainings[mode]}"

    def use(self, version: Version) -> None:
        """Switch to a version of this session."""
        if version not in self.all:
            raise ValueError(f"{version.name!r} is not a version of this session.")
        self._undone.clear()
        self._take(version)

    def undo(self) -> bool:
        """Go back to what the version in use was trained from; False if it was not trained here."""
        if self.current is None or self.current.parent is None:
            return False
        self._undone.append(self.current)
        self._take(self.current.parent)
        return True

    def redo(self) -> bool:
        """Take an undone training up again; False if there is none."""
        if not self._undone:
            return False
        self._take(self._undone.pop())
        return True

    def fitting(self, image: MultiChannelImage) -> Version | None:
        """The version in use if it fits the image, else the one last used that does, else None.

        An untrained version is fitted to one image; where that of another image would be next, this image's own is.
        """
        for version in reversed(self._used):
            if version.fits(image):
                return version
            if version.suits(image):
                break
        return next((version for version in self.all if version.image_key and version.fits(image)), None)

    def _take(self, version: Version) -> None:
        self.current = version
        if version in self._used:
            self._used.remove(version)
        self._used.append(version)
