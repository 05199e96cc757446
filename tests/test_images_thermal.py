"""Degrees Celsius from what a thermal camera stores; never by guessing."""

from __future__ import annotations

import numpy as np
import pytest

from napari_simmat.errors import ImageError
from napari_simmat.images.physics.thermal import (
    SCALES,
    scale_named,
    spectral_radiance,
    to_celsius,
)


@pytest.mark.parametrize(
    ("scale", "value", "celsius"),
    [
        ("celsius", -40.5, -40.5),
        ("fahrenheit", 212, 100),
        ("fahrenheit", -40, -40),
        ("kelvin", 273.15, 0),
        ("centikelvin", 29815, 25),
        ("decikelvin", 2982, 25.05),
        ("centicelsius", 3721, 37.21),
        ("decicelsius", 372, 37.2),
        ("tlinear 0.04", 7500, 26.85),
        ("tlinear 0.4", 750, 26.85),
        ("kelvin/64", 19200, 26.85),
    ],
)
def test_each_linear_scale(scale, value, celsius):
    dtype = "u2" if value == int(value) and value > 0 else "f8"
    out = to_celsius(np.full((2, 3), value, dtype), scale)
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, celsius, atol=2e-6)


def test_every_scale_has_a_test():
    assert set(SCALES) == {
        "celsius", "fahrenheit", "kelvin", "centikelvin", "decikelvin", "centicelsius",
        "decicelsius", "tlinear 0.04", "tlinear 0.4", "kelvin/64",
    }  # fmt: skip


def test_neighbouring_counts_stay_apart_and_missing_stays_missing():
    out = to_celsius(np.array([65534, 65535], "u2"), "centikelvin")
    assert out[1] - out[0] == pytest.approx(0.01, abs=1e-4)
    assert np.isnan(to_celsius(np.array([np.nan, np.inf, -np.inf]), "kelvin")).all()


def test_lazy_values_stay_lazy():
    da = pytest.importorskip("dask.array")
    out = to_celsius(da.full((1, 4, 4), 27315, dtype="u2", chunks=2), "centikelvin")
    assert isinstance(out, da.Array)
    np.testing.assert_allclose(out.compute(), np.zeros((1, 4, 4), "f4"), atol=1e-6)


def test_an_unknown_scale_is_refused_with_the_known_ones():
    with pytest.raises(ImageError, match=r"no temperature scale 'rankine'.*centikelvin"):
        to_celsius(np.zeros(1), "rankine")


@pytest.mark.parametrize(
    ("words", "scale"),
    [
        ("centikelvin", "centikelvin"), ("cK", "centikelvin"), ("0.01 K", "centikelvin"), ("10 mK", "centikelvin"),
        ("Centi-Kelvin", "centikelvin"), ("dK", "decikelvin"), ("K", "kelvin"), ("°C", "celsius"), ("degC", "celsius"),
        ("degrees Celsius", "celsius"), ("°F", "fahrenheit"), ("0.04 K", "tlinear 0.04"),
        ("count", ""), ("", ""), ("nm", ""), ("mm", ""),
    ],
)  # fmt: skip
def test_units_are_understood_in_makers_spellings(words, scale):
    assert scale_named(words) == scale


def test_black_body_peaks_where_wien_says_and_sums_to_stefan_boltzmann():
    kelvin = 310.0
    nanometres = np.linspace(500, 400_000, 400_000)
    radiance = np.array(spectral_radiance(kelvin - 273.15, nanometres))
    assert nanometres[radiance.argmax()] == pytest.approx(2.897771955e6 / kelvin, abs=1)
    total = np.pi * np.trapezoid(radiance, nanometres * 1e-9)
    assert total == pytest.approx(5.670374419e-8 * kelvin**4, rel=2e-4)


def test_black_body_radiance_scales_with_the_fifth_power_along_wiens_law():
    # L(w / s, s T) = s^5 L(w, T)
    one = spectral_radiance(300 - 273.15, 10_000)
    assert spectral_radiance(600 - 273.15, 5_000) == pytest.approx(32 * one, rel=1e-12)
