"""Which groups of channels the model looks at: taking one away and giving it back are gestures like others."""

from __future__ import annotations

from collections.abc import Collection

from napari_simmat._annotator.attributing import Attributing
from napari_simmat.errors import AdapterError
from napari_simmat.images.groups import groups_in
from napari_simmat.models.experts import without

__all__ = ["Grouping"]

_WITHOUT = " without "


class Grouping(Attributing):
    """Leaves groups of channels out of what an adapter of experts looks at."""

    @property
    def groups(self) -> dict[str, bool]:
        """Each group of the adapter in use, and whether it is looked at; empty where the adapter has no experts."""
        version = self.versions.current
        if version is None or not version.adapter.card.members:
            return {}
        return {name: name not in version.adapter.card.missing for name in version.adapter.profile.groups}

    @property
    def groups_in_image(self) -> tuple[str, ...]:
        """Those that the image at hand has the channels of."""
        version = self.versions.current
        if version is None or self.image is None:
            return ()
        return groups_in(version.adapter.profile, self.image)

    def leave_out(self, groups: Collection[str]) -> None:
        """Answer without these groups of channels, and with all others; none: with all.

        What was encoded before is not encoded again.

        Raises
        ------
        AdapterError
            The adapter in use has no experts or no such group, or no group would be left.
        """
        current = self.versions.current
        if current is None:
            raise AdapterError("There is no adapter in use yet; open an image first.")
        adapter = without(current.adapter, tuple(groups))
        if adapter.card.missing == current.adapter.card.missing:
            return
        version = self.versions.known(adapter.fingerprint)
        if version is None:
            name = current.name.partition(_WITHOUT)[0]
            if adapter.card.missing:
                name += _WITHOUT + ", ".join(adapter.card.missing)
            version = self.versions.add_like(current, adapter, name)
        self.use_version(version)
