"""Run a training script and measure its steps: `python benchmarks/clock.py SETTINGS SCRIPT ...`.

SETTINGS is a JSON object: `steps` and `warmup`, the number of all steps and of those that are not
timed, and `result`, the file of the result. The clock starts with the end of the last step of the
warm-up and stops with the end of the last step, so that it measures neither loading nor saving.
The loss shows how many sub-words were labelled. It works for every script that uses an optimizer
of torch and torch's cross entropy, and it lets the script import torch itself, when it is ready.
"""

import functools
import importlib.abc
import importlib.machinery
import json
import runpy
import sys
import time
from pathlib import Path


class Clock:
    """The steps of a run, their time and their labelled sub-words."""

    def __init__(self, torch, steps: int, warmup: int, result: str) -> None:
        """Hook into torch's optimizers and its cross entropy."""
        from torch.optim.optimizer import register_optimizer_step_post_hook

        self.torch, self.steps, self.warmup, self.result = torch, steps, warmup, Path(result)
        self.step = 0
        self.began = 0.0
        self.num_labelled = []  # of each loss in training, a tensor each: reading one would wait
        self.labelled_in_warmup = 0
        self.cross_entropy = torch.nn.functional.cross_entropy
        torch.nn.functional.cross_entropy = self.count_and_compute
        register_optimizer_step_post_hook(self.end_step)

    def count_and_compute(self, logits, labels, *arguments, **options):
        """Count the labels of a loss in training, and return the loss."""
        if self.torch.is_grad_enabled() and self.step < self.steps:
            self.num_labelled.append((labels != -100).sum())
        return self.cross_entropy(logits, labels, *arguments, **options)

    def end_step(self, *_) -> None:
        """Count a step; start or stop the clock, after a GPU has done all work of the step."""
        self.step += 1
        if self.step == self.warmup:
            self.labelled_in_warmup = self.labelled()
            self.synchronize()
            self.began = time.perf_counter()
        if self.step == self.steps:
            self.synchronize()
            seconds = time.perf_counter() - self.began
            result = {
                "seconds": seconds,
                "labelled": self.labelled(),
                "labelled_in_warmup": self.labelled_in_warmup,
            }
            self.result.write_text(json.dumps(result))

    def labelled(self) -> int:
        """Return the number of labelled sub-words so far."""
        return sum(count.item() for count in self.num_labelled)

    def synchronize(self) -> None:
        """Wait for the GPU, if the run uses one."""
        if self.torch.cuda.is_initialized():
            self.torch.cuda.synchronize()


class TorchWatcher(importlib.abc.MetaPathFinder):
    """Makes the clock as soon as torch is imported.

    A script of the suite sets up its process before it imports torch.
    """

    def __init__(self, make_clock) -> None:
        """`make_clock`: called with torch."""
        self.make_clock = make_clock

    def find_spec(self, name, path=None, target=None):
        """Return how to import torch, and make the clock; leave all other modules alone."""
        if name != "torch":
            return None
        spec = importlib.machinery.PathFinder.find_spec(name)
        execute = spec.loader.exec_module

        def execute_and_watch(module) -> None:
            sys.meta_path.remove(self)
            execute(module)
            self.make_clock(module)

        spec.loader.exec_module = execute_and_watch
        return spec


def run_watched(make_clock, script: str, flags: list[str]) -> None:
    """Run a script in this process with a clock: `make_clock` is called with torch."""
    sys.meta_path.insert(0, TorchWatcher(make_clock))
    sys.argv = [script, *flags]
    sys.path[0] = str(Path(script).parent)
    runpy.run_path(script, run_name="__main__")


if __name__ == "__main__":
    settings, script, *flags = sys.argv[1:]
    run_watched(functools.partial(Clock, **json.loads(settings)), script, flags)
