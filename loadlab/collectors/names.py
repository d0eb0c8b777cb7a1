"""What servers and exporters call things, and what loadlab calls them. Names as of late 2026; data only.

A name of theirs may stand for several of ours: llama.cpp counts computed and reused prompt tokens apart.
"""

from __future__ import annotations

# Numbers as they are now: running and waiting requests; shares between 0 and 1.
SUMMED = {"running", "waiting"}
FULLEST = {"kv_cache_use"}
AVERAGED = {"prefix_cache_hit_rate", "spec_decode_acceptance"}
# Numbers that only grow.
COUNTERS = {
    "prompt_tokens",
    "generation_tokens",
    "prefix_cache_queries",
    "prefix_cache_hits",
    "preemptions",
    "spec_decode_draft_tokens",
    "spec_decode_accepted_tokens",
}

SERVER: dict[str, tuple[str, ...]] = {
    # vLLM, loadlab serve
    "vllm:num_requests_running": ("running",),
    "vllm:num_requests_waiting": ("waiting",),
    "vllm:kv_cache_usage_perc": ("kv_cache_use",),
    "vllm:gpu_cache_usage_perc": ("kv_cache_use",),
    "vllm:prompt_tokens_total": ("prompt_tokens",),
    "vllm:generation_tokens_total": ("generation_tokens",),
    "vllm:prefix_cache_queries_total": ("prefix_cache_queries",),
    "vllm:prefix_cache_hits_total": ("prefix_cache_hits",),
    "vllm:num_preemptions_total": ("preemptions",),
    "vllm:spec_decode_num_draft_tokens_total": ("spec_decode_draft_tokens",),
    "vllm:spec_decode_num_accepted_tokens_total": ("spec_decode_accepted_tokens",),
    # SGLang
    "sglang:num_running_reqs": ("running",),
    "sglang:num_queue_reqs": ("waiting",),
    "sglang:token_usage": ("kv_cache_use",),
    "sglang:cache_hit_rate": ("prefix_cache_hit_rate",),
    "sglang:prompt_tokens_total": ("prompt_tokens", "prefix_cache_queries"),
    "sglang:cached_tokens_total": ("prefix_cache_hits",),
    "sglang:generation_tokens_total": ("generation_tokens",),
    "sglang:num_retracted_requests_total": ("preemptions",),
    "sglang:spec_accept_rate": ("spec_decode_acceptance",),
    # text-generation-inference
    "tgi_batch_current_size": ("running",),
    "tgi_queue_size": ("waiting",),
    "tgi_request_input_length_sum": ("prompt_tokens",),
    "tgi_request_generated_tokens_sum": ("generation_tokens",),
    # TensorRT-LLM (trtllm-serve, at /prometheus/metrics)
    "trtllm_num_requests_running": ("running",),
    "trtllm_num_requests_waiting": ("waiting",),
    "trtllm_kv_cache_utilization": ("kv_cache_use",),
    "trtllm_kv_cache_hit_rate": ("prefix_cache_hit_rate",),
    "trtllm_kv_cache_reused_blocks_total": ("prefix_cache_hits", "prefix_cache_queries"),
    "trtllm_kv_cache_missed_blocks_total": ("prefix_cache_queries",),
    "trtllm_prompt_tokens_total": ("prompt_tokens",),
    "trtllm_generation_tokens_total": ("generation_tokens",),
    # Triton with the TensorRT-LLM backend; any other model of Triton
    "nv_trt_llm_request_metrics{request_type=scheduled}": ("running",),
    "nv_trt_llm_request_metrics{request_type=waiting}": ("waiting",),
    "nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type=fraction}": ("kv_cache_use",),
    "nv_inference_pending_request_count": ("waiting",),
    # llama.cpp
    "llamacpp:requests_processing": ("running",),
    "llamacpp:requests_deferred": ("waiting",),
    "llamacpp:kv_cache_usage_ratio": ("kv_cache_use",),
    "llamacpp:prompt_tokens_total": ("prompt_tokens", "prefix_cache_queries"),
    "llamacpp:prompt_tokens_cached_total": ("prefix_cache_hits", "prefix_cache_queries"),
    "llamacpp:tokens_predicted_total": ("generation_tokens",),
    "llamacpp:spec_decode_num_draft_tokens_total": ("spec_decode_draft_tokens",),
    "llamacpp:spec_decode_num_accepted_tokens_total": ("spec_decode_accepted_tokens",),
}
# Where both are on a page, the second counts the same requests again (once per step of an ensemble).
SECOND_CHOICE = {"nv_inference_pending_request_count": "nv_trt_llm_request_metrics"}

# What can be true. DCGM writes 2147483632 and 9223372036854775794 for "blank"; some give shares in percent.
LIMITS = {
    **dict.fromkeys(("kv_cache_use", "prefix_cache_hit_rate", "spec_decode_acceptance"), (0.0, 1.0)),
    **dict.fromkeys(("utilisation_percent", "memory_busy_percent"), (0.0, 100.0)),
    **dict.fromkeys(("power_w", "power_limit_w"), (0.0, 10_000.0)),
    **dict.fromkeys(("sm_clock_mhz", "memory_clock_mhz"), (0.0, 50_000.0)),
    "temperature_c": (-50.0, 200.0),
}
_BLANK = 2.0**47


def believable(metric: str, value: float) -> bool:
    """Whether a number can be what its name says; one that cannot is no reading."""
    low, high = LIMITS.get(metric, (0.0, _BLANK if metric.endswith("_bytes") else float("inf")))
    return low <= value <= high


_MIB = 1 << 20
# Theirs: ours and the factor to our unit.
GPU_PAGES: dict[str, tuple[str, float]] = {
    "DCGM_FI_DEV_GPU_UTIL": ("utilisation_percent", 1),
    "DCGM_FI_DEV_MEM_COPY_UTIL": ("memory_busy_percent", 1),
    "DCGM_FI_DEV_POWER_USAGE": ("power_w", 1),
    "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION": ("energy_j", 1e-3),
    "DCGM_FI_DEV_FB_USED": ("memory_used_bytes", _MIB),
    "DCGM_FI_DEV_GPU_TEMP": ("temperature_c", 1),
    "DCGM_FI_DEV_SM_CLOCK": ("sm_clock_mhz", 1),
    "DCGM_FI_DEV_MEM_CLOCK": ("memory_clock_mhz", 1),
    "DCGM_FI_DEV_POWER_MGMT_LIMIT": ("power_limit_w", 1),
    "nv_gpu_utilization": ("utilisation_percent", 100),
    "nv_gpu_power_usage": ("power_w", 1),
    "nv_gpu_power_limit": ("power_limit_w", 1),
    "nv_energy_consumption": ("energy_j", 1),
    "nv_gpu_memory_used_bytes": ("memory_used_bytes", 1),
    "nv_gpu_memory_total_bytes": ("memory_total_bytes", 1),
}
AGENT_PREFIX = "loadlab_gpu_"
# A slice of a GPU (MIG) has memory of its own; the rest that a page says of it is the whole GPU's.
OF_A_SLICE = {"memory_used_bytes", "memory_total_bytes"}
