"""The physics behind the simulated scenes, in closed form."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from napari_simmat.images.physics.thermal import spectral_radiance
from napari_simmat.images.simulate.bodies import Ellipsoid, Facets, Rod
from napari_simmat.images.simulate.fresnel import (
    behind_polarizer,
    diattenuated,
    fresnel,
    reflected_direction,
    refracted_direction,
)
from napari_simmat.images.simulate.metamers import (
    PATCHES,
    WAVELENGTHS,
    lab,
    metamer,
    metameric_black,
    spectrum,
    tristimulus,
)
from napari_simmat.images.simulate.radiation import apparent_temperature, band_radiance
from napari_simmat.images.simulate.sensor import Random, recorded

ANGLES = np.linspace(0.0, np.pi / 2 - 1e-3, 200)


@pytest.mark.parametrize("n", [1.33, 1.52, 2.4])
def test_nothing_polarized_along_the_plane_is_reflected_at_brewsters_angle(n):
    across, along = fresnel(np.cos(np.arctan(n)), n)
    assert along == pytest.approx(0.0, abs=1e-15)
    assert across == pytest.approx(((n**2 - 1) / (n**2 + 1)) ** 2)


@pytest.mark.parametrize("n", [1.33, 1.52, 1 / 1.52])
def test_straight_on_both_polarizations_are_reflected_alike(n):
    across, along = fresnel(np.array(1.0), n)
    assert across == pytest.approx(((n - 1) / (n + 1)) ** 2)
    assert along == pytest.approx(across)


def test_glass_mirrors_all_light_that_grazes_it_and_all_beyond_the_critical_angle():
    assert np.allclose(fresnel(np.array(0.0), 1.5), 1.0)
    beyond = np.arcsin(1 / 1.5) + 0.01
    assert np.allclose(fresnel(np.cos(beyond), 1 / 1.5), 1.0)
    assert max(fresnel(np.cos(beyond - 0.02), 1 / 1.5)) < 0.9


def test_energy_is_conserved():
    """What is reflected and what is refracted, from amplitudes, add up to what comes in."""
    n, inside = 1.52, np.arcsin(np.sin(ANGLES) / 1.52)
    across, along = fresnel(np.cos(ANGLES), n)
    area = n * np.cos(inside) / np.cos(ANGLES)
    passed_across = 2 * np.cos(ANGLES) / (np.cos(ANGLES) + n * np.cos(inside))
    passed_along = 2 * np.cos(ANGLES) / (n * np.cos(ANGLES) + np.cos(inside))
    assert np.allclose(across + area * passed_across**2, 1.0)
    assert np.allclose(along + area * passed_along**2, 1.0)


def test_reflectance_is_the_same_from_both_sides():
    inside = np.arcsin(np.sin(ANGLES) / 1.52)
    assert np.allclose(fresnel(np.cos(ANGLES), 1.52), fresnel(np.cos(inside), 1 / 1.52))


def test_rays_follow_snells_law_and_the_law_of_reflection():
    rays = np.stack([np.sin(ANGLES), np.zeros_like(ANGLES), -np.cos(ANGLES)])
    normal = np.broadcast_to(np.array([[0.0], [0.0], [1.0]]), rays.shape)
    inside, mirrored = refracted_direction(rays, normal, 1.4), reflected_direction(rays, normal)
    assert np.allclose(1.4 * inside[0], np.sin(ANGLES))
    assert np.allclose(np.linalg.norm(inside, axis=0), 1.0)
    assert np.allclose(mirrored, rays * [[1], [1], [-1]])


def test_malus():
    turned = np.linspace(0.0, np.pi, 13)
    for axis in (0.0, 0.6, 2.1):
        polarized = np.array([1.0, np.cos(2 * axis), np.sin(2 * axis)])
        for angle in turned:
            assert behind_polarizer(polarized, angle) == pytest.approx(np.cos(angle - axis) ** 2)


def test_a_polarizer_of_finite_extinction_lets_some_crossed_light_through():
    polarized = np.array([1.0, 1.0, 0.0])
    through, crossed = (behind_polarizer(polarized, angle, 300.0) for angle in (0.0, np.pi / 2))
    assert through / crossed == pytest.approx(300.0)
    assert through + crossed == pytest.approx(1.0)


def test_unpolarized_light_reflected_at_brewsters_angle_is_wholly_polarized_across_the_plane():
    across, along = fresnel(np.cos(np.arctan(1.5)), 1.5)
    s0, s1, s2 = diattenuated(np.array([1.0, 0.0, 0.0]), across, along, np.array(0.7))
    assert np.hypot(s1, s2) == pytest.approx(s0)
    assert np.arctan2(s2, s1) / 2 == pytest.approx(0.7)


def test_a_diattenuator_is_a_polarizer_where_one_transmittance_is_zero():
    for stokes in ([1.0, 0.3, 0.2], [2.0, -0.5, 0.9]):
        passed = diattenuated(np.array(stokes), np.array(1.0), np.array(0.0), np.array(0.4))
        assert passed[0] == pytest.approx(behind_polarizer(np.array(stokes), 0.4))
        assert np.hypot(passed[1], passed[2]) == pytest.approx(passed[0])


def test_two_crossed_attenuators_of_the_same_kind_only_dim():
    stokes = np.array([1.0, 0.3, -0.2])
    once = diattenuated(stokes, np.array(0.9), np.array(0.5), np.array(0.3))
    twice = diattenuated(once, np.array(0.9), np.array(0.5), np.array(0.3 + np.pi / 2))
    assert np.allclose(twice, 0.45 * stokes)


def test_glass_in_light_from_everywhere_is_invisible_and_unpolarized():
    """Kirchhoff: what it adds by reflection it takes away by transmission, in each polarization."""
    across, along = fresnel(np.cos(ANGLES), 1.52)
    light = np.stack([np.ones_like(ANGLES), 0 * ANGLES, 0 * ANGLES])
    seen = diattenuated(light, across, along, ANGLES) + diattenuated(light, 1 - across, 1 - along, ANGLES)
    assert np.allclose(seen, light)


def rays_from_above(half=20.0, step=1.0):
    at = np.arange(-half, half + step, step)
    b, a = np.meshgrid(at, at, indexing="ij")
    return np.stack([a, b, np.zeros_like(a)]), np.array([0.0, 0.0, 1.0])


def test_a_half_sphere_is_met_where_it_is():
    origin, up = rays_from_above()
    distance, normal = Ellipsoid((0.0, 0.0, 0.0), (10.0, 10.0, 10.0)).met(origin, up)
    apart = np.hypot(origin[0], origin[1])
    hit = apart < 10.0
    assert np.array_equal(np.isfinite(distance), hit)
    assert np.allclose(distance[hit], np.sqrt(100.0 - apart[hit] ** 2))
    assert np.allclose(normal[:2, hit], origin[:2, hit] / 10.0)


def test_an_oblique_ray_meets_the_near_side_first():
    towards = np.array([0.0, -np.sin(0.6), np.cos(0.6)])
    origin = np.array([0.0, 0.0, 0.0]).reshape(3, 1)
    for body in (Ellipsoid((0.0, 0.0, 0.0), (10.0, 10.0, 10.0)), Rod((0.0, 0.0, 0.0), 10.0, 5.0, 0.0)):
        distance, normal = body.met(origin, towards)
        assert distance[0] == pytest.approx(10.0)
        assert np.allclose(normal[:, 0], towards)


def test_a_rod_is_a_cylinder_between_half_balls():
    origin, up = rays_from_above()
    distance, normal = Rod((0.0, 0.0, 0.0), 4.0, 10.0, np.pi / 2).met(origin, up)
    middle, side, end = (20, 22), (20, 18), (32, 20)  # rows run along the rod
    assert distance[middle] == pytest.approx(np.sqrt(12.0))
    assert np.allclose(normal[:, 20, 22], [0.5, 0.0, np.sqrt(0.75)])
    assert np.allclose(normal[:, 20, 18], [-0.5, 0.0, np.sqrt(0.75)])
    assert distance[side] == pytest.approx(distance[middle])
    assert distance[end] == pytest.approx(np.sqrt(12.0))
    assert np.allclose(normal[:, 32, 20], [0.0, 0.5, np.sqrt(0.75)])
    assert not np.isfinite(distance[36, 20])


def test_a_pane_is_flat_on_top_and_bevelled_at_its_rim():
    slope = np.sqrt(0.5)
    normals = np.array(
        [[0, 0, 1], [slope, 0, slope], [-slope, 0, slope], [0, slope, slope], [0, -slope, slope]]
    )
    origin, up = rays_from_above()
    distance, normal = Facets(normals, np.array([3.0, *[10.0 * slope] * 4]), (0.0, 0.0, 0.0)).met(origin, up)
    assert distance[20, 20] == pytest.approx(3.0)
    assert np.allclose(normal[:, 20, 20], [0.0, 0.0, 1.0])
    assert distance[20, 28] == pytest.approx(2.0)
    assert np.allclose(normal[:, 20, 28], [slope, 0.0, slope])
    assert not np.isfinite(distance[20, 31])


def test_wiens_displacement_law():
    wavelengths = np.arange(2000.0, 20000.0, 1.0)
    for celsius in (-20.0, 26.85, 400.0):
        brightest = wavelengths[np.argmax(spectral_radiance(celsius, wavelengths))]
        assert brightest == pytest.approx(2.897771955e6 / (celsius + 273.15), abs=1.0)


def test_all_wavelengths_together_follow_stefan_and_boltzmann():
    total = band_radiance(26.85, (500.0, 20000.0)) + band_radiance(26.85, (20000.0, 100000.0))
    total = total + band_radiance(26.85, (100000.0, 2000000.0))
    assert np.pi * total == pytest.approx(5.670374419e-8 * 300.0**4, rel=1e-4)


def test_a_black_body_appears_as_warm_as_it_is():
    celsius = np.linspace(-60.0, 120.0, 181)
    assert np.allclose(apparent_temperature(band_radiance(celsius)), celsius, atol=1e-4)


def test_a_mirror_appears_as_warm_as_what_it_mirrors_and_a_grey_body_between():
    body, sky = band_radiance(20.0), band_radiance(-40.0)
    read = [float(apparent_temperature(e * body + (1 - e) * sky)) for e in (0.0, 0.5, 0.95, 1.0)]
    assert read[0] == pytest.approx(-40.0, abs=1e-3)
    assert read[3] == pytest.approx(20.0, abs=1e-3)
    assert read == sorted(read)


def test_photon_noise_grows_with_the_root_of_the_light():
    def spread(grey):
        return recorded(
            Random(1), np.full((300, 300), grey), top=4095, full_well=10500.0, read_noise=0.0
        ).std()

    assert spread(2000.0) / spread(500.0) == pytest.approx(2.0, rel=0.02)
    assert spread(2000.0) == pytest.approx(np.sqrt(2000.0 * 4095 / 10500), rel=0.02)


@pytest.mark.parametrize("illuminant", ["D65", "A"])
def test_a_metameric_black_has_no_colour_and_is_what_remains_of_itself(illuminant):
    spectra = np.stack([spectrum(name) for name in PATCHES], axis=1)
    black = metameric_black(spectra, illuminant)
    assert np.abs(tristimulus(black, illuminant)).max() < 1e-14
    assert np.allclose(metameric_black(black, illuminant), black)
    assert np.allclose(np.sum(black * (spectra - black), axis=0), 0.0, atol=1e-12)  # orthogonal to the rest


def test_metamers_match_under_daylight_and_part_under_a_tungsten_lamp():
    old = np.stack([spectrum(name) for name in ("light skin", "foliage", "neutral 5")], axis=1)
    black = metameric_black(spectrum("red") - spectrum("cyan"))
    new = metamer(old, black, 0.3)
    assert np.linalg.norm(lab(new) - lab(old), axis=0).max() < 1e-9
    assert np.linalg.norm(lab(new, "A") - lab(old, "A"), axis=0).min() > 1.0
    assert np.sqrt(np.mean((new - old) ** 2, axis=0)).min() > 0.01
    assert new.min() >= 0.01 - 1e-12
    assert new.max() <= 0.97 + 1e-12


def test_white_is_white():
    assert np.allclose(lab(np.ones(31)), [100.0, 0.0, 0.0])
    assert lab(spectrum("neutral 5"))[0] == pytest.approx(50.0, abs=1.5)


def test_the_stored_spectra_are_those_of_colour_science():
    pytest.importorskip("colour")
    tool = Path(__file__).parents[1] / "tools" / "make_spectra.py"
    spec = importlib.util.spec_from_file_location("make_spectra", tool)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    columns = module.spectra()
    assert tuple(columns)[5:] == PATCHES
    assert tuple(module.WAVELENGTHS) == WAVELENGTHS
    for name, values in columns.items():
        assert np.allclose(spectrum(name), values, rtol=1e-7, atol=0.0)


@pytest.mark.filterwarnings("ignore::colour.utilities.ColourRuntimeWarning")
def test_colours_are_those_that_colour_science_computes():
    """The sum over 31 bands of 10 nm agrees with its integral over the full table in steps of 1 nm."""
    colour = pytest.importorskip("colour")
    for name, reflectance in colour.SDS_COLOURCHECKERS["BabelColor Average"].items():
        xyz = colour.sd_to_XYZ(reflectance, illuminant=colour.SDS_ILLUMINANTS["D65"]) / 100.0
        assert np.allclose(tristimulus(spectrum(name.split("(")[0].strip())), xyz, atol=0.003)
