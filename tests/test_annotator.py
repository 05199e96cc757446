from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from balls import BALLS, ball, balls, iou, pixels

from napari_simmat.annotator import Annotator, ArrayTarget
from napari_simmat.errors import AdapterError, Cancelled, PromptError, SimmatError, TrainingError
from napari_simmat.images import open_labels
from napari_simmat.images.opened import Opened
from napari_simmat.images.raw import Raw
from napari_simmat.inference import Prompt, Segmenter
from napari_simmat.journal import Journal
from napari_simmat.training import Settings


@pytest.fixture(scope="module")
def image():
    return balls()


@pytest.fixture
def annotator(image):
    return Annotator(image)


@pytest.fixture
def journal(tmp_path):
    return Journal(tmp_path / "journal")


def _accept(annotator, *numbers):
    for number in numbers:
        row, column, _ = BALLS[number]
        annotator.click(row, column)
        annotator.accept()


class _Later:
    """Runs jobs when told to, in any order: what a busy window may do."""

    def __init__(self):
        self.jobs = []

    def __call__(self, job):
        self.jobs.append(job)

    def run(self, index=0):
        job = self.jobs.pop(index)
        job.take(job.work(job.progress))

    def run_all(self):
        while self.jobs:
            self.run()


def test_a_click_on_an_object_gives_its_mask(annotator):
    annotator.click(30, 34)

    assert len(annotator.answer.masks) == len(annotator.answer.scores) == 3
    assert iou(annotator.answer.mask, ball(1)) > 0.8


def test_accepting_writes_the_object_and_starts_the_next(annotator):
    _accept(annotator, 1, 2)

    assert sorted(annotator.objects) == [1, 2]
    assert iou(annotator.labels == 2, ball(2)) > 0.8
    assert annotator.prompt.is_empty
    assert annotator.answer is None


def test_there_is_nothing_to_accept_before_a_click(annotator):
    with pytest.raises(PromptError, match="no mask to accept yet"):
        annotator.accept()


def test_a_click_outside_of_the_image_changes_nothing(annotator):
    annotator.click(30, 34)
    before = annotator.answer

    with pytest.raises(PromptError, match=r"row 500, column 10 is outside .* 128 rows and 160 columns"):
        annotator.click(500, 10)

    assert annotator.answer is before
    assert len(annotator.prompt.points) == 1


def test_accepted_objects_keep_their_pixels(annotator):
    _accept(annotator, 1)
    first = annotator.labels == 1

    annotator.set_box(0, 0, 127, 159)
    annotator.accept()

    np.testing.assert_array_equal(annotator.labels == 1, first)


def test_a_mask_inside_of_an_accepted_object_is_refused(annotator):
    _accept(annotator, 1)
    annotator.click(*BALLS[1][:2])

    with pytest.raises(PromptError, match="belongs to object 1 already"):
        annotator.accept()

    assert sorted(annotator.objects) == [1]


def test_an_object_can_be_given_another_mask(annotator):
    _accept(annotator, 1)
    annotator.click(*BALLS[3][:2])

    assert annotator.accept(label=1) == 1

    assert sorted(annotator.objects) == [1]
    assert iou(annotator.labels == 1, ball(3)) > 0.8


def test_a_box_gives_the_mask_of_what_is_in_it(annotator):
    annotator.set_box(70, 18, 114, 62)

    assert iou(annotator.answer.mask, ball(3)) > 0.8


def test_a_box_beside_the_image_is_refused(annotator):
    with pytest.raises(PromptError, match="holds no pixel"):
        annotator.set_box(-50, 10, -20, 40)


def test_candidates_go_round_and_the_chosen_one_is_accepted(annotator):
    annotator.click(30, 34)
    first = annotator.answer.shown
    seen = [first]
    for _ in range(3):
        annotator.cycle_candidate()
        seen.append(annotator.answer.shown)

    assert sorted(seen[:3]) == [0, 1, 2]
    assert seen[3] == first

    annotator.cycle_candidate()
    chosen = annotator.answer.mask
    annotator.accept()
    np.testing.assert_array_equal(annotator.labels == 1, chosen)


