"""A projection without bias, in four forms: dense, laid out for oneDNN, int8 and int4. Knows no model.

Quantised weights are dequantised as they are used: activations keep the model's dtype. torch's operators for
the oneDNN layout and for quantised weights are private; each is tried once against the plain product, and
where it is missing, refuses the shape or answers something else, the plain product is used.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

Quant = Literal["none", "int8", "int4"]
Projection = Callable[[Tensor], Tensor]
GROUP = 32  # values of a row that share one int4 scale and zero
# From so many rows on, expanding the weights once and multiplying densely is quicker than torch's quantised
# operators on CPU (measured for 3072 × 576: 512 rows 2.6 ms instead of 6.1 for int8, 5.5 for int4).
_WIDE = 192
_REFUSALS = (AttributeError, RuntimeError, NotImplementedError)
_INNER_TILES = 2  # of the int4 layout on CUDA: rows must be a multiple of 16 · this
_TRIED_ROWS = 512  # of a weight are compared
_tried: dict[tuple[object, ...], bool] = {}


def linear(weight: Tensor, quant: Quant = "none") -> Projection:
    """The projection x → x · weightᵀ for a weight [out, in], in the best form its device and dtype have."""
    if quant == "int8":
        return Int8(weight)
    if quant == "int4" and weight.shape[1] % GROUP == 0:
        return Int4(weight)
    packed = _prepacked(weight) if quant == "none" else None
    return packed or Dense(weight)


class Dense:
    """The weight as it is."""

    def __init__(self, weight: Tensor) -> None:
        self._weight = weight

    def __call__(self, x: Tensor) -> Tensor:
        return F.linear(x, self._weight)


class Prepacked:
    """The weight in oneDNN's own layout, on CPU in bf16: about twice as fast as dense at small batches."""

    def __init__(self, weight: Tensor) -> None:
        self._weight: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight, None)

    def __call__(self, x: Tensor) -> Tensor:
        projected: Tensor = torch.ops.mkldnn._linear_pointwise(x, self._weight, None, "none", [], "")
        return projected


class Int8:
    """One signed byte per value and one scale per row."""

    def __init__(self, weight: Tensor) -> None:
        exact = weight.float()
        self._scale = (exact.abs().amax(1) / 127).clamp_min(1e-8).to(weight.dtype)
        codes = exact / self._scale.float()[:, None]
        self._codes = codes.round_().clamp_(-127, 127).to(torch.int8)
        self._narrow = _works("int8", self._operator, weight, self.dense)

    def dense(self) -> Tensor:
        """The weight that the codes stand for."""
        return self._codes.to(self._scale.dtype) * self._scale[:, None]

    def __call__(self, x: Tensor) -> Tensor:
        return self._operator(x) if self._narrow and len(x) < _WIDE else F.linear(x, self.dense())

    def _operator(self, x: Tensor) -> Tensor:
        projected: Tensor = torch.ops.aten._weight_int8pack_mm(x, self._codes, self._scale)
        return projected


class Int4:
    """Half a byte per value; every 32 values of a row share a scale and a zero: (code - 8) · scale + zero."""

    def __init__(self, weight: Tensor) -> None:
        self._shape, self._dtype = weight.shape, weight.dtype
        groups = weight.float().view(len(weight), -1, GROUP)
        low, high = groups.amin(2), groups.amax(2)
        scale = ((high - low) / 15).clamp_min(1e-8).to(weight.dtype)
        zero = (low + scale.float() * 8).to(weight.dtype)
        exact = (groups - zero.float()[..., None]).div_(scale.float()[..., None]).add_(8)
        codes = exact.round_().clamp_(0, 15).to(torch.uint8).flatten(1)
        self._pairs = codes[:, ::2] << 4 | codes[:, 1::2]
        self._scales = torch.stack([scale, zero], -1).transpose(0, 1).contiguous()  # [groups, out, 2]
        self._packed = self._pack(codes)
        self._narrow = self._packed is not None and _works("int4", self._operator, weight, self.dense)

    def dense(self) -> Tensor:
        """The weight that the codes stand for."""
        codes = torch.stack([self._pairs >> 4, self._pairs & 15], -1).view(self._shape)
        scale, zero = self._scales.permute(2, 1, 0)[..., None].to(self._dtype)
        values: Tensor = (codes.view(len(codes), -1, GROUP).to(self._dtype) - 8) * scale + zero
        return values.view(self._shape)

    def __call__(self, x: Tensor) -> Tensor:
        return self._operator(x) if self._narrow and len(x) < _WIDE else F.linear(x, self.dense())

    def _pack(self, codes: Tensor) -> Tensor | None:
        """The codes in torch's layout for this device; None where it has none for this shape."""
        packed: Tensor
        try:
            if codes.device.type == "cpu":
                packed = torch.ops.aten._convert_weight_to_int4pack_for_cpu(codes.int(), 1)
            else:
                packed = torch.ops.aten._convert_weight_to_int4pack(self._pairs, _INNER_TILES)
        except _REFUSALS:
            return None
        return packed

    def _operator(self, x: Tensor) -> Tensor:
        aten = torch.ops.aten
        multiply = aten._weight_int4pack_mm_for_cpu if x.device.type == "cpu" else aten._weight_int4pack_mm
        projected: Tensor = multiply(x, self._packed, GROUP, self._scales)
        return projected


def _prepacked(weight: Tensor) -> Prepacked | None:
    """The weight in oneDNN's layout; None where that is not to be had."""
    if weight.device.type != "cpu" or weight.dtype is not torch.bfloat16:
        return None
    try:
        packed = Prepacked(weight)
    except _REFUSALS:
        return None
    return packed if _works("oneDNN", packed, weight, lambda: weight) else None


def _works(name: str, operator: Projection, weight: Tensor, dense: Callable[[], Tensor]) -> bool:
    """Whether an operator runs here and gives x · weightᵀ; asked once per shape, dtype and device."""
    key = (name, weight.shape, weight.dtype, weight.device)
    if weight.shape[1] % GROUP:  # rows that are no multiple of its vectors crash torch's int8 operator
        return False
    if key not in _tried:
        x = torch.linspace(-1, 1, weight.shape[1]).to(weight).expand(2, -1).contiguous()
        _tried[key] = _agrees(operator, x, dense()[:_TRIED_ROWS])
    return _tried[key]


def _agrees(operator: Projection, x: Tensor, weight: Tensor) -> bool:
    try:
        found = operator(x)[:, :_TRIED_ROWS].float()
    except _REFUSALS:
        return False
    rounding = 8 * torch.finfo(weight.dtype).eps * weight.float().norm(dim=1) * x[0].float().norm()
    return bool(((found - x.float() @ weight.float().T).abs() <= rounding).all())
