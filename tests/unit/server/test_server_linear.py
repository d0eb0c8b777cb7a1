"""Projections: every form multiplies by the weights it says it holds, and those are near the given ones."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs the server extra")

from loadlab.server.linear import Dense, Int4, Int8, Prepacked, Quant, linear  # noqa: E402

pytestmark = pytest.mark.torch
ROWS = [0, 1, 7, 300]  # 300 is beyond where quantised weights are expanded


def weight(rows: int, columns: int, dtype: torch.dtype) -> torch.Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(1)).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("quant", ["int8", "int4"])
@pytest.mark.parametrize("shape", [(96, 64), (257, 64), (48, 50)])
def test_quantised_forms_multiply_by_what_they_stand_for(
    quant: Quant, dtype: torch.dtype, shape: tuple[int, int]
) -> None:
    form = linear(weight(*shape, dtype), quant)
    dense = form.dense() if isinstance(form, Int8 | Int4) else weight(*shape, dtype)
    for rows in ROWS:
        x = weight(rows, shape[1], dtype)
        expected = x.float() @ dense.float().T
        tolerance = 8 * torch.finfo(dtype).eps * dense.float().norm(dim=1).max() * shape[1] ** 0.5
        assert form(x).dtype is dtype
        assert form(x).shape == (rows, shape[0])
        torch.testing.assert_close(form(x).float(), expected, rtol=0.02, atol=float(tolerance))


@pytest.mark.parametrize(("quant", "codes"), [("int8", 127), ("int4", 15)])
def test_the_error_of_a_weight_is_at_most_half_a_step(quant: Quant, codes: int) -> None:
    given = weight(64, 128, torch.float32)
    form = linear(given, quant)
    assert isinstance(form, Int8 | Int4)
    groups = given.view(64, -1, 32) if quant == "int4" else given[:, None]
    span = groups.amax(2) - groups.amin(2) if quant == "int4" else groups.abs().amax(2)
    error = (form.dense() - given).view(groups.shape).abs().amax(2)
    assert bool((error <= span / codes / 2 * 1.001).all())
    assert float(error.max()) > 0


def test_bf16_on_cpu_is_laid_out_for_onednn_where_torch_can() -> None:
    given, x = weight(96, 64, torch.bfloat16), weight(5, 64, torch.bfloat16)
    form = linear(given)
    if isinstance(form, Dense):
        pytest.skip("this torch has no oneDNN bf16 products here")
    assert isinstance(form, Prepacked)
    torch.testing.assert_close(form(x), torch.nn.functional.linear(x, given))


def test_float32_is_left_as_it_is() -> None:
    given, x = weight(96, 64, torch.float32), weight(5, 64, torch.float32)
    assert torch.equal(linear(given)(x), torch.nn.functional.linear(x, given))


def test_int4_falls_back_where_groups_do_not_fit() -> None:
    assert isinstance(linear(weight(8, 50, torch.float32), "int4"), Dense)
