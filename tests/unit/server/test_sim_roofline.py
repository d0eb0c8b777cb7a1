"""The roofline's arithmetic, and the presets it is fed with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from loadlab.core.errors import UnknownNameError, UsageError
from loadlab.pricing import known
from loadlab.server import presets
from loadlab.server.presets import Losses
from loadlab.server.roofline import Hardware, Roofline, decoding, prefilling

NONE = Losses(1.0, 1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0)


def hardware(
    device: str = "h100", model: str = "llama-8b", losses: Losses = NONE, **more: object
) -> Hardware:
    return Hardware(replace(presets.device(device), losses=losses), presets.model(model), **more)  # type: ignore[arg-type]


def test_parameters_are_those_the_models_are_named_after() -> None:
    sizes = {name: shape.stored for name, shape in presets.models().items()}
    assert sizes["smollm2-135m"] == pytest.approx(134.5e6, rel=0.001)
    assert sizes["llama-8b"] == pytest.approx(8.03e9, rel=0.001)
    assert sizes["llama-70b"] == pytest.approx(70.55e9, rel=0.001)


def test_a_token_of_smollm2_takes_23040_bytes_of_cache() -> None:
    assert hardware("h200", "smollm2-135m").kv_bytes == 23_040


@pytest.mark.parametrize("name", presets.devices())
def test_every_device_says_where_its_numbers_come_from_and_what_it_costs(name: str) -> None:
    device = presets.device(name)
    assert device.basis in presets.BASES
    assert device.losses.basis in presets.BASES
    assert device.source
    assert device.losses.source
    assert device.price in known()


def test_alone_a_token_takes_as_long_as_the_weights_take_to_read() -> None:
    subject = hardware()
    read = (subject.shape.body + subject.shape.head) * 2 + subject.kv_bytes
    assert Roofline(subject).seconds(decoding(1, 0)) == pytest.approx(read / 3350e9)


def test_a_long_prompt_takes_as_long_as_its_products() -> None:
    shape = presets.model("llama-8b")
    pairs = 4 * shape.layers * shape.heads * shape.head_dim * 4096 * 2048
    products = 2 * shape.body * 4096 + 2 * shape.head + pairs
    assert Roofline(hardware()).seconds(prefilling(4096)) == pytest.approx(products / 989e12)


def test_half_the_rate_is_reached_with_half_tokens() -> None:
    full, half = hardware(), hardware(losses=replace(NONE, half_tokens=4096.0))
    work = prefilling(4096)._replace(pairs=0.0)
    assert Roofline(half).seconds(work) == pytest.approx(2 * Roofline(full).seconds(work), rel=0.01)


def test_host_and_kernels_add_up_and_graphs_make_kernels_cheap() -> None:
    losses = replace(NONE, launch_s=1e-6, eager_launch_s=1e-5, host_s=0.5, host_seq_s=0.25)
    work, bare = decoding(3, 100), Roofline(hardware()).seconds(decoding(3, 100))
    kernels = 8 * 32 + 4
    with_graph = Roofline(hardware(losses=losses)).seconds(work)
    eager = Roofline(hardware(losses=losses, graphs=False)).seconds(work)
    assert with_graph == pytest.approx(bare + 0.5 + 3 * 0.25 + kernels * 1e-6, rel=1e-3)
    assert eager == pytest.approx(bare + 0.5 + 3 * 0.25 + kernels * 1e-5, rel=1e-3)


def test_a_batch_is_padded_to_the_bucket_of_its_graph() -> None:
    slow = hardware("l4", losses=replace(NONE, math_share=0.001))  # so that the products count
    seconds = Roofline(slow).seconds
    assert seconds(decoding(33, 0)) == pytest.approx(seconds(decoding(48, 0)), rel=0.05)
    eager = Roofline(replace(slow, graphs=False)).seconds
    assert eager(decoding(33, 0)) == pytest.approx(eager(decoding(48, 0)) * 33 / 48, rel=0.01)


def test_two_devices_halve_the_work_and_must_talk() -> None:
    one, two = hardware(), hardware(tensor_parallel=2)
    work = decoding(1, 1000)
    talk = 2 * 32 * (10e-6 + 2 * 4096 * 1.0 / 450e9)
    assert Roofline(two).seconds(work) == pytest.approx(Roofline(one).seconds(work) / 2 + talk)
    assert two.kv_tokens() > 2 * one.kv_tokens()


def test_smaller_numbers_are_read_faster_but_the_head_stays_at_eight_bit() -> None:
    bytes_of = {quant: hardware(quant=quant).weight_bytes for quant in ("bf16", "int8", "int4")}
    shape = presets.model("llama-8b")
    assert bytes_of["int8"] == bytes_of["bf16"] / 2
    assert bytes_of["int4"] == shape.body * 0.5625 + shape.head * 2


def test_a_model_that_does_not_fit_is_refused_with_what_to_do() -> None:
    with pytest.raises(UsageError, match=r"141 GB.*--tensor-parallel"):
        hardware("h100", "llama-70b").kv_tokens()
    assert hardware("h100", "llama-70b", tensor_parallel=4).kv_tokens() > 0


def test_names_and_numbers_that_make_no_sense_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="'h100'"):
        presets.device("h1000")
    with pytest.raises(UnknownNameError, match="llama-8b"):
        presets.model("llama-8")
    with pytest.raises(UnknownNameError, match="bf16"):
        hardware(quant="bf8")
    with pytest.raises(UsageError, match="divides"):
        hardware(tensor_parallel=3)


def test_a_device_written_is_the_device_read(tmp_path: Path) -> None:
    device = replace(presets.device("cpu2"), name="mine", source='a "quoted" word')
    presets.write(device, tmp_path / "mine.toml")
    assert presets.device(str(tmp_path / "mine.toml")) == device


def test_a_file_that_is_no_device_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text("[devices.x]\nmemory_gb = 1\n")
    with pytest.raises(UsageError, match="loadlab hardware fit"):
        presets.device(str(tmp_path / "bad.toml"))
    with pytest.raises(UsageError, match="No such file"):
        presets.device("absent.toml")
