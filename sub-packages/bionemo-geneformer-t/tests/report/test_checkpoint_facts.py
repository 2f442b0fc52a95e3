"""Facts of checkpoints are in plain words."""

from bionemo.geneformer_t.report.checkpoint_facts import vocab_facts
from bionemo.geneformer_t.vocab import GeneVocab


def test_examples_of_a_vocabulary_have_their_symbols() -> None:
    vocab = GeneVocab.of_genes({"ENSG1": 1.0, "ENSG2": 2.0, "ENSG3": 1.0}, {"SOX2": "ENSG1"})
    assert (
        "3 genes such as ENSG1 (SOX2), ENSG2; 1 symbols" in dict(vocab_facts(vocab))["vocabulary"]
    )
