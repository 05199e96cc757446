"""What the sensor saw: readers, channels, modality profiles, sample data. No torch, no Qt."""

from napari_simmat.images.aims import AIMS, open_aims
from napari_simmat.images.camera import Camera
from napari_simmat.images.dataset import DatasetItem, open_dataset
from napari_simmat.images.image import Channel, MultiChannelImage
from napari_simmat.images.looks.display import screen_rgb
from napari_simmat.images.modalities import MODALITIES
from napari_simmat.images.modality import ModalityProfile, ModelChannel, Normalisation
from napari_simmat.images.opened import Opened, open_file
from napari_simmat.images.physics.sample_formats import SAMPLE_FORMATS
from napari_simmat.images.profile_files import chosen_profile, load_profile, profile_schema, save_profile
from napari_simmat.images.profiles import profile_for
from napari_simmat.images.readers import as_image, open_image, open_labels
from napari_simmat.images.samples import SAMPLES, sample_path

__all__ = [
    "AIMS",
    "MODALITIES",
    "SAMPLES",
    "SAMPLE_FORMATS",
    "Camera",
    "Channel",
    "DatasetItem",
    "ModalityProfile",
    "ModelChannel",
    "MultiChannelImage",
    "Normalisation",
    "Opened",
    "as_image",
    "chosen_profile",
    "load_profile",
    "open_aims",
    "open_dataset",
    "open_file",
    "open_image",
    "open_labels",
    "profile_for",
    "profile_schema",
    "sample_path",
    "save_profile",
    "screen_rgb",
]
