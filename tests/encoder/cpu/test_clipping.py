"""Gradients are clipped as torch clips them, with less work."""

import pytest
import torch
from accelerate import Accelerator

from encoder.cpu.clipping import clip_gradients

SHAPES = [(3, 40), (40,), (2, 3, 5), (), (1, 1), (7, 1)]


def parameters_with(gradients: list[torch.Tensor]) -> list[torch.nn.Parameter]:
    parameters = []
    for gradient in gradients:
        parameters.append(torch.nn.Parameter(torch.zeros(gradient.shape)))
        parameters[-1].grad = gradient.clone()
    return parameters


@pytest.fixture(scope="module")
def accelerator():
    return Accelerator(cpu=True)


@pytest.mark.parametrize("scale", [1e-3, 0.1, 1.0, 1e4])
@pytest.mark.parametrize("max_norm", [0.5, 1.0, 30.0])
def test_gradients_are_clipped_as_torch_clips_them(accelerator, scale, max_norm):
    generator = torch.Generator().manual_seed(0)
    gradients = [torch.randn(shape, generator=generator) * scale for shape in SHAPES]
    ours, theirs = parameters_with(gradients), parameters_with(gradients)
    unused = torch.nn.Parameter(torch.zeros(3))
    norm = clip_gradients(accelerator, iter([unused, *ours]), max_norm)
    expected = torch.nn.utils.clip_grad_norm_([unused, *theirs], max_norm)
    torch.testing.assert_close(norm, expected)
    for clipped, reference, gradient in zip(ours, theirs, gradients, strict=True):
        torch.testing.assert_close(clipped.grad, reference.grad)
        if expected <= max_norm:
            assert torch.equal(clipped.grad, gradient)
    assert unused.grad is None


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_gradient_that_is_not_a_number_shows_in_the_norm(accelerator, value):
    gradients = [torch.ones(2, 3), torch.tensor([1.0, value])]
    ours, theirs = parameters_with(gradients), parameters_with(gradients)
    norm = clip_gradients(accelerator, ours, 1.0)
    torch.testing.assert_close(norm, torch.nn.utils.clip_grad_norm_(theirs, 1.0), equal_nan=True)
    for clipped, reference in zip(ours, theirs, strict=True):
        torch.testing.assert_close(clipped.grad, reference.grad, equal_nan=True)


def test_sharded_gradients_are_left_to_accelerate():
    """Under FSDP a process has a part of the gradients only, and so of the norm."""

    class Sharded:
        device = torch.device("cpu")
        distributed_type = "FSDP"

        def clip_grad_norm_(self, parameters, max_norm):
            return "its own", parameters, max_norm

    assert clip_gradients(Sharded(), "parameters", 2.0) == ("its own", "parameters", 2.0)
