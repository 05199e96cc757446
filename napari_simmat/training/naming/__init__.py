"""Names for masks, learnt from a CLIP that the user has (SAM-CLIP, arXiv 2310.15308)."""

from napari_simmat.training.naming.open_clip_teacher import OpenClipTeacher, load_teacher
from napari_simmat.training.naming.regions import automatic_masks
from napari_simmat.training.naming.stages import Schedule
from napari_simmat.training.naming.teachers import TEMPLATES, Teacher, texts_of
from napari_simmat.training.naming.teaching import teach, with_names
from napari_simmat.training.naming.views import view_of

__all__ = [
    "TEMPLATES",
    "OpenClipTeacher",
    "Schedule",
    "Teacher",
    "automatic_masks",
    "load_teacher",
    "teach",
    "texts_of",
    "view_of",
    "with_names",
]
