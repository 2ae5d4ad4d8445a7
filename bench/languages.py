"""languages: the language files, changed to use the interpreter of the host where it is installed; and C, also linked
statically.

Some language files name an image that has to be built first.  Besides, a comparison with the command on the host needs
the same interpreter on both sides.
"""
import os
import subprocess

from engine import write

# Name, language, interpreter, its option for a program on the command line, the program.
INTERPRETERS = [
    ("Python", "python", "/usr/bin/python3", "-c", "print('hello')"),
    ("Node", "javascript", "/usr/bin/node", "-e", "console.log('hello')"),
    ("Ruby", "ruby", "/usr/bin/ruby", "-e", "puts 'hello'"),
    ("PHP", "php", "/usr/bin/php", "-r", "echo \"hello\\n\";"),
]
STATIC_C = "c-static"


def host_languages(bench):
    """The folder for EVALX_LANGUAGES."""
    folder = os.path.join(bench.folder, "languages")
    if os.path.isdir(folder):
        return folder
    os.mkdir(folder, 0o755)
    plain = bench.harness.language_on_host("c")
    write(os.path.join(folder, "c.conf"), plain)
    static = bench.harness.language_on_host("c", id=STATIC_C, aliases=[])
    write(os.path.join(folder, STATIC_C + ".conf"), static.replace("-O2", "-O2\n  -static", 1))
    for _, name, _, _, _ in INTERPRETERS:
        write(os.path.join(folder, name + ".conf"), bench.harness.language_on_host(name))
    return folder


def prepared(bench, languages, folder):
    """The images folder in which these languages of a folder are prepared."""
    images = os.path.join(bench.folder, "images")
    os.makedirs(images, 0o755, exist_ok=True)
    if not languages: # without a name, evalx would prepare all of them
        return images
    env = {key: value for key, value in os.environ.items() if not key.startswith(("EVALX_", "REDIS_"))}
    env.update(EVALX_IMAGES=images, EVALX_LANGUAGES=folder, EVALX_UID_BASE="1920000000", EVALX_DATA=bench.folder)
    subprocess.run([os.environ["EVALX_BINARY"], "prepare", *languages], check=True, env=env,
                   stdout=subprocess.DEVNULL)
    return images


def program_of(name, code):
    return "<?php " + code if name == "PHP" else code + "\n"
