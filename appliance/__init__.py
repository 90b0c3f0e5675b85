"""A push-to-talk voice box for a Raspberry Pi. Importing the package imports nothing else: sound hosts start in milliseconds."""