def test_clicks_are_undone_and_redone_one_by_one(annotator):
    annotator.click(30, 34)
    first = annotator.answer.mask
    annotator.click(36, 110)
    second = annotator.answer.mask

    assert annotator.undo()
    np.testing.assert_array_equal(annotator.answer.mask, first)
    assert annotator.redo()
    np.testing.assert_array_equal(annotator.answer.mask, second)
    assert annotator.undo()
    assert annotator.undo()
    assert annotator.answer is None
    assert not annotator.undo()


def test_an_erased_object_is_no_longer_learnt_from(annotator):
    _accept(annotator, 1, 2)

    annotator.erase(1)

    assert [c.label for c in annotator.corrections()] == [2]
    assert not (annotator.labels == 1).any()
    with pytest.raises(PromptError, match="no object 1"):
        annotator.erase(1)


def test_a_number_is_never_given_to_another_object(annotator):
    _accept(annotator, 1, 2)
    annotator.erase(2)
    annotator.click(*BALLS[3][:2])

    assert annotator.accept() == 3


def test_what_a_brush_changed_is_a_correction(annotator, image):
    target = ArrayTarget(np.zeros(image.shape, np.int32))
    annotator.attach(target)
    _accept(annotator, 1, 2)
    target.data[60:70, 70:80] = 1  # the brush adds to object 1
    target.data[100:110, 5:15] = 7  # and draws a new one

    assert annotator.sync_labels()
    assert not annotator.sync_labels()

    found = {c.label: c for c in annotator.corrections()}
    assert {label: c.source for label, c in found.items()} == {1: "brush", 2: "clicks", 7: "brush"}
    assert found[1].mask[65, 75]
    assert found[7].mask.sum() == 100


def test_an_undone_edit_gives_the_object_back_with_its_clicks(annotator, image):
    target = ArrayTarget(np.zeros(image.shape, np.int32))
    annotator.attach(target)
    _accept(annotator, 1)
    accepted = target.data.copy()
    target.data[:] = 0
    annotator.sync_labels()
    assert not annotator.objects

    target.data[:] = accepted
    annotator.sync_labels()

    (correction,) = annotator.corrections()
    assert correction.source == "clicks"
    assert correction.prompt.points == ((30.0, 34.0),)


def test_labels_of_another_shape_are_refused(annotator):
    with pytest.raises(SimmatError, match="labels are 10 x 10 but the image 'balls' is 128 x 160"):
        annotator.attach(ArrayTarget(np.zeros((10, 10), np.int32)))


def test_labels_that_were_there_already_become_corrections(annotator, image):
    labels = np.zeros(image.shape, np.int32)
    labels[ball(4)] = 4

    annotator.attach(ArrayTarget(labels))

    assert [c.label for c in annotator.corrections()] == [4]


def test_objects_are_kept_when_the_image_is_switched(annotator, image):
    _accept(annotator, 1)
    other = balls(seed=1, name="others")
    annotator.set_image(other)
    assert not annotator.objects
    _accept(annotator, 2, 3)

    annotator.set_image(image)

    assert sorted(annotator.objects) == [1]
    assert len(annotator.corrections()) == 3


def test_objects_stay_when_the_numbers_are_taken_for_something_else(journal):
    opened = Opened(Raw(np.rint(pixels(1)[0]).astype("u2"), "YX"), "frame", "frame")
    stored, frame = opened.image(), opened.image(sample_format="mosaic 90-45-135-0")
    annotator = Annotator(stored, journal=journal)
    _accept(annotator, 1)
    annotator.set_image(frame)
    assert sorted(annotator.objects) == [1]
    _accept(annotator, 2)
    annotator.set_image(opened.image(sample_format="centikelvin"))
    assert sorted(annotator.objects) == [1, 2]

    later = Annotator(frame, journal=journal)

    assert sorted(later.objects) == [1, 2]
    assert len(journal.read(stored).states) == 2


