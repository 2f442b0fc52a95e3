"""Fuzz vocabulary files: the tokens have distinct ids and one fingerprint, or they are refused."""

import json
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["bionemo.geneformer_t", "json"]):
    from bionemo.geneformer_t.vocab import SPECIAL_TOKENS, GeneVocab, read_medians, read_tokens

from fuzz_target import fuzz, refused

_IDS = {token: i for i, token in enumerate((*SPECIAL_TOKENS, "G1", "G2"))}
SAMPLES = [
    json.dumps({"vocab": _IDS, "gene_to_ens": {"S1": "G1"}}).encode(),
    json.dumps(_IDS).encode(),
    "\n".join(_IDS).encode(),
    b'{"<pad>": 0, "<mask>": 1, "G1": 2}',
    b'{"G1": 1.5, "G2": 3}',
]
WORDS = [
    b'"vocab": {', b'"gene_to_ens": {', b'"G1"', b'"G2"', b'"G3": 7', b'"S1": "G1"', b"}, ", b": ",
    *(json.dumps(token).encode() for token in (*SPECIAL_TOKENS, "<pad>", "<mask>", "<cls>")),
    b"null", b'"<eos>"', b"true", b"NaN", b"1e999", b"-1", b"0", b"1.5", b"[]", b"{}",
    b'"\\ud800"', b"\n\n",
]  # fmt: skip


def read(path: Path) -> None:
    """Read the file as medians and as a vocabulary, and use the vocabulary."""
    medians = path.with_name("medians.json")
    try:
        read_medians(path)
    except ValueError as error:
        if not refused(error, path):
            raise
    tokens, _ = read_tokens(path)
    medians.write_text(json.dumps(dict.fromkeys(tokens, 1.0)), encoding="utf-8")
    vocab = GeneVocab.read(path, medians)
    assert vocab.tokens == tokens
    assert vocab.decode(range(len(vocab))) == list(tokens)
    assert GeneVocab.from_dict(vocab.to_dict()).fingerprint == vocab.fingerprint


if __name__ == "__main__":
    fuzz("geneformer.vocab", read, SAMPLES, WORDS)
