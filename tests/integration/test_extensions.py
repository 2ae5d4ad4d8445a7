"""Extensions of images: the request field "image", who may use which, and which worker gets the submission."""
import hashlib
import json
import os
import subprocess

import pytest

import extension_images
import harness

READ = "cat /usr/share/course"
WRITE = """for path in /usr/share/course /usr/share/new /usr/new /new; do
    echo x 2>/dev/null >$path && echo "wrote $path"
done
mkdir /usr/share/folder 2>/dev/null && echo "made a folder"
cat /usr/share/course
"""
KEYS = {"teacher": "::::course,other", "guest": "", "all": "::::*", "one": "::::other"}


def program(code, **fields):
    return {"language": "shell", "version": "2", "code": code, **fields}


def headers(name):
    return {"X-Api-Key": "key of " + name}


@pytest.fixture(scope="module")
def server():
    """With one key for each line of KEYS, two working extensions and three broken ones."""
    folder = harness.make_folder()
    settings = extension_images.make(folder, "course", "other", "lost", "hollow")
    os.remove(folder + "/images/lost.layers")
    os.remove(folder + "/images/.layers/hollow_1/usr/share/hollow")
    os.symlink("/nowhere", folder + "/images/.layers/hollow_1/bin")  # hides the programs of the image below
    extension_images.write(folder, "wrong.extension", "[image]\non = no-such-image\n")
    keys_file = folder + "/keys"
    with open(keys_file, "w", encoding="ascii") as file:
        for name, rest in KEYS.items():
            digest = hashlib.sha256(headers(name)["X-Api-Key"].encode()).hexdigest()
            file.write(f"{name}:{digest}{rest}\n")
    os.chmod(keys_file, 0o600)
    with harness.shared_server({**settings, "EVALX_API_KEYS_FILE": keys_file}, folder) as process:
        yield process


def run(server, batch, key="teacher"):
    """The results of a batch."""
    client = server.client()
    answer = client.post("/execute/batch?wait=30", batch, headers(key))
    assert answer.status == 200, answer.text
    found = answer.json()
    assert found["status"] == "Completed", found
    return found["results"]


def refusal(server, body, key):
    """The message of a 400 about the field "image"."""
    answer = server.client().post("/execute", body, headers(key))
    assert answer.status == 400 and answer.json()["error"]["field"] == "image", answer.text
    return answer.json()["error"]["message"]


def test_a_submission_runs_in_the_image_that_it_names(server):
    (result,) = run(server, [program(READ, image="course")])
    assert result["status"] == "accepted" and result["stdout"] == "content of course\n"
    assert (result["language"], result["version"], result["image"]) == ("shell-2", "2", "course")
    (result,) = run(server, [{"language": "shell-2@other", "version": "*", "code": "cat /usr/share/other"}])
    assert result["stdout"] == "content of other\n" and result["image"] == "other"
    (result,) = run(server, [program(READ)])
    assert result["status"] == "runtime_error" and "image" not in result


def test_a_batch_may_use_several_images(server):
    results = run(server, [program(READ, image="course", stdin="a"), {"stdin": "b"},
                           {"image": "other", "code": "cat /usr/share/other"}])
    assert [one["stdout"] for one in results] == ["content of course\n"] * 2 + ["content of other\n"]
    assert [one["image"] for one in results] == ["course", "course", "other"]


def test_programs_cannot_write_to_an_extension(server):
    (result,) = run(server, [program(WRITE, image="course")])
    assert result["stdout"] == "content of course\n"
    (result,) = run(server, [program("echo $(</usr/share/course)", image="course")])
    assert result["stdout"] == "content of course\n"


def test_a_wrong_image_is_refused_with_the_list_of_what_there_is(server):
    text = refusal(server, program(READ, image="nope"), "teacher")
    assert "course (shell-2), other (shell-2)" in text and "hollow" not in text and '"nope"' in text
    assert "hollow (shell-2), other (shell-2)" in refusal(server, program(READ, image="nope"), "all")
    assert "expected none" in refusal(server, {**program(READ, image="course"), "version": "1"}, "guest")


def test_a_key_uses_only_the_images_of_its_line(server):
    (result,) = run(server, [program("cat /usr/share/other", image="other")], "one")
    assert result["status"] == "accepted"
    text = refusal(server, program(READ, image="course"), "one")
    assert "other (shell-2)" in text and "course (" not in text
    assert "expected none" in refusal(server, program(READ, image="course"), "guest")
    assert "expected none" in refusal(server, {"language": "shell-2@course", "version": "*", "code": READ}, "guest")


