"""Export a model to ONNX in fp32 or int8, and compare ONNX Runtime with torch.

    pip install "onnx>=1.23,<2" "onnxscript>=0.7,<1" "onnxruntime>=1.32,<2"
    python examples/export_onnx.py --model MODEL --output MODEL-onnx --texts notes.txt
    python examples/export_onnx.py --model MODEL --output MODEL-onnx --int8 dev.conll

The output folder gets `model.onnx` in fp32, the tokenizer and the configuration. The graph takes
batches of any size and length: the columns of the tokenizer, padded on the right, and an
`attention_mask`. It returns `logits`. It does not include windows and decoding: use it in `Tagger`
through `OnnxNetwork`. `--texts` takes a file that `infer.py` reads, and counts the texts whose tags
differ. `--int8` takes a labelled file, adds `model_int8.onnx`, and prints the F1 of torch and of
both graphs; benchmarks/README.md compares ways to quantize.
"""

import argparse
import copy
import logging
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import torch
from onnxruntime.quantization.matmul_nbits_quantizer import (
    DefaultWeightOnlyQuantConfig,
    MatMulNBitsQuantizer,
)

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
from tagging.input_lines import BrokenLines, Source
from tagging.inputs import read_items
from tagging.progress import Progress
from tagging.score import labelled_items, score

BLOCK = 128  # numbers with one scale
PROBE = [["Two", "sentences", "of", "unequal", "length"], ["the", "other"]]


class OnnxNetwork:
    """A graph in ONNX Runtime, called like the network of a `Tagger`."""

    def __init__(self, file: Path, collate: PadBatch):
        """`collate`: makes batches of windows."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        self.session = onnxruntime.InferenceSession(file, options, ["CPUExecutionProvider"])
        self.inputs, self.collate = [node.name for node in self.session.get_inputs()], collate

    def __call__(self, windows: Sequence[dict[str, Any]]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return (logits, word indices): (words, labels), and (words,)."""
        batch = self.collate(windows)
        (logits,) = self.session.run(None, {name: batch[name].numpy() for name in self.inputs})
        first = batch["word_index"].ne(IGNORED)
        return torch.from_numpy(logits)[first], batch["word_index"][first]


def export(model: str, folder: Path, padding_leaks: bool) -> PadBatch:
    """Export a model to a folder; return the collator of its batches.

    `padding_leaks`: see `Tagger`. Raises UserError for an architecture that torch cannot export.
    """
    source = ModelSettings(model)
    tokenizer = load_run_tokenizer(source)
    network = load_network(source, load_base_config(source), torch.float32, new_head=False).eval()
    inputs = PadBatch(tokenizer)([columns for _, columns, _ in encode(PROBE, tokenizer, 512)])
    axes = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    try:
        torch.onnx.export(
            network,
            kwargs=inputs,
            f=folder / "model.onnx",
            output_names=["logits"],
            dynamic_shapes=dict.fromkeys(inputs, axes),
            external_data=False,
            verbose=False,
        )
    except torch.onnx.errors.OnnxExporterError as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(
            f"{model}: torch cannot export {type(network).__name__}: {reason}"
        ) from error
    tokenizer.save_pretrained(folder)
    network.config.save_pretrained(folder)
    return PadBatch(tokenizer, padding_leaks=padding_leaks)


def quantize(file: Path, quantized: Path) -> None:
    """Write a graph that multiplies by weights in int8, with a scale for each block of a row.

    Activations have a scale for each block too, so the tags of a text do not depend on its batch.
    `quantize_dynamic` has one scale for a whole batch.
    """
    config = DefaultWeightOnlyQuantConfig(
        block_size=BLOCK, is_symmetric=True, accuracy_level=4, bits=8
    )
    quantizer = MatMulNBitsQuantizer(onnx.load(file), algo_config=config)
    quantizer.process()
    quantizer.model.save_model_to_file(str(quantized))


def tagger_of(tagger: Tagger, file: Path, collate: PadBatch) -> Tagger:
    """Return a tagger that computes with a graph, otherwise like `tagger`."""
    tagger = copy.copy(tagger)
    tagger.network = OnnxNetwork(file, collate)
    return tagger


def compare(taggers: dict[str, Tagger], texts: list[str]) -> None:
    """Print speeds, and the number of texts whose entities differ from those of the first."""
    expected: list[Any] = []
    for name, tagger in taggers.items():
        tagger(texts[:100])  # warm-up
        began = time.perf_counter()
        results = tagger(texts, all_words=True)
        seconds = time.perf_counter() - began
        tags = [[word["tag"] for word in result["words"]] for result in results]
        expected = expected or tags
        different = sum(own != first for own, first in zip(tags, expected, strict=True))
        words = sum(map(len, tags))
        print(f"{name}: {words / seconds:.0f} words/s; {different} of {len(texts)} texts differ")


def main() -> None:
    """Export a model and compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", required=True, help="a folder, or a name on the Hub")
    parser.add_argument("--output", type=Path, required=True, help="a folder")
    parser.add_argument("--texts", help="a file of texts to compare on")
    parser.add_argument("--int8", help="a labelled file; also export in int8")
    flags = parser.parse_args()
    tagger = Tagger(flags.model, device="cpu")
    flags.output.mkdir(parents=True, exist_ok=True)
    collate = export(flags.model, flags.output, tagger.padding_leaks)
    file, quantized = flags.output / "model.onnx", flags.output / "model_int8.onnx"
    taggers = {"torch": tagger, "ONNX Runtime": tagger_of(tagger, file, collate)}
    options = ReadOptions(tagger.task or "ner", word_splitter=tagger.word_splitter)
    if flags.int8:
        quantize(file, quantized)
        taggers["ONNX Runtime, int8"] = tagger_of(tagger, quantized, collate)
        problems = BrokenLines(skip=False)
        labelled = list(labelled_items([flags.int8], options, problems, may_be_prose=True))
        for name, own in taggers.items():
            overall = score(own, labelled, Progress([], results_on_terminal=False))["overall"]
            print(f"{name}: {', '.join(f'{key} {value:.4f}' for key, value in overall.items())}")
    if flags.texts:
        problems = BrokenLines(skip=False)
        texts = read_items(Source(flags.texts), "auto", "line", options, problems)
        compare(taggers, [item.text for item in texts])


if __name__ == "__main__":
    logging.getLogger().setLevel(logging.WARNING)  # importing onnxruntime's quantizer sets INFO
    run_script(main)
