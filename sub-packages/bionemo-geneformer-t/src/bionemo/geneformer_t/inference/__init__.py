"""What a trained model is asked: a checkpoint and cells in, next cells or embeddings out."""
