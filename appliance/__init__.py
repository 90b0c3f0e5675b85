"""A push-to-talk voice box for a Raspberry Pi. Importing it imports nothing: sound hosts start fast."""
