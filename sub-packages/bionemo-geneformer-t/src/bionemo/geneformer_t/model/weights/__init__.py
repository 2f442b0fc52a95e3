"""Where weights come from and go to: Hugging Face, other vocabularies, LoRA, checkpoint entries."""
