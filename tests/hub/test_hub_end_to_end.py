"""Both training scripts and `infer.py` against a local Hub.

Corpus and encoder come from that Hub, as for a run without arguments; each epoch is pushed; the
pushed files are read back.
"""

import dataclasses
import io
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from hub.contents import files_to_push
from support.manifests import MANIFEST, checkpoint_folders
from tests.helpers.hub_server import TOKEN, Commit, HubServer
from tests.helpers.pushes import stable_message

ROOT = Path(__file__).parents[2]
SCRIPTS = ("train_trainer.py", "train_accelerate.py")
OUTPUTS = {"train_trainer.py": "bert-finetuned-ner"}
OUTPUTS["train_accelerate.py"] = "bert-finetuned-ner-accelerate"
CHECKPOINTS = {"train_trainer.py": "checkpoint-*", "train_accelerate.py": "epoch_*"}
SENTENCES = {"train": 24, "validation": 8, "test": 8}
EPOCHS = 3  # as in the recipe
MESSAGES = [f"Training in progress epoch {epoch}" for epoch in range(EPOCHS)]
MESSAGES += ["Training complete"]

POS = ["NNP", "VBZ", "JJ", "NN", "TO", "VB", "."]
CHUNKS = ["O", "B-NP", "I-NP", "B-VP", "I-VP"]
CORPUS_TEXTS = (b"boycott German lamb", b"boycott British lamb", b"Peter Blackburn boycott")
CORPUS_TEXTS += (b"boycott O O", b"Peter B-PER")  # in columns
NER = ["O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC", "B-MISC", "I-MISC"]


# --- Contents of the Hub ----------------------------------------------------------------------


def add_conll2003(server: HubServer, repo_id: str = "lhoestq/conll2003") -> None:
    """Add a data set in the form of lhoestq/conll2003.

    Its parquet files have integer labels, whose names are in the README and in the files.
    """
    import datasets

    label = lambda names: datasets.List(datasets.ClassLabel(names=names))  # noqa: E731
    features = datasets.Features(
        {
            "id": datasets.Value("string"),
            "tokens": datasets.List(datasets.Value("string")),
            "pos_tags": label(POS),
            "chunk_tags": label(CHUNKS),
            "ner_tags": label(NER),
        }
    )
    people = ["Peter Blackburn", "Anna Smith", "John"]
    files, infos = {}, []
    for split, number in SENTENCES.items():
        rows = []
        for i in range(number):
            person = people[i % 3].split()
            tokens = [*person, "boycott", "German" if i % 2 else "British", "lamb", "."]
            rows.append(
                {
                    "id": str(i),
                    "tokens": tokens,
                    "pos_tags": [0] * len(person) + [5, 2, 3, 6],
                    "chunk_tags": [*[1, 2][: len(person)], 3, 1, 2, 0],
                    "ner_tags": [*[1, 2][: len(person)], 0, 7, 0, 0],
                }
            )
        parquet = io.BytesIO()
        datasets.Dataset.from_list(rows, features=features).to_parquet(parquet)
        files[f"data/{split}-00000-of-00001.parquet"] = parquet.getvalue()
        infos.append(f"  - name: {split}\n    num_bytes: {len(parquet.getvalue())}")
        infos.append(f"    num_examples: {number}")
    card = datasets.DatasetInfo(features=features)._to_yaml_dict()
    import yaml

    header = yaml.safe_dump({"dataset_info": {"features": card["features"]}}) + "  splits:\n"
    paths = "".join(f"  - split: {split}\n    path: data/{split}-*\n" for split in SENTENCES)
    configs = f"configs:\n- config_name: default\n  data_files:\n{paths}"
    header = header + "\n".join(infos) + "\n" + configs
    files["README.md"] = f"---\n{header}---\n# A stand-in for CoNLL-2003\n".encode()
    server.add(repo_id, files, kind="dataset")


def add_encoder(server: HubServer, folder: Path) -> None:
    """Add an encoder under the default name, which has moved on the Hub."""
    files = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    server.add("google-bert/bert-base-cased", files)
    server.redirects["bert-base-cased"] = "google-bert/bert-base-cased"


