"""Entry points, one module per Lambda function; each exposes ``handler``."""
