"""Bodies of `POST /v1/jobs` for the contract to show; a test sends each of them."""

from __future__ import annotations

from typing import Any

MODEL, AGAINST = "mdl_01jz8k3m5n7p9q2r4s6t8v0w1x", "mdl_01jz8k3m5n7p9q2r4s6t8v0w2x"
DATASET = "dst_01jz8k3m5n7p9q2r4s6t8v0w3x"
"""Ids as uploads answer them."""

JOB_EXAMPLES: dict[str, dict[str, Any]] = {
    "optimize": {
        "summary": "The fastest version that loses at most 1 %",
        "value": {
            "kind": "optimize",
            "model": MODEL,
            "data": {"evaluation": DATASET},
            "goal": {"minimize": "latency", "max_drop": {"value": 0.01}},
            "deadline_s": 600,
        },
    },
    "recipe": {
        "summary": "These techniques, applied as they are and judged",
        "value": {
            "kind": "optimize",
            "model": MODEL,
            "data": {"evaluation": DATASET},
            "recipe": [{"kind": "graph_optimization"}, {"kind": "static_int8"}],
        },
    },
    "compare": {
        "summary": "Is it at least 1.2 times as fast, and no worse?",
        "value": {
            "kind": "compare",
            "model": MODEL,
            "against": AGAINST,
            "data": {"evaluation": DATASET},
            "thresholds": {"max_drop": {"value": 0.005}, "min_speedup": 1.2},
        },
    },
    "compare runtimes": {
        "summary": "One model on two runtimes",
        "value": {
            "kind": "compare",
            "model": MODEL,
            "against": MODEL,
            "settings": {"runtime": "openvino"},
            "against_settings": {"runtime": "onnxruntime"},
            "margin": 0.05,
        },
    },
    "benchmark": {
        "summary": "Throughput over batch sizes and threads",
        "value": {
            "kind": "benchmark",
            "model": MODEL,
            "scenario": {"kind": "offline", "batch_sizes": [1, 2, 4, 8], "threads": [1, 2]},
        },
    },
    "load": {
        "summary": "Does it answer 99 of 100 requests within 20 ms when 100 come a second?",
        "value": {
            "kind": "benchmark",
            "model": MODEL,
            "data": {"evaluation": DATASET},
            "scenario": {
                "kind": "server",
                "latency_ms": 20,
                "rate_per_s": 100,
                "batching": {"max_batch": 8, "max_delay_ms": 2},
            },
        },
    },
    "serving plan": {
        "summary": "How to serve 200 requests a second within 20 ms and 500 MB",
        "value": {
            "kind": "benchmark",
            "model": MODEL,
            "settings": [{"runtime": "onnxruntime"}],
            "serving": {"p95_ms": 20, "rate_per_s": 200, "memory_mb": 500},
        },
    },
    "profile": {
        "summary": "Where the time of a call goes",
        "value": {"kind": "profile", "model": MODEL, "workload": {"batch_size": 8}},
    },
    "profile of two": {
        "summary": "Where one model gains on another",
        "value": {"kind": "profile", "model": MODEL, "against": AGAINST},
    },
}