def test_only_the_newest_click_is_answered(image):
    later = _Later()
    annotator = Annotator(image, executor=later)
    later.run_all()
    answers = []
    annotator.answered.connect(answers.append)

    annotator.click(30, 34)
    annotator.click(92, 40, 0)
    later.run(1)
    later.run(0)

    assert [len(answer.prompt.points) for answer in answers] == [2]
    assert annotator.answer.prompt is annotator.prompt


def test_after_an_answer_it_looks_ahead_until_the_next_click(image):
    later = _Later()
    annotator = Annotator(image, executor=later)
    later.run_all()
    annotator.click(30, 34)
    later.run()
    (ahead,) = later.jobs
    assert ahead.kind == "look ahead"
    assert annotator.is_answered

    annotator.click(44, 50, 0)
    assert ahead.cancel.is_set()
    later.run_all()
    assert len(annotator.answer.prompt.points) == 2

    annotator.clear()
    assert not later.jobs
    assert not annotator.is_busy


def test_on_the_spot_it_does_not_look_ahead(image, monkeypatch):
    monkeypatch.setattr(Segmenter, "look_ahead", lambda *args: pytest.fail("nobody asked for it"))
    Annotator(image).click(30, 34)


def test_an_object_accepted_before_its_mask_is_there_is_accepted_when_it_comes(image):
    later = _Later()
    annotator = Annotator(image, executor=later)
    annotator.click(30, 34)
    later.run()  # the image is open, its embedding not yet there

    assert annotator.accept() is None
    later.run_all()

    assert sorted(annotator.objects) == [1]


def test_the_embedding_of_an_image_that_was_left_is_dropped(image):
    later = _Later()
    annotator = Annotator(image, executor=later)
    other = balls(seed=1)
    annotator.set_image(other)
    later.run_all()

    assert annotator.segmenter.image is other


@pytest.mark.full_size
def test_recorded_clicks_give_the_same_masks_from_python_and_the_command_line(image, journal, tmp_path):
    np.save(tmp_path / "balls.npy", image.data)
    annotator = Annotator(image, journal=journal)
    annotator.click(30, 34)
    annotator.click(44, 50, 0)
    annotator.cycle_candidate()
    annotator.click(26, 30)
    annotator.accept()
    annotator.set_box(16, 90, 60, 130)
    annotator.click(36, 110)
    annotator.click(52, 128, 0)
    annotator.accept()

    records = journal.read(image).states
    for record in records:
        answer = Segmenter(image).answer(Prompt.from_dict(record.prompt))
        np.testing.assert_array_equal(answer.mask(), record.mask(image.shape))
    points, signs, (y0, x0, y1, x1) = (records[1].prompt[name] for name in ("points", "labels", "box"))
    clicks = [f"--click={y},{x},{sign}" for (y, x), sign in zip(points, signs, strict=True)]
    command = [sys.executable, "-m", "napari_simmat.cli", "segment", str(tmp_path / "balls.npy")]
    options = ["--channel-axis=0", f"--box={y0},{x0},{y1},{x1}", "-o", str(tmp_path / "out.tif")]
    subprocess.run([*command, *clicks, *options], check=True)
    np.testing.assert_array_equal(open_labels(tmp_path / "out.tif") > 0, records[1].mask(image.shape))


