"""What channels are worth is found where it was put."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from napari_simmat.errors import Cancelled, SimmatError
from napari_simmat.evaluation import attribute_channels, attribute_object
from napari_simmat.evaluation.attribution import _sufficient
from napari_simmat.evaluation.parts import image_parts, model_parts, needed
from napari_simmat.images import as_image, open_dataset, profile_for, sample_path


def scene(seed: int):
    """Two discs that the second of three channels shows; the others are noise."""
    y, x = np.mgrid[:100, :160]
    labels = np.zeros((100, 160), int)
    labels[(y - 50) ** 2 + (x - 40) ** 2 < 22**2] = 3
    labels[(y - 50) ** 2 + (x - 115) ** 2 < 25**2] = 7
    data = np.random.default_rng(seed).normal(100, 4, (3, 100, 160)).astype(np.float32)
    data[1] += 120 * (labels > 0)
    return as_image(data, channel_axis=0, modality="generic", name=f"scene {seed}"), labels


@pytest.fixture(scope="module")
def scenes():
    return [scene(0), scene(1)]


@pytest.fixture(scope="module")
def told():
    return []


@pytest.fixture(scope="module")
def found(scenes, told):
    return attribute_channels(scenes, on_step=lambda *step: told.append(step))


def test_the_channel_that_shows_the_objects_is_the_one_that_is_missed(found):
    assert (found.images, found.objects) == (2, 4)
    noise, signal, more_noise = found.model_channels
    assert [effect.channels for effect in found.model_channels] == [[0], [1], [2]]
    assert signal.change < -0.2
    assert signal.change == pytest.approx(signal.miou_without - found.miou)
    assert all(abs(effect.change) < 0.15 for effect in (noise, more_noise))
    assert found.miou_of_none < found.miou - 0.2
    assert found.image_channels == found.model_channels  # each is seen as it is


def test_the_channel_that_shows_the_objects_suffices(found):
    assert [step.channels for step in found.sufficient.steps] == [[1]]
    assert found.sufficient.steps[0].miou >= found.miou - found.sufficient.tolerance
    assert found.sufficient.steps[0].miou == found.model_channels[1].miou_alone
    assert found.sufficient.image_channels == ["channel 1"]
    assert found.model_channels[0].miou_alone < found.miou - 0.2


def test_the_interval_of_a_change_holds_it_and_a_single_image_has_none(found, scenes):
    for effect in found.model_channels:
        assert effect.ci95[0] - 1e-9 <= effect.change <= effect.ci95[1] + 1e-9
    single = attribute_channels(scenes[:1], select=False)
    assert [effect.ci95 for effect in single.model_channels] == [None] * 3
    assert single.sufficient is None


def test_progress_counts_every_embedding_once(found, told):
    done, totals, _ = zip(*told, strict=True)
    assert list(done) == list(range(1, len(told) + 1))
    assert done[-1] == totals[-1]
    # Nothing, everything, each one left out and each one alone, on two images.
    assert len(told) == 2 * (1 + 1 + 3 + 3)


def test_a_generator_and_images_without_objects_are_taken(scenes):
    empty = np.zeros((3, 50, 60), np.float32)
    nothing = as_image(empty, channel_axis=0, modality="generic"), np.zeros((50, 60), int)
    given = attribute_channels((item for item in [scenes[0], nothing]), select=False)
    alone = attribute_channels([scenes[0]], select=False)
    assert (given.images, alone.images, given.objects) == (2, 1, 2)
    same = {"images": 0, "seconds": 0}
    assert given.model_copy(update=same) == alone.model_copy(update=same)


def test_an_object_is_looked_at_as_in_a_dataset(scenes):
    image, labels = scenes[0]
    mask = labels == 7
    one = attribute_object(image, mask, select=False)
    same = attribute_channels([(image, mask.astype(int))], select=False)
    assert one.model_copy(update={"seconds": 0}) == same.model_copy(update={"seconds": 0})
    assert one.model_channels[1].change < -0.2


def test_a_larger_tolerance_needs_no_more_channels(scenes, found):
    loose = attribute_channels(scenes[:1], tolerance=0.9)
    assert (loose.sufficient.steps, loose.sufficient.image_channels) == ([], [])
    strict = attribute_channels(scenes[:1], tolerance=0.0)
    assert 1 <= len(strict.sufficient.steps) <= 3
    assert strict.sufficient.steps[-1].miou >= strict.miou


def test_neighbouring_channels_are_left_out_together(scenes):
    found = attribute_channels(scenes[:1], groups=2, select=False)
    assert [(effect.name, effect.channels) for effect in found.model_channels] == [
        ("channel 0", [0]),
        ("channel 1 to channel 2", [1, 2]),
    ]


def test_it_can_be_cancelled(scenes):
    cancel = threading.Event()
    told = []

    def stop(done: int, total: int, what: str) -> None:
        told.append(done)
        cancel.set()

    with pytest.raises(Cancelled):
        attribute_channels(scenes, on_step=stop, cancel=cancel)
    assert told == [1]


# --------------------------------------------------------------- which channels belong together


def polarized():
    return profile_for(open_dataset(sample_path("glass-test"))[0].load()[0])


def test_without_a_stokes_parameter_nothing_computed_from_it_is_seen():
    profile = polarized()
    names = [seen.name for seen in profile.sees]
    assert names == ["S0", "DoLP", "S1/S0", "S2/S0"]
    lost = {part.name: [names[k] for k in sorted(part.channels)] for part in image_parts(profile)}
    assert lost == {"S0": names, "S1": ["DoLP", "S1/S0"], "S2": ["DoLP", "S2/S0"]}
    alone = {part.name: [names[k] for k in sorted(part.own)] for part in image_parts(profile)}
    assert alone == {"S0": ["S0"], "S1": [], "S2": []}
    assert needed(profile, frozenset({1})) == ["S0", "S1", "S2"]
    assert needed(profile, frozenset({0, 2})) == ["S0", "S1"]


@pytest.mark.parametrize("groups", [None, 1, 4, 31, 100])
def test_every_band_is_in_one_group_of_neighbours(groups):
    profile = profile_for(open_dataset(sample_path("metamers-test"))[0].load()[0])
    parts = model_parts(profile, groups)
    numbers = [k for part in parts for k in sorted(part.channels)]
    assert numbers == list(range(31))
    assert len(parts) == min(groups or 31, 31)
    sizes = [len(part.channels) for part in parts]
    assert max(sizes) - min(sizes) <= 1
    assert parts[0].name == {1: "400 nm to 700 nm", 4: "400 nm to 460 nm"}.get(groups, "400 nm")


# --------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"tolerance": -0.1}, "Got a tolerance of -0.1"),
        ({"tolerance": float("nan")}, "Got a tolerance of nan"),
        ({"groups": 0}, "Got 0 groups"),
    ],
)
def test_impossible_options_are_refused(scenes, options, words):
    with pytest.raises(SimmatError, match=words):
        attribute_channels(scenes, **options)


def test_what_cannot_be_looked_at_is_refused(scenes):
    image, labels = scenes[0]
    with pytest.raises(SimmatError, match="is empty"):
        attribute_object(image, np.zeros(image.shape, bool))
    with pytest.raises(SimmatError, match=r"\(5, 5\)"):
        attribute_object(image, np.ones((5, 5), bool))
    with pytest.raises(SimmatError, match="Found no object"):
        attribute_channels([(image, np.zeros_like(labels))])
    four = as_image(np.zeros((4, *image.shape), np.float32), channel_axis=0, name="four")
    with pytest.raises(SimmatError, match=r"sees 4 channels .* in 'four', but 3 channels"):
        attribute_channels([(image, labels), (four, labels)])


class _Known:
    """Measurements that are known beforehand: a function of the channels that are left."""

    def __init__(self, profile, value):
        self.profile = profile
        self._value = value

    def measure(self, blanks, what):
        """Nothing is left to find out."""

    def mean(self, blank):
        return self._value(set(range(3)) - set(blank))


def test_a_channel_that_later_ones_made_superfluous_is_taken_out_again():
    """The first channel alone is best, the other two together are as good as all three."""
    profile = profile_for(scene(0)[0])
    worth = {0: 0.5, 1: 0.4, 2: 0.3}

    def value(shown):
        return (
            0.9
            if {1, 2} <= shown
            else 0.6
            if len(shown) == 2
            else max([worth[k] for k in shown], default=0.0)
        )

    trial = _Known(profile, value)
    found = _sufficient(trial, model_parts(profile), frozenset(range(3)), 0.02)
    assert [step.channels for step in found.steps] == [[1], [2]]
    assert [step.miou for step in found.steps] == [0.4, 0.9]
    assert found.image_channels == ["channel 1", "channel 2"]
