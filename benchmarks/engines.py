"""Compare torch and ONNX Runtime: words per second, and the time to the first result.

    python examples/export_onnx.py --model FOLDER --output FOLDER-onnx --int8 LABELLED
    python benchmarks/engines.py --model FOLDER --onnx FOLDER-onnx

All sides tag the same texts with `Tagger`, whose network is torch's, or a graph of the folder
--onnx. They take turns; medians are printed. The first result is timed for a whole process:
infer.py, and a program that imports only numpy, tokenizers and ONNX Runtime and splits words at
spaces. --isa avx2 restricts torch; ONNX Runtime has no such switch, so its figures are then those
without the restriction.
"""

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

from machine import add_isa, describe, matrix_rates, restrict
from tagging_speed import count_words, precisions, sample_texts

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "examples")]
TEXT = "My name is Sylvain and I work at Hugging Face in Brooklyn."
# Tags the words of a text. Arguments: the folder of the graph, the text.
FIRST_ANSWER = """
import json, sys
import numpy, onnxruntime, tokenizers
folder, text = sys.argv[1:]
encoding = tokenizers.Tokenizer.from_file(folder + "/tokenizer.json").encode(
    text.split(), is_pretokenized=True
)
columns = {
    "input_ids": encoding.ids,
    "attention_mask": encoding.attention_mask,
    "token_type_ids": encoding.type_ids,
}
session = onnxruntime.InferenceSession(folder + "/model.onnx")
inputs = {node.name: numpy.array([columns[node.name]]) for node in session.get_inputs()}
(logits,) = session.run(None, inputs)
labels = json.load(open(folder + "/config.json"))["id2label"]
print([labels[str(number)] for number in logits[0].argmax(-1)])
"""


def main():
    """Read the command line and compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", required=True, help="folder of a trained model")
    parser.add_argument("--onnx", type=Path, required=True, help="folder of its graphs")
    parser.add_argument("--texts", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    add_isa(parser)
    options = parser.parse_args()
    restrict(options.isa)
    from export_onnx import tagger_of

    from encoder.collate import PadBatch
    from encoder.tokenizer import load_run_tokenizer
    from infer import Tagger
    from settings.run_settings import ModelSettings

    print(f"{describe()}; {time.strftime('%Y-%m-%d')}")
    dtypes = precisions(matrix_rates())
    sides = {f"torch {dtype}": Tagger(options.model, dtype=dtype) for dtype in dtypes}
    collate = PadBatch(load_run_tokenizer(ModelSettings(options.model)))
    for graph in sorted(options.onnx.glob("*.onnx")):
        sides[f"ONNX Runtime, {graph.name}"] = tagger_of(sides["torch fp32"], graph, collate)
    print_speeds(sides, sample_texts(options.texts), options.rounds)
    commands = {
        "infer.py": [f"{ROOT}/infer.py", "--model", options.model, TEXT],
        "ONNX Runtime": ["-c", FIRST_ANSWER, str(options.onnx), TEXT],
    }
    print_first_answers(commands, options.rounds)


def print_speeds(sides: dict, texts: list[str], rounds: int) -> None:
    """Tag the texts on all sides in turn, and print the speeds and the entities."""
    num_words = count_words(texts)
    speeds = {name: [] for name in sides}
    entities = {}
    for number in range(rounds + 1):
        for name, tagger in sides.items():
            began = time.perf_counter()
            results = tagger(texts)
            if number:  # the first round is a warm-up
                speeds[name].append(num_words / (time.perf_counter() - began))
            entities[name] = {
                (text, entity["entity_group"], entity["start"], entity["end"])
                for text, result in enumerate(results)
                for entity in result["entities"]
            }
    first = next(iter(sides))
    print(f"| | words/s | lowest, highest | ratio | entities of {len(entities[first])} | others |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, values in speeds.items():
        median = statistics.median(values)
        ratio = median / statistics.median(speeds[first])
        kept = len(entities[name] & entities[first])
        cells = [name, f"{median:.0f}", f"{min(values):.0f}, {max(values):.0f}", f"{ratio:.2f}"]
        print(f"| {' | '.join(cells)} | {kept} | {len(entities[name]) - kept} |")


def print_first_answers(commands: dict[str, list[str]], rounds: int) -> None:
    """Run all commands in turn, and print their times."""
    times = {name: [] for name in commands}
    for number in range(rounds + 1):
        for name, command in commands.items():
            began = time.perf_counter()
            subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL)
            if number:
                times[name].append(time.perf_counter() - began)
    for name, values in times.items():
        print(f"first result, {name}: {statistics.median(values):.2f} s")


if __name__ == "__main__":
    main()