def test_accepted_objects_survive_being_killed(image, tmp_path):
    np.save(tmp_path / "balls.npy", image.data)
    script = textwrap.dedent(
        f"""
        import os, signal
        import numpy as np
        from napari_simmat.annotator import Annotator
        from napari_simmat.images import as_image
        from napari_simmat.journal import Journal

        image = as_image(np.load({str(tmp_path / "balls.npy")!r}), channel_axis=0)
        annotator = Annotator(image, journal=Journal())
        for row, column in [(30, 34), (36, 110)]:
            annotator.click(row, column)
            annotator.accept()
        annotator.book.target.data[0:5, 0:5] = 9
        annotator.sync_labels()
        annotator.click(92, 40)
        os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    environment = {**os.environ, "NAPARI_SIMMAT_HOME": str(tmp_path / "home")}
    ended = subprocess.run([sys.executable, "-c", script], env=environment, check=False)
    assert ended.returncode == -signal.SIGKILL

    annotator = Annotator(journal=Journal(tmp_path / "home" / "data" / "projects"))
    restored = []
    annotator.opened.connect(restored.append)
    annotator.set_image(image)

    assert restored == [3]
    assert {label: note.source for label, note in annotator.objects.items()} == {
        1: "clicks",
        2: "clicks",
        9: "brush",
    }
    assert iou(annotator.labels == 2, ball(2)) > 0.8
    assert annotator.corrections().by_image()[0][0].prompt.points == ((30.0, 34.0),)
    annotator.click(92, 40)
    assert annotator.accept() == 10


def test_an_object_is_accepted_even_if_the_journal_cannot_be_written(image, tmp_path):
    blocked = tmp_path / "journal"
    blocked.write_text("a file where the folder should be")
    annotator = Annotator(journal=Journal(blocked))
    told = []
    annotator.problem.connect(told.append)
    annotator.set_image(image)

    _accept(annotator, 1)

    assert (annotator.labels == 1).any()
    assert told == []
    assert "cannot be written" in annotator.trouble
    assert "safe in" in annotator.trouble


def test_a_training_makes_a_version_that_can_be_undone_and_redone(annotator):
    _accept(annotator, 1)
    steps = []
    annotator.training_step.connect(lambda step, total, loss: steps.append((step, total)))

    report = annotator.quick(steps=2)

    assert report.kept
    assert [step for step, _ in steps] == [1, 2]
    assert [v.name for v in annotator.versions.all] == ["untrained", "quick 1"]
    trained = annotator.segmenter.adapter.fingerprint
    assert annotator.undo_training()
    assert not annotator.segmenter.adapter.is_trained
    assert not annotator.undo_training()
    assert annotator.redo_training()
    assert annotator.segmenter.adapter.fingerprint == trained


def test_a_new_version_answers_the_clicks_that_are_there(annotator):
    _accept(annotator, 1)
    annotator.click(*BALLS[2][:2])
    before = annotator.answer

    annotator.quick(steps=2)

    assert annotator.answer is not before
    assert annotator.is_answered


def test_it_learns_by_itself_from_the_third_object_on(image):
    annotator = Annotator(image, auto_quick=True)
    annotator.auto_quick_steps = 1
    started = []
    annotator.training_started.connect(started.append)
    _accept(annotator, 1, 2)
    assert not started

    _accept(annotator, 3)

    assert started == ["quick"]
    assert len(annotator.reports) == 1


@pytest.mark.parametrize(("chosen", "used"), [("mlp:width=4", "mlp:width=4"), ("full", "lora")])
def test_by_itself_it_learns_as_was_chosen_as_far_as_quick_training_can(image, chosen, used):
    annotator = Annotator(image, auto_quick=True)
    annotator.auto_quick_steps = 1
    annotator.auto_quick_settings = Settings(strategy=chosen)
    _accept(annotator, 1, 2, 3)
    assert [report.strategy for report in annotator.reports] == [used]


@pytest.mark.parametrize("mode", ["quick", "deep"])
def test_a_cancelled_training_changes_nothing(annotator, mode):
    _accept(annotator, 1)
    steps, stopped = [], []

    def cancel(step, total, loss):
        steps.append(step)
        annotator.cancel_training()

    annotator.training_step.connect(cancel)
    annotator.training_stopped.connect(stopped.append)

    with pytest.raises(Cancelled):
        getattr(annotator, mode)(steps=50)

    assert steps == [1]
    assert len(stopped) == 1
    assert [v.name for v in annotator.versions.all] == ["untrained"]
    assert annotator.training is None


def test_nothing_can_be_learnt_from_nothing(annotator):
    with pytest.raises(TrainingError, match="nothing to learn from"):
        annotator.quick()


def test_an_adapter_file_is_used_and_one_for_other_channels_is_refused(annotator, image, tmp_path):
    _accept(annotator, 1)
    annotator.quick(steps=2)
    annotator.save_adapter(tmp_path / "balls.safetensors")
    fingerprint = annotator.segmenter.adapter.fingerprint

    fresh = Annotator(image)
    fresh.load_adapter(tmp_path / "balls.safetensors")
    assert fresh.segmenter.adapter.fingerprint == fingerprint

    five = Annotator(balls(n_channels=5))
    with pytest.raises(AdapterError, match=r"4 channels .* 5 channels"):
        five.load_adapter(tmp_path / "balls.safetensors")
    assert not five.segmenter.adapter.is_trained


def test_an_image_with_other_channels_gets_an_adapter_of_its_own(annotator, image):
    _accept(annotator, 1)
    annotator.quick(steps=2)
    annotator.set_image(balls(n_channels=5))
    assert annotator.segmenter.adapter.profile.n_channels == 5
    assert not len(annotator.corrections())

    annotator.set_image(image)

    assert annotator.segmenter.adapter.is_trained
    assert len(annotator.corrections()) == 1


def test_exported_labels_are_those_that_were_accepted(annotator, tmp_path):
    _accept(annotator, 1, 2)

    assert annotator.export(tmp_path / "labels.tif", "tiff") == 2

    np.testing.assert_array_equal(open_labels(tmp_path / "labels.tif"), annotator.labels)


# ------------------------------------------------ other images, narrow layers, odd journals


def test_a_second_image_with_the_same_channels_gets_an_untrained_adapter_of_its_own():
    from napari_simmat.images import as_image

    flat = as_image(np.zeros((5, 64, 64), np.float32), channel_axis=0, name="flat")
    annotator = Annotator(flat)
    scene = balls(5)
    annotator.set_image(scene)
    row, column, _ = BALLS[1]
    annotator.click(row, column)
    assert np.array_equal(annotator.answer.mask, Segmenter(scene).predict([(row, column)])[0])
    annotator.set_image(flat)
    assert len(annotator.versions.all) == 2


def test_another_modality_changes_what_the_model_sees():
    image = balls(3)
    annotator = Annotator(image)
    assert annotator.segmenter.adapter.profile.modality == "generic"
    annotator.set_image(image.with_modality("rgb"))
    assert annotator.segmenter.adapter.profile.modality == "rgb"


def test_a_training_goes_along_to_the_next_image_and_its_undo_too():
    annotator = Annotator(balls(seed=0, name="first"))
    _accept(annotator, 1, 2, 3, 4)
    assert annotator.quick(steps=1, learning_rate=1e-7).kept  # so small a step makes nothing worse
    trained = annotator.versions.current
    annotator.set_image(balls(seed=1, name="second"))
    assert annotator.versions.current is trained
    assert annotator.undo_training()
    assert not annotator.segmenter.adapter.is_trained
    assert annotator.segmenter.adapter.fingerprint == Segmenter(balls(seed=1)).adapter.fingerprint


def test_a_layer_too_narrow_for_the_next_object_is_refused_and_nothing_is_lost(annotator, image):
    labels = np.zeros(image.shape, np.uint8)
    labels[0:5, 0:5] = 255
    annotator.attach(ArrayTarget(labels))
    row, column, _ = BALLS[1]
    annotator.click(row, column)
    with pytest.raises(SimmatError, match=r"holds numbers up to 255 \(uint8\), object 256 does not fit"):
        annotator.accept()
    assert annotator.answer is not None
    assert set(annotator.objects) == {255}


@pytest.mark.parametrize("value", [2**31 + 7, -1])
def test_labels_that_are_no_object_numbers_are_refused(annotator, image, value):
    labels = np.zeros(image.shape, np.int64)
    labels[0:5, 0:5] = value
    with pytest.raises(SimmatError, match="expected 0 to 2147483647"):
        annotator.attach(ArrayTarget(labels))
    assert annotator.objects == {}


def test_background_is_no_label_to_accept(annotator):
    row, column, _ = BALLS[1]
    annotator.click(row, column)
    with pytest.raises(PromptError, match="Got the label 0"):
        annotator.accept(0)


def test_an_accept_that_waited_for_a_cancelled_encoding_takes_no_later_mask(image):
    later = _Later()
    annotator = Annotator(executor=later)
    annotator.set_image(image)
    later.run()  # opening
    row, column, _ = BALLS[1]
    annotator.click(row, column)
    assert annotator.accept() is None
    annotator.cancel_encoding()
    annotator.click(row + 2, column)
    annotator.ask_again()
    later.run_all()
    assert annotator.objects == {}


def test_an_adapter_of_another_base_model_leaves_the_one_in_use(annotator, tmp_path):
    other = annotator.segmenter.adapter.with_card(base_sha256="0" * 64, base_model="sam_vit_b")
    other.save(tmp_path / "other.safetensors")
    before = annotator.versions.current
    with pytest.raises(AdapterError, match="was trained on sam_vit_b"):
        annotator.load_adapter(tmp_path / "other.safetensors")
    assert annotator.versions.current is before


@pytest.mark.parametrize("box", [(-20, -20, 60, 60), (10, 20, 50, 300)])
def test_a_box_beyond_the_image_is_the_same_in_the_annotator_and_in_python(annotator, image, box):
    annotator.set_box(*box)
    assert np.array_equal(annotator.answer.mask, Segmenter(image).predict(box=box)[0])


def test_a_box_that_is_not_made_of_numbers_is_refused(annotator):
    with pytest.raises(PromptError, match="not made of numbers"):
        annotator.set_box(1, 2, float("nan"), 5)
    assert annotator.prompt.is_empty


def test_objects_of_the_same_number_in_journal_and_layer_stay_two(image, journal):
    first = Annotator(image, journal=journal)
    _accept(first, 1)
    again = Annotator(image, journal=journal)
    labels = np.zeros(image.shape, np.int32)
    labels[ball(3)] = 1
    again.attach(ArrayTarget(labels))
    assert set(again.objects) == {1, 2}
    assert iou(again.labels == 1, ball(3)) == 1
    assert iou(again.labels == 2, first.labels == 1) == 1
    third = Annotator(image, journal=journal)
    assert np.array_equal(third.labels, again.labels)


def test_another_profile_makes_an_untrained_version_that_sees_otherwise():
    image = balls(n_channels=5)
    annotator = Annotator(image)
    views = []
    annotator.model_view_ready.connect(views.append)
    annotator.ask_model_view()
    profile = annotator.profile.model_copy(update={"pseudo_rgb": (4, 4, 4)})
    before = annotator.versions.current
    annotator.use_profile(profile)
    assert annotator.profile == profile
    assert annotator.versions.current is not before
    annotator.ask_model_view()
    assert [view.shape[2] for view in views] == [3, 3]
    assert np.ptp(views[1].astype(int), axis=2).max() > 0  # SAM's moments differ from colour to colour
    assert not np.array_equal(*views)
    other = profile.model_copy(update={"channels": profile.channels[:4]})
    with pytest.raises(AdapterError, match="made for 4 channels"):
        annotator.use_profile(other)
    assert annotator.profile == profile
