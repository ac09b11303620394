"""Export a model as ONNX for ONNX Runtime, and compare the two; also as int8, with its cost.

    pip install "onnx>=1.23,<2" "onnxscript>=0.7,<1" "onnxruntime>=1.32,<2"
    python examples/export_onnx.py --model MODEL --output MODEL-onnx --texts notes.txt
    python examples/export_onnx.py --model MODEL --output MODEL-onnx --int8 dev.conll

The output folder gets `model.onnx` in fp32, the tokenizer and the configuration. The graph takes
batches of any size and length: the outputs of the tokenizer, padded on the right, with an
`attention_mask`. It gives `logits`. Windows, and the decoding of tags, remain the program's: see
`Tagger` and `OnnxNetwork`. `--texts` takes what `infer.py` reads, and counts the texts whose
entities differ. `--int8` takes a labelled file; it adds `model_int8.onnx` and prints what that
costs in F1.
"""

import argparse
import copy
import sys
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import torch
from onnxruntime.quantization import quantize_dynamic

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from common import IGNORED, encode
from corpus.formats.sentence import ReadOptions
from encoder.architecture import load_base_config
from encoder.collate import PadBatch
from encoder.model import load_network
from encoder.tokenizer import load_run_tokenizer
from infer import Tagger
from settings.run_settings import ModelSettings
from support.errors import UserError, run_script
from tagging.inputs import BrokenLines, Source, read_items
from tagging.progress import Progress
from tagging.score import labelled_items, score

EXAMPLES = [["Two", "sentences", "of", "unequal", "length"], ["the", "other"]]


class OnnxNetwork:
    """A graph in ONNX Runtime, called like the network of a `Tagger`."""

    def __init__(self, file: Path, collate: PadBatch):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        self.session = onnxruntime.InferenceSession(file, options, ["CPUExecutionProvider"])
        self.inputs, self.collate = [node.name for node in self.session.get_inputs()], collate

    def __call__(self, windows: Sequence[dict[str, Any]]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return (logits, word indices): (words, labels), and (words,)."""
        batch = self.collate(windows)
        word_index = batch["word_index"]
        (logits,) = self.session.run(None, {name: batch[name].numpy() for name in self.inputs})
        first = word_index.ne(IGNORED)
        return torch.from_numpy(logits)[first], word_index[first]


def export(model: str, folder: Path, padding_leaks: bool) -> PadBatch:
    """Export a model to `folder`; return the collator of its batches."""
    source = ModelSettings(model)
    tokenizer = load_run_tokenizer(source)
    network = load_network(source, load_base_config(source), torch.float32, new_head=False).eval()
    windows = [columns for _, columns, _ in encode(EXAMPLES, tokenizer, 512)]
    inputs = PadBatch(tokenizer)(windows)
    axes = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    torch.onnx.export(
        network,
        kwargs=inputs,
        f=folder / "model.onnx",
        output_names=["logits"],
        dynamic_shapes=dict.fromkeys(inputs, axes),
        external_data=False,
    )
    tokenizer.save_pretrained(folder)
    network.config.save_pretrained(folder)
    return PadBatch(tokenizer, padding_leaks=padding_leaks)


def quantize(file: Path, quantized: Path) -> None:
    """Write a graph whose feed-forward products are computed in int8.

    The weights of attention and of the head stay in fp32.
    """
    graph = onnx.load(file).graph
    shapes = {weight.name: tuple(weight.dims) for weight in graph.initializer}
    ...
    quantize_dynamic(file, quantized, nodes_to_quantize=nodes, per_channel=True)


def compare(taggers: dict[str, Tagger], texts: list[str]) -> None:
    """Print the speed of taggers, and how many texts have other entities than with the first."""
    expected: list[list[Any]] = []
    for name, tagger in taggers.items():
        tagger(texts[:100])
        began = time.perf_counter()
        results = tagger(texts, all_words=True)
        seconds = time.perf_counter() - began
        ...


if __name__ == "__main__":
    run_script(main)
