"""The table of terms: for each family of architectures, what a server of it holds in memory.

A term is a function of the case; the families differ in which they have. GGUF pairs have llama.cpp's own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sightline.fit.architecture import Architecture
from sightline.fit.engines import Device, Engine
from sightline.fit.formulas import (
    MIB,
    attention_score_bytes,
    cross_state_bytes,
    kept_hidden_states_bytes,
    kv_bytes_per_token,
    largest_matrix_bytes,
    layer_activation_bytes,
    llama_compute_bytes,
    logits_bytes,
    widened_states_bytes,
)
from sightline.fit.pictures import PictureCost
from sightline.fit.terms import Term, Workload, counted
from sightline.fit.weights import weights_term

CONTEXT_BYTES = 512 * MIB
"""What a process takes of a GPU before any tensor: CUDA's context, cuBLAS's workspace, loaded kernels. People
report 300 to 720 MiB, by card, driver and libraries; not measured by this project."""

SLACK = 0.1
"""Share of cache and activations that PyTorch's allocator is taken to lose between blocks: an estimate.
Growing a cache by concatenation asks for ever larger blocks (transformers' DynamicCache)."""
CPU_SLACK = 1.0
"""The same on a CPU, where the C library keeps much of what was freed: measured here between 0.7 and 1.1
with a LLaVA of 56 million random parameters and 1,100 to 7,300 tokens
(tests/prove/test_memory_estimate.py holds it against two of these)."""

KEPT_LEAST, KEPT_MOST = 8 * MIB, 256 * MIB
"""Between these sightline-serve's --prefix-cache-mib is by default: as much as the weights take."""


@dataclass(frozen=True, slots=True)
class Case:
    """Everything that a term may look at. `element_bytes`: of cache and activations."""

    model: Mapping[str, Any]
    architecture: Architecture
    engine: Engine
    device: Device
    workload: Workload
    picture: PictureCost
    element_bytes: int


TermOf = Callable[[Case], Term]


def weights(case: Case) -> Term:
    """The weights, vision part included."""
    return weights_term(case.model, case.architecture, case.engine, case.device)


def kv_cache(case: Case) -> Term:
    """Keys and values of the text, in every conversation up to its whole context."""
    asked = case.workload
    each = kv_bytes_per_token(case.architecture.text, case.element_bytes)
    layers = case.architecture.text.self_attention_layers
    times = f"{asked.context} tokens x {counted(asked.slots, 'slot')}"
    says = f"{each / 1024:g} KiB a token ({layers} layers) x {times}"
    return Term("KV cache", each * asked.context * asked.slots, "exact", says)


def kept_conversations(case: Case) -> Term:
    """sightline-serve keeps the cache of conversations that ended, for follow-ups, up to --prefix-cache-mib.

    Counted on a CPU only: on a GPU it comes out of what --gpu-memory-utilization leaves for keys and values
    (at most an eighth of that; `shares` in serve/sightline_serve/memory.py), so it takes nothing more.
    """
    most = min(KEPT_MOST, max(KEPT_LEAST, weights(case).bytes))
    size = min(kv_cache(case).bytes, most)
    says = f"copies for follow-ups, at most {most // MIB} MiB (--prefix-cache-mib)"
    return Term("kept conversations", size, "estimate", says)


def cross_states(case: Case) -> Term:
    """Keys and values of the pictures in mllama's cross-attention layers."""
    asked, states = case.workload, case.picture.cross_states
    each = cross_state_bytes(case.architecture.text, states, case.element_bytes)
    times = f"{counted(asked.pictures, 'picture')} x {counted(asked.slots, 'slot')}"
    says = f"{each / MIB:.0f} MiB a picture ({states} states) x {times}"
    return Term("cross-attention states", each * asked.pictures * asked.slots, "exact", says)


def vision(case: Case) -> Term:
    """What the tower has alive for the pictures of one question, which go through it together."""
    tower, count = case.architecture.vision, case.workload.pictures * case.picture.patches
    size = layer_activation_bytes(count, tower.hidden_size, tower.intermediate_size, case.element_bytes)
    return Term("vision activations", size, "estimate", f"one layer over {count} patches")


def vision_float32(case: Case) -> Term:
    """llama.cpp: as `vision`, in float32 whatever the projector is stored in (clip.cpp)."""
    one = vision(case)
    return Term(one.name, one.bytes * 4 // case.element_bytes, "estimate", f"{one.says}, in float32")


def vision_all_layers(case: Case) -> Term:
    """mllama: as `vision`, and the states of every layer, kept twice."""
    one, count = vision(case), case.workload.pictures * case.picture.patches
    kept = kept_hidden_states_bytes(count, case.architecture.vision, case.element_bytes)
    says = f"{one.says}, with all layers' states kept twice (transformers 4.46)"
    return Term(one.name, one.bytes + kept, "estimate", says)


def vision_eager(case: Case) -> Term:
    """Phi-3-vision: as `vision`, with the scores of eager attention, which its own code uses."""
    one, patches, parts = vision(case), case.picture.patches, case.picture.parts
    scores = attention_score_bytes(
        patches, parts, case.architecture.vision.attention_heads, case.element_bytes
    )
    says = f"{one.says}, with attention's scores written out"
    return Term(one.name, one.bytes + case.workload.pictures * scores, "estimate", says)


def prompt(case: Case) -> Term:
    """What the language model has alive while it reads one whole prompt; prompts take turns."""
    text, tokens = case.architecture.text, case.workload.context
    size = layer_activation_bytes(tokens, text.hidden_size, text.intermediate_size, case.element_bytes)
    says = f"one layer over {tokens} tokens"
    if case.model["quantisation"]["method"] == "bitsandbytes-nf4":
        size += largest_matrix_bytes(text, head=False)
        says += ", and one matrix widened to 16 bits"
    return Term("prompt activations", size, "estimate", says)


def prompt_with_mask(case: Case) -> Term:
    """mllama: as `prompt`, with the mask of which token may look at which state.

    Each cross-attention layer also widens the states of all conversations that answer together. One
    conversation's fit where the tower's activations were, which are gone by then: only more is counted.
    """
    one, asked = prompt(case), case.workload
    states = case.picture.cross_states * asked.pictures
    mask = asked.context * states * case.element_bytes
    says = f"{one.says}, and the mask over {states} states"
    widened = widened_states_bytes(case.architecture.text, states * asked.slots, case.element_bytes)
    more = max(0, widened - vision_all_layers(case).bytes)
    if more:
        says += f", and the states of {counted(asked.slots, 'slot')} repeated for every head"
    return Term(one.name, one.bytes + mask + more, "estimate", says)


def whole_logits(case: Case) -> Term:
    """Phi-3-vision: its own code makes the logits of every token of the prompt."""
    tokens, vocabulary = case.workload.context, case.architecture.text.vocabulary
    says = f"{tokens} tokens x {vocabulary} words, in 16 and in 32 bits"
    return Term("logits of the prompt", logits_bytes(tokens, vocabulary), "estimate", says)


def compute_buffer(case: Case) -> Term:
    """llama.cpp's compute buffer, for batches of 512 tokens."""
    context = case.workload.context * case.workload.slots
    text, size = case.architecture.text, llama_compute_bytes(case.architecture.text, context)
    if case.device == "cuda":
        widened = largest_matrix_bytes(text, head=True)
        says = f"512 tokens against {context}, and one matrix widened to 16 bits"
        return Term("compute buffer", size + widened, "estimate", says)
    return Term("compute buffer", size, "estimate", f"512 tokens against {context}")


_TORCH: dict[str, tuple[TermOf, ...]] = {
    "llava": (weights, kv_cache, vision, prompt),
    "mllama": (weights, kv_cache, cross_states, vision_all_layers, prompt_with_mask),
    "phi3-vision": (weights, kv_cache, vision_eager, prompt, whole_logits),
    "qwen-vl": (weights, kv_cache, vision, prompt),
}
_GGUF: dict[str, tuple[TermOf, ...]] = {"llava": (weights, kv_cache, vision_float32, compute_buffer)}


def terms_of(case: Case) -> tuple[Term, ...] | None:
    """Return the terms of a case; None for a family that this engine has no formulae for."""
    table = _GGUF if case.engine.gguf else _TORCH
    functions = table.get(case.architecture.family)
    if functions is None:
        return None
    terms = [term_of(case) for term_of in functions]
    if not case.engine.paged:
        loose = sum(term.bytes for term in terms[1:])
        share = SLACK if case.device == "cuda" else CPU_SLACK
        says = f"{share:.0%} of all but the weights, lost between blocks"
        terms.append(Term("allocator", round(share * loose), "estimate", says))
        if case.device == "cpu":
            terms.append(kept_conversations(case))
    if case.device == "cuda":
        says = "CUDA's context, cuBLAS, kernels, on each card"
        terms.append(Term("CUDA context", CONTEXT_BYTES, "estimate", says))
    return tuple(terms)
