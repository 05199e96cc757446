"""Metres from what a depth camera stores, and the surface behind them; missing stays missing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_simmat.errors import ImageError
from napari_simmat.images import Channel, MultiChannelImage
from napari_simmat.images.camera import Camera, default_camera
from napari_simmat.images.physics.depth import (
    depth_of_disparity,
    inverse_depth,
    metres_of_millimetres,
    metres_where_measured,
    resize_measured,
)
from napari_simmat.images.physics.surface import angle_with_gravity, height, normals, points

CAMERA = Camera((520.0, 500.0), (29.5, 41.0))
NAN = np.nan


def plane_depth(normal, distance, shape=(60, 80), camera=CAMERA):
    """Depth of the plane of points p with normal . p = -distance, normal towards the camera."""
    y, x = np.indices(shape, float)
    cy, cx = camera.principal_point
    ray = np.stack(
        [(x - cx) / camera.focal_length_px[1], (y - cy) / camera.focal_length_px[0], -np.ones(shape)]
    )
    return -distance / np.tensordot(np.asarray(normal), ray, axes=1)


def unit(*vector):
    return np.asarray(vector) / np.linalg.norm(vector)


def test_millimetres_become_metres_and_zero_is_no_measurement():
    out = metres_of_millimetres(np.array([[0, 1, 1500], [65535, 20, 0]], "u2"))
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, [[NAN, 0.001, 1.5], [65.535, 0.02, NAN]], rtol=1e-6)


def test_what_is_no_depth_in_metres_is_missing():
    out = metres_where_measured(np.array([0.0, -1, np.inf, -np.inf, NAN, 2.5], "f4"))
    np.testing.assert_array_equal(out, np.array([NAN, NAN, NAN, NAN, NAN, 2.5], "f4"))


def test_disparity_becomes_depth_by_focal_length_baseline_and_offset():
    camera = Camera((1000.0, 994.978), baseline_m=0.193001, disparity_offset_px=31.086)
    out = depth_of_disparity(np.array([50.0, 0, NAN, np.inf, -3]), camera)
    np.testing.assert_allclose(out, [994.978 * 0.193001 / 81.086, NAN, NAN, NAN, NAN], rtol=1e-6)
    behind = Camera((1.0, 1.0), baseline_m=1.0, disparity_offset_px=-10.0)
    np.testing.assert_allclose(depth_of_disparity(np.array([5.0, 12.0]), behind), [NAN, 0.5])


@pytest.mark.parametrize("camera", [None, Camera((1.0, 1.0))])
def test_disparity_without_calibration_is_refused(camera):
    with pytest.raises(ImageError, match=r"needs focal length and baseline.*calib\.txt"):
        depth_of_disparity(np.ones((2, 2)), camera)


def test_lazy_depth_stays_lazy():
    da = pytest.importorskip("dask.array")
    millimetres = da.from_array(np.array([[0, 2000]], "u2"), chunks=1)
    for out in (
        metres_of_millimetres(millimetres),
        depth_of_disparity(millimetres, Camera((1, 1), baseline_m=1)),
    ):
        assert isinstance(out, da.Array)
        assert np.isnan(out.compute()).tolist() == [[True, False]]


def test_inverse_depth_keeps_missing_missing():
    np.testing.assert_array_equal(
        inverse_depth(np.array([4, 0, NAN, -2, np.inf])), np.array([0.25] + [NAN] * 4, "f4")
    )


@pytest.mark.parametrize(
    "normal",
    [
        unit(0, 0, 1),
        unit(0.5, 0, 1),
        unit(0, -0.7, 1),
        unit(0.3, 0.4, 0.8),
        unit(-1, 0.2, 0.6),
        unit(0, -1, 0.25),
    ],
)
def test_normals_of_a_tilted_plane_are_exact(normal):
    out = normals(plane_depth(normal, 2.0), CAMERA)
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, np.broadcast_to(normal[:, None, None], out.shape), atol=1e-6)


@pytest.mark.parametrize("camera", [None, CAMERA])
def test_every_third_pixel_of_a_plane_has_the_same_normal(camera):
    assumed = replace(default_camera((60, 80)), principal_point=(29.5, 39.5))
    depth = plane_depth(unit(0.5, -0.3, 1), 2.0, camera=camera or assumed)
    whole = MultiChannelImage(
        depth[None], (Channel("depth", unit="m", role="depth"),), "depth", camera=camera
    )
    seen = whole.thinned(3)
    np.testing.assert_array_equal(seen.data[0], depth[::3, ::3])
    out = normals(seen.data[0], seen.camera)
    np.testing.assert_allclose(
        out, np.broadcast_to(unit(0.5, -0.3, 1)[:, None, None], (3, 20, 27)), atol=1e-6
    )
    assert whole.thinned(1) is whole


def test_normals_face_the_camera_and_mirror_with_the_image():
    depth = plane_depth(unit(0.4, -0.3, 1), 1.5)
    mirrored = Camera(CAMERA.focal_length_px, (29.5, 79 - 41.0))
    x, y, z = normals(depth, CAMERA)
    flipped = normals(depth[:, ::-1], mirrored)[:, :, ::-1]
    np.testing.assert_allclose(flipped, [-x, y, z], atol=1e-6)
    assert z.min() > 0


def test_normals_next_to_missing_are_missing_and_others_are_not():
    depth = plane_depth(unit(0, 0.2, 1), 2.0)
    depth[20, 30] = NAN
    depth[40, 50] = 0
    missing = np.isnan(normals(depth, CAMERA)).all(axis=0)
    expected = np.zeros_like(missing)
    for y, x in ((20, 30), (40, 50)):
        expected[y - 1 : y + 2, x] = expected[y, x - 1 : x + 2] = True
    assert np.array_equal(missing, expected)


def test_depth_of_one_row_has_no_surface():
    with pytest.raises(ImageError, match="two rows and columns"):
        normals(np.ones((1, 9)))


def test_the_default_camera_sees_60_degrees_along_the_longer_side():
    for shape in ((480, 640), (640, 480)):
        (focal, other), longer = default_camera(shape).focal_length_px, 640
        assert focal == other
        assert 2 * np.arctan(longer / 2 / focal) == pytest.approx(np.pi / 3)
    right, down, towards = points(np.full((3, 5), 2.0))
    assert (right[1, 2], down[1, 2], towards[1, 2]) == (0, 0, -2)


def test_height_and_angle_of_floor_wall_and_ceiling():
    floor = plane_depth(unit(0, -1, 0), 1.2)[40:]  # 1.2 m below the camera, seen below the horizon
    below = Camera(CAMERA.focal_length_px, (29.5 - 40, 41.0))
    assert angle_with_gravity(floor, below) == pytest.approx(0, abs=2e-3)
    assert height(floor, below) == pytest.approx(0, abs=1e-5)
    wall = np.full((60, 80), 3.0)
    assert angle_with_gravity(wall, CAMERA) == pytest.approx(np.pi / 2, abs=1e-6)
    levels = height(wall, CAMERA)
    np.testing.assert_allclose(np.diff(levels, axis=0), -3 / 520, atol=1e-6)
    assert levels.min() <= 0 <= levels[-2].max()
    ceiling = plane_depth(unit(0, 1, 0), 1.0)[:20]
    assert angle_with_gravity(ceiling, Camera(CAMERA.focal_length_px, (29.5, 41.0))) == pytest.approx(
        np.pi, abs=2e-3
    )


def test_gravity_can_be_given_in_any_direction():
    wall = np.full((60, 80), 3.0)
    assert angle_with_gravity(wall, CAMERA, (0, 0, -5)) == pytest.approx(0, abs=1e-6), "looking straight down"
    assert height(wall, CAMERA, (0, 0, -5)) == pytest.approx(0, abs=1e-6)
    with pytest.raises(ImageError, match="Gravity is"):
        height(wall, CAMERA, (0, 0, 0))


def test_one_stray_point_does_not_lift_the_scene():
    wall = np.full((60, 80), 3.0)
    usual = height(wall, CAMERA)
    wall[59, 0] = 300
    np.testing.assert_allclose(height(wall, CAMERA)[:59], usual[:59], atol=1e-6)


def test_height_of_nothing_measured_is_missing():
    assert np.isnan(height(np.zeros((4, 4)))).all()


# --- resizing


def test_missing_values_neither_spread_nor_pull():
    depth = np.full((40, 60), 5.0)
    depth[10:20, 10:30] = NAN
    for shape in ((20, 30), (10, 15), (40, 60), (80, 120), (17, 23)):
        out = resize_measured(depth, shape)
        assert out.shape == shape
        assert set(np.unique(out[np.isfinite(out)])) == {5.0}
        assert np.isnan(out).mean() == pytest.approx(200 / 2400, abs=0.03)


def test_half_of_the_weight_must_have_been_measured():
    plane = np.zeros((8, 8), "f4")
    plane[:, 4:] = NAN
    assert np.isnan(resize_measured(plane, (1, 2))).tolist() == [[False, True]]
    assert not np.isnan(resize_measured(plane, (1, 1))), "exactly half"
    plane[:, 3] = NAN
    assert np.isnan(resize_measured(plane, (1, 1)))


def test_a_resized_pixel_is_the_weighted_mean_of_what_was_measured():
    rng = np.random.default_rng(0)
    plane = rng.uniform(2, 3, (24, 36))
    plane[rng.random((24, 36)) < 0.2] = NAN
    out = resize_measured(plane, (8, 12))

    def weights(length, count):  # triangles two output pixels wide
        step = length / count
        away = np.abs((np.arange(length) + 0.5)[None] - ((np.arange(count) + 0.5) * step)[:, None]) / step
        triangle = np.clip(1 - away, 0, None)
        return triangle / triangle.sum(axis=1, keepdims=True)

    rows, columns = weights(24, 8), weights(36, 12)
    measured = np.isfinite(plane).astype(float)
    expected = (rows @ np.nan_to_num(plane) @ columns.T) / (rows @ measured @ columns.T)
    np.testing.assert_allclose(out, expected, atol=2e-6)


def test_without_missing_values_it_is_the_plain_resize_and_without_any_it_stays_missing():
    plane = np.random.default_rng(1).random((30, 30)).astype("f4")
    assert resize_measured(plane, (30, 30)) is plane
    assert np.isnan(resize_measured(np.full((30, 30), np.inf), (10, 10))).all()
