"""The formulae of memory, each for itself: numbers in, bytes out."""

from __future__ import annotations

from sightline.fit.architecture import TextModel, VisionTower

MIB = 2**20


def kv_bytes_per_token(text: TextModel, element_bytes: int) -> int:
    """Return what one token of text leaves in the KV cache: 2 x layers x KV heads x head width x element.

    A key and a value for each KV head in each layer that attends to the text; mllama's cross-attention
    layers attend to the picture and hold none. Source: Pope et al., "Efficiently Scaling Transformer
    Inference" (2022), with grouped heads after Ainslie et al., "GQA" (2023).
    """
    return 2 * text.self_attention_layers * text.kv_heads * text.head_dim * element_bytes


def cross_state_bytes(text: TextModel, states: int, element_bytes: int) -> int:
    """Return keys and values that the cross-attention layers keep of one picture of `states` states.

    As for text, but over these layers and the picture's states: mllama holds all of its 4 x 1601 states for
    every picture, padded tiles too. Source: transformers' modeling_mllama.py (bfloat16 there); Ollama's
    memory estimate uses the same product with float32 elements. With eager attention transformers 4.46 would
    keep them repeated for every query head; its default, scaled_dot_product_attention, does not.
    """
    return 2 * text.cross_attention_layers * text.kv_heads * text.head_dim * states * element_bytes


def widened_states_bytes(text: TextModel, states: int, element_bytes: int) -> int:
    """Return what one cross-attention layer of mllama makes of `states` cached states, anew for every token.

    Keys and values repeated for every query head, and the keys twice in float32 while they are normed.
    Source: MllamaTextCrossSdpaAttention and MllamaTextRMSNorm of transformers 4.46.
    """
    return states * text.attention_heads * text.head_dim * (2 * element_bytes + 2 * 4)


def quantised_bytes(parameters: int, text: TextModel, bits: float) -> int:
    """Return the weights in bytes if all but the two embeddings are stored in `bits` bits a weight.

    bitsandbytes leaves token embedding and output head in 16 bits: 2 x vocabulary x hidden of them. Bits
    hold the scales: nf4 takes 4 + 32/64 = 4.5, with double quantisation 4 + 8/64 + 32/(64 x 256) = 4.127.
    Source: Dettmers et al., "QLoRA" (2023), section 3. With tied embeddings this is an upper bound.
    """
    kept = min(parameters, 2 * text.vocabulary * text.hidden_size)
    return round((parameters - kept) * bits / 8) + 2 * kept


def article_bytes(parameters: int, bits: int) -> int:
    """Return M = P x 4 B / (32 / Q) x 1.2, the rule of thumb of the article on the 90B model.

    It knows neither context nor pictures; it stands beside the estimate because people come with it.
    """
    return round(parameters * 4 / (32 / bits) * 1.2)


def layer_activation_bytes(tokens: int, hidden_size: int, intermediate_size: int, element_bytes: int) -> int:
    """Return an estimate of what one transformer layer has alive for `tokens` tokens at its peak.

    Six tensors of the hidden width (residual, normed input, query, key, value, attention's output) and three
    of the inner width (gate, up and their product). An upper estimate: no engine has all of them at once.
    """
    return tokens * (6 * hidden_size + 3 * intermediate_size) * element_bytes


def attention_score_bytes(patches: int, parts: int, heads: int, element_bytes: int) -> int:
    """Return the attention scores of one layer where they are written out (eager attention).

    heads x patches^2 for each part of the picture that attends within itself.
    """
    within = -(-patches // parts)
    return parts * heads * within**2 * element_bytes


def kept_hidden_states_bytes(patches: int, vision: VisionTower, element_bytes: int) -> int:
    """Return what mllama's tower keeps: the states of all layers, and once more stacked to pick five.

    Source: transformers 4.46's modeling_mllama.py, which asks the tower for output_hidden_states and stacks
    all of them before it takes the intermediate layers' (later versions stack only those).
    """
    return 2 * (vision.layers + 1) * patches * vision.hidden_size * element_bytes


def logits_bytes(tokens: int, vocabulary: int) -> int:
    """Return the logits of `tokens` tokens in 16 bits and once more in float32, in which they are used."""
    return tokens * vocabulary * (2 + 4)


def llama_compute_bytes(text: TextModel, context: int, batch: int = 512) -> int:
    """Return llama.cpp's compute buffer: 4 batch max(1 + 4 hidden + context (1 + heads), hidden + words).

    Attention scores of one batch in float32 make most of it; with flash attention it is less. Source:
    Ollama's memory estimate for the llama architecture (fs/ggml). llama.cpp reports 296 MiB at 4096 tokens
    for a 7B model.
    """
    scores = 1 + 4 * text.hidden_size + context * (1 + text.attention_heads)
    return 4 * batch * max(scores, text.hidden_size + text.vocabulary)


def largest_matrix_bytes(text: TextModel, head: bool) -> int:
    """Return the largest weight matrix widened to 16 bits, as it is for a prompt's multiplication.

    bitsandbytes widens one matrix of a layer at a time (never the output head, which is stored in 16 bits);
    llama.cpp's cuBLAS path widens any quantised matrix, the head too.
    """
    largest = text.hidden_size * text.intermediate_size
    return 2 * (max(largest, text.hidden_size * text.vocabulary) if head else largest)
