"""languages: the language files as they are, but every one on the host's own interpreter, where it is installed; and C,
also linked statically.

Some name an image that has to be built first; a benchmark beside the host's own command needs the same interpreter on
both sides anyway.
"""
import os
import subprocess

from engine import write

# Name, language, the file's interpreter, what is said by the plain command on the host, the program.
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
    if not languages: # without a name evalx would take all
        return images
    env = {key: value for key, value in os.environ.items() if not key.startswith(("EVALX_", "REDIS_"))}
    env.update(EVALX_IMAGES=images, EVALX_LANGUAGES=folder, EVALX_UID_BASE="1920000000", EVALX_DATA=bench.folder)
    subprocess.run([os.environ["EVALX_BINARY"], "prepare", *languages], check=True, env=env,
                   stdout=subprocess.DEVNULL)
    return images


def program_of(name, code):
    return "<?php " + code if name == "PHP" else code + "\n"
