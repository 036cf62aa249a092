"""Readers of the field's checkpoint formats; nothing in a file is executed.

file -> containers.py (pickle, PyTorch, safetensors) -> inert data
     -> nvidia.py, rosinality.py or tensorflow.py    -> tensors under our names
     -> architecture.py, convert.py                  -> Nets, strictly
"""

from benchmark.checkpoints.convert import Converted, convert
from benchmark.checkpoints.reading import Checkpoint, read_checkpoint

__all__ = ["Checkpoint", "Converted", "convert", "read_checkpoint"]
