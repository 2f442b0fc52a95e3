"""Do data and model agree on what token ids and positions mean?"""

from bionemo.geneformer_t.config import BioBertConfig, PairSettings, positions_needed
from bionemo.geneformer_t.vocab import GeneVocab


def check_agreement(
    config: BioBertConfig, own: GeneVocab | None, vocab: GeneVocab, settings: PairSettings
) -> None:
    """Refuse data that a model cannot read, or would read wrongly.

    Args:
        config: Sizes of the model.
        own: Its vocabulary, if it has one.
        vocab: The vocabulary of the data.
        settings: How the data are made into pairs.

    Raises:
        ValueError: The vocabulary or `seq_length` is too large for the model, or the model already
            has another vocabulary.
    """
    if len(vocab) > config.vocab_size:
        raise ValueError(
            f"the data's vocabulary has {len(vocab)} tokens, the model's vocab_size is "
            f"{config.vocab_size}; build the model with BioBertConfig(vocab_size="
            f"{len(vocab)}) or more"
        )
    needed = positions_needed(settings, config.position_scheme)
    if needed > config.max_position_embeddings:
        raise ValueError(
            f"seq_length is {settings.seq_length}, which takes {needed} positions; the model's "
            f"max_position_embeddings is {config.max_position_embeddings}; lower the one "
            "or raise the other"
        )
    if own is not None and own.fingerprint != vocab.fingerprint:
        raise ValueError(
            f"the data carry vocabulary {vocab.fingerprint[:12]} ({len(vocab)} tokens), the "
            f"model was trained with {own.fingerprint[:12]} ({len(own)} "
            "tokens); token ids would mean other genes. Prepare the data with the model's "
            "vocabulary and medians"
        )
