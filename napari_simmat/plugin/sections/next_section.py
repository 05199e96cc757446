"""What to click next: proposals to accept or reject, and objects to look at again."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QLabel, QSlider, QWidget

from napari_simmat.plugin import tooltips
from napari_simmat.plugin.controller import Controller
from napari_simmat.plugin.sections.section import Section, button, calm, combo, fill

_STEPS = 100
_MOST_LISTED = 200


class NextSection(Section):
    """Asks for proposals and doubts, and lists them.

    Parameters
    ----------
    controller : Controller
    """

    def __init__(self, controller: Controller, parent: QWidget | None = None) -> None:
        super().__init__("Next", parent)
        self._controller = controller
        self._advice = controller.advice
        self.propose = button("Propose", tooltips.PROPOSE)
        self.everything = button("Everything", tooltips.EVERYTHING)
        self.proposals = combo(tooltips.PROPOSALS)
        self.accept = button("Accept", tooltips.ACCEPT_PROPOSAL, action="accept_proposal")
        self.reject = button("Reject", tooltips.REJECT_PROPOSAL, action="reject_proposal")
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setToolTip(tooltips.ABOVE)
        self.slider.setRange(0, _STEPS)
        calm(self.slider)
        self.above = QLabel()
        self.accept_all = button("Accept all", tooltips.ACCEPT_ALL)
        self.drop = button("Drop all", tooltips.DROP_PROPOSALS)
        self.complete = QCheckBox("all objects here are accepted")
        self.complete.setToolTip(tooltips.COMPLETE)
        self.complete.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.review = button("Find uncertain objects", tooltips.REVIEW)
        self.rank = button("Rank images", tooltips.RANK_IMAGES)
        self.doubts = combo(tooltips.DOUBTS)
        self.ranked = combo(tooltips.RANKED)
        self.ranked.setPlaceholderText("choose an image to look at")
        self.add_row(self.propose, self.everything)
        self.add_row(self.proposals)
        self.add_row(self.accept, self.reject)
        self.add_row(self.slider, self.above)
        self.add_row(self.accept_all, self.drop)
        self.add_row(self.complete)
        self.add_row(self.review, self.rank)
        self.add_row(self.doubts)
        self.add_row(self.ranked)
        self._connect()
        self._show()

    def _connect(self) -> None:
        advice, annotator = self._advice, self._controller.annotator
        self.propose.clicked.connect(advice.propose)
        self.everything.clicked.connect(advice.everything)
        self.proposals.activated.connect(lambda k: advice.choose(self.proposals.itemData(k)))
        self.accept.clicked.connect(advice.accept_chosen)
        self.reject.clicked.connect(advice.reject_chosen)
        self.slider.valueChanged.connect(lambda value: advice.set_threshold(value / _STEPS))
        self.accept_all.clicked.connect(advice.accept_all)
        self.drop.clicked.connect(advice.drop)
        self.complete.toggled.connect(advice.set_complete)
        self.review.clicked.connect(advice.review)
        self.rank.clicked.connect(advice.rank_images)
        self.doubts.activated.connect(lambda k: self._look(self.doubts.itemData(k)))
        self.ranked.activated.connect(lambda k: advice.go_to_image(self.ranked.itemData(k)))
        advice.changed.connect(self._show)
        for signal in (
            annotator.objects_changed,
            annotator.history_changed,
            annotator.versions_changed,
            annotator.encoded,
            annotator.image_changed,
            annotator.proposing_started,
            annotator.proposing_stopped,
            annotator.images_ranked,
        ):
            signal.connect(self._show)

    def _look(self, label: int | None) -> None:
        if label is not None:
            self._advice.look_at_object(label)

    def _show(self, *_: Any) -> None:
        annotator = self._controller.annotator
        is_ready = annotator.segmenter is not None and annotator.book is not None
        is_free = is_ready and not annotator.is_proposing
        self.propose.setEnabled(is_free)
        self.everything.setEnabled(is_free)
        self.review.setEnabled(is_free and bool(annotator.objects))
        self.rank.setEnabled(is_free and annotator.can_rank_images)
        self.complete.setEnabled(is_ready)
        self.complete.blockSignals(True)
        self.complete.setChecked(annotator.is_complete)
        self.complete.blockSignals(False)
        self._show_proposals()
        self._show_doubts()
        self._show_ranking()

    def _show_proposals(self) -> None:
        annotator, advice = self._controller.annotator, self._advice
        shown, chosen = advice.shown, advice.chosen
        is_there = annotator.proposed is not None
        for widget in (self.proposals, self.accept, self.reject, self.slider, self.above):
            widget.setVisible(is_there)
        self.accept_all.setVisible(is_there)
        self.drop.setVisible(is_there)
        if not is_there:
            return
        entries: list[tuple[str, Any]] = [
            (f"{k} of {len(shown)}: {each.score:.2f}, {each.area} px", each)
            for k, each in enumerate(shown[:_MOST_LISTED], 1)
        ]
        place = next((k for k, (_, each) in enumerate(entries) if each is chosen), 0)
        fill(self.proposals, entries or [("no proposals", None)], place)
        for each_button in (self.accept, self.reject, self.accept_all):
            each_button.setEnabled(bool(shown))
        self.accept_all.setText(f"Accept all {len(shown)}" if shown else "Accept all")
        self.above.setText(f"above {advice.threshold:.2f}")
        self.slider.blockSignals(True)
        self.slider.setValue(round(advice.threshold * _STEPS))
        self.slider.blockSignals(False)

    def _show_doubts(self) -> None:
        review = self._controller.annotator.review
        self.doubts.setVisible(review is not None)
        if review is not None:
            entries: list[tuple[str, Any]] = [
                (f"object {label}: doubt {doubt:.2f}", label) for label, doubt in review.doubts[:_MOST_LISTED]
            ]
            current = self.doubts.currentData()
            place = next((k for k, (_, label) in enumerate(entries) if label == current), 0)
            fill(self.doubts, entries, place)

    def _show_ranking(self) -> None:
        annotator = self._controller.annotator
        self.ranked.setVisible(bool(annotator.ranking))
        entries: list[tuple[str, Any]] = [
            (f"{each.name}: doubt {each.doubt:.2f}, {_count(each.objects)}", each.identity)
            for each in annotator.ranking[:_MOST_LISTED]
        ]
        here = "" if annotator.image is None else annotator.image.identity
        place = next((k for k, (_, identity) in enumerate(entries) if identity == here), -1)
        fill(self.ranked, entries, place)


def _count(objects: int) -> str:
    return "1 object" if objects == 1 else f"{objects} objects"
