"""The token scores of a predictor alone."""

from bionemo.geneformer_t.evaluate.evaluation_pairs import CellPairs, CellPredictor, Predictor
from bionemo.geneformer_t.evaluate.predictions import each_prediction
from bionemo.geneformer_t.evaluate.scores.token_scores import TokenSums, token_sums


def score_tokens(predictor: Predictor | CellPredictor, pairs: CellPairs) -> TokenSums:
    """Every current cell with all its successors."""
    return TokenSums.join(
        [token_sums(target, rows) for target, rows in each_prediction(predictor, pairs)]
    )
