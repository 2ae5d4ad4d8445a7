"""evalx-images extend: lists of packages, and what is written for evalx."""
import os
import sys

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "deploy", "images", "evalx_images"))
import extension  # noqa: E402
from common import Failure  # noqa: E402
from folder import Folder  # noqa: E402
from recipes import Recipe  # noqa: E402


def words(folder, key, name, text):
    (folder / name).write_text(text, encoding="utf-8")
    return extension.words_of(key, str(folder / name))


def test_files_of_packages(tmp_path):
    text = "# all\nrequests == 2.32.3\n\nnetworkx>=3,<4 # graphs\nemoji\n"
    assert words(tmp_path, "pypi", "requirements.txt", text) == ["requests==2.32.3", "networkx>=3,<4", "emoji"]
    assert words(tmp_path, "pypi", "locked.txt", "emoji==2.14 \\\n    --hash=sha256:00 \\\n    --hash=sha256:11\n") == [
        "emoji==2.14"]
    assert words(tmp_path, "npm", "package.json", '{"dependencies": {"lodash": "4.17.21", "@a/b": "^1.2"}}') == [
        "lodash@4.17.21", "@a/b@^1.2"]
    text = "module x\n\ngo 1.24\n\nrequire (\n\tgithub.com/a/b v1.2.3 // indirect\n)\nrequire gopkg.in/c v4.0.0\n"
    assert words(tmp_path, "gomod", "go.mod", text) == ["github.com/a/b@v1.2.3", "gopkg.in/c@v4.0.0"]
    assert words(tmp_path, "crates", "crates", "serde@1.0.219/derive\nrand\n") == ["serde@1.0.219/derive", "rand"]
    assert extension.words_of("packages", "graphviz libgmp-dev") == ["graphviz", "libgmp-dev"]


@pytest.mark.parametrize("line", ["git+https://host/x.git", "-r other.txt", "--index-url https://host", "./folder",
                                  "x ; python_version < '3.9'", "x @ https://host/x.whl"])
def test_only_names_of_packages_are_taken(tmp_path, line):
    with pytest.raises(Failure, match="expected packages by name"):
        words(tmp_path, "pypi", "requirements.txt", line + "\n")


def test_nothing_to_add_is_a_mistake(tmp_path):
    with pytest.raises(Failure, match="names no packages"):
        words(tmp_path, "pypi", "requirements.txt", "# nothing\n")
    with pytest.raises(Failure, match="does not exist"):
        extension.words_of("pypi", str(tmp_path / "missing.txt"))
    with pytest.raises(Failure, match="at most 128"):
        extension.description("python-3.13", {"pypi": [f"a{number}" for number in range(129)]})


def test_lines_are_short_enough_for_evalx():
    text = extension.description("python-3.13", {"pypi": [f"package-{number}==1.0" for number in range(100)]})
    assert max(map(len, text.splitlines())) <= 198
    assert text.splitlines()[1:3] == ["[image]", "on = python-3.13"]
    assert len(text.split("pypi = ")[1].split()) == 100


class SomeRecipes:
    def __init__(self):
        self.recipe = Recipe("python-3.13")
        self.recipe.words = {"suite": ["trixie"], "language": ["py-3", "py-3@course"]}

    def names(self):
        return ["python-3.13"]

    def get(self, name):
        return self.recipe if name == "python-3.13" else Recipe(name)


def test_an_image_is_named_by_itself_or_a_language():
    for name in ("py-3", "python-3.13"):
        assert extension.image_of(SomeRecipes(), name) == "python-3.13"
    for name in ("course", "py-3@course"):
        with pytest.raises(Failure, match="is no image of a language: python-3.13"):
            extension.image_of(SomeRecipes(), name)


def test_a_failed_build_leaves_the_description_as_it_was(tmp_path):
    folder, path = Folder(str(tmp_path)), tmp_path / "course.extension"

    def fail(text):
        with pytest.raises(Failure, match="no network"), \
                extension.Description(folder, SomeRecipes(), "course", text):
            assert path.read_text(encoding="utf-8") == text
            raise Failure("no network")

    fail("first")
    assert not path.exists()
    with extension.Description(folder, SomeRecipes(), "course", "first"):
        pass
    fail("second")
    assert path.read_text(encoding="utf-8") == "first"
    for name in ("Course", "2course", "host", "a/b", "a" * 32):
        with pytest.raises(Failure, match="is not a valid name"):
            extension.Description(folder, SomeRecipes(), name, "")
    with pytest.raises(Failure, match="there is an image python-3.13 already"):
        extension.Description(folder, SomeRecipes(), "python-3.13", "")