def add_scripted_conll2003(server: HubServer) -> None:
    """Add conll2003 as it is on the Hub: under a new name, as a script, with a parquet copy."""
    moved = "eriktks/conll2003"
    repo = server.add(moved, {"conll2003.py": b"import datasets\n"}, kind="dataset")
    server.redirects["conll2003"] = moved
    parquet = {}
    for path, content in server.repos["dataset", "lhoestq/conll2003"].at("main").files.items():
        if path.endswith(".parquet"):
            split = path.removeprefix("data/").split("-")[0]
            parquet[f"conll2003/{split}/0000.parquet"] = content
    repo.commit("Parquet", parquet, "refs/convert/parquet")


@pytest.fixture(scope="module")
def recipe_hub(tiny_encoder):
    with HubServer() as server:
        add_conll2003(server)
        add_encoder(server, tiny_encoder)
        yield server


# --- Running scripts --------------------------------------------------------------------------


@dataclasses.dataclass
class Run:
    status: int
    out: str
    folder: Path  # of the model
    seconds: float


def environment(server: HubServer, home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    threads = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    return {**kept, **threads, **server.environment(home)}


def start(server: HubServer, work: Path, script: str, *flags: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, str(ROOT / script), *flags],
        cwd=work,
        env=environment(server, work / "home"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def train(server: HubServer, work: Path, script: str, *flags: str) -> Run:
    work.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    process = start(server, work, script, *flags)
    out, _ = process.communicate(timeout=300)
    folder = work / OUTPUTS[script]
    return Run(process.returncode, out, folder, time.monotonic() - began)


def epochs_saved(run: Run, script: str) -> list[dict[str, bytes]]:
    """Return the model files that each epoch saved, from the checkpoints that the run kept."""
    folders = run.folder.glob(CHECKPOINTS[script])
    folders = sorted(folders, key=lambda path: int(re.search(r"\d+$", path.name)[0]))
    return [model_files(folder) for folder in folders]


def model_files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in files_to_push(folder)}


def pushed_files(commit: Commit) -> dict[str, bytes]:
    return {path: data for path, data in commit.files.items() if path != ".gitattributes"}


# --- A run without arguments, pushed ----------------------------------------------------------


@pytest.fixture(scope="module")
def runs(recipe_hub, tmp_path_factory) -> dict[str, Run]:
    """Run both scripts with the default corpus and model; every epoch is pushed and kept."""
    return {
        script: train(
            recipe_hub,
            tmp_path_factory.mktemp("recipe"),
            script,
            "--push_to_hub",
            "--save_total_limit",
            "9",
        )
        for script in SCRIPTS
    }


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_epoch_is_a_commit_of_the_files_that_it_saved(script, recipe_hub, runs):
    run = runs[script]
    assert run.status == 0, run.out
    commits = recipe_hub.commits(f"tester/{OUTPUTS[script]}")
    assert [commit.message for commit in commits] == MESSAGES
    saved = epochs_saved(run, script)
    assert len(saved) == EPOCHS
    for commit, files in zip(commits, [*saved, model_files(run.folder)], strict=True):
        assert {"model.safetensors", "config.json", "tokenizer.json", "README.md"} <= set(files)
        assert pushed_files(commit) == files, commit.message
    weights = [commit.files["model.safetensors"] for commit in commits]
    assert len(set(weights)) == EPOCHS  # the last two are of the same epoch
    assert f"{recipe_hub.url}/tester/{OUTPUTS[script]}/commit/{commits[-1].oid}" in run.out
    assert not (run.folder / ".run").exists()


MODEL = {
    "model.safetensors",
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "README.md",
}
RESULTS = {
    "run.json",
    "all_results.json",
    "train_results.json",
    "eval_results.json",
    "predict_results.json",
    "training_curves.png",
    "confusion_matrix.png",
}


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_push_holds_no_text_of_the_corpus(script, recipe_hub, runs):
    run = runs[script]
    assert {"predictions.txt", "report.html"} <= {path.name for path in run.folder.iterdir()}
    *epochs, last = recipe_hub.commits(f"tester/{OUTPUTS[script]}")
    assert [set(pushed_files(commit)) for commit in epochs] == [MODEL] * EPOCHS
    assert set(pushed_files(last)) == MODEL | RESULTS
    for commit in (*epochs, last):
        for path, content in commit.files.items():
            assert not any(text in content for text in CORPUS_TEXTS), path
    # Users may push the folder themselves: its card has no text from the corpus either.
    assert not any(text in read(run, "README.md") for text in CORPUS_TEXTS)
    assert any(text in read(run, "predictions.txt") for text in CORPUS_TEXTS)
    url = f"{recipe_hub.url}/tester/{OUTPUTS[script]} (public)"
    assert run.out.index(url) < run.out.index("epoch 1, step")  # said before training


def test_texts_of_the_corpus_and_files_of_a_user(recipe_hub, tiny_encoder, tmp_path):
    """A corpus of the user, in a language that is not known; texts are pushed on request."""
    sentence = "Anna Schmidt besuchte gestern das neue Museum in Hamburg ."
    tags = ["B-PER", "I-PER", *["O"] * 6, "B-LOC", "O"]
    rows = "\n".join(map(" ".join, zip(sentence.split(), tags, strict=True)))
    (tmp_path / "own.conll").write_text(f"{rows}\n\n" * 6)
    flags = ["--push_to_hub", "--model_name_or_path", str(tiny_encoder), "--max_steps", "1"]
    for split in ("train", "validation", "test"):
        flags += [f"--{split}_file", "own.conll"]
    flags += ["--hub_private_repo", "--output_dir", OUTPUTS[SCRIPTS[0]]]
    for name in ("customers.csv", "my_results.json", "notes.txt"):
        (tmp_path / OUTPUTS[SCRIPTS[0]]).mkdir(exist_ok=True)
        (tmp_path / OUTPUTS[SCRIPTS[0]] / name).write_text("mine")
    names = ("predictions", "eval_predictions")
    texts = {"report.html", *(f"{name}.{kind}" for name in names for kind in ("txt", "jsonl"))}
    for repo, include in (("closed", []), ("open", ["--hub_include", "predictions", "report"])):
        run = train(recipe_hub, tmp_path, SCRIPTS[0], *flags, "--hub_model_id", repo, *include)
        assert run.status == 0, run.out
        assert f"tester/{repo} (private)" in run.out
        files = pushed_files(recipe_hub.commits(f"tester/{repo}")[-1])
        assert set(files) == MODEL | RESULTS | (texts if include else set())
        shown = {name for name, content in files.items() if b"Anna Schmidt besuchte" in content}
        assert ("README.md" in shown) == bool(include)
        assert bool(shown) == bool(include)
        assert b"Sylvain" not in files["README.md"]  # nobody said that the corpus is English
    assert recipe_hub.repos["model", "tester/open"].private


def nothing_replaced(run: Run) -> bool:
    """Return whether the run used the default corpus and model, not the embedded ones."""
    return json.loads(read(run, "run.json"))["replaced"] == []


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_recipe_loads_corpus_and_encoder_from_the_hub(script, recipe_hub, runs):
    for path in ("datasets/lhoestq/conll2003/resolve", "/bert-base-cased/resolve"):
        assert any(path in request for request in recipe_hub.requests), path
    assert nothing_replaced(runs[script])
    card = (runs[script].folder / "README.md").read_text()
    assert "lhoestq/conll2003" in card
    assert "bert-base-cased" in card
    results = json.loads((runs[script].folder / "all_results.json").read_text())
    words = sum(len(["Peter Blackburn", "Anna Smith", "John"][i % 3].split()) + 4 for i in range(8))
    assert results["eval_words"] == results["predict_words"] == words


@pytest.mark.parametrize("script", SCRIPTS)
def test_no_file_and_no_line_of_the_run_contains_the_token(script, recipe_hub, runs):
    assert TOKEN not in runs[script].out
    for path in runs[script].folder.rglob("*"):
        if path.is_file():
            assert TOKEN.encode() not in path.read_bytes(), path
    assert not recipe_hub.authorized_uploads


def configuration(commit: Commit) -> dict:
    """Return config.json without `use_cache`, which encoders do not use and Trainer turns off."""
    values = json.loads(commit.files["config.json"])
    return {name: value for name, value in values.items() if name != "use_cache"}


def card_without_names(commit: Commit, script: str) -> str:
    """Return the card without the names of the script and its folder, which must differ."""
    card = commit.files["README.md"].decode().replace(OUTPUTS[script], "FOLDER")
    lines = card.replace(script, "SCRIPT").splitlines()
    return "\n".join(line for line in lines if "Generated metadata" not in line)


def test_both_scripts_push_the_same_repository(recipe_hub, runs):
    commits = [recipe_hub.commits(f"tester/{OUTPUTS[script]}") for script in SCRIPTS]
    assert [[commit.message for commit in pushed] for pushed in commits] == [MESSAGES, MESSAGES]
    for by_trainer, by_loop in zip(*commits, strict=True):
        message = by_trainer.message
        assert set(by_trainer.files) == set(by_loop.files), message
        assert configuration(by_trainer) == configuration(by_loop)
        for name in ("model.safetensors", "tokenizer.json"):
            assert by_trainer.files[name] == by_loop.files[name], f"{message}: {name}"
        cards = map(card_without_names, (by_trainer, by_loop), SCRIPTS)
        assert next(cards) == next(cards), message


READ_BACK = """
import sys
from transformers import AutoModelForTokenClassification, AutoTokenizer, pipeline
for name in sys.argv[1:]:
    repo_id, revision = name.split("@")
    model = AutoModelForTokenClassification.from_pretrained(repo_id, revision=revision)
    tokenizer = AutoTokenizer.from_pretrained(repo_id, revision=revision)
    print(float(sum(weight.double().abs().sum() for weight in model.parameters())))
    tagger = pipeline("token-classification", model=model, tokenizer=tokenizer)
    assert tagger("Peter lives in London .")
"""


def weight_sum(content: bytes) -> float:
    from safetensors.torch import load

    return float(sum(weight.double().abs().sum() for weight in load(content).values()))


def test_pushed_models_are_read_back_by_name_and_revision(recipe_hub, runs, tmp_path):
    names, expected = [], []
    for script in SCRIPTS:
        repo_id = f"tester/{OUTPUTS[script]}"
        for commit in recipe_hub.commits(repo_id)[:2]:
            names.append(f"{repo_id}@{commit.oid}")
            expected.append(weight_sum(commit.files["model.safetensors"]))
    result = subprocess.run(
        [sys.executable, "-c", READ_BACK, *names],
        env=environment(recipe_hub, tmp_path),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    assert [float(line) for line in result.stdout.split()] == pytest.approx(expected, rel=1e-9)


def test_a_data_set_that_is_a_script_is_read_from_its_parquet_copy(recipe_hub, tmp_path):
    add_scripted_conll2003(recipe_hub)
    run = train(recipe_hub, tmp_path, SCRIPTS[0], "--dataset_name", "conll2003", "--check")
    assert run.status == 0, run.out
    assert "refs/convert/parquet" in run.out
    assert str(SENTENCES["train"]) in run.out


def test_infer_tags_with_a_model_of_the_hub(recipe_hub, runs, tmp_path):
    text = "My name is Sylvain and I work at Hugging Face in Brooklyn."
    answers = []
    for offline in ("0", "1"):
        variables = environment(recipe_hub, tmp_path) | {"HF_HUB_OFFLINE": offline}
        result = subprocess.run(
            [
                *(sys.executable, str(ROOT / "infer.py")),
                *("--model_name_or_path", f"tester/{OUTPUTS[SCRIPTS[0]]}", text),
            ],
            env=variables,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert result.returncode == 0, result.stderr
        answers.append(json.loads(result.stdout))
    assert answers[0]["text"] == text
    assert answers[0] == answers[1]


def test_the_recipe_without_any_argument_runs_online_and_then_from_the_cache(recipe_hub, tmp_path):
    online = train(recipe_hub, tmp_path, "train_trainer.py")
    assert online.status == 0, online.out
    assert nothing_replaced(online)
    scores = (online.folder / "all_results.json").read_bytes()
    weights = (online.folder / "model.safetensors").read_bytes()
    process = subprocess.run(
        [sys.executable, str(ROOT / "train_trainer.py")],
        cwd=tmp_path,
        env=environment(recipe_hub, tmp_path / "home") | {"HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert process.returncode == 0, process.stdout + process.stderr
    assert nothing_replaced(online)
    assert (online.folder / "model.safetensors").read_bytes() == weights
    f1 = [json.loads(text)["predict_f1"] for text in (scores, read(online, "all_results.json"))]
    assert f1[0] == f1[1]


def read(run: Run, name: str) -> bytes:
    return (run.folder / name).read_bytes()


# --- Refused and interrupted ------------------------------------------------------------------


def test_a_push_that_cannot_work_is_refused_before_anything_is_loaded(
    recipe_hub, tmp_path, snapshot
):
    num_earlier = len(recipe_hub.requests)
    flags = ("--push_to_hub", "--hub_model_id", "somebody/else")
    run = train(recipe_hub, tmp_path, SCRIPTS[0], *flags)
    assert run.status == 2
    assert "Traceback" not in run.out
    error = next(line for line in run.out.splitlines() if line.startswith("error: "))
    assert stable_message(error, recipe_hub, tmp_path) == snapshot
    assert not run.folder.exists()
    assert not any("resolve" in request for request in recipe_hub.requests[num_earlier:])


def test_ctrl_c_during_a_hanging_push_saves_a_checkpoint_and_ends_soon(recipe_hub, tmp_path):
    """Ctrl-C during training, while the push of the first epoch hangs."""
    name = "interrupted"
    fault = recipe_hub.fail(f"POST .*/tester/{name}/preupload", hang=True, times=math.inf)
    process = start(
        *(recipe_hub, tmp_path, "train_accelerate.py", "--push_to_hub"),
        *("--hub_model_id", name, "--num_train_epochs", "2000"),
    )
    lines = []
    reader = threading.Thread(target=lambda: lines.extend(process.stdout), daemon=True)
    reader.start()
    end = time.monotonic() + 120
    while not fault.seen and process.poll() is None and time.monotonic() < end:
        time.sleep(0.05)
    assert fault.seen, "".join(lines)
    process.send_signal(signal.SIGINT)
    status = process.wait(60)
    ended = time.time()
    reader.join(10)
    fault.times = 0
    assert status == 130, "".join(lines)
    url = f"{recipe_hub.url}/tester/{name}:"
    assert any(url in line and MESSAGES[0] in line for line in lines)
    folder = tmp_path / OUTPUTS["train_accelerate.py"]
    assert not (folder / ".run").exists()
    # Of any name: the step may have been the last of its epoch.
    written = (checkpoint_folders(folder)[-1] / MANIFEST).stat().st_mtime
    # On an overloaded machine, a process takes longer to end.
    assert ended - written < 5 * max(1.0, os.getloadavg()[0] / os.cpu_count())


# --- Faults during whole runs -----------------------------------------------------------------

COMMIT, WEIGHTS = "POST .*/commit/main", "PUT /lfs/"
FAULTS = {
    "slow": [(COMMIT, {"delay": 3.0, "times": 2})],
    "hanging": [(WEIGHTS, {"hang": True})],
    "cut": [(WEIGHTS, {"cut": True, "times": 2}), (COMMIT, {"cut": True})],
    "answer lost": [(COMMIT, {"lose_answer": True})],
    "wrong digest": [(WEIGHTS, {"wrong_digest": True})],
    "429": [(COMMIT, {"status": 429, "headers": {"Retry-After": "2"}})],
    **{
        str(status): [(COMMIT, {"status": status}), (WEIGHTS, {"status": status})]
        for status in (401, 403, 404, 409, 413, 500, 503)
    },
}


@pytest.fixture(scope="module")
def unpushed(recipe_hub, tmp_path_factory) -> dict[str, bytes]:
    """Return the weights that each script trains without pushing."""
    weights = {}
    for script in SCRIPTS:
        run = train(recipe_hub, tmp_path_factory.mktemp("unpushed"), script)
        assert run.status == 0, run.out
        weights[script] = read(run, "model.safetensors")
    return weights


LASTING = {"revoked": {"status": 403}, "outage": {"cut": True}}


@pytest.mark.parametrize(
    ("script", "fault"),
    [
        (SCRIPTS[1], "revoked"),
        *(
            pytest.param(script, fault, marks=pytest.mark.exhaustive)
            for script in SCRIPTS
            for fault in LASTING
            if (script, fault) != (SCRIPTS[1], "revoked")
        ),
    ],
)
def test_a_push_that_fails_from_epoch_1_on_ends_with_status_3_and_a_complete_model(
    script, fault, recipe_hub, tmp_path, runs
):
    name = f"{fault}-{OUTPUTS[script]}"
    pattern = f"/tester/{name}/(preupload|commit|tree)"
    after = recipe_hub.pushed_commits() + 1
    recipe_hub.fail(pattern, times=math.inf, after_commits=after, **LASTING[fault])
    run = train(recipe_hub, tmp_path, script, "--push_to_hub", "--hub_model_id", name)
    recipe_hub.faults.clear()
    assert run.status == 3, run.out
    assert "Traceback" not in run.out
    assert [commit.message for commit in recipe_hub.commits(f"tester/{name}")] == MESSAGES[:1]
    assert read(run, "model.safetensors") == read(runs[script], "model.safetensors")
    assert f"hf upload tester/{name} {OUTPUTS[script]} ." in run.out


@pytest.mark.exhaustive
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("script", SCRIPTS)
def test_no_fault_reaches_the_training_or_loses_a_commit(
    script, fault, recipe_hub, unpushed, tmp_path
):
    name = f"faulty-{OUTPUTS[script]}-{fault.replace(' ', '-')}"
    recipe_hub.large_files.clear()  # otherwise the weights would not be uploaded again
    installed = [recipe_hub.fail(pattern, **options) for pattern, options in FAULTS[fault]]
    flags = ("--push_to_hub", "--hub_model_id", name, "--save_total_limit", "9")
    run = train(recipe_hub, tmp_path, script, *flags)
    recipe_hub.faults.clear()
    assert run.status == 0, run.out
    assert all(fault.seen for fault in installed)
    assert read(run, "model.safetensors") == unpushed[script]
    commits = recipe_hub.commits(f"tester/{name}")
    assert [commit.message for commit in commits] == MESSAGES
    for commit, files in zip(commits, epochs_saved(run, script), strict=False):
        assert pushed_files(commit) == files


@pytest.mark.exhaustive
@pytest.mark.parametrize("script", SCRIPTS)
def test_an_outage_that_ends_before_the_run_loses_nothing(script, unpushed, tiny_encoder, tmp_path):
    with HubServer() as server:
        add_conll2003(server)
        add_encoder(server, tiny_encoder)
        name = f"tester/{OUTPUTS[script]}"

        def outage():
            while ("model", name) not in server.repos or not server.commits(name):
                time.sleep(0.02)
            server.close()
            time.sleep(8)
            server.reopen()

        thread = threading.Thread(target=outage, daemon=True)
        thread.start()
        flags = ("--push_to_hub", "--save_total_limit", "9")
        run = train(server, tmp_path, script, *flags)
        thread.join(30)
        assert run.status == 0, run.out
        assert read(run, "model.safetensors") == unpushed[script]
        assert [commit.message for commit in server.commits(name)] == MESSAGES


@pytest.mark.exhaustive
@pytest.mark.parametrize("script", SCRIPTS)
def test_a_run_resumes_elsewhere_from_the_checkpoint_that_was_pushed(
    script, recipe_hub, unpushed, tmp_path
):
    name = f"elsewhere-{OUTPUTS[script]}"
    flags = ("--push_to_hub", "--hub_model_id", name, "--hub_strategy", "checkpoint")
    run = train(recipe_hub, tmp_path / "here", script, *flags)
    assert run.status == 0, run.out
    commit = recipe_hub.commits(f"tester/{name}")[1]
    there = tmp_path / "there"
    for path, content in commit.files.items():
        if path.startswith("last-checkpoint/"):
            (there / path).parent.mkdir(parents=True, exist_ok=True)
            (there / path).write_bytes(content)
    resumed = train(recipe_hub, there, script, "--resume_from_checkpoint", "last-checkpoint")
    assert resumed.status == 0, resumed.out
    assert read(resumed, "model.safetensors") == unpushed[script]
    shutil.rmtree(there)
