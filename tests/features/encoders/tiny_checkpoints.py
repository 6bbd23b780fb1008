"""Tiny encoders of random weights, saved by `transformers` itself in the official layout."""

from functools import partial

import torch
import transformers as hf

_WAVE = {
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "conv_dim": (8,) * 7,
    "num_conv_pos_embedding_groups": 2,
}
_LARGE = {**_WAVE, "do_stable_layer_norm": True, "feat_extract_norm": "layer"}
_IMAGE = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
_SIDE = {"image_size": 32, "patch_size": 8}
_CROPPED = {"size": {"shortest_edge": 36}, "crop_size": {"height": 32, "width": 32}}
_wave_reader = partial(hf.Wav2Vec2FeatureExtractor, do_normalize=True)


def _whisper():
    config = hf.WhisperConfig(
        d_model=16,
        encoder_layers=2,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=24,
        decoder_ffn_dim=24,
        max_source_positions=250,
        vocab_size=60,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=1,
    )
    return hf.WhisperModel(config), hf.WhisperFeatureExtractor(chunk_length=5)


def _videomae():
    config = hf.VideoMAEConfig(**_IMAGE, **_SIDE, num_frames=16)
    return hf.VideoMAEModel(config), hf.VideoMAEImageProcessor(size={"shortest_edge": 32}, crop_size=32)


def _clip():
    text = {**_IMAGE, "vocab_size": 60, "max_position_embeddings": 8}
    config = hf.CLIPConfig(text_config=text, vision_config={**_IMAGE, **_SIDE}, projection_dim=8)
    return hf.CLIPModel(config), hf.CLIPImageProcessor(**_CROPPED)


SPEECH = {
    "hubert": lambda: (hf.HubertModel(hf.HubertConfig(**_WAVE)), _wave_reader()),
    "hubert-large": lambda: (hf.HubertModel(hf.HubertConfig(**_LARGE)), _wave_reader()),
    "wav2vec2": lambda: (hf.Wav2Vec2Model(hf.Wav2Vec2Config(**_WAVE)), _wave_reader()),
    "wav2vec2-large": lambda: (hf.Wav2Vec2Model(hf.Wav2Vec2Config(**_LARGE)), _wave_reader()),
    "wavlm": lambda: (hf.WavLMModel(hf.WavLMConfig(**_WAVE)), _wave_reader()),
    "wavlm-large": lambda: (hf.WavLMModel(hf.WavLMConfig(**_LARGE)), _wave_reader()),
    "unispeech": lambda: (hf.UniSpeechModel(hf.UniSpeechConfig(**_WAVE)), _wave_reader()),
    "data2vec-audio": lambda: (hf.Data2VecAudioModel(hf.Data2VecAudioConfig(**_WAVE)), _wave_reader()),
    "whisper": _whisper,
}
IMAGE = {
    "clip": _clip,
    "clip-vision": lambda: (
        hf.CLIPVisionModel(hf.CLIPVisionConfig(**_IMAGE, **_SIDE)),
        hf.CLIPImageProcessor(**_CROPPED),
    ),
    "dinov2": lambda: (
        hf.Dinov2Model(hf.Dinov2Config(**_IMAGE, **_SIDE)),
        hf.BitImageProcessor(**_CROPPED),
    ),
    "vit": lambda: (
        hf.ViTModel(hf.ViTConfig(**_IMAGE, **_SIDE)),
        hf.ViTImageProcessor(size={"height": 32, "width": 32}),
    ),
    "convnext": lambda: (
        hf.ConvNextModel(hf.ConvNextConfig(hidden_sizes=[8, 8, 12, 16], depths=[1, 1, 1, 1])),
        hf.ConvNextImageProcessor(size={"shortest_edge": 32}, crop_pct=0.875),
    ),
}
VIDEO = {"videomae": _videomae}


def save(kind, folder, seed=0):
    """The folder with a tiny checkpoint of that kind."""
    torch.manual_seed(seed)
    model, reader = {**SPEECH, **IMAGE, **VIDEO}[kind]()
    model.save_pretrained(folder)
    reader.save_pretrained(folder)
    return folder
