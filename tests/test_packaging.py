"""What an installed wheel has that a checkout has, and nothing more than it says."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import napari_simmat

ROOT = Path(__file__).parents[1]
QT_BINDINGS = {"pyqt5", "pyqt6", "pyside2", "pyside6"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel, built from this checkout with what is installed here: no network."""
    out = tmp_path_factory.mktemp("wheel")
    _run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, ROOT)
    return next(out.glob("napari_simmat-*.whl"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """Python of an environment that holds the wheel, and sees what it depends on but not this checkout.

    The .pth files in a folder that itself comes from a .pth file are not read, so this checkout stays unseen.
    """
    environment = tmp_path_factory.mktemp("environment")
    _run(sys.executable, "-m", "venv", "--without-pip", environment)
    python = environment / "bin" / "python"
    _run(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--quiet", wheel)
    purelib = _run(python, "-I", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    Path(purelib, "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


def test_npe2_finds_the_manifest_of_the_wheel(installed, tmp_path):
    said = _run(installed, "-I", "-m", "npe2", "validate", "napari-simmat", cwd=tmp_path)
    assert "valid" in said

    code = (
        "from npe2 import PluginManifest as M\n"
        "import napari_simmat, pathlib\n"
        "m = M.from_distribution('napari-simmat')\n"
        "print(pathlib.Path(napari_simmat.__file__).parent, m.name, m.package_version)"
    )
    folder, name, version = _run(installed, "-I", "-c", code, cwd=tmp_path).split()
    assert Path(folder).is_relative_to(installed.parents[1])
    assert (name, version) == ("napari-simmat", napari_simmat.__version__)


def test_npe2_finds_the_manifest_of_this_checkout():
    manifest = ROOT / "napari_simmat" / "napari.yaml"
    assert manifest.resolve() == ROOT / "napari.yaml"
    assert "valid" in _run(sys.executable, "-m", "npe2", "validate", "napari-simmat")


def test_everything_the_manifest_names_can_be_imported():
    import npe2

    manifest = npe2.PluginManifest.from_file(ROOT / "napari.yaml")
    for command in manifest.contributions.commands:
        module, _, name = command.python_name.partition(":")
        assert hasattr(importlib.import_module(module), name), command.python_name


def test_the_wheel_finds_its_own_samples_and_weights(installed, tmp_path):
    code = (
        "from napari_simmat.images import SAMPLES, open_dataset, open_image, sample_path\n"
        "for name in SAMPLES:\n"
        "    path = sample_path(name)\n"
        "    image = open_dataset(path)[0].load()[0] if path.is_dir() else open_image(path)\n"
        "    print(path)\n"
        "from napari_simmat.models import load_base_model\n"
        "print(load_base_model().name)"
    )
    *paths, model = _run(installed, "-I", "-c", code, cwd=tmp_path).splitlines()
    assert len(paths) >= 2
    assert all(Path(path).is_relative_to(installed.parents[1]) for path in paths)
    assert model


def test_the_command_line_of_the_wheel_runs(installed, tmp_path):
    said = _run(installed.parent / "napari-simmat", "--version", cwd=tmp_path)
    assert said.strip() == napari_simmat.__version__


def test_the_wheel_carries_its_licence_and_its_notices(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert any(name.endswith("licenses/NOTICE") for name in names)


def test_no_qt_binding_comes_with_the_base_install_and_one_with_the_extra_all(wheel):
    archive = zipfile.ZipFile(wheel)
    text = archive.read(next(n for n in archive.namelist() if n.endswith("/METADATA"))).decode()
    needs = [Requirement(line) for line in re.findall(r"^Requires-Dist: (.*)$", text, re.MULTILINE)]
    base = {need.name.lower() for need in needs if not _is_extra(need)}
    extra = {str(need) for need in needs if _is_extra(need) and '"all"' in str(need.marker)}
    assert not base & (QT_BINDINGS | {"napari"})
    assert any(need.startswith("napari[pyqt6]") for need in extra)


def test_what_the_code_imports_is_what_it_declares():
    needs = [Requirement(text) for text in importlib.metadata.requires("napari-simmat") or []]
    declared = {_plain(need.name) for need in needs if not _is_extra(need)}
    extras = ('extra == "formats"', 'extra == "benchmark"', 'extra == "clip"')
    optional = {_plain(need.name) for need in needs if str(need.marker).endswith(extras)}
    owners = importlib.metadata.packages_distributions()
    imported = set()
    for path in (ROOT / "napari_simmat").rglob("*.py"):
        found = {_plain(owner) for module in _imports(path) for owner in owners.get(module, [])}
        is_plugin = path.is_relative_to(ROOT / "napari_simmat" / "plugin")
        imported |= found - ({"napari", "vispy"} if is_plugin else set())  # napari brings vispy
    # segment-anything imports torchvision without declaring it
    assert imported - {"napari-simmat"} - optional == declared - {"torchvision"}


def _is_extra(need: Requirement) -> bool:
    return "extra" in str(need.marker or "")


def _imports(path: Path) -> set[str]:
    """Top-level names of the modules that a file imports by name."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _run(*command: object, cwd: Path = ROOT) -> str:
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr
