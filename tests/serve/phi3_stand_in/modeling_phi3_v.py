"""One layer of attention over tokens and pictures, with the library's older form of cache: tuples."""

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import CausalLMOutputWithPast

from .configuration_phi3_v import Phi3VConfig


class Phi3VForCausalLM(PreTrainedModel):
    config_class = Phi3VConfig

    def __init__(self, config):
        super().__init__(config)
        width = config.hidden_size
        self.tokens = nn.Embedding(config.vocab_size, width)
        self.places = nn.Embedding(config.max_position_embeddings, width)
        self.pixels = nn.Linear(3 * 4 * 4, width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, config.vocab_size)
        self.post_init()

    def _init_weights(self, module):
        if hasattr(module, "weight"):
            module.weight.data.normal_(0.0, 0.5)

    def forward(
        self, input_ids, attention_mask, position_ids, past_key_values, use_cache,
        pixel_values=None, image_sizes=None,
    ):  # fmt: skip
        before = 0
        if past_key_values is not None:
            assert isinstance(past_key_values, tuple)
            assert all(isinstance(pair, tuple) for pair in past_key_values)
            before = past_key_values[0][0].shape[1]
            assert pixel_values is None, "pictures come with the prompt"
        count = input_ids.shape[1]
        assert attention_mask.shape == (1, before + count)
        assert position_ids.tolist() == [list(range(before, before + count))]
        hidden = self.tokens(input_ids.clamp(min=0)) + self.places(position_ids)
        if pixel_values is not None:
            assert len(image_sizes) == len(pixel_values)
            for number, picture in enumerate(pixel_values, 1):
                hidden[input_ids == -number] = self.pixels(picture.flatten())
        query, key, value = self.qkv(hidden).chunk(3, dim=-1)
        if past_key_values is not None:
            key = torch.cat([past_key_values[0][0], key], dim=1)
            value = torch.cat([past_key_values[0][1], value], dim=1)
        seen = torch.arange(before + count) <= torch.arange(before, before + count)[:, None]
        scores = (query @ key.transpose(1, 2)).masked_fill(~seen, -torch.inf)
        logits = self.out(hidden + scores.softmax(-1) @ value)
        return CausalLMOutputWithPast(logits=logits, past_key_values=((key, value),))
