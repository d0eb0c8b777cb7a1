"""Logits equal those of Hugging Face's own Llama with the same weights. Optional: needs transformers."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="needs the server extra")
transformers = pytest.importorskip("transformers", reason="transformers is not installed: pip install it")

from loadlab.server import weights  # noqa: E402
from loadlab.server.job import Sampling  # noqa: E402
from loadlab.server.kv import Pool  # noqa: E402
from loadlab.server.placement import place  # noqa: E402
from loadlab.server.plan import Chunk, Sequence  # noqa: E402
from loadlab.server.runner import TorchRunner  # noqa: E402

pytestmark = pytest.mark.torch
PROMPT = [(7 * i) % 251 for i in range(60)]
BEST = 20


def theirs(loaded: weights.Weights) -> Any:
    """The same model in transformers."""
    c = loaded.config
    config = transformers.LlamaConfig(
        vocab_size=c.vocabulary, hidden_size=c.hidden, intermediate_size=c.ffn, num_hidden_layers=c.layers,
        num_attention_heads=c.heads, num_key_value_heads=c.kv_heads, head_dim=c.head_dim,
        max_position_embeddings=c.context, rms_norm_eps=c.epsilon, tie_word_embeddings=True,
        rope_parameters={"rope_type": "default", "rope_theta": c.rope_base},
    )  # fmt: skip
    model = transformers.LlamaForCausalLM(config).float().eval()
    missing, unexpected = model.load_state_dict(renamed(loaded), strict=False)
    assert not unexpected
    assert set(missing) <= {"lm_head.weight"}  # tied to the embedding
    return model


def renamed(loaded: weights.Weights) -> dict[str, Any]:
    """Our tensors by their names, joined projections apart again."""
    c, ours = loaded.config, {name: tensor.float() for name, tensor in loaded.tensors.items()}
    kv = c.kv_heads * c.head_dim
    state = {"model.embed_tokens.weight": ours["embed"], "model.norm.weight": ours["norm"]}
    for i in range(c.layers):
        layer = f"model.layers.{i}"
        parts = ours[f"{i}.qkv"].split([c.heads * c.head_dim, kv, kv])
        for name, part in zip("qkv", parts, strict=True):
            state[f"{layer}.self_attn.{name}_proj.weight"] = part
        gate, up = ours[f"{i}.gate_up"].chunk(2)
        state[f"{layer}.mlp.gate_proj.weight"], state[f"{layer}.mlp.up_proj.weight"] = gate, up
        state[f"{layer}.self_attn.o_proj.weight"] = ours[f"{i}.out"]
        state[f"{layer}.mlp.down_proj.weight"] = ours[f"{i}.down"]
        state[f"{layer}.input_layernorm.weight"] = ours[f"{i}.attn_norm"]
        state[f"{layer}.post_attention_layernorm.weight"] = ours[f"{i}.ffn_norm"]
    return state


@pytest.mark.parametrize("name", ["tiny", "smollm2-135m"])
def test_logits_equal_those_of_transformers(name: str) -> None:
    loaded = weights.load(name)
    with torch.inference_mode():
        expected = theirs(loaded)(torch.tensor([PROMPT])).logits[0, -1].float().log_softmax(-1)
    model = place(loaded, "cpu", max_num_seqs=1, context=256, dtype="fp32")
    sequence = Sequence("one", list(PROMPT), 1, Sampling(logprobs=BEST))
    assert Pool(32, model.block).grow(sequence, len(PROMPT) + 1)
    ((choice,),) = TorchRunner(model, 1).step([Chunk(sequence, 0, len(PROMPT), True)])
    best = expected.topk(BEST)
    assert [token for token, _ in choice.top] == best.indices.tolist()
    assert [logprob for _, logprob in choice.top] == pytest.approx(best.values.tolist(), abs=2e-4)