def test_languages_lists_the_images_of_the_key(server):
    def images(key):
        listed = server.client().get("/languages", headers(key)).json()
        assert [one["id"] for one in listed] == ["shell", "shell-2"] and listed[0]["images"] == []
        return {one["name"]: one["available"] for one in listed[1]["images"]}

    assert images("teacher") == {"course": True, "other": True}
    assert images("all") == {"course": True, "hollow": True, "lost": False, "other": True}
    assert images("guest") == {}


def test_a_broken_extension_stops_only_its_own_submissions(server):
    assert 'got "lost"' in refusal(server, program(READ, image="lost"), "all")
    token = server.client().post("/execute", program(READ, image="hollow"), headers("all")).json()["token"]
    for image in ("course", "course", "course"):
        assert run(server, [program(READ, image=image)])[0]["status"] == "accepted"
    assert server.client().get("/readyz").status == 200
    assert "image extension left out: " in server.log() and "no-such-image" in server.log()
    server.client().request("DELETE", f"/submissions/{token}", headers=headers("all"))


@pytest.mark.parametrize("rest", [":::: a", "::::a,", "::::A", "::::*,a", "::::a:"])
def test_a_bad_list_of_images_stops_the_start(leave_nothing, folder, rest):
    with open(folder + "/keys", "w", encoding="ascii") as file:
        file.write(f"client:{'0' * 64}{rest}\n")
    os.chmod(folder + "/keys", 0o600)
    server = leave_nothing(harness.Evalx("server", ["server"], folder, {"EVALX_API_KEYS_FILE": folder + "/keys"}))
    server.start()
    assert server.wait() != 0 and "keys:1: expected" in server.log()


def test_a_fleet_sends_a_submission_to_the_worker_that_has_the_image(start_fleet, folder):
    """The API server has the description of the image, and not the image."""
    settings = extension_images.make(folder, "course")
    without = folder + "/without"
    os.makedirs(without + "/.layers")
    os.rename(folder + "/images", folder + "/with")
    for name in ("shell-2.layers", ".layers/shell-2_1"):
        subprocess.run(["cp", "-a", f"{folder}/with/{name}", f"{without}/{name}"], check=True)
    subprocess.run(["cp", "-a", folder + "/with/course.extension", without], check=True)
    fleet = start_fleet(workers=1, env={**settings, "EVALX_IMAGES": without})
    client = fleet.client()
    (result,) = client.run([program("echo plain")])["results"]
    assert result["stdout"] == "plain\n"
    token = client.submit([program(READ, image="course")])
    (result,) = client.run([program("echo plain again")])["results"]
    assert result["stdout"] == "plain again\n"
    assert client.get(f"/submissions/{token}").json()["status"] == "Queued"
    queue = client.get("/queue").json()["languages"]
    assert [one["language"] for one in queue if one["waiting"] > 0] == ["shell-2@course"]
    fleet.add_worker({"EVALX_IMAGES": folder + "/with"})
    (result,) = client.poll(token)["results"]
    assert result["stdout"] == "content of course\n" and result["image"] == "course"
    assert {one["name"]: one["available"] for one in client.get("/languages").json()[1]["images"]} == {"course": False}


def test_the_command_line_names_the_image(folder):
    settings = extension_images.make(folder, "course")
    with open(folder + "/read.sh", "w", encoding="utf-8") as file:
        file.write(READ)

    def evalx(*words):
        return subprocess.run([harness.BINARY, *words], env={**os.environ, **settings}, capture_output=True, text=True,
                              check=False)

    done = evalx("run", "--language", "shell-2", "--image", "course", folder + "/read.sh")
    assert done.returncode == 0 and done.stdout == "content of course\n", done.stderr
    done = evalx("run", "--language", "shell-2", "--image", "nope", folder + "/read.sh")
    assert done.returncode == 2 and "course (shell-2)" in done.stderr
    assert "shell-2@course" in evalx("languages").stdout
    recipes = [line.split("\t") for line in evalx("languages", "--images").stdout.splitlines()]
    assert ["course", "language", "shell-2@course"] in recipes and ["course", "on", "shell-2"] in recipes
    listed = {one["id"]: one for one in json.loads(evalx("languages", "--json").stdout)}
    assert listed["shell-2@course"]["base"] == "shell-2" and listed["shell-2"]["base"] is None
