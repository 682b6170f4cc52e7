"""The public root certificates of Amazon RDS, as data: see the head of ``rds-ca-bundle.pem``."""
