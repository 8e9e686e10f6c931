"""A bucket of S3, GCS or Azure as a store."""
