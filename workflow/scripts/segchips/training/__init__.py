"""What training code imports: shards as TensorFlow and PyTorch datasets, mosaics of predictions, verification."""
