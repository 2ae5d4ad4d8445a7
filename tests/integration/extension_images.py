"""Images made by hand, for tests of extensions: the host's bash in a base image, and extensions of that image."""
import os
import shutil
import subprocess

LANGUAGE = """[language]
id = shell
name = Shell
version = 1
image = host
source = main.sh
run = /bin/bash {source} {args}
needs = /bin/bash
[version 2]
image = shell-2
"""
TOOLS = ("bash", "cat", "mkdir")


def make(folder, *extensions):
    """The folders "languages" and "images": version 2 of the language shell in the image shell-2, and extensions."""
    os.makedirs(folder + "/languages")
    with open(folder + "/languages/shell.conf", "w", encoding="utf-8") as file:
        file.write(LANGUAGE)
    os.makedirs(folder + "/images/.layers/shell-2_1/bin")
    for tool in TOOLS:
        copy_with_libraries(shutil.which(tool), folder + "/images/.layers/shell-2_1", "/bin/" + tool)
    write(folder, "shell-2.layers", "shell-2_1\n")
    for name in extensions:
        extend(folder, name)
    return {"EVALX_LANGUAGES": folder + "/languages", "EVALX_IMAGES": folder + "/images"}


def extend(folder, name):
    """Adds an extension of shell-2 with the file /usr/share/NAME."""
    share = f"{folder}/images/.layers/{name}_1/usr/share"
    os.makedirs(share)
    with open(f"{share}/{name}", "w", encoding="utf-8") as file:
        file.write(f"content of {name}\n")
    write(folder, name + ".layers", f"shell-2_1\n{name}_1\n")
    write(folder, name + ".extension", "[image]\non = shell-2\n")


def write(folder, name, text):
    with open(f"{folder}/images/{name}", "w", encoding="utf-8") as file:
        file.write(text)


def copy_with_libraries(program, root, target):
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    copies = [(path, path) for path in listed.split() if path.startswith("/")] + [(program, target)]
    for source, to in copies:
        os.makedirs(root + os.path.dirname(to), exist_ok=True)
        shutil.copy(os.path.realpath(source), root + to)
